//! The program under test, built as a binary of the tests' package.

use std::process::ExitCode;

fn main() -> ExitCode {
    dr_watchdog::main_from(std::env::args_os())
}
