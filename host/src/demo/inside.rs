//! The first process inside the demo's namespaces.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::sys::signal::SigSet;

use super::ground;
use super::measure::Clock;
use super::policy_file::Placed;
use super::stop::Stop;
use super::story::Story;
use super::summary::Outcome;
use super::timeline::{Reader, Timeline};

/// The file in the demo's folder that tells how it went.
const OUTCOME_FILE: &str = "outcome.json";

/// Arguments of the hidden `demo-inside` command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The demo's folder.
    #[arg(long)]
    pub folder: PathBuf,
    /// The policy file; the plugin beside the binary if absent.
    #[arg(long)]
    pub policy: Option<PathBuf>,
    /// What people should know of the policy.
    #[arg(long)]
    pub note: String,
    /// Write events as JSON.
    #[arg(long)]
    pub json: bool,
    /// Keep the folder.
    #[arg(long)]
    pub keep: bool,
}

/// Runs the command. Its standard input is a pipe that ends when the demo shall end.
pub fn run(args: &Args, clock: Clock) -> ExitCode {
    let stop = Stop::default();
    let outcome = match prepare(&stop) {
        Ok(()) => {
            let reader = if args.json { Reader::Program } else { Reader::Person };
            let policy = Placed { path: args.policy.clone(), note: args.note.clone() };
            Story::new(Timeline::begin(reader), clock, stop.clone()).tell(&args.folder, &policy)
        }
        Err(error) => Outcome::failed(
            format!("the namespaces could not be prepared: {error}"),
            ground::is_forbidden(&error),
        ),
    };
    if stop.is_told() && !args.keep {
        // Whoever started this process may be gone, so nobody else might remove the folder; if it is there, it
        // removes what is left.
        let _ = fs::remove_dir_all(&args.folder);
        return ExitCode::FAILURE;
    }
    match write(&args.folder, &outcome) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: the outcome could not be written: {error}");
            ExitCode::FAILURE
        }
    }
}

fn prepare(stop: &Stop) -> io::Result<()> {
    // The process outside holds signals back, and what it starts inherits that; a daemon must hear them.
    SigSet::all().thread_unblock()?;
    ground::settle()?;
    let stop = stop.clone();
    std::thread::Builder::new().name("end of input".to_owned()).spawn(move || {
        // An error is an end too.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        stop.tell();
    })?;
    Ok(())
}

fn write(folder: &Path, outcome: &Outcome) -> io::Result<()> {
    fs::write(folder.join(OUTCOME_FILE), serde_json::to_vec(outcome)?)
}

/// How it went, read by the process outside; `None` if nothing was written.
pub fn outcome(folder: &Path) -> Option<Outcome> {
    serde_json::from_slice(&fs::read(folder.join(OUTCOME_FILE)).ok()?).ok()
}
