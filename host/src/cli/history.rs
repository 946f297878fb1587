//! `history`: past decisions, changes and notices.

use std::process::ExitCode;

use serde_json::Value;

use super::{Globals, exit, output, story};
use crate::daemon::history;

/// Records that are shown unless more are asked for.
const SHOWN_DEFAULT: usize = 20;

/// Arguments of `history`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show so many of the newest records; 0 = all.
    #[arg(long, short = 'n', value_name = "N", default_value_t = SHOWN_DEFAULT)]
    last: usize,
    /// Show one record, whole.
    #[arg(long, value_name = "ID")]
    id: Option<u64>,
    /// Show only this kind.
    #[arg(long, value_parser = ["decision", "transition", "step", "notice", "observation"])]
    kind: Option<String>,
    /// Print one line of JSON per record.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(globals: &Globals, args: Args) -> ExitCode {
    let path = globals.paths().history_file;
    let all = match history::records(&path, 0) {
        Ok(all) => all,
        Err(error) => {
            output::failed(&format!("the history {} cannot be read: {error}", path.display()));
            return exit::code(exit::USAGE);
        }
    };
    let is_wanted = |record: &Value| {
        args.id.is_none_or(|id| history::id_of(record) == id)
            && args.kind.as_deref().is_none_or(|kind| record["kind"] == kind)
    };
    let mut wanted: Vec<Value> = all.into_iter().filter(is_wanted).collect();
    if let (Some(id), true) = (args.id, wanted.is_empty()) {
        output::failed(&format!("the history {} has no record {id}", path.display()));
        return exit::code(exit::USAGE);
    }
    let first = if args.last == 0 { 0 } else { wanted.len().saturating_sub(args.last) };
    for record in &mut wanted[first..] {
        if let Some(arbiters) = record.pointer_mut("/evidence/arbiters") {
            super::arbiters::evidence_with_nulls(arbiters);
        }
        match (args.json, args.id) {
            (true, _) => output::json(record),
            (false, Some(_)) => output::line(&format!("{record:#}")),
            (false, None) => output::line(&short(record)),
        }
    }
    if wanted.is_empty() && !args.json {
        output::line("the history is empty");
    }
    exit::code(exit::OK)
}

fn short(record: &Value) -> String {
    let time = record["time"].as_str().unwrap_or_default();
    format!("{:>5}  {time}  {}", history::id_of(record), story::what(record))
}
