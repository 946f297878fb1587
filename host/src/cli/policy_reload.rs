//! `policy reload`: has the running watchdog load its policy again.

use serde_json::json;

use super::{Globals, client, exit, output};

/// Arguments of `policy reload`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command. One that cannot be loaded leaves the old one running, and the status is 1.
pub fn reload(globals: &Globals, args: &Args) -> u8 {
    let answer = match client::ask(&globals.paths().socket, "policy.reload", json!({})) {
        Ok(answer) => answer,
        Err(error) => return output::unanswered(&error),
    };
    let is_loaded = answer["ok"] == true;
    let message = answer["message"].as_str().unwrap_or_default();
    match (args.json, is_loaded) {
        (true, _) => output::json(&answer),
        (false, true) => output::line(message),
        (false, false) => output::failed(message),
    }
    if is_loaded { exit::OK } else { exit::FAILED }
}
