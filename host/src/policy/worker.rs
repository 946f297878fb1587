//! Supervises the worker process of one Lua policy or plugin: start, ask, cancel, kill, start again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use super::backoff::{Backoff, quarantined};
use super::child::ending;
use super::memory::PERCENT_FULL;
use super::protocol::{Load, VERSION};
use super::recorder::Recorder;
use super::runner::State;
use super::worker_process::Process;
use super::{Engine, Failure, FailureKind, PolicySpec, Question, source, trust};
use crate::frames::FrameError;

/// Time a guest has to obey its cancellation.
const CANCEL_GRACE: Duration = Duration::from_millis(500);
/// Time a worker whose socket closed has to end by itself, so that its own ending is reported and not our kill.
const ENDING_GRACE: Duration = Duration::from_millis(200);

/// One policy in its worker.
#[derive(Debug)]
pub(super) struct Worker {
    spec: PolicySpec,
    load: Load,
    describe: Value,
    /// Parts of the wall that the system refuses.
    missing: Vec<String>,
    running: Option<Process>,
    backoff: Backoff,
    /// Since the policy was loaded; the back-off counts from here.
    begun: Instant,
    asked: u64,
    starts: u64,
    written_bytes: Arc<AtomicU64>,
}

impl Worker {
    /// Starts a worker and loads the policy in it.
    pub(super) async fn start(spec: PolicySpec) -> Result<Self, Failure> {
        let source = match spec.engine {
            Engine::Lua => Some(source::read(&spec)?),
            Engine::Native | Engine::Script => None,
        };
        let load = Load {
            protocol: VERSION,
            engine: spec.engine,
            path: spec.path.clone(),
            source,
            sha256: spec.terms.sha256.clone(),
            config: spec.config.clone(),
            memory_bytes: spec.memory_bytes,
            deadline_ms: u64::try_from(spec.deadline.as_millis()).unwrap_or(u64::MAX),
            trial: spec.terms.trial.clone(),
        };
        let mut worker = Self {
            load,
            describe: Value::Null,
            missing: Vec::new(),
            running: None,
            backoff: Backoff::default(),
            begun: Instant::now(),
            asked: 0,
            starts: 0,
            written_bytes: Arc::default(),
            spec,
        };
        worker.spawn(Instant::now() + worker.spec.deadline).await?;
        Ok(worker)
    }

    /// What the policy says of itself.
    pub(super) const fn describe(&self) -> &Value {
        &self.describe
    }

    /// Parts of the wall that the system refuses.
    pub(super) fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Whether it runs, waits to run, or was given up.
    pub(super) fn state(&self) -> State {
        match (&self.running, self.backoff.is_quarantined()) {
            (_, true) => State::Quarantined,
            (Some(_), false) => State::Running,
            (None, false) => State::Backoff,
        }
    }

    /// Starts after the first.
    pub(super) const fn restarts(&self) -> u64 {
        self.starts.saturating_sub(1)
    }

    /// The process that the guest is in, while it runs.
    pub(super) fn guest(&self) -> Option<i32> {
        self.running.as_ref()?.guest
    }

    /// Bytes that guests have written to their standard output or error.
    pub(super) fn written_bytes(&self) -> u64 {
        self.written_bytes.load(Ordering::Relaxed)
    }

    /// Asks, and waits for the raw verdict. A guest that does not obey its cancellation is killed.
    pub(super) async fn evaluate(
        &mut self,
        question: &Question,
        recorder: &Recorder<'_>,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let begun = Instant::now();
        self.ensure_running(deadline).await?;
        self.asked += 1;
        let asked = self.asked;
        let Some(process) = &mut self.running else { return Err(not_running()) };
        match timeout_at(deadline, process.converse(asked, question, recorder)).await {
            Ok(Ok(answer)) => {
                self.backoff.answered();
                answer
            }
            Ok(Err(error)) => Err(self.crashed(&error, recorder, begun).await),
            Err(_) => Err(self.cancel(asked, recorder, begun.elapsed()).await),
        }
    }

    async fn ensure_running(&mut self, deadline: Instant) -> Result<(), Failure> {
        if let Some(process) = &mut self.running {
            if !process.group.has_ended() {
                return Ok(());
            }
            // It died between two questions, by the hand of an operator or of the kernel.
            let ended = ending(process.group.end().await);
            tracing::warn!(policy = %self.spec.path.display(), "the policy's worker {ended} while it was idle");
            self.running = None;
            self.backoff.crashed(self.begun.elapsed());
        }
        if self.backoff.is_quarantined() {
            return Err(quarantined());
        }
        let start = Instant::now() + self.backoff.wait(self.begun.elapsed());
        if start >= deadline {
            let crashes = self.backoff.crashes();
            let message = format!(
                "the policy's worker crashed {crashes} times and starts again only after the deadline"
            );
            return Err(Failure::new(FailureKind::Crash, message).with_hint("see the log for its crashes"));
        }
        tokio::time::sleep_until(start).await;
        self.spawn(deadline).await
    }

    async fn spawn(&mut self, deadline: Instant) -> Result<(), Failure> {
        if self.load.engine == Engine::Native {
            trust::check(&self.spec.path, self.spec.permissions)?;
        }
        let name = self.spec.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut process = Process::start(&name, &self.spec, &self.written_bytes).map_err(|error| {
            let message = format!(
                "the worker of the policy {} could not be started: {error}",
                self.spec.path.display()
            );
            Failure::new(FailureKind::Load, message)
        })?;
        self.starts += 1;
        let path = self.spec.path.display();
        match timeout_at(deadline, process.load(&self.load)).await {
            Ok(Ok(Ok((describe, missing)))) => {
                self.describe = describe;
                // A system that refuses a layer refuses it to every start.
                if self.starts == 1 && !missing.is_empty() {
                    let (policy, missing) = (&name, missing.join(", "));
                    tracing::warn!(
                        policy,
                        "this system refuses the policy's wall: {missing}; the other layers stand (run the watchdog as root, or allow user namespaces)"
                    );
                }
                self.missing = missing;
                self.running = Some(process);
                Ok(())
            }
            Ok(Ok(Err(failure))) => Err(failure),
            Ok(Err(error)) => {
                let _ = timeout(ENDING_GRACE, process.group.exited()).await;
                let ended = ending(process.group.end().await);
                let message = format!("the policy {path} was not loaded: its worker {ended} ({error})");
                self.backoff.crashed(self.begun.elapsed());
                Err(Failure::new(FailureKind::Crash, message).with_hint("its last words are in the log"))
            }
            Err(_) => {
                let message = format!("the policy {path} was not loaded within its deadline");
                self.backoff.crashed(self.begun.elapsed());
                Err(Failure::new(FailureKind::Timeout, message)
                    .with_hint("what runs while a policy loads must end at once; or raise policy.deadline"))
            }
        }
    }

    async fn crashed(&mut self, error: &FrameError, recorder: &Recorder<'_>, begun: Instant) -> Failure {
        let elapsed_ms = begun.elapsed().as_millis();
        self.backoff.crashed(self.begun.elapsed());
        let (mut ended, mut is_full) = ("is gone".to_owned(), false);
        if let Some(mut process) = self.running.take() {
            let _ = timeout(ENDING_GRACE, process.group.exited()).await;
            ended = ending(process.group.end().await);
            is_full = process.ran_out_of_memory().await;
        }
        if is_full {
            let message = format!(
                "the policy used all the memory it may have; its worker {ended} after {elapsed_ms} ms"
            );
            return Failure::new(FailureKind::Memory, message).with_hint(self.memory_hint());
        }
        let last = recorder.last_call().map_or_else(|| "none".to_owned(), |call| format!("\"{call}\""));
        let message = format!(
            "the policy's worker {ended} after {elapsed_ms} ms (last host call: {last}; {})",
            chain(error)
        );
        let contact =
            self.describe.get("contact").and_then(Value::as_str).filter(|contact| !contact.is_empty());
        let hint = match contact {
            Some(contact) => format!("it starts again with the next question; report this to {contact}"),
            None => "it starts again with the next question; its last words are in the log".to_owned(),
        };
        Failure::new(FailureKind::Crash, message).with_hint(hint)
    }

    fn memory_hint(&self) -> String {
        let mib = self.spec.memory_bytes >> 20;
        format!("{mib} MiB are allowed; does it free what it takes? Otherwise raise policy.memory")
    }

    async fn cancel(&mut self, asked: u64, recorder: &Recorder<'_>, elapsed: Duration) -> Failure {
        let late = || {
            let message = format!("the policy gave no verdict within {} ms", elapsed.as_millis());
            Failure::new(FailureKind::Timeout, message)
        };
        let hint = "make the policy quicker, give its host calls shorter timeouts, or raise policy.deadline";
        let memory_hint = self.memory_hint();
        let Some(process) = &mut self.running else { return late().with_hint(hint) };
        let is_full = process.memory_percent().is_some_and(|percent| percent >= PERCENT_FULL);
        match timeout(CANCEL_GRACE, process.cancelled(asked)).await {
            // A Lua policy says where it was stopped.
            Ok(Ok(Some(failure))) if failure.kind == FailureKind::Timeout => failure,
            Ok(Ok(_)) => late().with_hint(hint),
            Ok(Err(error)) => self.crashed(&error, recorder, Instant::now() - elapsed).await,
            Err(_) => {
                process.group.end().await;
                self.running = None;
                self.backoff.crashed(self.begun.elapsed());
                let mut failure = late().with_hint(hint);
                failure.message.push_str(", nor obeyed its cancellation; its worker was killed");
                if is_full {
                    // A guest whose allocations fail may go on asking for ever.
                    failure.kind = FailureKind::Memory;
                    failure.message.push_str(", and had used all the memory it may have");
                    return failure.with_hint(memory_hint);
                }
                failure
            }
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(found) = cause {
        text.push_str(": ");
        text.push_str(&found.to_string());
        cause = found.source();
    }
    text
}

fn not_running() -> Failure {
    Failure::new(FailureKind::Crash, "the policy's worker does not run")
}
