//! `stop`: the watchdogs of both sites end, data and services stay as they are.

use std::process::ExitCode;
use std::time::Duration;

use dr_watchdog_core::durable::{Durable, Found};
use dr_watchdog_core::transitions::Phase;
use dr_watchdog_sdk::sections::Role;
use serde_json::{Value, json};

use super::follow::{Goal, Teller, follow};
use super::site::{Here, Site, There};
use super::state::State;
use crate::cli::{Globals, exit, output, service};
use crate::config::{self, Config};
use crate::daemon::lock::Lock;
use crate::daemon::state_file::StateFile;
use crate::paths::Paths;

/// Longest stop at the other site.
const THERE_LIMIT: Duration = Duration::from_secs(90);

/// Arguments of `stop`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Stop the services of this site first; then nobody needs to give a word.
    #[arg(long, conflicts_with = "force")]
    services: bool,
    /// Without the other site's word: it may take over while the services here go on.
    #[arg(long)]
    force: bool,
    /// Print the answer as one line of JSON.
    #[arg(long)]
    json: bool,
    /// The other site asks for this site's word not to take over; not for people.
    #[arg(long, hide = true, conflicts_with_all = ["services", "force"])]
    promise: bool,
    /// The other site has given its word; not for people.
    #[arg(long, hide = true, conflicts_with_all = ["services", "force", "promise"])]
    promised: bool,
}

/// Why nothing was stopped, with the exit status.
type Failed = (u8, String);

/// Runs the command.
pub(in crate::cli) fn run(globals: &Globals, args: &Args) -> ExitCode {
    let teller = Teller { is_quiet: args.json };
    match stop(globals, args, &teller) {
        Ok(done) => {
            if args.json {
                output::json(&done);
            }
            exit::code(exit::OK)
        }
        Err((status, why)) => {
            if args.json {
                output::json(&json!({"stopped": false, "error": why}));
            }
            output::failed(&why);
            exit::code(status)
        }
    }
}

fn failed(why: String) -> Failed {
    (exit::FAILED, why)
}

fn stop(globals: &Globals, args: &Args, teller: &Teller) -> Result<Value, Failed> {
    let paths = globals.paths();
    if service::running(&paths).map_err(|why| (exit::USAGE, why))?.is_none() {
        if args.promise {
            return promise_without_daemon(&paths).map_err(failed);
        }
        return Err((exit::USAGE, "no daemon runs on this root; nothing to stop".to_owned()));
    }
    // A daemon runs with whatever it read when it started; a file that was broken since must not keep it running.
    let config = config::load(&paths).map(|(config, _)| config).map_err(|errors| errors.to_string());
    let name = config.as_ref().map_or_else(|_| "here".to_owned(), |config| config.site.name.clone());
    let here = Here { name, socket: paths.socket.clone() };
    let state = State::of(&here).map_err(|error| (exit::USAGE, error.to_string()))?;
    match state.phase {
        Phase::Standby | Phase::Standalone => stop_standby(globals, &here, &state, args, &config, teller),
        _ if args.services => stop_services(globals, &here, args, &config, teller),
        _ => stop_active(globals, &here, &state, args, &config, teller),
    }
}

type Loaded = Result<Config, String>;

fn command(here: &Here, name: &str, is_forced: bool) -> Result<(), Failed> {
    let asked = here.ask("operator", json!({"command": name, "force": is_forced}));
    asked.map(drop).map_err(|error| failed(error.to_string()))
}

fn stop_standby(
    globals: &Globals,
    here: &Here,
    state: &State,
    args: &Args,
    config: &Loaded,
    teller: &Teller,
) -> Result<Value, Failed> {
    if args.promised {
        return Err(failed(format!("site {} is {} and serves nothing", state.site, state.phase.word())));
    }
    if state.phase == Phase::Standby {
        command(here, "promise", false)?;
    }
    let mut other = Value::Null;
    let is_paired = state.phase == Phase::Standby && !args.promise && !args.services && !args.force;
    if let (true, Ok(config)) = (is_paired, config) {
        match stop_there(config, "--promised") {
            Ok(answer) => {
                teller.tell(&format!(
                    "site {}: its watchdog has ended; services are left as they are",
                    config.peer.name
                ));
                other = answer;
            }
            Err(why) => {
                teller.tell(&format!(
                    "site {} was not stopped ({why}); whatever it does goes on, and this site will not take over before it hears it again",
                    config.peer.name
                ));
            }
        }
    }
    end(globals, state, &other, teller)
}

fn stop_services(
    globals: &Globals,
    here: &Here,
    args: &Args,
    config: &Loaded,
    teller: &Teller,
) -> Result<Value, Failed> {
    command(here, "handOver", false)?;
    let state = follow(here, Goal::Standby, teller).map_err(failed)?;
    teller.tell(&format!("site {} serves nothing any more", state.site));
    stop_standby(globals, here, &state, args, config, teller)
}

fn stop_active(
    globals: &Globals,
    here: &Here,
    state: &State,
    args: &Args,
    config: &Loaded,
    teller: &Teller,
) -> Result<Value, Failed> {
    let mut other = Value::Null;
    if args.force {
        teller.tell("--force: the other site has not given its word; it may take over while the services here go on, and then both serve");
    } else if !args.promised {
        let asked = config.as_ref().map_err(Clone::clone).and_then(|config| stop_there(config, "--promise"));
        other = asked.map_err(|why| failed(no_word(state, config, &why)))?;
        if let Ok(config) = config {
            teller.tell(&format!(
                "site {}: it has given its word not to take over, and its watchdog has ended",
                config.peer.name
            ));
        }
    }
    command(here, "stop", args.force)?;
    end(globals, state, &other, teller)
}

fn no_word(state: &State, config: &Loaded, why: &str) -> String {
    let peer = config.as_ref().map_or("the other site", |config| config.peer.name.as_str());
    format!(
        "nothing was stopped here: site {} serves, and {peer} has not given its word not to take over ({why}). What you may do: repeat the command when {peer} can be reached; `stop --services` stops the services of this site first; `stop --force` leaves them running, and both sites may serve then",
        state.site
    )
}

/// The other site's half of the command.
fn stop_there(config: &Config, how: &str) -> Result<Value, String> {
    let there = There::new(config)?;
    let ran = there.run(&["stop", how, "--json"], b"", THERE_LIMIT)?;
    let answer: Value =
        serde_json::from_str(ran.stdout.lines().last().unwrap_or_default()).unwrap_or_default();
    if ran.status == 0 && answer["stopped"] == true {
        return Ok(answer);
    }
    let why = answer["error"].as_str().map_or_else(|| ran.stderr.trim().to_owned(), str::to_owned);
    Err(format!("it says: {why}"))
}

fn end(globals: &Globals, state: &State, other: &Value, teller: &Teller) -> Result<Value, Failed> {
    let pid = service::end(&globals.paths()).map_err(failed)?;
    service::disable(globals).map_err(failed)?;
    teller.tell(&format!(
        "site {}: the watchdog (pid {pid}) has ended; services are left as they are",
        state.site
    ));
    Ok(json!({"stopped": true, "pid": pid, "site": state.site, "phase": state.phase, "otherSite": other}))
}

/// A site whose watchdog is down gives its word in its stored state.
fn promise_without_daemon(paths: &Paths) -> Result<Value, String> {
    let chain = |error: &dyn std::error::Error| config::chain(error);
    // The folders are there where a daemon ever ran; where none did, nobody can take over.
    std::fs::create_dir_all(&paths.run_dir).map_err(|error| error.to_string())?;
    let _lock = Lock::take(&paths.pid_file).map_err(|error| chain(&error))?;
    let file = StateFile::new(paths.state_file.clone());
    let mut durable = match file.read() {
        Found::Good(durable) if durable.role == Role::Active => {
            return Err(
                "this site was active when its watchdog ended; start it first, so that it knows its role"
                    .to_owned(),
            );
        }
        Found::Good(durable) => *durable,
        Found::Absent => Durable::new(Role::Standby, ""),
        Found::Bad(why) => return Err(why),
    };
    durable.standing.is_promised = true;
    std::fs::create_dir_all(&paths.state_dir).map_err(|error| error.to_string())?;
    file.write(&durable).map_err(|error| chain(&error))?;
    Ok(json!({"stopped": true, "pid": null, "site": null, "phase": "standby", "otherSite": null}))
}
