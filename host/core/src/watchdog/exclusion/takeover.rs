//! The standby's side: the wish, the claim, and the promotion.

use super::super::Watchdog;
use super::Next;
use crate::durable::Purpose;
use crate::effect::{Effect, Trigger};
use crate::exclusion::agreed::Kind;
use crate::exclusion::claim::Claim;
use crate::exclusion::gates::{self, Facts, Way};
use crate::exclusion::message::Stance;
use crate::exclusion::request::Request;
use crate::exclusion::rules::Rule;
use crate::exclusion::state::{Joining, Peer, State, Wish};
use crate::settings::{Exclusion, ResumeAlone};
use crate::time::{Moment, Now};
use crate::transitions::{Cause, Phase};

impl Watchdog {
    /// Whether the site itself is ready: G0, without what only concerns claims.
    pub(super) fn is_ready(&self, state: &State) -> bool {
        self.phase == Phase::Standby && state.is_fenced && self.boot_until.is_none()
    }

    /// Whether the two sites' safety settings fit together.
    pub(super) const fn is_agreed(&self, state: &State, peer: Peer) -> bool {
        let (own, other) = (state.said, peer.say);
        own.current == other.current
            || matches!(other.next, Some(next) if next == own.current)
            || matches!(own.next, Some(next) if next == other.current)
    }

    /// One answer per gate.
    pub(super) fn gate_facts(&self, now: Moment, state: &State) -> Facts {
        let blocked = self.blocked_until.is_some_and(|until| until > now);
        let is_promised = state.promised_until.is_some_and(|until| until > now);
        let (young, way) = (state.timers.look_age_max() + state.timers.look, state.wish.map(|wish| wish.way));
        let is_young = state.wish.is_some_and(|wish| now.since(wish.evidence) <= young);
        Facts {
            is_site_ready: self.is_ready(state)
                && state.joining == Joining::Joined
                && !blocked
                && !is_promised,
            is_configuration_known: state.peer.is_none_or(|peer| self.is_agreed(state, peer)),
            is_automatic_on: self.automatic.is_on(),
            is_duty_owed: state.memory.promise.is_none() || !state.rules.has(Rule::AgreedOffGate),
            is_peer_silent: state.is_silent(now),
            is_peer_gone: state.is_gone(now),
            is_held: self.is_held(now, state),
            is_wanted: way == Some(Way::Automatic) && is_young,
            is_claim_passed: matches!(state.claim, Claim::Ripening { .. }),
            is_data_good: self.is_data_good(state),
        }
    }

    /// G6: own holds of the minimum age, open since before the claim's look, with a lease that they carry.
    fn is_held(&self, now: Moment, state: &State) -> bool {
        let since = state.claim.look_since();
        let is_old = |arbiter: usize| match (since, state.evidence.open_since(arbiter)) {
            (Some(since), Some(opened)) => opened <= since,
            _ => false,
        };
        state.quorum.is_held(|i| is_old(i) && state.evidence.is_ripe(now, i, &state.timers))
            && state.end.is_some_and(|end| end > now)
    }

    /// Whether this site may promote itself with the data it has.
    fn is_data_good(&self, state: &State) -> bool {
        let is_at_once = match &self.settings.exclusion {
            Exclusion::Lease(lease) => lease.resume_alone == ResumeAlone::AtOnce,
            Exclusion::Verdict { .. } => true,
        };
        let own = state.memory.served_epoch;
        let proves = |arbiter: usize| {
            state.contacts.get(arbiter).is_some_and(|contact| {
                contact.kind() == Kind::Mark
                    && contact.mark().is_some_and(|mark| mark.age.is_some() && mark.epoch < own)
            })
        };
        !state.memory.is_data_doubtful || is_at_once || state.quorum.is_free(proves)
    }

    /// A verdict beActive is a wish; every other answer ends it.
    pub(in super::super) fn wish(&mut self, now: Now, asked: Moment) -> String {
        let Some(state) = self.lease.as_mut() else { return String::new() };
        match &mut state.wish {
            Some(wish) => wish.evidence = asked,
            none => *none = Some(Wish { way: Way::Automatic, since: now.mono, evidence: asked }),
        }
        let Some(state) = self.lease() else { return String::new() };
        match gates::first_closed(&self.gate_facts(now.mono, state), Way::Automatic) {
            Some(gate) => format!("this site wants to become active and waits: {}", gate.sentence),
            None => "this site becomes active".to_owned(),
        }
    }

    /// Ends an automatic wish.
    pub(in super::super) fn unwish(&mut self) {
        if let Some(state) = self.lease.as_mut()
            && state.wish.is_some_and(|wish| wish.way == Way::Automatic)
        {
            state.wish = None;
        }
    }

    /// `manualFailover -a`.
    pub(super) fn become_active(&mut self, now: Now, is_forced: bool) {
        let way = if is_forced { Way::Forced } else { Way::Manual };
        let Some(state) = self.lease.as_mut().filter(|_| self.phase == Phase::Standby) else {
            self.notify(Trigger::GateClosed, "no role change: this site is no standby".to_owned());
            return;
        };
        state.wish = Some(Wish { way, since: now.mono, evidence: now.mono });
        if is_forced && self.is_ready_to_force() {
            if let Some(state) = self.lease.as_mut() {
                state.is_forced = true;
                state.evidence.grant(Moment::from_us(u64::MAX / 2));
                state.reckon();
                state.joining = Joining::Joined;
            }
            self.promote(Cause::Operator);
        }
    }

    fn is_ready_to_force(&self) -> bool {
        self.lease().is_some_and(|state| self.phase == Phase::Standby && state.is_fenced)
    }

    /// `manualFailover -s`.
    pub(super) fn hand_over(&mut self, now: Now) {
        let peer = self.talking(now.mono);
        let is_ready = peer.is_some_and(|peer| peer.stance == Stance::Standby && peer.is_joined);
        if !is_ready || self.phase != Phase::Active {
            let text = "no role change: the other site is not heard as a ready standby".to_owned();
            self.notify(Trigger::GateClosed, text);
            return;
        }
        let wait = self.lease().map_or_else(Default::default, |state| state.timers.wait);
        // The orderly stop may take longer than F; the other site is asked for from its end on.
        let until = now.mono.plus(wait).plus(wait);
        self.step_down(Cause::Operator);
        if let Some(state) = self.lease.as_mut() {
            state.hands_over_until = Some(until);
        }
    }

    fn promote(&mut self, cause: Cause) {
        if let Some(state) = self.lease.as_mut() {
            state.wish = None;
            state.asking = None;
            state.hands_over_until = None;
        }
        self.change(cause);
        self.begin_promotion(Purpose::Failover);
    }

    /// Everything that is due at a standby.
    pub(super) fn advance_standby(&mut self, now: Now) {
        self.end_stale_wish(now);
        self.ask_vote(now);
        let Some(state) = self.lease() else { return };
        let is_idle = state.wish.is_none() && !state.claim.has_holds() && !self.view.is_looking();
        if is_idle {
            return;
        }
        let facts = self.gate_facts(now.mono, state);
        let way = state.wish.map_or(Way::Automatic, |wish| wish.way);
        let is_open_now = facts.is_peer_silent && facts.is_peer_gone;
        let is_first_open = is_open_now && !state.were_open;
        let needs_answer = is_open_now && way == Way::Automatic && !facts.is_wanted && facts.is_automatic_on;
        if is_first_open || needs_answer {
            // The policy is asked at once, instead of at the next interval.
            self.asking.next = self.asking.next.min(now.mono);
        }
        if let Some(state) = self.lease.as_mut() {
            state.were_open = is_open_now;
        }
        self.advance_claim(now, &facts, way);
    }

    /// The wish of a verdict dies when its situation is over.
    fn end_stale_wish(&mut self, now: Now) {
        let hears_active = self.talking(now.mono).is_some_and(|peer| peer.stance == Stance::Active);
        if let Some(state) = self.lease.as_mut().filter(|_| hears_active) {
            state.wish = None;
        }
        let is_over = self.asking.situation.is_none() && self.situation_now(now).is_none();
        if is_over {
            self.unwish();
        }
    }

    /// How long before the gates open the holds are opened, so that they are old enough then. A site that has met
    /// the other one doing the same lets site 0 go first.
    fn lead(&self, state: &State) -> std::time::Duration {
        /// The hold opens, and its first keepalive that counts is answered.
        const MARGIN: std::time::Duration = std::time::Duration::from_secs(2);
        if state.has_met_other && self.settings.site_index == 1 {
            return std::time::Duration::ZERO;
        }
        state.timers.hold_age_min() + state.timers.keep_alive + MARGIN
    }

    fn advance_claim(&mut self, now: Now, facts: &Facts, way: Way) {
        let Some(state) = self.lease() else { return };
        // The wish may come later than the holds; it is demanded when the other gates are open.
        let before = Facts { is_peer_silent: true, is_peer_gone: true, is_wanted: true, ..*facts };
        let is_talking = self.talking(now.mono).is_some_and(|peer| peer.stance == Stance::Standby);
        let is_possible = gates::may_claim(&before, way);
        // Where a vote can be had it decides; a claim that is open is not closed for it (one-way links).
        let is_for_evidence = !is_talking || self.is_vote_in_vain(now.mono, state);
        let is_near = now.mono.plus(self.lead(state)) >= state.opens_at();
        let may_claim = gates::may_claim(&Facts { is_wanted: true, ..*facts }, way);
        let is_wished = state.wish.is_some();
        if !state.rules.has(Rule::ClaimBeforeLook) {
            self.promote_unclaimed(now, may_claim && is_wished && is_for_evidence);
            return;
        }
        match state.claim {
            Claim::Closed if is_possible && is_for_evidence && is_near && now.mono >= state.claim_after => {
                self.open_holds();
            }
            Claim::Opening if !is_possible || !self.is_still_near(now.mono, state) => self.fail_claim(now),
            Claim::Opening if may_claim && is_wished && self.are_enough_open(state) => {
                self.look_for_claim(now)
            }
            Claim::Looking { .. } | Claim::Ripening { .. } if !may_claim || !is_wished => {
                let is_put_off = is_possible && is_wished && self.is_still_near(now.mono, state);
                if is_put_off { self.put_off_claim() } else { self.fail_claim(now) }
            }
            Claim::Looking { since } if self.is_looked(state, since) => {
                let is_open = |i: usize| state.evidence.open_since(i).is_some_and(|open| open <= since);
                if state.quorum.is_held(is_open) { self.ripen(now, since, way) } else { self.fail_claim(now) }
            }
            Claim::Ripening { .. } => self.promote_if_open(now, way),
            Claim::Closed | Claim::Opening | Claim::Looking { .. } => {}
        }
    }

    /// Whether the gates are still about to open: the other site was not seen since the holds were opened.
    fn is_still_near(&self, now: Moment, state: &State) -> bool {
        now.plus(self.lead(state)).plus(2 * state.timers.look) >= state.opens_at()
    }

    fn are_enough_open(&self, state: &State) -> bool {
        state.quorum.is_held(|i| state.evidence.open_since(i).is_some())
    }

    /// Whether every arbiter has answered or failed a look that was sent since.
    fn is_looked(&self, state: &State, since: Moment) -> bool {
        state.looks.iter().all(|look| look.done.is_some_and(|sent| sent >= since))
    }

    /// Only where the claim is switched off: the gates alone decide.
    fn promote_unclaimed(&mut self, now: Now, is_open: bool) {
        if let Some(state) = self.lease.as_mut().filter(|_| is_open) {
            state.evidence.grant(now.mono.plus(state.timers.lease));
            state.reckon();
            self.promote(Cause::Verdict);
        }
    }

    fn open_holds(&mut self) {
        let epoch = self.durable.epoch;
        if let Some(state) = self.lease.as_mut() {
            state.claim = Claim::Opening;
            self.effects.push_back(Effect::Exclusion(Request::Mark { epoch, is_claim: false }));
            self.effects.push_back(Effect::HoldArbiters);
        }
    }

    /// A look moved the instant at which the gates open by a little, as the error of a clock does. The holds stay: grown
    /// anew they would cost their minimum age once more. The claim begins anew, with a look of its own.
    fn put_off_claim(&mut self) {
        let epoch = self.durable.epoch;
        if let Some(state) = self.lease.as_mut() {
            state.claim = Claim::Opening;
            self.effects.push_back(Effect::Exclusion(Request::Mark { epoch, is_claim: false }));
        }
        self.announce();
    }

    fn look_for_claim(&mut self, now: Now) {
        let epoch = self.durable.next_epoch(self.settings.site_index);
        if let Some(state) = self.lease.as_mut() {
            state.claim = Claim::Looking { since: now.mono };
            state.looks.iter_mut().for_each(|look| look.due = now.mono);
        }
        self.effects.push_back(Effect::Exclusion(Request::Mark { epoch, is_claim: true }));
        self.announce();
    }

    fn ripen(&mut self, now: Now, since: Moment, way: Way) {
        if let Some(state) = self.lease.as_mut() {
            state.claim = Claim::Ripening { since };
        }
        self.promote_if_open(now, way);
    }

    fn promote_if_open(&mut self, now: Now, way: Way) {
        let Some(state) = self.lease() else { return };
        let facts = self.gate_facts(now.mono, state);
        if gates::first_closed(&facts, way).is_none() {
            let cause = if way == Way::Automatic { Cause::Verdict } else { Cause::Operator };
            self.promote(cause);
        }
    }

    /// The claim found somebody, or a gate closed.
    fn fail_claim(&mut self, now: Now) {
        self.close_claim(now.mono);
        self.announce();
    }

    /// Closes the claim's holds; the next claim comes later, at site 1 later than at site 0.
    pub(super) fn close_claim(&mut self, now: Moment) {
        let index = u32::from(self.settings.site_index);
        let Some(state) = self.lease.as_mut() else { return };
        if std::mem::take(&mut state.claim).has_holds() {
            let look = state.timers.look;
            let random = state.random_span(look);
            state.claim_after = now.plus(look * (1 + index)).plus(random);
            self.effects.push_back(Effect::ReleaseArbiters);
        }
    }

    pub(super) fn standby_due(&self, state: &State, next: &mut Next) {
        self.vote_due(state, next);
        next.at(self.blocked_until);
        if state.wish.is_none() && !state.claim.has_holds() && !self.view.is_looking() {
            return;
        }
        let opens = state.opens_at();
        next.at(Some(opens));
        next.at(Some(opens.earlier(self.lead(state))));
        next.at(Some(state.silence.plus(state.wait())));
        next.at(Some(state.claim_after));
        if state.claim.has_holds() {
            let ripe =
                |i: usize| state.evidence.open_since(i).map(|open| open.plus(state.timers.hold_age_min()));
            (0..state.contacts.len()).for_each(|i| next.at(ripe(i)));
        }
    }
}
