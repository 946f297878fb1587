//! The desk at which the policy is asked: one question at a time, beside the run loop.

use std::rc::Rc;

use dr_watchdog_core::evidence::Evidence;
use dr_watchdog_sdk::Role;
use dr_watchdog_sdk::threshold::Threshold;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::policy_versions::{Kept, Versions};
use crate::policy::answers::{Answers, Network};
use crate::policy::backoff::{Backoff, quarantined};
use crate::policy::runner::{State, nothing};
use crate::policy::{Failure, FailureKind, Outcome, PolicySpec, Question, Runner};

/// A question with everything its host calls are answered from.
#[derive(Debug)]
pub(super) struct Job {
    /// Of the core's question.
    pub ask: u64,
    /// What the policy is given.
    pub question: Question,
    /// What was seen at the arbiters.
    pub evidence: Evidence,
    /// The role of this site.
    pub role: Role,
    /// `threshold.warning`.
    pub warning: Threshold,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answered {
    /// Of the core's question.
    pub ask: u64,
    /// How the evaluation ended.
    pub outcome: Outcome,
    /// Whether it was the last one until the policy is loaded again.
    pub is_newly_quarantined: bool,
}

enum Order {
    Ask(Box<Job>),
    Load(Box<PolicySpec>, Rc<dyn Network>, Option<Told>),
}

/// Who asked for a load, and is told how it went.
type Told = oneshot::Sender<Value>;

/// The handle of the run loop.
#[derive(Debug)]
pub(super) struct Desk {
    orders: mpsc::UnboundedSender<Order>,
    status: watch::Receiver<Value>,
}

impl Desk {
    /// Opens the desk and loads the policy. A policy that cannot be loaded is no reason not to run: every question
    /// is answered with the failure, and it is loaded again with each of them. The core asks one question at a
    /// time, so the queue of orders stays short.
    pub(super) fn open(
        spec: PolicySpec,
        network: Rc<dyn Network>,
        answers: mpsc::UnboundedSender<Answered>,
    ) -> Self {
        let (orders, queue) = mpsc::unbounded_channel();
        let (told, status) = watch::channel(not_loaded(&spec, None));
        tokio::task::spawn_local(serve(spec, network, queue, answers, told));
        Self { orders, status }
    }

    /// Asks.
    pub(super) fn ask(&self, job: Job) {
        self.order(Order::Ask(Box::new(job)));
    }

    /// Loads another policy, or the same one again. One that cannot be loaded leaves the old one running.
    pub(super) fn load(&self, spec: PolicySpec, network: Rc<dyn Network>) {
        self.order(Order::Load(Box::new(spec), network, None));
    }

    /// The same, for somebody who waits for how it went.
    pub(super) fn reload(&self, spec: PolicySpec, network: Rc<dyn Network>) -> oneshot::Receiver<Value> {
        let (told, waiting) = oneshot::channel();
        self.order(Order::Load(Box::new(spec), network, Some(told)));
        waiting
    }

    fn order(&self, order: Order) {
        if self.orders.send(order).is_err() {
            tracing::error!("the policy desk is closed; this is a defect of the watchdog");
        }
    }

    /// Engine, name, version and state of the policy.
    pub(super) fn status(&self) -> Value {
        self.status.borrow().clone()
    }
}

async fn serve(
    spec: PolicySpec,
    mut network: Rc<dyn Network>,
    mut queue: mpsc::UnboundedReceiver<Order>,
    answers: mpsc::UnboundedSender<Answered>,
    told: watch::Sender<Value>,
) {
    let mut served = Served::load(spec).await;
    told.send_replace(served.status());
    while let Some(order) = queue.recv().await {
        match order {
            Order::Ask(job) => {
                let was_quarantined = served.is_quarantined();
                let ask = job.ask;
                let outcome = served.evaluate(*job, &*network).await;
                let is_newly_quarantined = served.is_quarantined() && !was_quarantined;
                // The receiver is gone only when the daemon ends.
                let _ = answers.send(Answered { ask, outcome, is_newly_quarantined });
            }
            Order::Load(next, reaches, asker) => {
                network = reaches;
                let answer = served.replace(*next).await;
                if let Some(asker) = asker {
                    // Who asked may have gone away.
                    let _ = asker.send(answer);
                }
            }
        }
        told.send_replace(served.status());
    }
}

/// The policy that is asked.
struct Served {
    spec: PolicySpec,
    loaded: Result<Runner, Failure>,
    /// Crashes and hangs while it was loaded; a worker that loaded counts its own.
    crashes: Backoff,
    begun: Instant,
    versions: Versions,
}

impl Served {
    async fn load(spec: PolicySpec) -> Self {
        let mut served = Self {
            loaded: load(&spec).await,
            spec,
            crashes: Backoff::default(),
            begun: Instant::now(),
            versions: Versions::default(),
        };
        served.count();
        served
    }

    fn count(&mut self) {
        match &self.loaded {
            Ok(_) => self.versions.loaded(),
            Err(Failure {
                kind: FailureKind::Crash | FailureKind::Timeout | FailureKind::Memory, ..
            }) => {
                self.crashes.crashed(self.begun.elapsed());
            }
            Err(_) => {}
        }
    }

    fn is_quarantined(&self) -> bool {
        match &self.loaded {
            Ok(runner) => runner.status().state == State::Quarantined,
            Err(_) => self.crashes.is_quarantined(),
        }
    }

    /// Another policy, or the same one again. One that cannot be loaded leaves the old one running. What is returned
    /// is for whoever asked.
    async fn replace(&mut self, next: PolicySpec) -> Value {
        let mut next = Self::load(next).await;
        let message = match &next.loaded {
            Ok(_) => {
                next.versions = std::mem::take(&mut self.versions);
                next.versions.loaded();
                let message = next.versions.runs(&name(&next.spec), Kept::of(next.spec.engine));
                *self = next;
                Ok(message)
            }
            Err(failure) if self.loaded.is_ok() => {
                let sentence = self.versions.refused(&self.spec.path, self.kept(), &next.spec.path, failure);
                tracing::error!("the policy {sentence}");
                Err(sentence)
            }
            Err(failure) => {
                let sentence = format!("no version of the policy runs: {failure}");
                next.versions = std::mem::take(&mut self.versions);
                *self = next;
                Err(sentence)
            }
        };
        self.versions.answer(&name(&self.spec), self.kept(), message)
    }

    fn kept(&self) -> Kept {
        Kept::of(self.spec.engine)
    }

    async fn evaluate(&mut self, job: Job, network: &dyn Network) -> Outcome {
        let may_load = !self.crashes.is_quarantined() && self.crashes.wait(self.begun.elapsed()).is_zero();
        if self.loaded.is_err() && may_load {
            self.loaded = load(&self.spec).await;
            self.count();
        }
        match &mut self.loaded {
            Ok(runner) => {
                let outcome = evaluate(runner, job, network).await;
                if outcome.failure.is_none() {
                    self.versions.mended(Kept::of(self.spec.engine));
                }
                outcome
            }
            Err(_) if !may_load && self.crashes.is_quarantined() => unloaded(&self.spec, &job, quarantined()),
            Err(failure) => unloaded(&self.spec, &job, failure.clone()),
        }
    }

    fn status(&self) -> Value {
        let mut status = match &self.loaded {
            Ok(runner) => {
                let mut status = json!(runner.status());
                status["failure"] = Value::Null;
                status["hint"] = Value::Null;
                status
            }
            Err(failure) => {
                let mut status = not_loaded(&self.spec, Some(failure));
                if self.crashes.is_quarantined() {
                    status["state"] = json!(State::Quarantined);
                }
                status
            }
        };
        self.versions.show(&mut status, self.kept());
        status
    }
}

async fn load(spec: &PolicySpec) -> Result<Runner, Failure> {
    let loaded = Runner::load(spec.clone()).await;
    match &loaded {
        Ok(runner) => {
            for warning in runner.warnings() {
                tracing::warn!(policy = %spec.path.display(), "{warning}");
            }
            tracing::info!(policy = %spec.path.display(), "the policy is loaded");
        }
        Err(failure) => {
            let hint = failure.hint.as_deref().unwrap_or_default();
            tracing::error!(policy = %spec.path.display(), %failure, hint, "the policy cannot be loaded");
        }
    }
    loaded
}

async fn evaluate(runner: &mut Runner, job: Job, network: &dyn Network) -> Outcome {
    let deadline = Instant::now() + std::time::Duration::from_millis(job.question.context.deadline_ms);
    let answers = Answers {
        sections: job.question.sections.clone(),
        evidence: job.evidence,
        role: job.role,
        warning: job.warning,
        now: job.question.context.now,
        deadline,
        network,
    };
    let outcome = runner.evaluate(job.question, &answers).await;
    for warning in &outcome.warnings {
        tracing::warn!(policy = outcome.policy, "{warning}");
    }
    outcome
}

fn unloaded(spec: &PolicySpec, job: &Job, failure: Failure) -> Outcome {
    Outcome {
        engine: spec.engine,
        policy: name(spec),
        verdict: nothing(job.role.into(), &failure),
        failure: Some(failure),
        elapsed: std::time::Duration::ZERO,
        calls: Vec::new(),
        warnings: Vec::new(),
    }
}

fn name(spec: &PolicySpec) -> String {
    spec.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The status of a policy that has no runner, with the failure to load it if there was one.
fn not_loaded(spec: &PolicySpec, failure: Option<&Failure>) -> Value {
    json!({
        "engine": spec.engine,
        "name": name(spec),
        "version": null,
        "state": "backoff",
        "restarts": 0,
        "pid": null,
        "lastFailure": null,
        "missing": [],
        "failure": failure.map(|failure| &failure.message),
        "hint": failure.and_then(|failure| failure.hint.as_ref()),
        "loadedVersion": 0,
        "refused": null,
    })
}
