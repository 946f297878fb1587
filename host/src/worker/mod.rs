//! The guest side of the same binary: loads one policy and answers questions over a socketpair.

use dr_watchdog_sdk::{Context, Host};
use serde_json::Value;

use crate::policy::Failure;

/// A loaded policy inside the worker.
pub trait Guest {
    /// Name and version, for people.
    fn describe(&self) -> Value;

    /// Answers one question with the raw JSON of a verdict; the host checks it.
    ///
    /// # Errors
    /// Any [`Failure`].
    fn evaluate(&mut self, context: &Context, host: &dyn Host) -> Result<Value, Failure>;
}

/// Arguments of the hidden `worker` command.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the worker.
pub fn run(_args: Args) -> std::process::ExitCode {
    std::process::ExitCode::from(2)
}
