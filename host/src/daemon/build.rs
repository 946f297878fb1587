//! Builds the rooms from the configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use dr_watchdog_core::evidence::{Evidence, ManagedRule};
use dr_watchdog_core::{Event, Now, Settings, Watchdog};
use dr_watchdog_sdk::evidence::{ArbiterEvidence, SshOutcome};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::effects::World;
use crate::arbiters::{self, Arbiters, Report};
use crate::config::{self, Config, model};
use crate::paths::Paths;
use crate::peer::PeerError;
use crate::peer::link::Link;
use crate::policy::{self, Permissions, PolicySpec, Terms};
use crate::probe::descriptors;
use crate::probe::ping::{PingOutcome, Pinger, milliseconds};

/// Reports of the arbiters that wait for the run loop: one sweep and one look of 1,000 arbiters, with room.
const REPORTS_MAX: usize = 4_096;

/// The arbiters room, reporting to the core.
pub fn arbiters(
    config: &Config,
    pinger: &Arc<Pinger>,
    events: &mpsc::UnboundedSender<Event>,
) -> Rc<Arbiters> {
    let (reports, mut waiting) = mpsc::channel(REPORTS_MAX);
    let events = events.clone();
    descriptors::warn_if_short(config.arbiters.len());
    let names: Vec<String> = config.arbiters.iter().map(|arbiter| arbiter.name.clone()).collect();
    tokio::task::spawn_local(async move {
        while let Some(report) = waiting.recv().await {
            if events.send(event(report, &names)).is_err() {
                return;
            }
        }
    });
    let transport = config.ssh.adapter.transport(config.ssh.known_hosts.clone());
    Rc::new(Arbiters::with_transport(
        config.arbiters.clone(),
        timers(config),
        Arc::clone(pinger),
        reports,
        transport,
    ))
}

/// Times and addresses that all arbiters share.
pub fn timers(config: &Config) -> arbiters::Settings {
    let peer = ManagedRule::new(&config.exclusion.peer_hold_addresses, Some(&config.core), 0).peer_addresses;
    let heartbeat = &config.watchdog.heartbeat;
    arbiters::Settings {
        look: config.exclusion.look,
        look_timeout: config.exclusion.look_timeout,
        keep_alive: config.exclusion.keep_alive,
        ping_timeout: heartbeat.timeout.duration(),
        ping_retries: heartbeat.retries,
        source: config.site.source_address,
        hold_address: config.exclusion.hold_address,
        families: arbiters::parse::Families::of(&peer),
    }
}

fn event(report: Report, names: &[String]) -> Event {
    let name = |arbiter: usize| names.get(arbiter).map_or("?", String::as_str);
    match report {
        Report::Pinged { arbiter, outcome, .. } => Event::ArbiterPinged { arbiter, answer: answer(outcome) },
        Report::SweepFinished { round } => Event::SweepEnded { sweep: round },
        Report::Looked { arbiter, result, .. } => Event::ArbiterLooked { arbiter, result },
        Report::AddressAged { arbiter, old } => {
            match old {
                Some(old) => tracing::warn!(
                    arbiter = name(arbiter),
                    %old,
                    "no name server tells the address of this arbiter; it is asked at its last known one"
                ),
                None => tracing::info!(arbiter = name(arbiter), "a name server tells its address again"),
            }
            Event::AddressAged { arbiter, old: old.map(|old| old.to_string()) }
        }
        Report::HoldOpened { arbiter } => {
            tracing::debug!(arbiter = name(arbiter), "a held session is open");
            Event::HoldChanged { arbiter, is_open: true }
        }
        // The lease will count these; in verdict mode a hold is a session at the arbiter, no more.
        Report::HoldAnswered { arbiter, .. } => Event::HoldChanged { arbiter, is_open: true },
        Report::HostKeyChanged { arbiter, why } => Event::HostKeyChanged { arbiter, why },
        Report::HoldLost { arbiter, why } => {
            tracing::warn!(arbiter = name(arbiter), why, "a held session broke");
            Event::HoldChanged { arbiter, is_open: false }
        }
    }
}

fn answer(outcome: PingOutcome) -> Result<f64, String> {
    match outcome {
        PingOutcome::Answered { rtt } => Ok(milliseconds(rtt)),
        PingOutcome::TimedOut => Err("timeout".to_owned()),
        PingOutcome::Failed(why) => Err(why),
    }
}

/// One look at every arbiter for an operator; `last` tells what the daemon remembers of them.
pub async fn evidence(
    arbiters: &Arbiters,
    settings: &Settings,
    now: Now,
    wants_sessions: bool,
    last: &Evidence,
) -> Evidence {
    let mut seen = BTreeMap::new();
    for (name, look) in settings.arbiters.iter().zip(arbiters.look_once(wants_sessions).await) {
        let remembered = last.arbiters.get(name);
        let mut evidence = ArbiterEvidence {
            last_good: remembered.and_then(|last| last.last_good),
            absent_since: remembered.and_then(|last| last.absent_since),
            old_address: look.old_address.map(|old| old.to_string()),
            ..ArbiterEvidence::default()
        };
        match answer(look.ping) {
            Ok(rtt_ms) => {
                evidence.ping = Some(true);
                evidence.rtt_ms = Some(rtt_ms);
                evidence.last_good = Some(now.wall);
            }
            Err(why) => evidence.why = Some(why),
        }
        match look.sessions {
            Some(Ok(sessions)) => {
                evidence.ssh = Some(SshOutcome::Ok);
                evidence.sessions = Some(sessions);
            }
            Some(Err((outcome, why))) => {
                evidence.ssh = Some(outcome);
                evidence.ssh_error = Some(why);
            }
            None => {}
        }
        seen.insert(name.clone(), evidence);
    }
    Evidence { time: now.wall, arbiters: seen }.completed(&settings.arbiters, &settings.managed_rule)
}

/// Which policy runs, and how.
///
/// # Errors
/// When the default plugin is nowhere to be found.
pub(super) fn policy_spec(config: &Config, paths: &Paths) -> Result<PolicySpec, policy::Failure> {
    let path = match &config.policy.custom {
        Some(path) => path.clone(),
        None => policy::find_default_plugin()?,
    };
    Ok(PolicySpec {
        engine: policy::engine_of(&path),
        config: config.policy.config.clone(),
        deadline: config.policy.deadline,
        memory_bytes: config.policy.memory_bytes,
        // Whoever may change the policy of a root daemon is root. An ordinary user's daemon has no more to lose than
        // the user, and in a user namespace even root's folders seem to belong to nobody.
        permissions: if rustix::process::geteuid().is_root() {
            Permissions::Refuse
        } else {
            Permissions::Warn
        },
        script_env: config.policy.script_env.clone(),
        script_user: config.policy.script_user.clone(),
        script_secrets: config.policy.script_secrets,
        run_dir: paths.run_dir.clone(),
        terms: Terms {
            state_file: Some(paths.state_dir.join("policy-state").join(format!("{}.json", file_name(&path)))),
            hidden: vec![paths.run_dir.clone(), paths.state_dir.clone(), folder(&paths.config_file)],
            ..config.policy.terms.clone()
        },
        path,
    })
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn folder(file: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("/")).to_owned()
}

/// Puts a new configuration in force. Whatever did not change goes on undisturbed: a reload that touches a step
/// must not close the sessions that make the arbiters managed.
///
/// # Errors
/// When a room cannot be built; then nothing has changed.
pub(super) fn replace(world: &mut World, core: &Watchdog, config: &Rc<Config>) -> Result<(), String> {
    let spec = policy_spec(config, &world.paths).map_err(|failure| failure.message)?;
    relink(world, config).map_err(|error| config::chain(&error))?;
    if !same_arbiters(&world.config, config) {
        let replaced = arbiters(config, &world.pinger, &world.events);
        let old = std::mem::replace(&mut world.arbiters, replaced);
        old.stop_looking();
        old.release();
        if core.phase().may_serve() {
            world.arbiters.hold();
        }
        if core.is_looking() {
            world.arbiters.start_looking();
        }
    }
    world.configure(config);
    world.desk.load(spec, World::network(config, &world.pinger, &world.arbiters));
    Ok(())
}

/// Has the policy of the running configuration loaded again; how it went comes later.
///
/// # Errors
/// When the default plugin is nowhere to be found.
pub(super) fn reload_policy(world: &World) -> Result<oneshot::Receiver<Value>, policy::Failure> {
    let spec = policy_spec(&world.config, &world.paths)?;
    Ok(world.desk.reload(spec, World::network(&world.config, &world.pinger, &world.arbiters)))
}

/// Takes what the other site says to the core, until the link is dropped.
pub(super) fn listen(link: &Link, events: &mpsc::UnboundedSender<Event>) {
    let (mut receiver, events) = (link.receiver(), events.clone());
    tokio::task::spawn_local(async move {
        while let Some(heard) = receiver.receive().await {
            if events.send(Event::HeartbeatHeard(heard.beat(super::now().wall))).is_err() {
                return;
            }
        }
    });
}

fn relink(world: &mut World, config: &Config) -> Result<(), PeerError> {
    world.link = match &world.link {
        Some(_) if Link::is_same(&world.config, config) => return Ok(()),
        Some(link) => link.reopen(config)?,
        None => Link::open(config)?,
    };
    if let Some(link) = &world.link {
        listen(link, &world.events);
    }
    Ok(())
}

fn exposed(secret: &secrecy::SecretString) -> String {
    use secrecy::ExposeSecret;
    secret.expose_secret().to_owned()
}

fn same_arbiters(old: &Config, new: &Config) -> bool {
    // Secrets have no equality on purpose, so that nobody compares them by accident.
    let secret = |secret: &Option<secrecy::SecretString>| secret.as_ref().map(exposed);
    let same = |a: &model::Arbiter, b: &model::Arbiter| {
        (&a.name, &a.host, a.port, &a.username, a.kind, &a.host_key)
            == (&b.name, &b.host, b.port, &b.username, b.kind, &b.host_key)
            && (&a.custom, a.freshness) == (&b.custom, b.freshness)
            && secret(&a.password) == secret(&b.password)
            && secret(&a.private_key) == secret(&b.private_key)
    };
    old.arbiters.len() == new.arbiters.len()
        && old.arbiters.iter().zip(&new.arbiters).all(|(a, b)| same(a, b))
        && timers(old) == timers(new)
        && old.ssh == new.ssh
}
