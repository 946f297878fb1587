//! The exclusion by lease, as the watchdog lives it: facts in, and what is due.

mod agreeing;
mod asking;
mod boot;
mod looking;
mod serving;
mod speaking;
mod takeover;
mod voting;

use std::time::Duration;

use super::Watchdog;
use crate::exclusion::fact::{Command, Fact};
use crate::exclusion::state::{Joining, State};
use crate::time::{Moment, Now};
use crate::transitions::Phase;

pub use boot::Boot;

impl Watchdog {
    /// What only `lease` knows; `None` in every other mode.
    pub fn lease(&self) -> Option<&State> {
        self.lease.as_deref()
    }

    /// Takes what only happens under `lease`.
    pub(super) fn exclusion_fact(&mut self, now: Now, fact: Fact) {
        if self.lease.is_none() {
            if let Fact::Operator(command) = fact {
                self.command(now, command);
            }
            return;
        }
        match fact {
            Fact::Heard(signed) => self.signed_heard(now, *signed),
            Fact::HoldOpened { arbiter, session } => {
                self.view.hold_changed(arbiter, true);
                if let Some(state) = self.lease.as_mut() {
                    state.evidence.opened(now.mono, arbiter, session);
                }
            }
            Fact::HoldClosed { arbiter, session } => {
                self.view.hold_changed(arbiter, false);
                if let Some(state) = self.lease.as_mut() {
                    state.evidence.closed(arbiter, session);
                }
            }
            Fact::HoldAnswered { arbiter, session, sent, mark } => {
                self.hold_answered(now, (arbiter, session), sent, mark);
            }
            Fact::Looked { look, arbiter, ping, result } => {
                self.arbiter_looked(now, look, arbiter, ping, result)
            }
            Fact::GuardArmed { epoch, until } => self.guard_armed(now, epoch, until),
            Fact::GuardFailed => self.guard_failed(),
            Fact::Fenced => self.fenced(),
            Fact::TimeSlipped => self.time_slipped(now),
            Fact::Proposed(agreed) => self.proposed(now, *agreed),
            Fact::Operator(command) => self.operator(now, command),
        }
    }

    fn operator(&mut self, now: Now, command: Command) {
        match command {
            Command::BecomeActive { is_forced } => self.become_active(now, is_forced),
            Command::HandOver => self.hand_over(now),
            Command::Release { span } => self.ask_release(now, span),
            Command::Resume => self.resume_duty(now),
            Command::PeerIsOff => self.peer_is_off(now),
            Command::Reset => self.reset(),
            Command::Promise => self.promise_to_stay(now),
            Command::Stop => self.stop_serving_watch(now),
            Command::Look => self.command(now, command),
        }
    }

    /// Does what is due under `lease`.
    pub(super) fn advance_exclusion(&mut self, now: Now) {
        if self.lease.is_none() {
            return;
        }
        self.end_waits(now.mono);
        match self.phase {
            Phase::Active | Phase::Promoting => self.advance_serving(now),
            Phase::Standby => self.advance_standby(now),
            Phase::Standalone | Phase::Demoting | Phase::DemotionFailed => {}
        }
        self.look_if_due(now);
    }

    /// Ends what ends by itself.
    fn end_waits(&mut self, now: Moment) {
        let Some(state) = self.lease.as_mut() else { return };
        let is_over = |end: Option<Moment>| end.is_some_and(|end| end <= now);
        if is_over(state.promised_until) {
            state.promised_until = None;
        }
        if is_over(state.hands_over_until) {
            state.hands_over_until = None;
        }
        let is_doubt_over = is_over(state.doubt_until);
        if is_doubt_over {
            state.doubt_until = None;
            state.memory.is_data_doubtful = false;
        }
        let is_promise_over = is_over(state.promise_ends);
        if is_promise_over {
            state.end_promise();
        }
        let wait = state.timers.wait;
        let is_joined_now =
            matches!(state.joining, Joining::Lost { told: Some(told) } if now.since(told) >= wait);
        if is_joined_now {
            state.joining = Joining::Joined;
        }
        if is_doubt_over || is_promise_over || is_joined_now {
            self.persist(super::change::AfterWrite::Nothing);
        }
    }

    /// When something is due under `lease`.
    pub(super) fn exclusion_timeout(&self) -> Option<Moment> {
        let state = self.lease.as_deref()?;
        let now = self.last_now.mono;
        let mut next = Next { now, at: None };
        next.at(state.promised_until);
        next.at(state.hands_over_until);
        next.at(state.doubt_until);
        next.at(state.promise_ends);
        if let Joining::Lost { told: Some(told) } = state.joining {
            next.at(Some(told.plus(state.timers.wait)));
        }
        self.looks_due(state, &mut next);
        match self.phase {
            Phase::Active | Phase::Promoting => {
                next.at(state.end);
            }
            Phase::Standby => self.standby_due(state, &mut next),
            Phase::Standalone | Phase::Demoting | Phase::DemotionFailed => {}
        }
        next.at
    }

    /// How long an answer to a heartbeat is awaited before the arbiters are looked at.
    fn answer_grace(&self) -> Duration {
        /// An answer takes a round trip; longer than this it is missing, whatever the timeout of a ping is.
        const GRACE_MAX: Duration = Duration::from_secs(2);
        self.settings.heartbeat.timeout.min(GRACE_MAX)
    }
}

/// The earliest of the moments that are still to come.
struct Next {
    now: Moment,
    at: Option<Moment>,
}

impl Next {
    fn at(&mut self, moment: Option<Moment>) {
        if let Some(moment) = moment.filter(|moment| *moment > self.now) {
            self.at = Some(self.at.map_or(moment, |at| at.min(moment)));
        }
    }
}
