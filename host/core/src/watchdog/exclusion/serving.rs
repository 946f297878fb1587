//! The active's side: its lease, its guards, and how it stops.

use super::super::Watchdog;
use super::super::change::AfterWrite;
use crate::durable::Purpose;
use crate::effect::{Effect, PlanKind, Trigger};
use crate::exclusion::active::{self, Sight};
use crate::exclusion::claim::Claim;
use crate::exclusion::lpc::Mark;
use crate::exclusion::request::Request;
use crate::exclusion::rules::Rule;
use crate::settings::{Exclusion, Honour};
use crate::time::{Moment, Now};
use crate::transitions::{Cause, Phase};

impl Watchdog {
    /// First of all, whatever happened: a lease that has ended has ended, and no late answer revives it.
    pub(in super::super) fn check_lease(&mut self, now: Now) {
        if !self.phase.claims_active() {
            return;
        }
        let is_over = match self.lease() {
            None => return,
            // A promotion that waits for its epoch to reach the disk has armed nothing yet.
            Some(state) => state.end.is_none_or(|end| end <= now.mono),
        };
        if is_over {
            self.follow_sight(Sight { is_lease_over: true, ..Sight::default() });
        }
    }

    /// Does what the active's table says; returns the sentence.
    pub(super) fn follow_sight(&mut self, sight: Sight) -> &'static str {
        let row = active::row(&sight);
        if let Some(cause) = row.cause.filter(|_| self.phase.claims_active()) {
            self.step_down(cause);
        }
        row.sentence
    }

    /// Ends serving: the fence first, the orderly stop after it.
    pub(in super::super) fn step_down(&mut self, cause: Cause) {
        // A promotion whose last step is done has served; only the write of its end is still under way.
        let has_served = self.phase == Phase::Active || self.durable.plan.is_none();
        let purpose = if has_served { Purpose::Failover } else { Purpose::Undo };
        let now = self.last_now.mono;
        self.change(cause);
        self.fence();
        if cause != Cause::Operator && purpose == Purpose::Failover {
            self.doubt_data(self.last_now);
        }
        if let Some(state) = self.lease.as_mut() {
            state.evidence.forget();
            state.end = None;
            state.guard_wanted = None;
            state.guard_armed = None;
            state.release = None;
            state.standby_wanted = None;
            state.is_forced = false;
            state.silence = now;
            state.wish = None;
        }
        self.announce();
        self.clear_waits();
        self.begin_plan(PlanKind::BeStandby, purpose);
    }

    /// Nothing was started: what the promotion rested on is given back.
    pub(in super::super) fn give_up_promotion(&mut self, now: Moment) {
        self.close_claim(now);
        if let Some(state) = self.lease.as_mut() {
            state.evidence.forget();
            state.is_forced = false;
            state.reckon();
        }
    }

    pub(super) fn fence(&mut self) {
        if let Some(state) = self.lease.as_mut() {
            state.is_fenced = false;
            self.effects.push_back(Effect::Exclusion(Request::Fence));
        }
    }

    /// Serving has ended at every node: from now on the other site need not wait for the orderly stop.
    pub(super) fn fenced(&mut self) {
        if self.phase.claims_active() {
            // A fence that was begun before has ended what this site believes to be serving.
            self.guard_failed();
            return;
        }
        let Some(state) = self.lease.as_mut() else { return };
        if !state.is_fenced {
            state.is_fenced = true;
            if !state.claim.has_holds() {
                self.effects.push_back(Effect::ReleaseArbiters);
            }
            if self.durable.standing.is_stopped {
                state.release = None;
                self.remember(|standing| standing.is_stopped = false);
            }
            self.announce();
        }
    }

    /// A keepalive of a hold was answered.
    pub(super) fn hold_answered(&mut self, now: Now, hold: (usize, u64), sent: Moment, mark: Option<Mark>) {
        let claims_active = self.phase.claims_active();
        let epoch = self.durable.epoch;
        let Some(state) = self.lease.as_mut() else { return };
        let (timers, rules) = (state.timers, state.rules);
        state.evidence.answered(now.mono, hold, sent, &timers, rules);
        state.reckon();
        let seen = mark.map_or(0, |mark| mark.epoch);
        self.durable.epoch_seen = self.durable.epoch_seen.max(seen);
        let is_fresh = mark.is_some_and(|mark| mark.age.is_some_and(|age| age < timers.wait));
        if rules.has(Rule::EpochMarks) && is_fresh && seen > epoch && claims_active {
            self.follow_sight(Sight { is_higher_epoch: true, ..Sight::default() });
        }
    }

    /// Renews the guards, and begins the plan once they are armed.
    pub(super) fn advance_serving(&mut self, _now: Now) {
        let epoch = self.durable.epoch;
        let is_waiting_for_disk = self.is_epoch_unwritten();
        let Some(state) = self.lease.as_mut() else { return };
        let Some(end) = state.end.filter(|_| !is_waiting_for_disk) else { return };
        if state.guard_wanted != Some((epoch, end)) {
            state.guard_wanted = Some((epoch, end));
            self.effects.push_back(Effect::Exclusion(Request::ArmGuard { epoch, until: end }));
        }
    }

    /// Whether the write that holds the new epoch is still under way.
    fn is_epoch_unwritten(&self) -> bool {
        self.phase == Phase::Promoting
            && self.writes.values().any(|after| matches!(after, AfterWrite::Announce { .. }))
    }

    /// The guards of all serving nodes are armed.
    pub(super) fn guard_armed(&mut self, now: Now, epoch: u64, until: Moment) {
        let is_ours = epoch == self.durable.epoch && self.phase.claims_active();
        let Some(state) = self.lease.as_mut().filter(|_| is_ours) else { return };
        state.guard_armed = Some((epoch, until));
        if self.phase == Phase::Promoting && self.plan.as_ref().is_some_and(|plan| plan.awaits_guard) {
            if let Some(plan) = self.plan.as_mut() {
                plan.awaits_guard = false;
            }
            self.assert_serving_order(now);
            self.announce();
            self.run_step();
        }
    }

    /// The epoch is on disk: the guards are armed before the first step runs.
    pub(in super::super) fn await_guard(&mut self) {
        if let Some(plan) = self.plan.as_mut() {
            plan.awaits_guard = true;
        }
        if let Some(state) = self.lease.as_mut() {
            state.is_fenced = false;
            state.guard_wanted = None;
            let had_holds = std::mem::take(&mut state.claim).has_holds();
            let epoch = self.durable.epoch;
            self.effects.push_back(Effect::Exclusion(Request::Mark { epoch, is_claim: false }));
            if !had_holds {
                self.effects.push_back(Effect::HoldArbiters);
            }
        }
    }

    /// I7: serving implies a durable epoch, armed guards and a lease, in that order. It is asserted in production:
    /// a watchdog that is wrong about it must end, and its guard then fences.
    fn assert_serving_order(&self, now: Now) {
        let Some(state) = self.lease() else { return };
        let is_armed =
            state.guard_armed.is_some_and(|(epoch, until)| epoch == self.durable.epoch && until > now.mono);
        assert!(!self.is_epoch_unwritten(), "serving begins before its epoch is on disk");
        assert!(is_armed, "serving begins before its guard is armed");
        assert!(state.end.is_some_and(|end| end > now.mono), "serving begins without a lease");
    }

    pub(super) fn guard_failed(&mut self) {
        self.follow_sight(Sight { is_guard_lost: true, ..Sight::default() });
    }

    /// The clock of this machine stood still or jumped: nothing counted so far counts.
    pub(super) fn time_slipped(&mut self, now: Now) {
        self.notify(
            Trigger::Exclusion,
            "the clock of this machine stood still or jumped; all evidence is counted anew".to_owned(),
        );
        self.void_absence(now.mono);
        self.follow_sight(Sight { has_time_slipped: true, ..Sight::default() });
    }

    /// The standby's evidence begins anew.
    pub(super) fn void_absence(&mut self, now: Moment) {
        if let Some(state) = self.lease.as_mut() {
            state.silence = now;
            state.contacts.iter_mut().for_each(|contact| contact.broken(now));
        }
        self.close_claim(now);
    }

    /// A verdict beStandby at an active; what became of it.
    pub(in super::super) fn standby_wanted(&mut self, now: Now) -> &'static str {
        let honour = match &self.settings.exclusion {
            Exclusion::Lease(lease) => lease.honour_be_standby,
            Exclusion::Verdict { .. } => Honour::AtOnce,
        };
        let spacing = self.settings.heartbeat.timeout;
        let Some(state) = self.lease.as_mut() else { return "" };
        // Only an off that the other site has promised to honour counts: alone it would be split brain by command.
        let is_off = state.release.is_some_and(|release| release.is_in_force);
        let newest = state.evidence.newest(&state.quorum);
        let is_weak = newest.is_none_or(|sent| now.mono.since(sent) > state.timers.lease / 2);
        let is_again = state.standby_wanted.is_some_and(|before| now.mono.since(before) >= spacing);
        state.standby_wanted.get_or_insert(now.mono);
        self.follow_sight(Sight {
            is_standby_wanted: true,
            is_standby_wanted_again: is_again,
            is_lease_weak: is_weak,
            is_honoured_at_once: honour == Honour::AtOnce,
            is_off,
            ..Sight::default()
        })
    }

    /// Whether claims of this site are told to others; for the heartbeat.
    pub(super) fn claim(&self) -> Claim {
        self.lease().map_or(Claim::Closed, |state| state.claim)
    }
}
