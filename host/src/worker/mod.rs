//! The guest side of the same binary: loads one policy and answers questions over a socketpair.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use dr_watchdog_sdk::{Context, Host};
use serde_json::Value;

use crate::policy::Failure;

mod host;
mod hygiene;
mod launch;
pub mod lua;
pub mod native;
mod serve;
mod wall;

/// Stops a running evaluation from another thread.
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

    /// What makes a running `evaluate` return early, if the policy can; called from another thread.
    fn canceller(&self) -> Option<Canceller> {
        None
    }
}

/// Arguments of the hidden `worker` command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Become this script instead of serving a policy.
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Become it as this user.
    #[arg(long, value_name = "NAME", requires = "script")]
    user: Option<OsString>,
    /// Become it in an empty network namespace.
    #[arg(long, requires = "script")]
    cut_network: bool,
}

/// Runs the worker.
pub fn run(args: Args) -> ExitCode {
    match args.script {
        Some(script) => launch::become_script(&script, args.user.as_deref(), args.cut_network),
        None => serve::serve(),
    }
}
