//! `health`: to be written.

use std::process::ExitCode;

use super::{Globals, exit};

/// Arguments of `health`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_globals: &Globals, _args: Args) -> ExitCode {
    exit::code(exit::USAGE)
}
