//! A past decision of the history, ready to be asked again: the question, the answers, the clock it had.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use dr_watchdog_core::evidence::Evidence;
use dr_watchdog_sdk::evidence::{PingAnswer, SshAnswer, SshOutcome, TcpAnswer};
use dr_watchdog_sdk::host::method;
use dr_watchdog_sdk::{Context, wording};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::policy_question::Asking;
use crate::daemon::history;
use crate::policy::CallRecord;
use crate::policy::answers::{Boxed, Network};

/// One decision, as the history holds it.
#[derive(Debug)]
pub(super) struct Recorded {
    /// Its number.
    pub(super) id: u64,
    /// What was answered then.
    pub(super) verdict: Value,
    /// When.
    pub(super) time: String,
    /// Which policy answered, with its engine.
    pub(super) policy: String,
    context: Context,
    sections: Value,
    evidence: Evidence,
    calls: Vec<CallRecord>,
    policy_config: Value,
}

impl Recorded {
    /// Finds it.
    ///
    /// # Errors
    /// When the history has no such decision, or it is not whole.
    pub(super) fn find(path: &Path, id: u64) -> Result<Self, String> {
        let shown = path.display();
        let all = history::records(path, 0)
            .map_err(|error| format!("the history {shown} cannot be read: {error}"))?;
        let record = all.into_iter().find(|record| history::id_of(record) == id);
        let record = record.ok_or_else(|| {
            format!("the history {shown} has no record {id}; `history --kind decision` lists them")
        })?;
        Self::of(id, &record).map_err(|why| format!("record {id} of the history {shown}: {why}"))
    }

    fn of(id: u64, record: &Value) -> Result<Self, String> {
        let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str).unwrap_or("?").to_owned();
        if record["kind"] != "decision" {
            let kind = text("/kind");
            return Err(format!("it is a {kind}, no decision; `history --kind decision` lists those"));
        }
        if !record["sections"].is_object() {
            return Err("it holds no sections".to_owned());
        }
        let arbiters = part(&record["evidence"], "arbiters")?;
        Ok(Self {
            id,
            verdict: record["verdict"].clone(),
            time: text("/time"),
            policy: format!("{} ({})", text("/policy/name"), text("/policy/engine")),
            context: part(record, "context")?,
            sections: record["sections"].clone(),
            evidence: Evidence { time: part(&record["evidence"], "time")?, arbiters },
            calls: part::<Option<_>>(record, "calls")?.unwrap_or_default(),
            policy_config: record["policyConfig"].clone(),
        })
    }

    /// The deadline it had.
    pub(super) const fn deadline(&self) -> Duration {
        Duration::from_millis(self.context.deadline_ms)
    }

    /// What `[policy.config]` held.
    pub(super) fn policy_config(&self) -> Value {
        // A record of an earlier version holds none.
        if self.policy_config.is_null() { json!({}) } else { self.policy_config.clone() }
    }

    /// What the policy remembered, if it asked.
    pub(super) fn state(&self) -> Option<&Value> {
        // After the first put, a get says what was put in this very evaluation.
        let first = self.calls.iter().find(|call| call.method.starts_with("state."))?;
        (first.method == method::STATE_GET && first.error.is_none()).then_some(&first.answer)
    }

    /// The question, with the tape that answers it.
    ///
    /// # Errors
    /// When the sections are none.
    pub(super) fn asking(&self, deadline: Duration) -> Result<(Asking, Tape), String> {
        let tape = Tape::of(&self.calls);
        let mut context = self.context.clone();
        context.deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        let network = Box::new(tape.clone());
        let asking = Asking::of_record(context, self.sections.clone(), self.evidence.clone(), network)
            .map_err(|why| format!("record {}: {why}", self.id))?;
        Ok((asking, tape))
    }
}

fn part<T: DeserializeOwned>(record: &Value, key: &str) -> Result<T, String> {
    T::deserialize(&record[key]).map_err(|error| format!("{key}: {}", wording::of(&error)))
}

/// What the network answered then, each call in its order; a call that was not made then has no answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Tape {
    inner: Rc<RefCell<Reel>>,
}

#[derive(Debug, Default)]
struct Reel {
    answers: BTreeMap<String, VecDeque<Value>>,
    unknown: BTreeSet<String>,
}

/// Why a call that was not made then is not answered now.
const NOT_ASKED: &str = "not asked at this decision";

impl Tape {
    fn of(calls: &[CallRecord]) -> Self {
        let mut reel = Reel::default();
        let mut put = |key: String, answer: &Value| {
            reel.answers.entry(key).or_default().push_back(answer.clone());
        };
        for call in calls.iter().filter(|call| call.error.is_none()) {
            let text = |key: &str| call.request[key].as_str().unwrap_or_default();
            match call.method.as_str() {
                method::PING => {
                    for (host, answer) in call.answer.as_object().into_iter().flatten() {
                        put(ping_key(host), answer);
                    }
                }
                method::TCP => put(tcp_key(text("address")), &call.answer),
                method::SSH => put(ssh_key(text("arbiter"), text("command")), &call.answer),
                _ => {}
            }
        }
        Self { inner: Rc::new(RefCell::new(reel)) }
    }

    /// What the policy asked now and nobody asked then.
    pub(super) fn unknown(&self) -> Vec<String> {
        self.inner.borrow().unknown.iter().cloned().collect()
    }

    /// The next answer to this; the last one again where then fewer were given.
    fn next<T: DeserializeOwned>(&self, key: String) -> Option<T> {
        let mut reel = self.inner.borrow_mut();
        let answer = reel.answers.get_mut(&key).and_then(|answers| match answers.len() {
            0 | 1 => answers.front().cloned(),
            _ => answers.pop_front(),
        });
        let answer = answer.and_then(|answer| T::deserialize(answer).ok());
        if answer.is_none() {
            reel.unknown.insert(key);
        }
        answer
    }
}

fn ping_key(host: &str) -> String {
    format!("ping {host}")
}

fn tcp_key(address: &str) -> String {
    format!("tcp {address}")
}

fn ssh_key(arbiter: &str, command: &str) -> String {
    format!("ssh {arbiter} {}", json!(command))
}

impl Network for Tape {
    fn ping<'a>(
        &'a self,
        hosts: &'a [String],
        _: Duration,
        _: u32,
    ) -> Boxed<'a, BTreeMap<String, PingAnswer>> {
        let silent = || PingAnswer { ping: false, rtt_ms: None, why: Some(NOT_ASKED.to_owned()) };
        let answers =
            hosts.iter().map(|host| (host.clone(), self.next(ping_key(host)).unwrap_or_else(silent)));
        Box::pin(std::future::ready(answers.collect()))
    }

    fn ssh<'a>(&'a self, arbiter: &'a str, command: &'a str, _: Duration) -> Boxed<'a, SshAnswer> {
        let silent = || SshAnswer::Failed { error: SshOutcome::Timeout, message: NOT_ASKED.to_owned() };
        Box::pin(std::future::ready(self.next(ssh_key(arbiter, command)).unwrap_or_else(silent)))
    }

    fn tcp<'a>(&'a self, address: &'a str, _: Duration) -> Boxed<'a, TcpAnswer> {
        let silent = || TcpAnswer { open: false, elapsed_ms: None, why: Some(NOT_ASKED.to_owned()) };
        Box::pin(std::future::ready(self.next(tcp_key(address)).unwrap_or_else(silent)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Value {
        json!({"kind": "decision", "time": "2026-01-01T00:00:01+00:00",
            "context": {"role": "standby", "situation": "peerLost", "waitTime": null, "previous": null,
                "deadlineMs": 10, "now": "2026-01-01T00:00:00+00:00"},
            "sections": {"role": "standby"},
            "calls": [
                {"method": "state.get", "request": {}, "answer": {"n": 1}},
                {"method": "state.put", "request": {"value": {"n": 2}}, "answer": null},
                {"method": "state.get", "request": {}, "answer": {"n": 2}},
                {"method": "tcp", "request": {"address": "h:1"}, "answer": {"open": true}},
                {"method": "tcp", "request": {"address": "h:1"}, "answer": {"open": false}},
                {"method": "ping", "request": {"hosts": ["192.0.2.1"]}, "answer": {"192.0.2.1": {"ping": true}}},
                {"method": "ssh", "request": {"arbiter": "a", "command": "c"}, "error": "denied"}],
            "evidence": {"time": "2026-01-01T00:00:00+00:00", "arbiters": {"a": {"ping": true, "managed": true}}}})
    }

    #[tokio::test]
    async fn every_call_gets_the_answers_it_had_in_their_order() {
        let recorded = Recorded::of(1, &record()).unwrap();
        assert_eq!(recorded.state(), Some(&json!({"n": 1})), "not what was put later");
        let tape = Tape::of(&recorded.calls);
        let mut open = Vec::new();
        for _ in 0..3 {
            open.push(tape.tcp("h:1", Duration::ZERO).await.open);
        }
        assert_eq!(open, [true, false, false]);
        assert!(tape.ping(&["192.0.2.1".to_owned()], Duration::ZERO, 0).await["192.0.2.1"].ping);
        assert!(tape.unknown().is_empty());
    }

    #[tokio::test]
    async fn what_was_not_asked_then_is_told_and_not_answered() {
        let tape = Tape::of(&Recorded::of(1, &record()).unwrap().calls);
        assert!(!tape.tcp("h:2", Duration::ZERO).await.open);
        assert!(matches!(tape.ssh("a", "c", Duration::ZERO).await, SshAnswer::Failed { .. }));
        assert_eq!(tape.unknown(), ["ssh a \"c\"", "tcp h:2"]);
    }

    #[test]
    fn what_is_no_decision_cannot_be_asked_again() {
        let why = Recorded::of(1, &json!({"kind": "notice"})).unwrap_err();
        assert!(why.contains("it is a notice"), "{why}");
        let mut cut = record();
        cut["context"] = Value::Null;
        assert!(Recorded::of(1, &cut).unwrap_err().contains("context"));
    }
}
