//! `run`: the watchdog in the foreground.

use std::process::ExitCode;

use super::{Globals, exit, output};
use crate::daemon::{self, DaemonError, lock::LockError};

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// In a session of its own, so that the terminal it came from may go; `start` uses this.
    #[arg(long, hide = true)]
    detached: bool,
}

/// Runs the command.
pub fn run(globals: &Globals, args: Args) -> ExitCode {
    if args.detached {
        // Fails only where this process leads a group already, which no child of `start` does; then it stays in it.
        let _ = nix::unistd::setsid();
    }
    daemon::logging::start();
    let result = match super::runtime() {
        Ok((runtime, local)) => local.block_on(&runtime, daemon::run(globals.paths())),
        Err(error) => Err(DaemonError::Loop(error)),
    };
    let Err(error) = result else { return exit::code(exit::OK) };
    output::failed(&crate::config::chain(&error));
    exit::code(match error {
        DaemonError::Config(_) => exit::USAGE,
        DaemonError::Lock(LockError::Held { .. }) => exit::ALREADY_RUNNING,
        DaemonError::Ping(_) => exit::FORBIDDEN,
        DaemonError::Lock(LockError::Io(..))
        | DaemonError::Files { .. }
        | DaemonError::History(_)
        | DaemonError::Peer(_)
        | DaemonError::Policy(_)
        | DaemonError::Loop(_) => exit::DAEMON_FAILED,
    })
}
