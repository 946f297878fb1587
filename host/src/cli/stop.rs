//! `stop`: ends the daemon of this root.

use std::process::ExitCode;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::{Value, json};

use super::client::{self, ClientError};
use super::{Globals, exit, output};

/// How long the daemon may take to end: a step's group is killed at once, nothing else is waited for.
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// Arguments of `stop`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the answer as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(globals: &Globals, args: Args) -> ExitCode {
    let answer = match client::ask(&globals.paths().socket, "stop", json!({})) {
        Ok(answer) => answer,
        Err(ClientError::Down(_)) => {
            let why = "no daemon runs on this root; nothing to stop";
            output::failed(why);
            if args.json {
                output::json(&json!({"stopped": false, "pid": null, "error": {"message": why}}));
            }
            return exit::code(exit::USAGE);
        }
        Err(error) => return output::no_answer(&error),
    };
    let pid = answer.get("pid").and_then(Value::as_i64).unwrap_or(0);
    if !has_ended(pid) {
        let why = format!(
            "the daemon (pid {pid}) was asked to end and still runs after {} s; look at its log",
            END_TIMEOUT.as_secs()
        );
        output::failed(&why);
        if args.json {
            output::json(&json!({"stopped": false, "pid": pid, "error": {"message": why}}));
        }
        return exit::code(exit::FAILED);
    }
    if args.json {
        output::json(&json!({"stopped": true, "pid": pid, "error": null}));
    } else {
        output::line(&format!("the watchdog (pid {pid}) has ended; services are left as they are"));
    }
    exit::code(exit::OK)
}

/// Waits on the process itself, not on its files: it has ended when the kernel says so.
fn has_ended(pid: i64) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return true };
    // It may have ended before it could be opened.
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return true };
    let limit = Timespec { tv_sec: i64::try_from(END_TIMEOUT.as_secs()).unwrap_or(i64::MAX), tv_nsec: 0 };
    matches!(poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit)), Ok(1..))
}
