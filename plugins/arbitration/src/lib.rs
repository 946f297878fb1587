//! Device arbitration, the default policy: who of two silent sites serves is read off the devices they manage.
//!
//! It asks the host once for each kind of evidence, counts, and lets the table in [`rules`] decide.

pub mod flip;
pub mod rules;
pub mod share;

use std::collections::BTreeMap;

use dr_watchdog_sdk::evidence::{ArbiterEvidence, SshOutcome};
use dr_watchdog_sdk::hours::Hours;
use dr_watchdog_sdk::sections::{FailureDetection, LastFailover};
use dr_watchdog_sdk::verdict::Action;
use dr_watchdog_sdk::{Context, Host, Policy, PolicyError, Role, Situation, Utc, Verdict, drw_export};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use rules::{Counts, Facts, Rule, Weighs};

/// What a grace period "for ever" ends at: the last second that the text form can write.
const FOR_EVER: Utc = Utc::from_unix_ms(253_402_300_799_000);

/// Sessions of one arbiter that the details show. A jump host has hundreds, and the host takes no answer above 1 MiB;
/// the history has them all.
const SESSIONS_SHOWN_MAX: usize = 5;

/// The policy.
#[derive(Debug)]
pub struct Arbitration;

/// It has no settings of its own: the thresholds are the site's.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Policy for Arbitration {
    const NAME: &'static str = "arbitration";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const VENDOR: &'static str = "dr-watchdog";
    const CONTACT: &'static str = "the documentation of dr-watchdog";
    const LICENSE: &'static str = env!("CARGO_PKG_LICENSE");

    type Config = Config;

    fn create(_config: Config) -> Result<Self, PolicyError> {
        Ok(Self)
    }

    fn evaluate(&self, context: &Context, host: &dyn Host) -> Result<Verdict, PolicyError> {
        let sections = host.config(&["failover", "watchdog"])?;
        let detection = sections.watchdog.unwrap_or_default().failure_detection;
        let seen = gather(context, host)?;
        let facts = Facts {
            role: context.role,
            situation: context.situation,
            was_last_active: sections.failover == Some(LastFailover::ActiveToStandby),
            counts: count(&seen),
            failover: detection.threshold.failover,
            adjust_managed: detection.threshold.adjust_managed,
            now: whole_seconds(context.now),
            wait_until: wait_until(context, &detection)?,
        };
        let rule = rules::decide(&facts).ok_or_else(|| standalone(context.role))?;
        Ok(verdict(&facts, rule, &seen))
    }
}

drw_export!(Arbitration);

/// What the role and the situation call for: pings where the table weighs pings, sessions at a standby.
fn gather(context: &Context, host: &dyn Host) -> Result<BTreeMap<String, ArbiterEvidence>, PolicyError> {
    let is_standby = context.role == Role::Standby;
    let mut seen = BTreeMap::new();
    if !is_standby || context.situation == Situation::BothStandby {
        seen = host.arbiters_ping()?.arbiters;
    }
    if is_standby {
        for (name, sessions) in host.arbiters_sessions()?.arbiters {
            let arbiter: &mut ArbiterEvidence = seen.entry(name).or_default();
            arbiter.ssh = sessions.ssh;
            arbiter.ssh_error = sessions.ssh_error;
            arbiter.sessions = sessions.sessions;
            arbiter.managed = sessions.managed;
            arbiter.absent_since = sessions.absent_since;
        }
    }
    Ok(seen)
}

fn count(seen: &BTreeMap<String, ArbiterEvidence>) -> Counts {
    let count = |is_counted: fn(&ArbiterEvidence) -> bool| {
        seen.values().filter(|arbiter| is_counted(arbiter)).count() as u64
    };
    Counts {
        total: seen.len() as u64,
        pinged: count(|arbiter| arbiter.ping == Some(true)),
        managed: count(|arbiter| arbiter.ssh == Some(SshOutcome::Ok) && arbiter.managed == Some(true)),
        unreachable: count(|arbiter| arbiter.ssh != Some(SshOutcome::Ok)),
    }
}

/// The end of the grace period. It is only read while nobody serves, so a wrong `waitDuration` is no error before.
fn wait_until(context: &Context, detection: &FailureDetection) -> Result<Utc, PolicyError> {
    if let Some(until) = context.wait_time {
        return Ok(whole_seconds(until));
    }
    if context.role != Role::Standby || context.situation == Situation::PeerLost {
        return Ok(FOR_EVER);
    }
    let duration = Hours::parse(&detection.wait_duration).map_err(|error| PolicyError {
        message: format!("watchdog.failureDetection.waitDuration: {error}"),
        field: Some("watchdog.failureDetection.waitDuration".to_owned()),
        hint: Some("write the grace period as 8h, 30m, or 0 for no end".to_owned()),
    })?;
    Ok(duration.seconds().map_or(FOR_EVER, |seconds| whole_seconds(context.now).plus_s(seconds)))
}

/// Instants cross every language as text with whole seconds, so they are compared as such here too.
const fn whole_seconds(instant: Utc) -> Utc {
    Utc::from_unix_ms(instant.unix_ms().div_euclid(1_000) * 1_000)
}

fn standalone(role: Role) -> PolicyError {
    PolicyError::new(format!("this site is {}, so there is no other site to arbitrate with", role.word()))
}

fn verdict(facts: &Facts, rule: &Rule, seen: &BTreeMap<String, ArbiterEvidence>) -> Verdict {
    let description = match rule.weighs {
        Weighs::Nothing => rule.sentence.to_owned(),
        Weighs::Pings if facts.situation == Situation::Waiting && facts.role == Role::Standby => {
            rule.sentence.to_owned()
        }
        Weighs::Pings => {
            format!("{} ({} answer ping, threshold {})", rule.sentence, facts.pinged(), facts.failover)
        }
        Weighs::Sessions => format!(
            "{} ({} managed, {} unreachable, threshold {}; at least {} must be reachable)",
            rule.sentence,
            facts.managed(),
            share::Share::new(facts.counts.unreachable, facts.counts.total),
            facts.failover,
            facts.adjust_managed
        ),
    };
    let state = facts.role.into();
    let verdict = match rule.action {
        Action::Wait => Verdict::wait(state, facts.wait_until, description),
        action => Verdict::new(state, action, description),
    };
    verdict.with_details(details(facts, rule, seen))
}

fn details(facts: &Facts, rule: &Rule, seen: &BTreeMap<String, ArbiterEvidence>) -> Map<String, Value> {
    let mut shares = Map::new();
    if seen.values().any(|arbiter| arbiter.ping.is_some()) {
        shares.insert("pinged".to_owned(), json!(facts.pinged()));
    }
    if facts.role == Role::Standby {
        shares.insert("managed".to_owned(), json!(facts.managed()));
        shares.insert("sshReachable".to_owned(), json!(facts.ssh_reachable()));
        shares.insert("managedOrUnreachable".to_owned(), json!(facts.presumed_managed()));
    }
    let mut details = Map::new();
    details.insert("rule".to_owned(), json!(rule.name));
    if rule.is_problem {
        details.insert("problem".to_owned(), json!(rule.sentence));
    }
    details.insert("shares".to_owned(), Value::Object(shares));
    details.insert(
        "threshold".to_owned(),
        json!({"failover": facts.failover, "adjustManaged": facts.adjust_managed}),
    );
    let arbiters = seen.iter().map(|(name, arbiter)| (name.clone(), shown(arbiter)));
    details.insert("arbiters".to_owned(), Value::Object(arbiters.collect()));
    details.insert("flip".to_owned(), json!(flip::smallest(facts)));
    details
}

/// What was seen at one arbiter, with at most a few of its sessions.
fn shown(arbiter: &ArbiterEvidence) -> Value {
    let mut few = arbiter.clone();
    let total = few.sessions.as_ref().map_or(0, Vec::len);
    if let Some(sessions) = &mut few.sessions {
        sessions.truncate(SESSIONS_SHOWN_MAX);
    }
    let mut value = json!(few);
    if total > SESSIONS_SHOWN_MAX {
        value["sessionsTotal"] = json!(total);
    }
    value
}
