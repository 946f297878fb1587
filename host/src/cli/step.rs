//! `step` (hidden): runs one step of a role change, and ends it with its children should the daemon die.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use nix::sys::prctl;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{getpgrp, getppid};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use super::output;

/// The status a shell gives for a program that cannot be started.
const NOT_STARTED: u8 = 127;
/// The status when the daemon is gone: nobody reads it.
const DAEMON_GONE: u8 = 125;

/// Arguments of the hidden `step` command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pid of the daemon.
    #[arg(long)]
    daemon: i32,
    /// Program and arguments.
    #[arg(required = true, last = true)]
    command: Vec<String>,
}

/// Runs the command. It was started as the leader of its own process group.
pub fn run(args: &Args) -> ExitCode {
    let result = super::runtime().and_then(|(runtime, _)| runtime.block_on(supervise(args)));
    match result {
        Ok(code) => code,
        Err(error) => {
            output::failed(&format!("{}: {error}", args.command.first().map_or("", String::as_str)));
            ExitCode::from(NOT_STARTED)
        }
    }
}

async fn supervise(args: &Args) -> std::io::Result<ExitCode> {
    let mut daemon_gone = signal(SignalKind::terminate())?;
    prctl::set_pdeathsig(Signal::SIGTERM)?;
    // The daemon may have died before the signal was asked for.
    if getppid().as_raw() != args.daemon {
        return Ok(ExitCode::from(DAEMON_GONE));
    }
    let mut command = Command::new(&args.command[0]);
    let mut child = command.args(&args.command[1..]).spawn()?;
    tokio::select! {
        status = child.wait() => Ok(code(status?)),
        _ = daemon_gone.recv() => {
            // The group is this process's own: this ends the step, its children and us.
            killpg(getpgrp(), Signal::SIGKILL)?;
            Ok(ExitCode::from(DAEMON_GONE))
        }
    }
}

/// The step's own status; a signal as the shell shows it.
fn code(status: ExitStatus) -> ExitCode {
    let number = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(number).unwrap_or(u8::MAX))
}
