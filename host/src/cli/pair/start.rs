//! `start`: the watchdogs of both sites, the standby's first.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use dr_watchdog_core::durable::Found;
use dr_watchdog_core::transitions::Phase;
use dr_watchdog_sdk::sections::Role;
use serde_json::{Value, json};

use super::follow::Teller;
use super::site::{Here, Ran, There, no_program};
use super::state::State;
use crate::cli::wait::pause;
use crate::cli::{Globals, exit, output, service};
use crate::config::{self, Config};
use crate::daemon::state_file::StateFile;

/// Longest start at the other site.
const THERE_LIMIT: Duration = Duration::from_secs(120);
const SETTLE_INTERVAL: Duration = Duration::from_millis(250);
/// How much longer than its boot time a site may take to settle.
const SETTLE_EXTRA: Duration = Duration::from_secs(30);

/// Arguments of `start`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Only the watchdog of this site, the active one.
    #[arg(short = 'a', conflicts_with = "standby")]
    active: bool,
    /// Only the watchdog of this site, the standby.
    #[arg(short = 's')]
    standby: bool,
    /// Print one line of JSON at the end.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(in crate::cli) fn run(globals: &Globals, args: &Args) -> ExitCode {
    let (config, warnings) = match config::load(&globals.paths()) {
        Ok(loaded) => loaded,
        Err(errors) => {
            output::failed(&format!("{errors}\n`dr-watchdog init` makes a configuration"));
            return exit::code(exit::USAGE);
        }
    };
    let teller = Teller { is_quiet: args.json };
    warnings.iter().for_each(|warning| teller.tell(&format!("warning: {warning}")));
    let result = start(globals, args, &config, &teller);
    match &result {
        Ok(done) if args.json => output::json(done),
        Ok(_) => {}
        Err(why) if args.json => output::json(&json!({"ok": false, "error": why})),
        Err(why) => output::failed(why),
    }
    exit::code(if result.is_ok() { exit::OK } else { exit::FAILED })
}

fn start(globals: &Globals, args: &Args, config: &Config, teller: &Teller) -> Result<Value, String> {
    let own_role = stored_role(globals, config)?;
    if args.standby && own_role == Role::Active {
        return Err(format!(
            "site {} is the active one: `start` starts both, `start -a` only this one",
            config.site.name
        ));
    }
    let there = if args.active || args.standby {
        None
    } else {
        if own_role != Role::Active {
            return Err(format!(
                "`start` is given at the active site; site {} is {}. `start -s` starts only the watchdog here",
                config.site.name,
                own_role.word()
            ));
        }
        Some(start_there(config, teller)?)
    };
    let started = service::start(globals)?;
    teller.tell(&format!("site {}: {}", config.site.name, started.words()));
    let mut done = json!({"ok": true, "site": config.site.name, "pid": started.pid(), "otherSite": there});
    if !args.standby {
        let state = settle(globals, config, teller)?;
        done["phase"] = json!(state.phase);
        done["epoch"] = json!(state.epoch);
    }
    Ok(done)
}

/// The role that this site has, as it is stored; where nothing is, the one it is to begin with.
fn stored_role(globals: &Globals, config: &Config) -> Result<Role, String> {
    match StateFile::new(globals.paths().state_file).read() {
        Found::Good(durable) => Ok(durable.role),
        Found::Absent => Ok(config.site.initial_role),
        // It boots as standby, whatever is asked.
        Found::Bad(_) => Ok(Role::Standby),
    }
}

fn start_there(config: &Config, teller: &Teller) -> Result<Value, String> {
    let peer = &config.peer.name;
    let unreachable = |why: String| {
        format!(
            "site {peer} cannot be commanded over SSH ({why}); nothing was started. `start -a` starts only the watchdog here; then run `start -s` at site {peer}"
        )
    };
    let there = There::new(config).map_err(unreachable)?;
    let version = there.run(&["--version"], b"", THERE_LIMIT).map_err(unreachable)?;
    same_version(&version, peer).map_err(unreachable)?.into_iter().for_each(|warning| teller.tell(&warning));
    let ran = there.run(&["start", "-s", "--json"], b"", THERE_LIMIT).map_err(unreachable)?;
    let answer: Value =
        serde_json::from_str(ran.stdout.lines().last().unwrap_or_default()).unwrap_or_default();
    if ran.status != 0 {
        let why = answer["error"].as_str().map_or_else(|| ran.stderr.trim().to_owned(), str::to_owned);
        return Err(format!("site {peer} did not start, so this one was not started either: {why}"));
    }
    teller.tell(&format!("site {peer}: its watchdog runs (pid {})", answer["pid"]));
    Ok(json!({"site": answer["site"], "pid": answer["pid"]}))
}

/// A warning where the other site runs another version.
///
/// # Errors
/// When the program there does not say one.
fn same_version(ran: &Ran, peer: &str) -> Result<Option<String>, String> {
    let own = concat!("dr-watchdog ", env!("CARGO_PKG_VERSION"));
    let found = ran.stdout.lines().last().unwrap_or_default().trim();
    if ran.status != 0 || !found.starts_with("dr-watchdog ") {
        return Err(no_program(ran));
    }
    Ok((found != own).then(|| {
        format!("warning: site {peer} runs {found}, this one {own}; run the same version at both sites")
    }))
}

/// Follows this site until its boot is over and no plan runs.
fn settle(globals: &Globals, config: &Config, teller: &Teller) -> Result<State, String> {
    let here = Here { name: config.site.name.clone(), socket: globals.paths().socket };
    let heartbeat = &config.watchdog.heartbeat;
    let boot = heartbeat.interval.duration() + heartbeat.timeout.duration() * (heartbeat.retries + 1);
    let steps = config.role_change.be_active.iter().chain(&config.role_change.be_standby);
    let limit = boot + SETTLE_EXTRA + steps.map(|step| step.deadline).sum::<Duration>();
    let (begun, mut told) = (Instant::now(), String::new());
    loop {
        let state =
            State::of(&here).map_err(|error| format!("the watchdog of this site is gone: {error}"))?;
        let line = match &state.boot_end {
            Some(until) => {
                format!("site {} looks for the other site, until {until} at the latest", state.site)
            }
            None => format!("site {} is {} (epoch {})", state.site, state.phase.word(), state.epoch),
        };
        if line != told {
            teller.tell(&format!("  {line}"));
            told = line;
        }
        if state.boot_end.is_none()
            && matches!(state.phase, Phase::Active | Phase::Standby | Phase::Standalone)
        {
            return Ok(state);
        }
        if state.phase == Phase::DemotionFailed || begun.elapsed() >= limit {
            return Err(format!("site {} is {}; `health` says why", state.site, state.phase.word()));
        }
        pause(SETTLE_INTERVAL);
    }
}
