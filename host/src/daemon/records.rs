//! History records: one JSON object per decision, transition and notice.

use dr_watchdog_core::effect::{Decision, Notice, Trigger};
use dr_watchdog_core::evidence::Evidence;
use dr_watchdog_core::transitions::Row;
use dr_watchdog_core::{Now, Watchdog};
use dr_watchdog_sdk::{Context, Situation};
use serde_json::{Map, Value, json};

use super::health::Problem;
use crate::policy::Outcome;

/// A question with everything the policy saw and answered.
#[derive(Debug)]
pub(super) struct Asked {
    asked: Now,
    context: Context,
    sections: Value,
    evidence: Evidence,
    policy_config: Value,
    /// Filled in when the policy has answered.
    pub outcome: Option<Outcome>,
}

impl Asked {
    /// A question that has been asked.
    pub(super) const fn new(
        asked: Now,
        context: Context,
        sections: Value,
        evidence: Evidence,
        policy_config: Value,
    ) -> Self {
        Self { asked, context, sections, evidence, policy_config, outcome: None }
    }

    /// What was the matter.
    pub(super) const fn situation(&self) -> Situation {
        self.context.situation
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => Map::from_iter([("value".to_owned(), other)]),
    }
}

/// A decision with all that a replay needs: what the policy saw, every host call's answer, the verdict, the gate.
pub(super) fn decision(now: Now, core: &Watchdog, decision: &Decision, asked: Asked) -> Map<String, Value> {
    let outcome = asked.outcome.as_ref();
    object(json!({
        "kind": "decision",
        "time": now.wall,
        "role": asked.context.role,
        "phase": core.phase(),
        "epoch": core.epoch(),
        "situation": asked.context.situation,
        "askedAt": asked.asked.wall,
        "askedUs": asked.asked.mono.us(),
        "decidedUs": now.mono.us(),
        "policy": outcome.map(|outcome| json!({
            "engine": outcome.engine,
            "name": outcome.policy,
            "elapsedUs": u64::try_from(outcome.elapsed.as_micros()).unwrap_or(u64::MAX),
            "warnings": outcome.warnings,
        })),
        "verdict": decision.verdict,
        "error": outcome.and_then(|outcome| outcome.failure.as_ref()),
        "gate": decision.stopped.as_ref().map(|stop| json!({"name": stop.gate.word(), "why": stop.why})),
        "outcome": decision.outcome,
        "context": asked.context,
        "policyConfig": asked.policy_config,
        "sections": asked.sections,
        "evidence": {"time": asked.evidence.time, "arbiters": asked.evidence.arbiters},
        "calls": outcome.map(|outcome| &outcome.calls),
    }))
}

/// What `health` shows of a decision.
pub(super) fn short(decision: &Map<String, Value>) -> Value {
    let pick = |key: &str| decision.get(key).cloned().unwrap_or_default();
    let verdict = pick("verdict");
    json!({
        "id": null,
        "time": pick("time"),
        "situation": pick("situation"),
        "action": verdict["action"],
        "description": verdict["description"],
        "flip": verdict["payload"]["details"]["flip"],
        "outcome": pick("outcome"),
    })
}

/// A change of phase.
pub(super) fn transition(now: Now, core: &Watchdog, row: &Row) -> Map<String, Value> {
    object(json!({
        "kind": "transition",
        "time": now.wall,
        "role": core.role(),
        "epoch": core.epoch(),
        "from": row.from,
        "to": row.to,
        "text": row.sentence,
        "atUs": now.mono.us(),
    }))
}

/// Something the operator should hear of.
pub(super) fn notice(now: Now, core: &Watchdog, notice: &Notice) -> Map<String, Value> {
    object(json!({
        "kind": "notice",
        "time": now.wall,
        "role": core.role(),
        "epoch": core.epoch(),
        "trigger": notice.trigger.word(),
        "text": notice.text,
        "atUs": now.mono.us(),
    }))
}

/// What a notice leaves behind in `health` until it is resolved.
pub(super) fn problem(notice: &Notice) -> Option<Problem> {
    let text = notice.text.clone();
    match notice.trigger {
        Trigger::StateNotWritten => {
            Some(Problem::critical(text, "make room on the disk of the state folder, or repair it"))
        }
        Trigger::StateUnusable => Some(Problem::warning(
            text,
            "nothing, if it may start anew: a copy is kept beside the file. To go on with it, stop this watchdog, put the copy back whole, and start the program that wrote it",
        )),
        Trigger::PolicyFailed => Some(Problem::warning(text, "try it with `policy eval` and see `history`")),
        Trigger::SettingsContradict => Some(Problem::critical(text, "correct the configuration and restart")),
        Trigger::Exclusion => {
            Some(Problem::warning(text, "see `health`; both sites must agree on what the exclusion rests on"))
        }
        Trigger::BecameActive
        | Trigger::BecameStandby
        | Trigger::AutomaticFailoverDisabled
        | Trigger::AutomaticFailoverEnabled
        | Trigger::ArbitersBelowWarning
        | Trigger::ArbitersAnswer
        | Trigger::PeerLost
        | Trigger::PeerBack
        // Shown as long as the policy itself says so.
        | Trigger::PolicyQuarantined
        | Trigger::GateClosed
        | Trigger::StepFailed
        // Shown as long as the word counts.
        | Trigger::PeerIsOff
        | Trigger::PeerIsNotOff
        // The comparison itself shows these as long as they last.
        | Trigger::SettingsDiffer
        | Trigger::SettingsAgree
        // `health` asks the core for these two, as they end without a notice.
        | Trigger::BothStandby
        | Trigger::HostKeyChanged => None,
    }
}

/// The states without the instants of their messages: two that differ in nothing else are the same.
pub(super) fn without_times(states: &Value) -> Value {
    let mut copy = states.clone();
    for service in copy.as_object_mut().into_iter().flat_map(Map::values_mut) {
        if let Some(message) = service.pointer_mut("/msg").and_then(Value::as_object_mut) {
            message.remove("time");
        }
        for arbiter in
            service.pointer_mut("/service/arbiters").and_then(Value::as_object_mut).into_iter().flatten()
        {
            for changing in ["lastGood", "rttMs"] {
                arbiter.1.as_object_mut().and_then(|arbiter| arbiter.remove(changing));
            }
        }
    }
    copy
}
