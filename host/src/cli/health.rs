//! `health`: who serves, whether the other site could take over, what is wrong.

use std::process::ExitCode;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::client::{self, ClientError};
use super::{Globals, exit, health_down, output};

/// From one picture of `--watch` to the next.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// Arguments of `health`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
    /// Go on showing it until interrupted.
    #[arg(long)]
    watch: bool,
}

/// Runs the command: 0 ok, 1 warning, 2 critical.
pub fn run(globals: &Globals, args: Args) -> ExitCode {
    let paths = globals.paths();
    loop {
        let health = match client::ask(&paths.socket, "health", json!({})) {
            Ok(health) => health,
            Err(ClientError::Down(_)) => health_down::health(&paths),
            Err(error) => return output::no_answer(&error),
        };
        if args.json {
            output::json(&health);
        } else {
            if args.watch {
                output::line("\u{1b}[2J\u{1b}[H");
            }
            picture(&health).iter().for_each(|line| output::line(line));
        }
        if !args.watch {
            return exit::code(match health["status"].as_str() {
                Some("ok") => exit::OK,
                Some("warning") => exit::FAILED,
                _ => exit::USAGE,
            });
        }
        pause();
    }
}

/// Waits for nothing but the time; a signal ends it early, which only shows the next picture sooner.
fn pause() {
    let span = rustix::event::Timespec {
        tv_sec: i64::try_from(WATCH_INTERVAL.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: 0,
    };
    let _ = rustix::event::poll(&mut [], Some(&span));
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "unknown".to_owned(),
        other => other.to_string(),
    }
}

fn painted(words: &str, color: AnsiColor) -> String {
    let style = Style::new().fg_color(Some(color.into())).bold();
    format!("{style}{words}{style:#}")
}

fn picture(health: &Value) -> Vec<String> {
    let status = match health["status"].as_str() {
        Some("ok") => painted("OK", AnsiColor::Green),
        Some("warning") => painted("WARNING", AnsiColor::Yellow),
        _ => painted("CRITICAL", AnsiColor::Red),
    };
    let serving = match &health["serving"] {
        Value::Bool(true) => "serving",
        Value::Bool(false) => "not serving",
        _ => "nobody watches whether it serves",
    };
    let (site, role) = (text(&health["site"]), text(&health["role"]));
    let mut lines = vec![format!("{status}  site {site} is {role}, {serving}, epoch {}", health["epoch"])];
    let mut row = |name: &str, value: String| lines.push(format!("  {name:<20}{value}"));
    if health["daemon"]["up"] == true {
        row("other site", peer(&health["peer"]));
        row("takeover", takeover(&health["takeover"]));
        row("automatic failover", automatic(&health["automaticFailover"]));
        row("exclusion", exclusion(&health["exclusion"]));
        let arbiters = &health["arbiters"];
        let (total, reachable) = (&arbiters["total"], &arbiters["reachable"]);
        row("arbiters", format!("{reachable} of {total} answer ping, {} managed", arbiters["managed"]));
        let policy = &health["policy"];
        let words = ["name", "engine", "state"].map(|key| text(&policy[key]));
        row("policy", format!("{} ({}), {}", words[0], words[1], words[2]));
        let last = &health["lastDecision"];
        if last.is_object() {
            row(
                "last decision",
                format!("{} {}: {}", last["id"], text(&last["action"]), text(&last["description"])),
            );
            row("", text(&last["outcome"]));
        }
    }
    for problem in health["problems"].as_array().into_iter().flatten() {
        let color = if problem["code"] == 0 { AnsiColor::Yellow } else { AnsiColor::Red };
        lines.push(format!("  {} {}", painted("!", color), text(&problem["message"])));
        lines.push(format!("    → {}", text(&problem["remedy"])));
    }
    lines
}

fn peer(peer: &Value) -> String {
    let reachable = if peer["reachable"] == true { "reachable" } else { "does not answer" };
    let heard = match peer["lastHeard"].as_str() {
        Some(at) => format!("{}, epoch {}, last heard {at}", text(&peer["role"]), peer["epoch"]),
        None => "never heard".to_owned(),
    };
    format!("{} {reachable}; {heard}", text(&peer["name"]))
}

fn takeover(takeover: &Value) -> String {
    if takeover["possible"] == true {
        format!("possible, within {} s after the active is lost", takeover["withinS"])
    } else {
        format!("not possible: {}", text(&takeover["why"]))
    }
}

fn automatic(automatic: &Value) -> String {
    if automatic["enabled"] == true {
        return "enabled".to_owned();
    }
    let until = automatic["until"].as_str().unwrap_or("further notice");
    format!("disabled until {until} by {}: {}", text(&automatic["by"]), text(&automatic["reason"]))
}

fn exclusion(exclusion: &Value) -> String {
    format!("{}: {}", text(&exclusion["mode"]), text(&exclusion["promise"]))
}
