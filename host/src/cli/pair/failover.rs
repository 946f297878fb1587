//! `manualFailover`: the roles change because an operator says so.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use dr_watchdog_core::transitions::Phase;
use serde_json::{Value, json};

use super::follow::{Goal, Teller, follow};
use super::question;
use super::site::{Here, Site, SiteError, There};
use super::state::State;
use super::swap::{self, Swap};
use crate::cli::wait::pause;
use crate::cli::{Globals, exit, output};
use crate::config::{self, Config};

/// How long the new active may take to hear that the old one is standby: heartbeats are at most minutes apart, and one
/// is sent at once.
const HEARING_MAX: Duration = Duration::from_secs(120);
/// Beside a look and its deadline.
const LOOK_EXTRA: Duration = Duration::from_secs(2);
const HEARING_INTERVAL: Duration = Duration::from_millis(200);

/// Arguments of `manualFailover`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Make this site active; the other one is left as it is.
    #[arg(short = 'a', conflicts_with = "standby")]
    active: bool,
    /// Make this site standby; the other one is left as it is.
    #[arg(short = 's')]
    standby: bool,
    /// With -a: whatever the other site may be doing. Both sites may serve then.
    #[arg(long, requires = "active")]
    force: bool,
    /// This site's name, which --force wants typed.
    #[arg(long, value_name = "SITE", requires = "force")]
    confirm: Option<String>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Print one line of JSON at the end.
    #[arg(long)]
    json: bool,
}

/// Why nothing, or not everything, was done.
enum Stopped {
    /// Nothing was changed.
    Refused(String),
    /// Something was changed, and the rest was not.
    Halfway(String),
    /// The daemon or a file is not usable.
    Unusable(String),
}

/// Runs the command.
pub(in crate::cli) fn run(globals: &Globals, args: &Args) -> ExitCode {
    let begun = Instant::now();
    let teller = Teller { is_quiet: args.json };
    let result = change(globals, args, &teller);
    let elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (status, why, halfway) = match &result {
        Ok(_) => (exit::OK, None, false),
        Err(Stopped::Refused(why)) => (exit::FAILED, Some(why), false),
        Err(Stopped::Halfway(why)) => (exit::FAILED, Some(why), true),
        Err(Stopped::Unusable(why)) => (exit::USAGE, Some(why), false),
    };
    if args.json {
        let done = result.as_ref().ok();
        output::json(&json!({
            "ok": why.is_none(), "changed": done.is_some() || halfway, "sites": done, "elapsedMs": elapsed_ms,
            "error": why,
        }));
    } else if let Some(why) = why {
        output::failed(why);
    } else {
        output::line(&format!("done in {:.1} s", begun.elapsed().as_secs_f64()));
    }
    exit::code(status)
}

fn change(globals: &Globals, args: &Args, teller: &Teller) -> Result<Value, Stopped> {
    let paths = globals.paths();
    let (config, _) = config::load(&paths).map_err(|errors| Stopped::Unusable(errors.to_string()))?;
    let here = Here { name: config.site.name.clone(), socket: paths.socket };
    let own = State::of(&here).map_err(|error| Stopped::Unusable(error.to_string()))?;
    match (args.active, args.standby) {
        (true, _) => become_active(&here, &own, &config, args, teller),
        (_, true) => become_standby(&here, &own, args, teller),
        _ => switch(&here, &own, &config, args, teller),
    }
}

/// A person at a terminal is asked once, after the plan was shown; a script is taken at its word.
fn is_agreed(args: &Args) -> bool {
    args.yes || args.json || !question::can_ask() || question::is_written("Write yes to do this: ", "yes")
}

fn refused() -> Stopped {
    Stopped::Refused("nothing was changed".to_owned())
}

fn command(site: &dyn Site, params: Value) -> Result<(), Stopped> {
    site.ask("operator", params).map(drop).map_err(|error| match error {
        SiteError::Refused(_, why) => Stopped::Refused(format!("site {} refuses: {why}", site.name())),
        SiteError::Down(why) => Stopped::Refused(format!("site {} does not answer: {why}", site.name())),
        // The question may have arrived, and the answer not.
        SiteError::Unreachable(why) => Stopped::Halfway(format!(
            "site {} went away in the middle ({why}), and nobody knows whether it has begun; `health` there says so; repeat the command when it answers, it goes on from where both sites are",
            site.name()
        )),
    })
}

fn switch(here: &Here, own: &State, config: &Config, args: &Args, teller: &Teller) -> Result<Value, Stopped> {
    let silent = |why: String| {
        Stopped::Refused(format!(
            "site {} cannot be asked ({why}), and a switch of both roles needs it; nothing was changed. If it is lost for good: `manualFailover -a` makes this site active when the arbiters show that the other one does not serve; `manualFailover -s` only makes this site standby",
            config.peer.name
        ))
    };
    let there = There::new(config).map_err(silent)?;
    let peer = State::of(&there).map_err(|error| silent(error.to_string()))?;
    let plan = swap::swap(own, &peer).map_err(Stopped::Refused)?;
    swap::words(plan, own, &peer).iter().for_each(|line| teller.tell(line));
    if !is_agreed(args) {
        return Err(refused());
    }
    let (from, to, from_state): (&dyn Site, &dyn Site, &State) =
        if plan.is_from_here { (here, &there, own) } else { (&there, here, &peer) };
    perform(plan, from, to, from_state, teller)
}

fn perform(
    plan: Swap,
    from: &dyn Site,
    to: &dyn Site,
    state: &State,
    teller: &Teller,
) -> Result<Value, Stopped> {
    if !plan.is_half_done {
        command(from, json!({"command": "handOver", "epoch": state.epoch}))?;
        follow(from, Goal::Standby, teller).map_err(Stopped::Halfway)?;
    }
    let half = |why: String| {
        Stopped::Halfway(format!(
            "site {} is standby and site {} is not active: {why}; nobody serves; repeat `manualFailover`, it goes on from here",
            from.name(),
            to.name()
        ))
    };
    let ready = await_word(to).map_err(half)?;
    if !ready.phase.claims_active() {
        let taken = command(to, json!({"command": "becomeActive", "epoch": ready.epoch}));
        taken.map_err(|stopped| match stopped {
            Stopped::Refused(why) | Stopped::Halfway(why) | Stopped::Unusable(why) => half(why),
        })?;
    }
    let active = follow(to, Goal::Active, teller).map_err(half)?;
    Ok(json!({"active": active.site, "standby": from.name(), "epoch": active.epoch}))
}

/// Waits until the site that becomes active may.
fn await_word(site: &dyn Site) -> Result<State, String> {
    let begun = Instant::now();
    loop {
        let why = match State::of(site) {
            Ok(state) if state.phase.claims_active() => return Ok(state),
            Ok(state) => {
                let heard = state.peer_heard.as_ref().map(|heard| heard.phase);
                match &state.why_not_active {
                    // Silence that would do for an operator is no word of the other site; a moment more brings one.
                    None if heard == Some(Phase::Standby) || begun.elapsed() >= HEARING_MAX => {
                        return Ok(state);
                    }
                    None => "it has not heard the other site's word".to_owned(),
                    Some(why) => why.clone(),
                }
            }
            Err(error) => error.to_string(),
        };
        if begun.elapsed() >= HEARING_MAX {
            return Err(why);
        }
        pause(HEARING_INTERVAL);
    }
}

fn become_active(
    here: &Here,
    own: &State,
    config: &Config,
    args: &Args,
    teller: &Teller,
) -> Result<Value, Stopped> {
    if own.phase == Phase::Active {
        teller.tell(&format!("site {} is active already (epoch {})", own.site, own.epoch));
        return Ok(json!({"active": own.site, "standby": null, "epoch": own.epoch}));
    }
    let looked;
    let own = if args.force || own.peer_heard.is_some() {
        own
    } else {
        teller.tell(&format!("site {} is silent; the arbiters are asked who holds them", config.peer.name));
        looked = look(here, config)?;
        &looked
    };
    let risk = format!(
        "--force asks nobody: if site {} serves now, both sites serve and their data part until one of them is stopped. No bound holds while no path exists between them.",
        config.peer.name
    );
    match (&own.why_not_active, args.force) {
        (Some(why), false) => return Err(Stopped::Refused(not_active(why, &config.peer.name))),
        (_, true) => teller.tell(&risk),
        (None, false) => {}
    }
    teller.tell(&format!("site {} becomes active: {}", own.site, swap::steps(&own.be_active)));
    let is_agreed = if args.force { is_name_typed(args, &own.site) } else { is_agreed(args) };
    if !is_agreed {
        return Err(if args.force { Stopped::Refused(name_wanted(&own.site)) } else { refused() });
    }
    command(here, json!({"command": "becomeActive", "force": args.force, "epoch": own.epoch}))?;
    let active = follow(here, Goal::Active, teller).map_err(Stopped::Halfway)?;
    Ok(json!({"active": active.site, "standby": null, "epoch": active.epoch}))
}

/// What this site says once it has asked the arbiters, or what it said last when that takes too long.
fn look(here: &Here, config: &Config) -> Result<State, Stopped> {
    command(here, json!({"command": "look"}))?;
    let limit = config.exclusion.look_timeout + config.exclusion.look + LOOK_EXTRA;
    let begun = Instant::now();
    loop {
        let state = State::of(here).map_err(|error| Stopped::Unusable(error.to_string()))?;
        if state.why_not_active.is_none() || begun.elapsed() >= limit {
            return Ok(state);
        }
        pause(HEARING_INTERVAL);
    }
}

fn not_active(why: &str, peer: &str) -> String {
    format!(
        "this site was not made active: {why}. What you may do: bring site {peer} or the arbiters into reach and repeat the command; or make sure by another way that site {peer} does not serve, and use `manualFailover -a --force`"
    )
}

fn is_name_typed(args: &Args, site: &str) -> bool {
    match &args.confirm {
        Some(name) => name == site,
        None => {
            question::can_ask() && question::is_written(&format!("Write this site's name ({site}): "), site)
        }
    }
}

fn name_wanted(site: &str) -> String {
    format!(
        "nothing was changed: --force wants the name of this site typed; where nobody can be asked, add --confirm {site}"
    )
}

fn become_standby(here: &Here, own: &State, args: &Args, teller: &Teller) -> Result<Value, Stopped> {
    teller.tell(&format!("site {} becomes standby: {}", own.site, swap::steps(&own.be_standby)));
    teller.tell("the other site is left as it is; nobody serves until it becomes active");
    if !is_agreed(args) {
        return Err(refused());
    }
    command(here, json!({"command": "handOver", "epoch": own.epoch}))?;
    let standby = follow(here, Goal::Standby, teller).map_err(Stopped::Halfway)?;
    Ok(json!({"active": null, "standby": standby.site, "epoch": standby.epoch}))
}
