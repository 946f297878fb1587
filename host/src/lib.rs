//! The rooms of the dr-watchdog host.
//!
//! Arrows: `cli → daemon → rooms → core`. Rooms do not import each other, but for the floors that all of them
//! stand on: `durable_file`, `frames`, `paths` and `probe`. Only `daemon/effects.rs` knows every room.

use std::ffi::OsString;
use std::process::ExitCode;

pub mod arbiters;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod durable_file;
pub mod frames;
pub mod notify;
pub mod paths;
pub mod peer;
pub mod policy;
pub mod probe;
pub mod worker;

/// Runs the program with these arguments; the first one is the name it was called by.
pub fn main_from(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    cli::main_from(args)
}
