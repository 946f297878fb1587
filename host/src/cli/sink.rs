//! `sink` (hidden): swallows its input, for the other site, which measures the line.

use std::io;
use std::process::ExitCode;

use super::{exit, output};

/// Runs the command.
pub fn run() -> ExitCode {
    match io::copy(&mut io::stdin().lock(), &mut io::sink()) {
        Ok(bytes) => {
            output::line(&bytes.to_string());
            exit::code(exit::OK)
        }
        Err(error) => {
            output::failed(&error.to_string());
            exit::code(exit::FAILED)
        }
    }
}
