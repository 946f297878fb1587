//! `health`: who serves, whether the other site could take over, what is wrong.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::client::{self, ClientError};
use super::screen::Look;
use super::wait::pause;
use super::{Globals, exit, health_down, health_screen, output};
use crate::paths::Paths;

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
    if args.watch {
        watch(&paths, args.json);
    }
    let health = match client::ask(&paths.socket, "health", json!({})) {
        Ok(health) => health,
        Err(error @ (ClientError::Down(_) | ClientError::Silent(..))) => health_down::health(&paths, &error),
        Err(error) => return output::no_answer(&error),
    };
    if args.json {
        output::json(&health);
    } else {
        health_screen::lines(&health, Look::of_stdout()).iter().for_each(|line| output::line(line));
    }
    exit::code(match health["status"].as_str() {
        Some("ok") => exit::OK,
        Some("warning") => exit::FAILED,
        _ => exit::USAGE,
    })
}

/// Shows it again and again until interrupted. A daemon that does not answer for once ends nothing.
fn watch(paths: &Paths, as_json: bool) -> ! {
    loop {
        let health = match client::ask(&paths.socket, "health", json!({})) {
            Ok(health) => Ok(health),
            Err(error @ (ClientError::Down(_) | ClientError::Silent(..))) => {
                Ok(health_down::health(paths, &error))
            }
            Err(error) => Err(crate::config::chain(&error)),
        };
        let look = Look::of_stdout();
        match (as_json, health) {
            (true, Ok(health)) => output::json(&health),
            (true, Err(why)) => output::json(&json!({"status": "critical", "error": why})),
            (false, Ok(health)) => output::picture(&health_screen::lines(&health, look), look),
            (false, Err(why)) => output::picture(&[why], look),
        }
        pause(WATCH_INTERVAL);
    }
}
