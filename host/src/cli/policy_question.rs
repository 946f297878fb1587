//! One question to a policy, made of files instead of a running site.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dr_watchdog_core::evidence::{Evidence, ManagedRule};
use dr_watchdog_sdk::evidence::ArbiterEvidence;
use dr_watchdog_sdk::nearest::nearest;
use dr_watchdog_sdk::sections::{Core, Role, Sections, Situation};
use dr_watchdog_sdk::strict;
use dr_watchdog_sdk::threshold::Threshold;
use dr_watchdog_sdk::{Context, Utc, wording};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use super::policy_probes::Probes;
use crate::config::{self, Config};
use crate::policy::answers::section_name;
use crate::policy::schema::explain;
use crate::policy::{Answers, Network, Outcome, PolicySpec, Question, Runner};

/// Age from which a session is stale: F of the reference timers (a real site takes its own from `[exclusion]`).
const STALE_MS: u64 = 80_000;

/// How the sessions at the arbiters are counted.
#[derive(Debug, Clone)]
pub(super) struct Stale {
    /// F: the age from which a session is stale.
    pub(super) ms: u64,
    /// Where that is from, for people.
    pub(super) from: String,
    /// VIP of the other site and addresses that it holds its sessions from, where a configuration names them.
    holds: Option<(String, Vec<String>)>,
}

impl Stale {
    /// Where no configuration is at hand.
    pub(super) fn reference() -> Self {
        Self { ms: STALE_MS, from: "the reference timers".to_owned(), holds: None }
    }

    /// As this site counts them.
    pub(super) fn of(config: &Config, from: String) -> Self {
        let holds = (config.core.peer_vip.clone(), config.exclusion.peer_hold_addresses.clone());
        Self { ms: millis(config.exclusion.wait), from, holds: Some(holds) }
    }

    fn rule(&self, core: Option<&Core>) -> ManagedRule {
        // The addresses belong to one site's view; sections of the other site have none of ours.
        let holds = self.holds.as_ref().filter(|(vip, _)| core.is_some_and(|core| core.peer_vip == *vip));
        ManagedRule::new(holds.map_or(&[], |(_, holds)| holds.as_slice()), core, self.ms)
    }
}
/// Longest input file.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What a policy is asked, with everything that answers its host calls.
pub(super) struct Asking {
    /// The question.
    pub(super) question: Question,
    evidence: Evidence,
    warning: Threshold,
    network: Box<dyn Network>,
}

impl Asking {
    /// What sections with probes ask.
    ///
    /// # Errors
    /// When the sections are none.
    pub(super) fn of_probes(
        sections: Value,
        probes: Probes,
        stale: &Stale,
        deadline: Duration,
    ) -> Result<Self, String> {
        known(&probes.arbiters, &sections)?;
        let seen = Seen {
            now: probes.now.unwrap_or_else(wall_clock),
            situation: probes.situation.unwrap_or(Situation::PeerLost),
            wait_time: probes.wait_time,
            arbiters: probes.arbiters.clone(),
        };
        Self::of_seen(sections, seen, stale, deadline, Box::new(probes))
    }

    /// What sections ask of this evidence, with this network behind the host calls.
    ///
    /// # Errors
    /// When the sections are none.
    pub(super) fn of_seen(
        mut sections: Value,
        seen: Seen,
        stale: &Stale,
        deadline: Duration,
        network: Box<dyn Network>,
    ) -> Result<Self, String> {
        let typed = typed(&mut sections)?;
        let role = typed.role.ok_or("role is missing; it is active or standby")?;
        let Seen { now, situation, wait_time, arbiters } = seen;
        write_service(&mut sections, now, situation, wait_time)?;
        let detection = typed.watchdog.unwrap_or_default().failure_detection;
        let rule = stale.rule(typed.core.as_ref());
        let evidence = Evidence { time: now, arbiters }.completed(&detection.arbiter_names(), &rule);
        let context =
            Context { role, situation, wait_time, previous: None, deadline_ms: millis(deadline), now };
        Ok(Self::new(context, sections, evidence, detection.threshold.warning, network))
    }

    /// What was asked once, as it was asked.
    ///
    /// # Errors
    /// When the sections are none.
    pub(super) fn of_record(
        context: Context,
        mut sections: Value,
        evidence: Evidence,
        network: Box<dyn Network>,
    ) -> Result<Self, String> {
        let warning = typed(&mut sections)?.watchdog.unwrap_or_default().failure_detection.threshold.warning;
        Ok(Self::new(context, sections, evidence, warning, network))
    }

    fn new(
        context: Context,
        sections: Value,
        evidence: Evidence,
        warning: Threshold,
        network: Box<dyn Network>,
    ) -> Self {
        let question = Question {
            context,
            sections: config::without_secrets(sections.clone()),
            sections_with_secrets: sections,
        };
        Self { question, evidence, warning, network }
    }

    /// Asks once.
    pub(super) async fn ask(&self, runner: &mut Runner) -> Outcome {
        let context = &self.question.context;
        let answers = Answers {
            sections: self.question.sections.clone(),
            evidence: self.evidence.clone(),
            role: context.role,
            warning: self.warning,
            now: context.now,
            deadline: Instant::now() + Duration::from_millis(context.deadline_ms),
            network: &*self.network,
        };
        runner.evaluate(self.question.clone(), &answers).await
    }
}

/// Evidence of an arbiter that the sections do not name would count for nothing, and its author meant another one. Where
/// they name none at all, that is what is asked about.
fn known(arbiters: &BTreeMap<String, ArbiterEvidence>, sections: &Value) -> Result<(), String> {
    let typed = typed(&mut sections.clone())?;
    let names = typed.watchdog.unwrap_or_default().failure_detection.arbiter_names();
    let stranger = arbiters.keys().find(|name| !names.is_empty() && !names.contains(name));
    let Some(stranger) = stranger else { return Ok(()) };
    let hint = match nearest(stranger, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("they name {}", names.join(", ")),
    };
    Err(format!("the probes name an arbiter \"{stranger}\" that the sections do not have; {hint}"))
}

/// What a question is about, beside the sections.
pub(super) struct Seen {
    /// The instant it is asked for.
    pub(super) now: Utc,
    /// Why the policy is asked.
    pub(super) situation: Situation,
    /// End of the wait that is open.
    pub(super) wait_time: Option<Utc>,
    /// What was seen at the arbiters, by name.
    pub(super) arbiters: BTreeMap<String, ArbiterEvidence>,
}

/// The role that sections name, whatever else is wrong with them.
pub(super) fn role_of(sections: &Value) -> Option<Role> {
    Role::deserialize(sections.get("role")?).ok()
}

/// A policy that is about to be loaded, with a folder of its own for sockets and state.
pub(super) struct Bench {
    /// How the policy runs.
    pub(super) spec: PolicySpec,
    /// Removed when all is answered.
    folder: TempDir,
}

impl Bench {
    /// Room for one policy.
    ///
    /// # Errors
    /// When there is no temporary folder, or no such policy.
    pub(super) fn new(policy: &Path) -> Result<Self, String> {
        let folder =
            tempfile::tempdir().map_err(|error| format!("no temporary folder could be made: {error}"))?;
        let spec = super::policy::spec(policy, folder.path()).map_err(|failure| failure.message)?;
        Ok(Self { spec, folder })
    }

    /// Lets the policy find this as what it put last.
    ///
    /// # Errors
    /// When the temporary folder is not writable.
    pub(super) fn remember(&mut self, state: &Value) -> Result<(), String> {
        let file = self.folder.path().join("policy-state.json");
        std::fs::write(&file, state.to_string())
            .map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
        self.spec.terms.state_file = Some(file);
        Ok(())
    }

    /// What the policy put last, where [`Bench::remember`] made room for it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn remembered(&self) -> Result<Value, String> {
        self.spec.terms.state_file.as_deref().map_or(Ok(Value::Null), read)
    }
}

/// The sections as the host reads them. A section that is null is absent, for every engine.
fn typed(sections: &mut Value) -> Result<Sections, String> {
    let Some(named) = sections.as_object_mut() else {
        return Err(
            "these are no sections: expected an object, as `api v1 config --list` prints it".to_owned()
        );
    };
    named.retain(|_, section| !section.is_null());
    for name in named.keys() {
        section_name(name).map_err(|error| error.message().to_owned())?;
    }
    let read: Sections = Sections::deserialize(&*sections)
        .map_err(|error| format!("these are no sections: {}", explain::<Sections>(sections, &error)))?;
    match strict::list_for_object(sections, &json!(read)) {
        Some(path) => Err(format!("these are no sections: {path}: expected an object, found a list")),
        None => Ok(read),
    }
}

/// A span in whole milliseconds.
fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Every engine sees the instant, the situation and the wait in the sections, whatever the file says.
fn write_service(
    sections: &mut Value,
    now: Utc,
    situation: Situation,
    wait_time: Option<Utc>,
) -> Result<(), String> {
    let mut at = sections;
    for key in ["states", "heartbeat", "service"] {
        at = at
            .as_object_mut()
            .ok_or_else(|| format!("the sections: what should hold \"{key}\" is no object"))?
            .entry(key)
            .and_modify(|there| {
                if there.is_null() {
                    *there = Value::Object(Map::new());
                }
            })
            .or_insert_with(|| Value::Object(Map::new()));
    }
    let service = at.as_object_mut().ok_or("the sections: states.heartbeat.service is no object")?;
    service.insert("now".to_owned(), json!(now));
    service.insert("situation".to_owned(), json!(situation));
    service.insert("waitTime".to_owned(), json!(wait_time));
    Ok(())
}

/// Reads a JSON file.
///
/// # Errors
/// When it cannot be read, is too long, or holds something else.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    let shown = path.display();
    let failed = |error: std::io::Error| format!("{shown} cannot be read: {error}");
    let mut bytes = Vec::new();
    // Counted while it is read: a pipe or a device has no length.
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("{shown} has more than {FILE_BYTES_MAX} bytes"));
    }
    let said = |error: serde_json::Error| format!("{shown}: {}", wording::of(&error));
    serde_json::from_value(strict::parse(&bytes).map_err(said)?).map_err(said)
}

fn wall_clock() -> Utc {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Utc::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_written_into_sections_that_have_no_states() {
        let mut sections = json!({"role": "standby"});
        write_service(&mut sections, Utc::default(), Situation::Waiting, None).unwrap();
        let service = &sections["states"]["heartbeat"]["service"];
        assert_eq!(
            *service,
            json!({"now": "1970-01-01T00:00:00+00:00", "situation": "waiting", "waitTime": null})
        );
        assert!(write_service(&mut json!({"states": 3}), Utc::default(), Situation::Waiting, None).is_err());
    }
}
