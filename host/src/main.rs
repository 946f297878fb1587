//! The dr-watchdog binary: parse, run, exit code; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    dr_watchdog::main_from(std::env::args_os())
}
