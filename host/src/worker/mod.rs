//! The guest side of the same binary: loads one policy and answers questions over a socketpair.

use std::sync::Arc;

use dr_watchdog_sdk::{Context, Host};
use serde_json::Value;

use crate::policy::Failure;

pub mod native;

/// Cancels the evaluation that runs in a guest; from any thread, at any time.
pub type Canceller = Arc<dyn Fn() + Send + Sync>;

/// A loaded policy inside the worker.
pub trait Guest {
    /// Name and version, for people.
    fn describe(&self) -> Value;

    /// Answers one question with the raw JSON of a verdict; the host checks it.
    ///
    /// # Errors
    /// Any [`Failure`].
    fn evaluate(&mut self, context: &Context, host: &dyn Host) -> Result<Value, Failure>;

    /// What cancels an evaluation of this guest from another thread; `None` if it can only be killed.
    fn canceller(&self) -> Option<Canceller> {
        None
    }
}

/// Arguments of the hidden `worker` command.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the worker.
pub fn run(_args: Args) -> std::process::ExitCode {
    std::process::ExitCode::from(2)
}
