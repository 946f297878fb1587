//! The guest side of the same binary: loads one policy and answers questions over a socketpair.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use dr_watchdog_sdk::{Context, Host};
use serde_json::Value;

use crate::policy::Failure;
use crate::policy::terms::Layer;

mod calls;
mod census;
mod files;
mod gate;
mod host;
mod hygiene;
mod keeper;
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

    /// Makes ready what the next question needs, while nobody waits for an answer.
    fn rest(&mut self) {}

    /// What makes a running `evaluate` return early, if the policy can; called from another thread.
    fn canceller(&self) -> Option<Canceller> {
        None
    }
}

/// Arguments of the hidden `worker` command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run this script instead of serving a policy.
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Run it as this user.
    #[arg(long, value_name = "NAME", requires = "script")]
    user: Option<OsString>,
    /// Run it in an empty network namespace.
    #[arg(long, requires = "script")]
    cut_network: bool,
    /// Memory that the guest may use, of a script all its processes together.
    #[arg(long, value_name = "BYTES")]
    memory: Option<u64>,
    /// Run it among the machine's processes, which it sees and may not signal.
    #[arg(long, requires = "script")]
    among_others: bool,
    /// Where its processes' numbers begin.
    #[arg(long, requires = "script")]
    number: Option<u32>,
    /// Hand the guest this file by its descriptor.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Run the guest as this user id, where this process may become another user.
    #[arg(long)]
    uid: Option<u32>,
    /// Leave the guest the machine's network.
    #[arg(long)]
    network: bool,
    /// Close this folder to the guest.
    #[arg(long, value_name = "DIR")]
    hide: Vec<PathBuf>,
    /// Leave out this further layer of the wall.
    #[arg(long, value_name = "LAYER", value_parser = layer)]
    without: Vec<Layer>,
    /// Serve here, in the namespaces that were made for it.
    #[arg(long, conflicts_with = "file")]
    inside: bool,
    /// The descriptor that the guest's file is open at.
    #[arg(long, requires = "inside")]
    descriptor: Option<i32>,
    /// No process but the guest's has this user.
    #[arg(long, requires = "inside")]
    alone: bool,
    /// The mounts are the guest's own.
    #[arg(long, requires = "inside")]
    mounts: bool,
    /// A layer of the wall that this system refused.
    #[arg(long, value_name = "TEXT", requires = "inside")]
    missing: Vec<String>,
}

fn layer(word: &str) -> Result<Layer, String> {
    Layer::from_word(word).ok_or_else(|| format!("there is no layer \"{word}\""))
}

/// Runs the worker.
pub fn run(args: Args) -> ExitCode {
    if let Some(script) = args.script.clone() {
        return launch::launch(&args, script);
    }
    if rustix::termios::isatty(std::io::stdin()) {
        eprintln!("dr-watchdog worker: the watchdog starts this command itself, to run one policy in it");
        return ExitCode::FAILURE;
    }
    if args.inside { serve::serve(serve::Inside::of(args)) } else { gate::enter(&args) }
}
