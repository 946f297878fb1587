//! What `health` answers (design 13), from what the core says of itself.

use dr_watchdog_core::heartbeat::Reach;
use dr_watchdog_core::transitions::Phase;
use dr_watchdog_core::{Now, Watchdog};
use dr_watchdog_sdk::sections::Role;
use serde_json::{Value, json};

use crate::config::Config;
use crate::config::model::Mode;

/// What the core does not know and health shows.
#[derive(Debug)]
pub struct Beside<'a> {
    /// Engine, name and state of the policy.
    pub policy: Value,
    /// The newest decision; null if there is none yet.
    pub last_decision: Option<&'a Value>,
    /// How mail is delivered; null where nobody is to be mailed.
    pub mail: Value,
    /// How long all steps to become active took the last time, if each was measured.
    pub steps_s: Option<f64>,
    /// How long the other site was silent in good times.
    pub heartbeats: Value,
    /// The newest finding of observe mode; null if there is none.
    pub observed: Value,
    /// A change of the configuration that waits for the other site; null if there is none.
    pub pending_update: Value,
    /// Troubles of the daemon itself.
    pub problems: &'a [Problem],
    /// States of the services.
    pub services: Value,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether nobody serves, or a failover would fail.
    pub is_critical: bool,
    /// What is wrong.
    pub message: String,
    /// What the operator may do.
    pub remedy: String,
}

impl Problem {
    /// Something that should be looked at.
    pub fn warning(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { is_critical: false, message: message.into(), remedy: remedy.into() }
    }

    /// Something that cannot wait.
    pub fn critical(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { is_critical: true, message: message.into(), remedy: remedy.into() }
    }
}

/// The object of `health --json`.
pub fn health(now: Now, core: &Watchdog, config: &Config, beside: &Beside<'_>) -> Value {
    let mut problems = problems(now, core, config);
    problems.extend_from_slice(beside.problems);
    let status = match () {
        () if problems.iter().any(|problem| problem.is_critical) => "critical",
        () if !problems.is_empty() => "warning",
        () => "ok",
    };
    let evidence = core.evidence(now);
    let peer = core.peer();
    json!({
        "status": status,
        "time": now.wall,
        "version": env!("CARGO_PKG_VERSION"),
        "daemon": {"up": true, "pid": std::process::id(), "asOf": now.wall},
        "site": config.site.name,
        "role": core.role(),
        "phase": core.phase(),
        "booting": core.boot_end().is_some(),
        "serving": core.phase().may_serve(),
        "epoch": core.epoch(),
        "situation": core.situation(),
        "waitTime": core.wait_time(),
        "peer": {
            "name": config.peer.name,
            "reachable": matches!(core.reach(), Reach::Up { .. }),
            "localFailover": core.reach() == Reach::Up { local_failover: true },
            "role": peer.map(|beat| role_of(beat.phase)),
            "phase": peer.map(|beat| beat.phase),
            "epoch": peer.map(|beat| beat.epoch),
            "lastHeard": peer.map(|beat| beat.heard),
            "configEqual": peer.and_then(|beat| beat.config_equal),
        },
        "mode": match config.mode {
            Mode::Enforce => "enforce",
            Mode::Observe => "observe",
        },
        "observed": beside.observed,
        "takeover": takeover(now, core, config, beside.steps_s),
        "exclusion": exclusion(config),
        "automaticFailover": automatic_failover(core, config),
        "pendingUpdate": beside.pending_update,
        "arbiters": {
            "total": evidence.total(),
            "reachable": core.pinged(),
            // While nobody looks, the sessions that this site holds are what is known of them.
            "managed": if core.is_looking() { evidence.managed() } else { core.holds_open() as u64 },
            "held": core.holds_open(),
            "roundS": core.settings().look_round.as_secs_f64(),
        },
        "policy": beside.policy,
        "heartbeats": beside.heartbeats,
        "mail": beside.mail,
        "services": beside.services,
        "lastDecision": beside.last_decision,
        "problems": problems.iter().map(|problem| json!({
            "code": i32::from(problem.is_critical),
            "message": problem.message,
            "remedy": problem.remedy,
        })).collect::<Vec<_>>(),
    })
}

/// The switch, and who turned it.
fn automatic_failover(core: &Watchdog, config: &Config) -> Value {
    let automatic = core.automatic();
    let (reason, by) = match (&automatic.operator, &automatic.connectivity) {
        (Some(off), _) => (off.reason.as_str(), off.by.as_str()),
        (None, Some(off)) => (off.reason.as_str(), "dr-watchdog"),
        (None, None) => ("", ""),
    };
    json!({
        "enabled": automatic.is_on(),
        "until": automatic.ends(),
        "reason": reason,
        "by": by,
        "agreed": is_switch_agreed(core, config),
    })
}

/// Whether the other site has the same switch; without signed heartbeats nobody can tell.
fn is_switch_agreed(core: &Watchdog, config: &Config) -> Option<bool> {
    core.is_switch_agreed().filter(|_| config.peer.heartbeat_key.is_some())
}

const fn role_of(phase: Phase) -> Role {
    match phase {
        Phase::Standalone => Role::Standalone,
        Phase::Standby => Role::Standby,
        Phase::Promoting | Phase::Active | Phase::Demoting | Phase::DemotionFailed => Role::Active,
    }
}

/// Whether the standby of the pair may take over now, and how long that would take.
fn takeover(now: Now, core: &Watchdog, config: &Config, steps_s: Option<f64>) -> Value {
    let settings = core.settings();
    let lost = settings.heartbeat.lost_within(settings.has_peer_nodes);
    // Whatever ends later: the pings, or the last session is F old, then the policy is asked at the next interval, and
    // the looks that it is told of end by their deadline.
    let stale = config.exclusion.wait + settings.heartbeat.interval + config.exclusion.look_timeout;
    let within_s = lost.max(stale).as_millis().div_ceil(1_000);
    let why = match core.role() {
        _ if core.boot_end().is_some() => "this site is booting: it decides nothing yet".to_owned(),
        Role::Standalone => "this site is standalone".to_owned(),
        Role::Standby => core.automatic().why_off().unwrap_or_default(),
        Role::Active => match core.fresh_peer(now) {
            None => "the other site is not heard".to_owned(),
            Some(beat) if !beat.automatic_failover => {
                "automatic failover is disabled at the other site".to_owned()
            }
            Some(beat) if beat.phase != Phase::Standby => format!("the other site is {}", beat.phase.word()),
            Some(_) => String::new(),
        },
    };
    json!({"possible": why.is_empty(), "why": why, "withinS": within_s, "stepsS": steps_s})
}

/// Code and state of each service.
pub fn services(states: &Value) -> Value {
    let states = states.as_object().into_iter().flatten();
    let short = states.map(|(name, state)| {
        let message = &state["msg"];
        let code = message["payload"].get("code").cloned().unwrap_or(json!(0));
        let short = json!({
            "state": message["state"],
            "code": code,
            "description": message["description"],
            "time": message["time"],
        });
        (name.clone(), short)
    });
    Value::Object(short.collect())
}

/// In `verdict` mode there is neither lease nor guard.
pub fn exclusion(config: &Config) -> Value {
    let exclusion = &config.exclusion;
    json!({
        "mode": "verdict",
        "leaseS": null,
        "fenceS": null,
        "windowS": (exclusion.look * 2 + exclusion.look_timeout).as_secs_f64(),
        "waitS": exclusion.wait.as_secs_f64(),
        "leaseLeftS": null,
        "guard": "none",
        "promise": "no bound: the verdict alone decides, so both sites may serve while they cannot hear each other",
    })
}

fn problems(now: Now, core: &Watchdog, config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    if core.phase() == Phase::DemotionFailed {
        problems.push(Problem::critical(
            "a step to become standby failed: services of this site may still be serving",
            "the log names the step: finish it by hand; when it may run once more, set idempotent = true for it and restart the watchdog",
        ));
    }
    if let Some(end) = core.boot_end() {
        problems.push(Problem::warning(
            format!(
                "this site is booting: until {end}, or until the other site is heard and its settings are compared, it decides nothing"
            ),
            "wait",
        ));
    }
    if let Some(why) = core.why_first_start_waits() {
        problems.push(Problem::critical(
            format!("this site is the initial active, and its first start waits: {why}"),
            "it starts when automatic failover is on again; see `toolkit watchdog status`",
        ));
    }
    if matches!(core.reach(), Reach::Lost { .. }) {
        problems.push(Problem::warning(
            "the other site does not answer",
            "check the link and the other site; `history` shows what the policy answered",
        ));
    } else if core.fresh_peer(now).is_none() && core.boot_end().is_none() {
        problems.push(Problem::warning(
            "no signed heartbeat of the other site is heard",
            "check that its watchdog runs, that UDP reaches peer.heartbeatPort, and that both have one heartbeatKey",
        ));
    }
    if core.peer_and_self_standby(now) {
        problems.push(Problem::critical(
            "both sites are standby: nobody serves",
            "wait for the former active to come back, or make one site active by hand",
        ));
    }
    for (name, why) in core.host_key_alarms() {
        problems.push(Problem::critical(
            format!("ALARM: arbiter {name}: {why}"),
            format!("`dr-watchdog arbiters trust {name}` shows the key that it has now, and asks before it pins it"),
        ));
    }
    if let Some(why) = core.automatic().why_off() {
        problems.push(Problem::warning(why, "see `toolkit watchdog status`"));
    }
    problems.extend(between_sites(core, config));
    let (total, pinged) = (config.arbiters.len() as u64, core.pinged());
    if core.boot_end().is_none()
        && !config.watchdog.failure_detection.threshold.warning.is_met_by(pinged, total)
    {
        problems.push(Problem::warning(
            format!("{pinged} of {total} arbiters answer ping"),
            "see `arbiters ping`; a failover needs evidence from arbiters",
        ));
    }
    problems
}

/// What one site knows and the other one not yet.
fn between_sites(core: &Watchdog, config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    if core.durable().standing.is_peer_off {
        problems.push(Problem::warning(
            format!(
                "an operator vouches that site {} is off: `manualFailover -a` works here without its word",
                config.peer.name
            ),
            "nothing; its first signed message ends that",
        ));
    }
    if is_switch_agreed(core, config) == Some(false) {
        problems.push(Problem::warning(
            format!(
                "site {} does not have this site's switch of automatic failover yet: it is pending until the first heartbeat from there",
                config.peer.name
            ),
            "nothing: it is agreed when the sites hear each other; `toolkit watchdog status` shows it",
        ));
    }
    problems
}
