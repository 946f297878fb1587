//! A scripted host: what an author tests a policy against, without a watchdog.
//!
//! Sections and evidence go in, the log of host calls comes out. What is not named did not answer, as everywhere.

pub mod cases;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::evidence::{
    ArbiterEvidence, PingAnswer, PingReport, SessionsReport, SshAnswer, SshOutcome, TcpAnswer,
};
use crate::host::{Host, HostError, Level, method};
use crate::sections::{Role, Sections, Situation};
use crate::threshold::Threshold;
use crate::utc::Utc;

/// A context for tests: this role and situation, no wait, no previous verdict, 10 s, the first second of 2026.
pub fn context(role: Role, situation: Situation) -> Context {
    let now = Utc::from_unix_ms(1_767_225_600_000);
    Context { role, situation, wait_time: None, previous: None, deadline_ms: 10_000, now }
}

/// One host call of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub method: String,
    /// What was asked.
    pub request: Value,
}

/// A host that answers from what it was given.
#[derive(Debug, Default)]
pub struct ScriptedHost {
    /// The sections.
    pub sections: Sections,
    /// What was seen at the arbiters. `managed` is what the policy is told; the real host works it out.
    pub arbiters: BTreeMap<String, ArbiterEvidence>,
    /// Hosts that answer `ping`.
    pub pings: BTreeMap<String, PingAnswer>,
    /// Addresses that answer `tcp`.
    pub tcp: BTreeMap<String, TcpAnswer>,
    /// What a command answers at an arbiter, by arbiter, then command.
    pub ssh: BTreeMap<String, BTreeMap<String, SshAnswer>>,
    /// What the policy put last.
    pub state: RefCell<Value>,
    /// The instant of the evaluation.
    pub now: Utc,
    /// Milliseconds left until the deadline.
    pub remaining_ms: Cell<u64>,
    /// Whether the host wants no answer any more; every further call is refused then.
    pub is_cancelled: Cell<bool>,
    calls: RefCell<Vec<Call>>,
    lines: RefCell<Vec<(Level, String)>>,
}

impl ScriptedHost {
    /// A host with these sections and this evidence.
    pub fn new(sections: Sections, arbiters: BTreeMap<String, ArbiterEvidence>) -> Self {
        let now = context(Role::Standby, Situation::PeerLost).now;
        Self { sections, arbiters, now, remaining_ms: Cell::new(10_000), ..Self::default() }
    }

    /// The host calls so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.borrow().clone()
    }

    /// The names of the host calls so far, in order.
    pub fn methods(&self) -> Vec<String> {
        self.calls.borrow().iter().map(|call| call.method.clone()).collect()
    }

    /// The log lines so far.
    pub fn lines(&self) -> Vec<(Level, String)> {
        self.lines.borrow().clone()
    }

    fn count(&self, is_counted: impl Fn(&ArbiterEvidence) -> bool) -> u64 {
        self.arbiters.values().filter(|seen| is_counted(seen)).count() as u64
    }

    fn warning(&self) -> Threshold {
        let watchdog = self.sections.watchdog.as_ref();
        watchdog.map_or(Threshold::SEVEN_TENTHS, |watchdog| watchdog.failure_detection.threshold.warning)
    }

    /// What `arbiters.ping` answers.
    pub fn ping_report(&self) -> PingReport {
        let part = |seen: &ArbiterEvidence| ArbiterEvidence {
            ping: Some(seen.ping == Some(true)),
            rtt_ms: seen.rtt_ms,
            last_good: seen.last_good,
            why: seen.why.clone(),
            ..ArbiterEvidence::default()
        };
        let (total, reachable) = (self.arbiters.len() as u64, self.count(|seen| seen.ping == Some(true)));
        PingReport {
            time: self.now,
            role: self.sections.role.unwrap_or(Role::Standby),
            total,
            reachable,
            warning: !self.warning().is_met_by(reachable, total),
            arbiters: self.arbiters.iter().map(|(name, seen)| (name.clone(), part(seen))).collect(),
        }
    }

    /// What `arbiters.sessions` answers.
    pub fn sessions_report(&self) -> SessionsReport {
        let is_reached = |seen: &ArbiterEvidence| seen.ssh == Some(SshOutcome::Ok);
        let is_managed = |seen: &ArbiterEvidence| is_reached(seen) && seen.managed == Some(true);
        let part = |seen: &ArbiterEvidence| ArbiterEvidence {
            ssh: Some(seen.ssh.unwrap_or(SshOutcome::Timeout)),
            ssh_error: seen.ssh_error.clone(),
            sessions: Some(seen.sessions.clone().unwrap_or_default()),
            managed: Some(is_managed(seen)),
            absent_since: seen.absent_since,
            ..ArbiterEvidence::default()
        };
        SessionsReport {
            time: self.now,
            role: self.sections.role.unwrap_or(Role::Standby),
            total: self.arbiters.len() as u64,
            reachable: self.count(is_reached),
            managed: self.count(is_managed),
            arbiters: self.arbiters.iter().map(|(name, seen)| (name.clone(), part(seen))).collect(),
        }
    }

    fn config(&self, request: &Value) -> Result<Value, HostError> {
        let all = to_value(&self.sections)?;
        let wanted = request.get("sections").and_then(Value::as_array).cloned().unwrap_or_default();
        if wanted.is_empty() {
            return Ok(all);
        }
        let mut some = Map::new();
        for name in &wanted {
            let known = name.as_str().and_then(crate::sections::canonical_name);
            let known = known.ok_or_else(|| HostError::BadRequest(format!("no section is called {name}")))?;
            if let Some(section) = all.get(known) {
                some.insert(known.to_owned(), section.clone());
            }
        }
        Ok(Value::Object(some))
    }

    fn ping(&self, request: &Value) -> Result<Value, HostError> {
        let hosts = request.get("hosts").and_then(Value::as_array);
        let hosts = hosts.ok_or_else(|| HostError::BadRequest("ping needs a list \"hosts\"".to_owned()))?;
        let mut answers = Map::new();
        for host in hosts.iter().filter_map(Value::as_str) {
            let silent = || PingAnswer { ping: false, rtt_ms: None, why: Some("timeout".to_owned()) };
            let answer = self.pings.get(host).cloned().unwrap_or_else(silent);
            answers.insert(host.to_owned(), to_value(&answer)?);
        }
        Ok(Value::Object(answers))
    }

    fn ssh(&self, request: &Value) -> Result<Value, HostError> {
        let (arbiter, command) = (word(request, "arbiter")?, word(request, "command")?);
        let silent = || SshAnswer::Failed { error: SshOutcome::Timeout, message: "no answer".to_owned() };
        let answer = self.ssh.get(arbiter).and_then(|commands| commands.get(command)).cloned();
        to_value(&answer.unwrap_or_else(silent))
    }

    fn tcp(&self, request: &Value) -> Result<Value, HostError> {
        let silent = || TcpAnswer { open: false, elapsed_ms: None, why: Some("timeout".to_owned()) };
        to_value(&self.tcp.get(word(request, "address")?).cloned().unwrap_or_else(silent))
    }
}

impl Host for ScriptedHost {
    fn call(&self, name: &str, request: &Value) -> Result<Value, HostError> {
        self.calls.borrow_mut().push(Call { method: name.to_owned(), request: request.clone() });
        if self.is_cancelled.get() {
            return Err(HostError::Cancelled);
        }
        match name {
            method::CONFIG => self.config(request),
            method::ARBITERS_PING => to_value(&self.ping_report()),
            method::ARBITERS_SESSIONS => to_value(&self.sessions_report()),
            method::PING => self.ping(request),
            method::SSH => self.ssh(request),
            method::TCP => self.tcp(request),
            method::NOW => to_value(&self.now),
            method::REMAINING_MS => Ok(json!(self.remaining_ms.get())),
            method::STATE_GET => Ok(self.state.borrow().clone()),
            method::STATE_PUT => {
                let value = request.get("value").cloned();
                *self.state.borrow_mut() =
                    value.ok_or_else(|| HostError::BadRequest("the call needs a \"value\"".to_owned()))?;
                Ok(Value::Null)
            }
            method::LOG => {
                self.log(Level::Info, word(request, "text")?);
                Ok(Value::Null)
            }
            _ => Err(HostError::Unsupported(format!("this host knows no call \"{name}\""))),
        }
    }

    fn log(&self, level: Level, text: &str) {
        self.lines.borrow_mut().push((level, text.to_owned()));
    }

    fn remaining_ms(&self) -> u64 {
        self.remaining_ms.get()
    }

    fn is_cancelled(&self) -> bool {
        self.is_cancelled.get()
    }
}

fn to_value(value: &impl serde::Serialize) -> Result<Value, HostError> {
    serde_json::to_value(value).map_err(|error| HostError::Failed(error.to_string()))
}

fn word<'a>(request: &'a Value, key: &str) -> Result<&'a str, HostError> {
    let found = request.get(key).and_then(Value::as_str);
    found.ok_or_else(|| HostError::BadRequest(format!("the call needs a text \"{key}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_did_not_answer_and_every_call_is_logged() {
        let arbiters = BTreeMap::from([("r1".to_owned(), ArbiterEvidence::default())]);
        let scripted = ScriptedHost::new(Sections::default(), arbiters);
        let host: &dyn Host = &scripted;
        assert_eq!(host.arbiters_ping().unwrap().reachable, 0);
        assert_eq!(host.arbiters_sessions().unwrap().arbiters["r1"].ssh, Some(SshOutcome::Timeout));
        assert!(!host.ping(&["192.0.2.1"]).unwrap()["192.0.2.1"].ping);
        assert!(!host.tcp("192.0.2.1:443").unwrap().open);
        assert!(matches!(host.ssh("r1", "show version").unwrap(), SshAnswer::Failed { .. }));
        assert_eq!(host.config(&["role"]).unwrap(), Sections::default());
        assert_eq!(
            scripted.methods(),
            ["arbiters.ping", "arbiters.sessions", "ping", "tcp", "ssh", "config"]
        );
    }

    #[test]
    fn wrong_and_late_calls_are_refused() {
        let scripted = ScriptedHost::default();
        let refused = |name: &str, request: Value| scripted.call(name, &request).unwrap_err().kind();
        assert_eq!(refused("config", json!({"sections": ["rolle"]})), "badRequest");
        assert_eq!(refused("promote", json!({})), "unsupported");
        assert_eq!(refused("ping", json!({})), "badRequest");
        scripted.is_cancelled.set(true);
        assert_eq!(refused("config", json!({})), "cancelled");
    }
}
