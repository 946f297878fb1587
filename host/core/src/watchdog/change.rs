//! Role changes: plans, step by step, each persisted before it runs.

use dr_watchdog_sdk::sections::{LastFailover, Role};

use super::Watchdog;
use crate::durable::{DurablePlan, Purpose, Standing};
use crate::effect::{Effect, PlanKind, Trigger};
use crate::exclusion::state::Joining;
use crate::settings::{Mode, OnFailure, Step};
use crate::time::{Moment, Now};
use crate::transitions::{Cause, Phase};

/// A plan that runs.
#[derive(Debug)]
pub(super) struct RunningPlan {
    pub(super) id: u64,
    pub(super) kind: PlanKind,
    pub(super) step: usize,
    pub(super) purpose: Purpose,
    /// Failures of steps after which the plan goes on.
    pub(super) failures: Vec<String>,
    /// Under `lease`: its first step waits for the guards.
    pub(super) awaits_guard: bool,
}

impl RunningPlan {
    pub(super) const fn new(id: u64, kind: PlanKind, purpose: Purpose) -> Self {
        Self { id, kind, step: 0, purpose, failures: Vec::new(), awaits_guard: false }
    }
}

/// Writes that failed: the state is written again later, until the disk has what this site believes.
#[derive(Debug, Default)]
pub(super) struct Rewrite {
    pub(super) at: Option<Moment>,
    /// Versions that may not be said before.
    has_versions: bool,
    /// A promise that may not be said before.
    has_promise: bool,
    /// A turn of the switch that may not be said before.
    has_turn: bool,
}

/// What follows a write of the state. Nothing that depends on a write leaves before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterWrite {
    /// Nothing waits for it.
    Nothing,
    /// The plan begins or goes on after a restart: say so to the other site, then run its step.
    Announce { plan: u64 },
    /// The next step runs.
    Step { plan: u64 },
    /// The plan is done.
    Finish { plan: u64 },
    /// Under `lease`: the versions of the safety settings count, and may be said.
    Versions,
    /// Under `lease`: a promise to the other site may be said.
    Promise,
    /// A turn of the operator's switch may be said.
    Turn { count: u64, site_index: u8 },
    /// Nothing; it was a write that had failed before, and the operator knows of it.
    Rewritten,
}

impl Watchdog {
    /// The steps of a plan; none where nothing is to be carried out.
    pub(super) fn steps(&self, kind: PlanKind) -> Vec<Step> {
        match (self.settings.mode, kind) {
            (Mode::Observe, _) => Vec::new(),
            (Mode::Enforce, PlanKind::BeActive) => self.settings.be_active.clone(),
            (Mode::Enforce, PlanKind::BeStandby) => self.settings.be_standby.clone(),
        }
    }

    /// Writes the state; `after` follows when it is on disk.
    pub(super) fn persist(&mut self, after: AfterWrite) {
        if let Some(state) = &self.lease {
            self.durable.exclusion =
                Some(Box::new(state.memory.clone())).filter(|_| state.joining == Joining::Joined);
        }
        let write = self.next_id();
        self.writes.insert(write, after);
        self.effects.push_back(Effect::Persist { write, durable: Box::new(self.durable.clone()) });
    }

    /// Mints an epoch and begins the beActive plan.
    pub(super) fn begin_promotion(&mut self, purpose: Purpose) {
        self.durable.epoch = self.durable.next_epoch(self.settings.site_index);
        self.durable.role = Role::Active;
        self.is_first_start = false;
        self.durable.is_first_start_due = false;
        self.durable.standing = Standing::default();
        self.clear_waits();
        self.begin_plan(PlanKind::BeActive, purpose);
    }

    /// Begins a plan at its first step.
    pub(super) fn begin_plan(&mut self, kind: PlanKind, purpose: Purpose) {
        if let Some(running) = self.plan.take() {
            self.effects.push_back(Effect::CancelStep { plan: running.id });
        }
        let id = self.next_id();
        self.plan = Some(RunningPlan::new(id, kind, purpose));
        self.store_plan_step();
        self.persist(AfterWrite::Announce { plan: id });
    }

    fn store_plan_step(&mut self) {
        let Some(plan) = &self.plan else { return };
        let steps = self.steps(plan.kind);
        let step_name = steps.get(plan.step).map(|step| step.name.clone()).unwrap_or_default();
        let (kind, step, purpose) = (plan.kind, plan.step, plan.purpose);
        self.durable.plan = Some(DurablePlan { kind, step, step_name, purpose });
    }

    /// Takes the end of a write.
    pub(super) fn persisted(&mut self, now: Now, write: u64) {
        if !self.rewrite.has_versions && !self.rewrite.has_promise && !self.rewrite.has_turn {
            // A write holds the whole state, with all that an earlier one did not bring to the disk.
            self.rewrite.at = None;
        }
        match self.writes.remove(&write) {
            None | Some(AfterWrite::Nothing | AfterWrite::Rewritten) => {}
            Some(AfterWrite::Announce { plan }) if self.is_running(plan) => {
                let is_promotion = self.plan.as_ref().is_some_and(|plan| plan.kind == PlanKind::BeActive);
                if is_promotion && self.lease.is_some() {
                    self.await_guard();
                    return;
                }
                if is_promotion {
                    self.effects.push_back(Effect::HoldArbiters);
                }
                self.announce();
                self.run_step();
            }
            Some(AfterWrite::Step { plan }) if self.is_running(plan) => self.run_step(),
            Some(AfterWrite::Finish { plan }) if self.is_running(plan) => self.finish(),
            Some(AfterWrite::Versions) => self.versions_written(now.mono),
            Some(AfterWrite::Promise) => self.promise_written(),
            Some(AfterWrite::Turn { count, site_index }) => self.turn_written(count, site_index),
            Some(_) => {}
        }
    }

    /// Takes the failure of a write. It stops a promotion and never a demotion.
    pub(super) fn persist_failed(&mut self, now: Now, write: u64, why: &str) {
        let after = self.writes.remove(&write).unwrap_or(AfterWrite::Nothing);
        self.rewrite_later(now, after);
        if after != AfterWrite::Rewritten {
            self.notify(
                Trigger::StateNotWritten,
                format!("the state of this site could not be written, and is written again later: {why}"),
            );
        }
        let kind = self.plan.as_ref().map(|plan| plan.kind);
        match (after, kind) {
            (AfterWrite::Announce { plan }, Some(PlanKind::BeActive)) if self.is_running(plan) => {
                self.plan = None;
                self.durable.plan = None;
                self.durable.role = Role::Standby;
                self.block_promotion(now);
                self.change(Cause::EpochNotWritten);
                self.give_up_promotion(now.mono);
            }
            (AfterWrite::Step { plan }, Some(PlanKind::BeActive)) if self.is_running(plan) => {
                let step = self.plan.as_ref().map_or(0, |plan| plan.step);
                self.step_ended(now, plan, step, Err(format!("its start could not be recorded: {why}")));
            }
            (AfterWrite::Announce { plan } | AfterWrite::Step { plan }, _) if self.is_running(plan) => {
                self.run_step()
            }
            (AfterWrite::Finish { plan }, _) if self.is_running(plan) => self.finish(),
            _ => {}
        }
    }

    /// What could not be written is written again later; until then nothing of it is said.
    fn rewrite_later(&mut self, now: Now, after: AfterWrite) {
        self.rewrite.at = Some(now.mono.plus(self.settings.heartbeat.interval));
        self.rewrite.has_versions |= after == AfterWrite::Versions;
        self.rewrite.has_promise |= after == AfterWrite::Promise;
        self.rewrite.has_turn |= matches!(after, AfterWrite::Turn { .. });
    }

    /// Writes again what could not be written.
    pub(super) fn rewrite_if_due(&mut self, now: Now) {
        if self.rewrite.at.is_none_or(|due| due > now.mono) {
            return;
        }
        let Rewrite { has_versions, has_promise, has_turn, .. } = std::mem::take(&mut self.rewrite);
        let switch = self.durable.switch;
        let turn = AfterWrite::Turn { count: switch.count, site_index: switch.site_index };
        let due =
            [(has_versions, AfterWrite::Versions), (has_promise, AfterWrite::Promise), (has_turn, turn)];
        for (is_due, after) in due {
            if is_due {
                self.persist(after);
            }
        }
        if !has_versions && !has_promise && !has_turn {
            self.persist(AfterWrite::Rewritten);
        }
    }

    fn is_running(&self, plan: u64) -> bool {
        self.plan.as_ref().is_some_and(|running| running.id == plan)
    }

    pub(super) fn run_step(&mut self) {
        let Some(plan) = &self.plan else { return };
        let (id, kind, step) = (plan.id, plan.kind, plan.step);
        if step < self.steps(kind).len() {
            self.effects.push_back(Effect::RunStep { plan: id, kind, step });
        } else {
            self.complete(id, kind);
        }
    }

    /// Takes the end of a step.
    pub(super) fn step_ended(&mut self, now: Now, plan: u64, step: usize, result: Result<(), String>) {
        if !self.plan.as_ref().is_some_and(|running| running.id == plan && running.step == step) {
            return;
        }
        let Some(kind) = self.plan.as_ref().map(|plan| plan.kind) else {
            return;
        };
        let steps = self.steps(kind);
        if let Err(why) = result {
            let name = steps.get(step).map_or("?", |step| step.name.as_str());
            let text = format!("step \"{name}\" of {} failed: {why}", kind.word());
            self.notify(Trigger::StepFailed, text.clone());
            if steps.get(step).is_none_or(|step| step.on_failure == OnFailure::Stop) {
                self.step_failed(now, kind, steps.get(step).is_some_and(|step| step.idempotent));
                return;
            }
            if let Some(plan) = &mut self.plan {
                plan.failures.push(text);
            }
        }
        if let Some(plan) = &mut self.plan {
            plan.step += 1;
        }
        if step + 1 < steps.len() {
            self.store_plan_step();
            self.persist(AfterWrite::Step { plan });
        } else {
            self.complete(plan, kind);
        }
    }

    /// A step failed after which the plan does not go on.
    fn step_failed(&mut self, now: Now, kind: PlanKind, may_retry: bool) {
        match kind {
            PlanKind::BeActive => {
                self.block_promotion(now);
                if self.lease.is_some() {
                    self.step_down(Cause::StepFailed);
                    return;
                }
                self.change(Cause::StepFailed);
                self.begin_plan(PlanKind::BeStandby, Purpose::Undo);
            }
            PlanKind::BeStandby => {
                self.change(Cause::StepFailed);
                self.store_plan_step();
                self.persist(AfterWrite::Nothing);
                self.retry_at = may_retry.then(|| now.mono.plus(self.settings.heartbeat.interval));
                let next = if may_retry {
                    "it is tried again after the next heartbeat interval"
                } else {
                    "it may not run twice: finish it by hand; when it may run once more, set idempotent = true for it and restart the watchdog"
                };
                self.notify(
                    Trigger::StepFailed,
                    format!("services of this site may still be serving; {next}"),
                );
            }
        }
    }

    /// Tries the step that failed once more.
    pub(super) fn retry_demotion(&mut self) {
        self.retry_at = None;
        self.change(Cause::RetryDue);
        if let Some(plan) = self.plan.as_ref().map(|plan| plan.id) {
            self.persist(AfterWrite::Step { plan });
        }
    }

    fn block_promotion(&mut self, now: Now) {
        self.blocked_until = Some(now.mono.plus(self.settings.exclusion.wait()));
    }

    /// Every step is done: the new role is stored, then taken.
    fn complete(&mut self, plan: u64, kind: PlanKind) {
        let purpose = self.plan.as_ref().map(|plan| plan.purpose);
        match (kind, purpose) {
            (PlanKind::BeActive, Some(Purpose::Failover)) => {
                self.durable.failover = LastFailover::StandbyToActive
            }
            (PlanKind::BeStandby, Some(Purpose::Failover)) => {
                self.durable.failover = LastFailover::ActiveToStandby
            }
            _ => {}
        }
        if let Some(state) = self.lease.as_mut().filter(|_| kind == PlanKind::BeActive) {
            state.memory.served_epoch = self.durable.epoch;
        }
        if kind == PlanKind::BeStandby {
            self.durable.role = Role::Standby;
        }
        self.durable.plan = None;
        self.persist(AfterWrite::Finish { plan });
    }

    fn finish(&mut self) {
        let Some(plan) = self.plan.take() else { return };
        let row = self.change(Cause::StepsDone);
        let mut text = format!("{} (epoch {})", row.sentence, self.durable.epoch);
        for failure in &plan.failures {
            text.push_str("; ");
            text.push_str(failure);
        }
        if plan.kind == PlanKind::BeStandby {
            if self.lease.is_none() {
                self.effects.push_back(Effect::ReleaseArbiters);
            }
            self.notify(Trigger::BecameStandby, text);
        } else {
            self.notify(Trigger::BecameActive, text);
        }
        self.announce();
    }

    /// The other site is active with a higher epoch.
    pub(super) fn yield_to_peer(&mut self) {
        if self.lease.is_some() {
            self.step_down(Cause::HigherEpoch);
            return;
        }
        let purpose = if self.phase == Phase::Promoting { Purpose::Undo } else { Purpose::Failover };
        self.change(Cause::HigherEpoch);
        self.begin_plan(PlanKind::BeStandby, purpose);
    }
}
