//! `config`: to be written.

use std::process::ExitCode;

use super::{Globals, exit};

/// Arguments of `config`.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// placeholder
    Placeholder,
}

/// Runs the command.
pub fn run(_globals: &Globals, _args: Args) -> ExitCode {
    exit::code(exit::USAGE)
}
