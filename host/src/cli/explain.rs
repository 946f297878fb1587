//! `explain`: a past decision as a story.

use std::process::ExitCode;

use serde_json::Value;

use super::screen::{Look, Page, Tone};
use super::{Globals, exit, output, story};
use crate::daemon::history;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Number of a record, as `history` and mails name it; without one, the newest decision.
    id: Option<u64>,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(globals: &Globals, args: &Args) -> ExitCode {
    let path = globals.paths().history_file;
    let refuse = |message: String| {
        output::failed(&message);
        exit::code(exit::USAGE)
    };
    let records = match history::records(&path, 0) {
        Ok(records) => records,
        Err(error) => return refuse(format!("the history {} cannot be read: {error}", path.display())),
    };
    let found = match args.id {
        Some(id) => records.iter().position(|record| history::id_of(record) == id),
        None => story::newest(&records),
    };
    let Some(at) = found else {
        return refuse(match args.id {
            Some(id) => format!("the history {} has no record {id}; `history` lists them", path.display()),
            None => format!("the history {} is empty: nothing has been decided yet", path.display()),
        });
    };
    let story = story::story(&records, at);
    if args.json {
        output::json(&story);
    } else {
        page(&story).iter().for_each(|line| output::line(line));
    }
    exit::code(exit::OK)
}

fn page(story: &Value) -> Vec<String> {
    let mut page = Page::new(Look::of_stdout());
    let text = |key: &str| match &story[key] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    page.line(
        Tone::Good,
        &format!(
            "{} {} of {}: {}, epoch {}",
            text("kind"),
            text("id"),
            text("time"),
            text("role"),
            text("epoch")
        ),
    );
    if story["kind"] != "decision" {
        page.row("what happened", Tone::Plain, &text("what"));
        if let Some(decision) = story["decision"].as_u64() {
            page.row("belongs to", Tone::Plain, &format!("decision {decision}: `explain {decision}`"));
        }
    } else {
        for (name, key) in [("why asked", "asked"), ("it began", "began")] {
            if !text(key).is_empty() {
                page.row(name, Tone::Plain, &text(key));
            }
        }
        for (number, line) in story["seen"].as_array().into_iter().flatten().enumerate() {
            let name = if number == 0 { "what was seen" } else { "" };
            page.row(name, Tone::Plain, line.as_str().unwrap_or_default());
        }
        page.row("policy", Tone::Plain, &text("policy"));
        if let Some(error) = story["error"]["message"].as_str() {
            page.row("it failed", Tone::Bad, error);
        }
        let rule = story["rule"].as_str().map(|rule| format!("{rule}: ")).unwrap_or_default();
        page.row("rule", Tone::Plain, &format!("{rule}{}", text("why")));
        for (name, share) in story["shares"].as_object().into_iter().flatten() {
            page.row(
                "",
                Tone::Faint,
                &format!("{name} {}", share.as_str().map_or_else(|| share.to_string(), str::to_owned)),
            );
        }
        page.row("verdict", Tone::Plain, &text("verdict"));
        match story["gate"]["name"].as_str() {
            Some(gate) => {
                let why = story["gate"]["why"].as_str().unwrap_or_default();
                page.row("gate", Tone::Warning, &format!("{gate}: {why}"));
            }
            None => page.row("gate", Tone::Plain, "every gate was open"),
        }
        page.row("effect", Tone::Plain, &text("effect"));
        let flip = text("flip");
        let flip = if flip.is_empty() { "the policy names none".to_owned() } else { flip };
        page.row("nearest flip", Tone::Plain, &flip);
        if let Some(times) = story["repeated"].as_u64().filter(|times| *times > 0) {
            page.row("", Tone::Faint, &format!("the {times} decisions before it said the same"));
        }
    }
    for (number, line) in story["then"].as_array().into_iter().flatten().enumerate() {
        let name = if number == 0 { "then" } else { "" };
        page.row(name, Tone::Plain, line.as_str().unwrap_or_default());
    }
    page.into_lines()
}
