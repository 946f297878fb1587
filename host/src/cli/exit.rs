//! Every exit status, named.

use std::process::ExitCode;

/// All went well.
pub const OK: u8 = 0;
/// The command ran and its answer is bad: a policy failed, a check found errors, `health` warns.
pub const FAILED: u8 = 1;
/// The command line, a file it names, or the daemon it needs is not usable. `health`: critical.
pub const USAGE: u8 = 2;
/// This machine forbids what the command needs (namespaces for the demo).
pub const FORBIDDEN: u8 = 3;
/// Another daemon runs on the same root.
pub const ALREADY_RUNNING: u8 = 4;
/// The daemon could not go on.
pub const DAEMON_FAILED: u8 = 5;

/// The status as `main` returns it.
pub fn code(status: u8) -> ExitCode {
    ExitCode::from(status)
}
