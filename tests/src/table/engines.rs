//! Asking: the rules as plain Rust, or a file through the host's own runner.

use std::path::Path;
use std::time::Duration;

use dr_watchdog::policy::answers::{Answers, Boxed, Network};
use dr_watchdog::policy::{Permissions, PolicySpec, Question, Runner, engine_of};
use dr_watchdog_arbitration::{Arbitration, Config};
use dr_watchdog_core::evidence::Evidence;
use dr_watchdog_sdk::evidence::{PingAnswer, SshAnswer, SshOutcome, TcpAnswer};
use dr_watchdog_sdk::host::{Level, method};
use dr_watchdog_sdk::threshold::Threshold;
use dr_watchdog_sdk::{Host, HostError, Policy, Role};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Answer, Case};

/// Deadline of an evaluation: a busy machine starts a Python in a second.
const DEADLINE: Duration = Duration::from_secs(30);
/// Most memory of a guest.
const MEMORY_BYTES: u64 = 64 << 20;

/// A host of one case, in this process.
#[derive(Debug)]
pub struct PlainHost {
    sections: Value,
    evidence: Evidence,
    role: Role,
}

impl PlainHost {
    /// The host of a case.
    pub fn new(case: &Case) -> Self {
        Self { sections: case.sections(), evidence: case.evidence(), role: case.role }
    }
}

impl Host for PlainHost {
    fn call(&self, name: &str, _request: &Value) -> Result<Value, HostError> {
        match name {
            method::CONFIG => Ok(self.sections.clone()),
            method::ARBITERS_PING => Ok(json!(self.evidence.ping_report(self.role, Threshold::SEVEN_TENTHS))),
            method::ARBITERS_SESSIONS => Ok(json!(self.evidence.sessions_report(self.role))),
            other => Err(HostError::Unsupported(format!("the table has no \"{other}\""))),
        }
    }

    fn call_text(&self, name: &str, request: &Value) -> Result<String, HostError> {
        let text = match name {
            method::ARBITERS_SESSIONS => serde_json::to_string(&self.evidence.sessions_report(self.role)),
            _ => return self.call(name, request).map(|answer| answer.to_string()),
        };
        text.map_err(|error| HostError::Failed(error.to_string()))
    }

    fn log(&self, _: Level, _: &str) {}

    fn remaining_ms(&self) -> u64 {
        u64::try_from(DEADLINE.as_millis()).unwrap()
    }

    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Asks the rules as plain Rust.
///
/// # Errors
/// What the policy says.
pub fn ask_plain(policy: &Arbitration, case: &Case) -> Result<Answer, String> {
    let host = PlainHost::new(case);
    let context = case.context(host.remaining_ms());
    policy.evaluate(&context, &host).map(|verdict| Answer::from(&verdict)).map_err(|error| error.to_string())
}

/// The default policy as plain Rust.
///
/// # Panics
/// When it cannot be made, which it always can.
pub fn plain() -> Arbitration {
    Arbitration::create(Config::default()).unwrap()
}

/// No network: whatever is no evidence did not answer.
#[derive(Debug)]
pub struct NoNetwork;

impl Network for NoNetwork {
    fn ping<'a>(
        &'a self,
        hosts: &'a [String],
        _: Duration,
        _: u32,
    ) -> Boxed<'a, std::collections::BTreeMap<String, PingAnswer>> {
        let silent = PingAnswer { ping: false, rtt_ms: None, why: Some("timeout".to_owned()) };
        Box::pin(async move { hosts.iter().map(|host| (host.clone(), silent.clone())).collect() })
    }

    fn ssh<'a>(&'a self, _: &'a str, _: &'a str, _: Duration) -> Boxed<'a, SshAnswer> {
        Box::pin(async { SshAnswer::Failed { error: SshOutcome::Timeout, message: String::new() } })
    }

    fn tcp<'a>(&'a self, _: &'a str, _: Duration) -> Boxed<'a, TcpAnswer> {
        Box::pin(async { TcpAnswer { open: false, elapsed_ms: None, why: Some("timeout".to_owned()) } })
    }
}

/// A file, loaded by the host's own runner. The process that does this answers `worker` as its first argument.
#[derive(Debug)]
pub struct Loaded {
    runner: Runner,
}

impl Loaded {
    /// Loads it.
    ///
    /// # Errors
    /// Why it cannot be loaded.
    pub async fn load(file: &Path, run_dir: &Path) -> Result<Self, String> {
        let spec = PolicySpec {
            path: file.to_owned(),
            engine: engine_of(file),
            config: json!({}),
            deadline: DEADLINE,
            memory_bytes: MEMORY_BYTES,
            permissions: Permissions::Warn,
            script_env: Vec::new(),
            script_user: None,
            script_secrets: false,
            run_dir: run_dir.to_owned(),
            terms: Default::default(),
        };
        let runner = Runner::load(spec).await.map_err(|failure| failure.to_string())?;
        Ok(Self { runner })
    }

    /// The process that its worker's guest is in.
    pub fn worker(&self) -> Option<i32> {
        self.runner.status().pid
    }

    /// Asks it; the answer with the time that it took.
    ///
    /// # Errors
    /// Why it gave no verdict.
    pub async fn ask(&mut self, case: &Case) -> Result<(Answer, Duration), String> {
        let context = case.context(u64::try_from(DEADLINE.as_millis()).unwrap());
        let sections = case.sections();
        let answers = Answers {
            sections: sections.clone(),
            evidence: case.evidence(),
            role: case.role,
            warning: Threshold::SEVEN_TENTHS,
            now: context.now,
            deadline: Instant::now() + DEADLINE,
            network: &NoNetwork,
        };
        let question = Question { context, sections_with_secrets: sections.clone(), sections };
        let outcome = self.runner.evaluate(question, &answers).await;
        match outcome.failure {
            Some(failure) => Err(format!("{:?}: {failure}", failure.kind)),
            None => Ok((Answer::from(&outcome.verdict), outcome.elapsed)),
        }
    }
}
