//! Votes: how one of two standbys that talk becomes active without waiting for F.

use super::super::Watchdog;
use super::Next;
use crate::durable::Purpose;
use crate::effect::Trigger;
use crate::exclusion::gates::Way;
use crate::exclusion::message::{Ballot, Signed, Stance};
use crate::exclusion::state::{Joining, Peer, State};
use crate::time::{Moment, Now};
use crate::transitions::{Cause, Phase};

impl Watchdog {
    /// The other site, if it was heard within a boot time.
    pub(super) fn talking(&self, now: Moment) -> Option<Peer> {
        self.lease()?.heard_within(now, self.settings.heartbeat.boot_time())
    }

    /// Whether this site may ask for the other one's vote now, and whether an operator wants it.
    fn wants_vote(&self, now: Moment) -> Option<bool> {
        let peer = self.talking(now)?;
        let state = self.lease()?;
        let is_possible = self.is_ready(state)
            && state.joining == Joining::Joined
            && state.promised_until.is_none()
            && peer.stance == Stance::Standby
            && peer.is_joined
            && state.hands_over_until.is_none()
            && self.is_agreed(state, peer);
        if !is_possible {
            return None;
        }
        let is_manual = peer.hands_over || state.wish.is_some_and(|wish| wish.way == Way::Manual);
        if is_manual {
            return Some(true);
        }
        // Both are promotions like any other, so the switch of automatic failover stops them.
        let is_wanted = state.wish.is_some() || self.is_first_vote(peer);
        (is_wanted && self.automatic.is_on()).then_some(false)
    }

    /// Whether this site is to serve for the first time, and nobody ever has.
    fn is_first_vote(&self, peer: Peer) -> bool {
        self.is_first_start && self.durable.epoch == 0 && peer.served_epoch == 0
    }

    /// Says once that the first start waits for the switch of automatic failover.
    fn tell_first_start_stopped(&mut self, now: Moment) {
        let is_due = !self.is_first_start_stopped
            && self.talking(now).is_some_and(|peer| self.is_first_vote(peer))
            && self.lease().is_some_and(|state| self.is_ready(state));
        if let Some(why) = self.automatic.why_off().filter(|_| is_due) {
            self.is_first_start_stopped = true;
            self.notify(
                Trigger::GateClosed,
                format!("the first start of this site waits, so it is standby: {why}; it becomes active when automatic failover is enabled again, or by manualFailover -a"),
            );
        }
    }

    /// Asks for the vote while it is wanted.
    pub(super) fn ask_vote(&mut self, now: Now) {
        let wanted = self.wants_vote(now.mono);
        if wanted.is_none() && self.is_first_start {
            self.tell_first_start_stopped(now.mono);
        }
        let spacing = self.settings.heartbeat.timeout;
        let Some(state) = self.lease.as_mut() else { return };
        let Some(is_manual) = wanted else {
            state.asking = None;
            return;
        };
        match &mut state.asking {
            Some((_, next)) if *next > now.mono => return,
            Some((_, next)) => *next = now.mono.plus(spacing),
            None => state.asking = Some((now.mono, now.mono.plus(spacing))),
        }
        self.say(None, Some(Ballot::Ask { is_manual }));
    }

    /// Answers the other site's question. A vote is a promise not to take over for F; a claim is closed first.
    pub(super) fn vote(&mut self, now: Now, signed: &Signed, is_manual: bool) -> Option<Ballot> {
        let index = self.settings.site_index;
        let is_grace_over = self.durable.both_standby_until.is_some_and(|until| until <= now.wall);
        let state = self.lease()?;
        if !self.is_ready(state) || state.joining != Joining::Joined || !signed.is_joined {
            return None;
        }
        let (own, other) = (state.memory.served_epoch, signed.served_epoch);
        let is_first_right = other > own || (other == own && (state.asking.is_none() || index == 1));
        if !(is_manual || is_first_right || is_grace_over) {
            return None;
        }
        self.close_claim(now.mono);
        let wait = self.lease()?.timers.wait;
        let state = self.lease.as_mut()?;
        state.asking = None;
        state.promised_until = Some(now.mono.plus(wait));
        Some(Ballot::Grant)
    }

    /// The other site voted for this one.
    pub(super) fn promote_by_vote(&mut self) {
        let Some(state) = self.lease.as_mut() else { return };
        if self.phase != Phase::Standby || !state.is_fenced {
            return;
        }
        state.asking = None;
        state.memory.is_data_doubtful = false;
        state.doubt_until = None;
        let is_first = std::mem::take(&mut self.is_first_start) && self.durable.epoch == 0;
        let purpose = if is_first { Purpose::FirstStart } else { Purpose::Failover };
        self.change(Cause::Vote);
        self.begin_promotion(purpose);
    }

    /// Whether the vote was asked for in vain for F, so that evidence must decide.
    pub(super) fn is_vote_in_vain(&self, now: Moment, state: &State) -> bool {
        state.asking.is_some_and(|(since, _)| now.since(since) >= state.timers.wait)
    }

    pub(super) fn vote_due(&self, state: &State, next: &mut Next) {
        if let Some((since, again)) = state.asking {
            next.at(Some(again));
            next.at(Some(since.plus(state.timers.wait)));
        }
    }
}
