//! Runs one loaded policy: asks, checks the answer, turns every failure into a verdict of `nothing`.

use std::collections::BTreeSet;
use std::time::Duration;

use dr_watchdog_sdk::verdict::{Verdict, VerdictState};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::check::check;
use super::recorder::Recorder;
use super::script::Script;
use super::state;
use super::terms::{Grant, line_for};
use super::worker::Worker;
use super::{Engine, Failure, HostCalls, Outcome, PolicySpec, Question, trust};

/// Characters of a failure's message that a verdict's description repeats.
const DESCRIPTION_CHARS_MAX: usize = 300;

/// A loaded policy.
#[derive(Debug)]
pub struct Runner {
    engine: Engine,
    name: String,
    version: Option<String>,
    warnings: Vec<String>,
    inside: Inside,
    last_failure: Option<Failure>,
    granted: BTreeSet<Grant>,
    state: state::State,
}

#[derive(Debug)]
enum Inside {
    Worker(Box<Worker>),
    Script(Box<Script>),
}

/// Whether a policy runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It answers.
    Running,
    /// Its worker crashed, and starts again with the next question.
    Backoff,
    /// It crashed too often; only a reload starts it again.
    Quarantined,
}

/// What `health` says of a policy.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// What runs it.
    pub engine: Engine,
    /// Its name.
    pub name: String,
    /// Its version, if it says one.
    pub version: Option<String>,
    /// Whether it runs.
    pub state: State,
    /// Starts of its worker after the first.
    pub restarts: u64,
    /// The process it is in.
    pub pid: Option<i32>,
    /// Why its last evaluation failed, if it did.
    pub last_failure: Option<Failure>,
    /// Parts of its wall that this system refuses.
    pub missing: Vec<String>,
}

impl Runner {
    /// Loads a policy: checks its file, starts its worker, has it say what it is.
    ///
    /// # Errors
    /// When it cannot be loaded; the failure says why and what to do.
    pub async fn load(spec: PolicySpec) -> Result<Self, Failure> {
        let mut warnings = trust::check(&spec.path, spec.permissions)?;
        let (engine, file) = (spec.engine, file_name(&spec));
        let granted = spec.terms.granted();
        let state = state::State::new(spec.terms.state_file.clone());
        let (inside, describe) = match engine {
            Engine::Lua | Engine::Native => {
                let worker = Worker::start(spec).await?;
                let describe = worker.describe().clone();
                (Inside::Worker(Box::new(worker)), describe)
            }
            Engine::Script => (Inside::Script(Box::new(Script::load(spec)?)), Value::Null),
        };
        let text = |key: &str| describe.get(key).and_then(Value::as_str).map(str::to_owned);
        let name = if engine == Engine::Native { text("name").unwrap_or(file) } else { file };
        let asked: Vec<String> = describe
            .get("capabilities")
            .and_then(|asked| serde_json::from_value(asked.clone()).ok())
            .unwrap_or_default();
        if let Some(line) = line_for(&asked, &granted) {
            warnings.push(format!(
                "{name} asks for what it is not granted; its vendor means you to write {line}"
            ));
        }
        let version = text("version");
        Ok(Self { engine, name, version, warnings, inside, last_failure: None, granted, state })
    }

    /// Cuts a script's own network: nothing but the host calls answers it. Where the system forbids that, each
    /// outcome carries a warning. Lua policies and plugins have no network in the first place.
    pub fn cut_network(&mut self) {
        if let Inside::Script(script) = &mut self.inside {
            script.cut_network();
        }
    }

    /// Loose permissions that were only warned of.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Name of the policy.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the policy says of itself; null for a script.
    pub fn describe(&self) -> Value {
        match &self.inside {
            Inside::Worker(worker) => worker.describe().clone(),
            Inside::Script(_) => Value::Null,
        }
    }

    /// The process that the guest is in, where it has one that stays.
    pub fn guest(&self) -> Option<i32> {
        match &self.inside {
            Inside::Worker(worker) => worker.guest(),
            Inside::Script(_) => None,
        }
    }

    /// Bytes that the guest has written to its standard output or error, where they are no answer.
    pub fn written_bytes(&self) -> u64 {
        match &self.inside {
            Inside::Worker(worker) => worker.written_bytes(),
            Inside::Script(_) => 0,
        }
    }

    /// Engine, name, version and state.
    pub fn status(&self) -> Status {
        let (state, restarts, pid, missing) = match &self.inside {
            Inside::Worker(worker) => (worker.state(), worker.restarts(), worker.guest(), worker.missing()),
            Inside::Script(script) => (State::Running, 0, None, script.missing()),
        };
        Status {
            engine: self.engine,
            name: self.name.clone(),
            version: self.version.clone(),
            state,
            restarts,
            pid,
            last_failure: self.last_failure.clone(),
            missing: missing.to_vec(),
        }
    }

    /// Asks. Whatever happens, the outcome carries a legal verdict.
    pub async fn evaluate(&mut self, question: Question, calls: &dyn HostCalls) -> Outcome {
        let begun = Instant::now();
        let deadline = begun + Duration::from_millis(question.context.deadline_ms);
        let recorder = Recorder::new(&self.name, calls, &self.granted, &self.state);
        let mut warnings = Vec::new();
        let raw = match &mut self.inside {
            Inside::Worker(worker) => worker.evaluate(&question, &recorder, deadline).await,
            Inside::Script(script) => {
                let ran = script.evaluate(&question, &recorder, deadline, &mut warnings).await;
                warnings.retain(|warning| !self.warnings.contains(warning));
                ran
            }
        };
        let elapsed = begun.elapsed();
        let calls = recorder.into_records();
        let checked = raw.and_then(|raw| check(self.engine, &raw, question.context.role));
        let (verdict, failure) = match checked {
            Ok((verdict, checks)) => {
                warnings.extend(checks);
                (verdict, None)
            }
            Err(failure) => (nothing(question.context.role.into(), &failure), Some(failure)),
        };
        self.last_failure.clone_from(&failure);
        Outcome { engine: self.engine, policy: self.name.clone(), verdict, failure, elapsed, calls, warnings }
    }
}

/// The verdict of a policy that gave none.
pub fn nothing(state: VerdictState, failure: &Failure) -> Verdict {
    let first: String =
        failure.message.lines().next().unwrap_or_default().chars().take(DESCRIPTION_CHARS_MAX).collect();
    let mut details = Map::new();
    details.insert("failure".to_owned(), json!(failure.kind));
    Verdict::nothing(state, format!("the policy failed ({}): {first}", failure.kind.word()))
        .with_details(details)
}

fn file_name(spec: &PolicySpec) -> String {
    spec.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
