//! The active's evidence: until when it may serve.

use super::quorum::Quorum;
use super::rules::{Rule, Rules};
use super::timers::Timers;
use crate::time::Moment;

/// A session that this site holds at an arbiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hold {
    /// Session that is open, and since when.
    open: Option<(u64, Moment)>,
    /// When the newest keepalive that counts was sent.
    good: Option<Moment>,
}

/// What this site's right to serve rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// When the newest heartbeat that a standby has acknowledged was sent.
    peer: Option<Moment>,
    holds: Vec<Hold>,
    /// An end that rests on something else: the guard's, after a restart, or an agreed release of the duty.
    granted: Option<Moment>,
}

impl Evidence {
    /// Nothing is known.
    pub fn new(arbiters: usize) -> Self {
        Self { peer: None, holds: vec![Hold::default(); arbiters], granted: None }
    }

    /// Makes room for arbiters that were added.
    pub fn resize(&mut self, arbiters: usize) {
        self.holds.resize(arbiters, Hold::default());
    }

    /// A heartbeat sent then was acknowledged by a standby.
    pub fn peer_acknowledged(&mut self, sent: Moment) {
        self.peer = self.peer.max(Some(sent));
    }

    /// A hold was opened.
    pub fn opened(&mut self, now: Moment, arbiter: usize, session: u64) {
        if let Some(hold) = self.holds.get_mut(arbiter) {
            hold.open = Some((session, now));
        }
    }

    /// A hold ended. What it proved stays proven: the standby's window begins after the close.
    pub fn closed(&mut self, arbiter: usize, session: u64) {
        if let Some(hold) = self.holds.get_mut(arbiter)
            && hold.open.is_some_and(|(open, _)| open == session)
        {
            hold.open = None;
        }
    }

    /// Every hold ended: this site closed them, or its machine lost them.
    pub fn all_closed(&mut self) {
        self.holds.iter_mut().for_each(|hold| hold.open = None);
    }

    /// A keepalive sent then was answered. It counts only if its session has been open for the minimum age: a
    /// shorter one may have opened between two looks of the standby, which would never see it.
    pub fn answered(
        &mut self,
        now: Moment,
        (arbiter, session): (usize, u64),
        sent: Moment,
        timers: &Timers,
        rules: Rules,
    ) {
        let Some(hold) = self.holds.get_mut(arbiter) else { return };
        let is_ripe = |since: Moment| now.since(since) >= timers.hold_age_min() || !rules.has(Rule::HoldAge);
        if hold.open.is_some_and(|(open, since)| open == session && is_ripe(since)) {
            hold.good = hold.good.max(Some(sent));
        }
    }

    /// Grants an end that rests on nothing heard.
    pub fn grant(&mut self, until: Moment) {
        self.granted = self.granted.max(Some(until));
    }

    /// How much of such a grant is left.
    pub fn grant_left(&self, now: Moment) -> std::time::Duration {
        self.granted.map_or_else(Default::default, |until| until.since(now))
    }

    /// Takes such a grant back.
    pub const fn revoke_grant(&mut self) {
        self.granted = None;
    }

    /// Forgets all that proved a right to serve; open sessions stay known.
    pub fn forget(&mut self) {
        self.peer = None;
        self.granted = None;
        self.holds.iter_mut().for_each(|hold| hold.good = None);
    }

    /// When the newest thing that the lease rests on was sent.
    pub fn newest(&self, quorum: &Quorum) -> Option<Moment> {
        self.peer.max(quorum.need_th_newest(|i| self.holds.get(i).and_then(|hold| hold.good)))
    }

    /// The lease's end; `None` = nothing was ever proven.
    pub fn end(&self, quorum: &Quorum, timers: &Timers) -> Option<Moment> {
        self.newest(quorum).map(|sent| sent.plus(timers.lease)).max(self.granted)
    }

    /// Since when the hold at this arbiter is open.
    pub fn open_since(&self, arbiter: usize) -> Option<Moment> {
        self.holds.get(arbiter).and_then(|hold| hold.open).map(|(_, since)| since)
    }

    /// The session held at this arbiter, with the moment it opened.
    pub fn session(&self, arbiter: usize) -> Option<(u64, Moment)> {
        self.holds.get(arbiter).and_then(|hold| hold.open)
    }

    /// Whether the hold at this arbiter has its minimum age.
    pub fn is_ripe(&self, now: Moment, arbiter: usize, timers: &Timers) -> bool {
        self.open_since(arbiter).is_some_and(|since| now.since(since) >= timers.hold_age_min())
    }

    /// Arbiters whose newest keepalive that counts is younger than the lease.
    pub fn fresh_holds(&self, now: Moment, timers: &Timers) -> usize {
        let is_fresh = |hold: &&Hold| hold.good.is_some_and(|sent| now.since(sent) < timers.lease);
        self.holds.iter().filter(is_fresh).count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::quorum::Set;
    use super::*;
    use dr_watchdog_sdk::threshold::Threshold;

    fn at(seconds: u64) -> Moment {
        Moment::from_us(seconds * 1_000_000)
    }

    fn answered(evidence: &mut Evidence, seconds: u64, arbiter: usize) {
        let (timers, rules) = (Timers::reference(), Rules::default());
        evidence.answered(at(seconds), (arbiter, 1), at(seconds), &timers, rules);
    }

    #[test]
    fn a_hold_counts_from_its_minimum_age_and_a_closed_one_keeps_what_it_proved() {
        let timers = Timers::reference();
        let quorum = Quorum::new(vec![Set::new(vec![0, 1, 2], Threshold::HALF)]);
        let mut evidence = Evidence::new(3);
        for arbiter in 0..3 {
            evidence.opened(at(100), arbiter, 1);
            answered(&mut evidence, 115, arbiter);
        }
        assert_eq!(evidence.end(&quorum, &timers), None, "15 s are less than P");
        answered(&mut evidence, 116, 0);
        assert_eq!(evidence.end(&quorum, &timers), None, "one of three is less than need");
        answered(&mut evidence, 120, 1);
        assert_eq!(evidence.end(&quorum, &timers), Some(at(176)));
        evidence.closed(0, 1);
        assert_eq!(evidence.end(&quorum, &timers), Some(at(176)));
        answered(&mut evidence, 130, 0);
        assert_eq!(evidence.end(&quorum, &timers), Some(at(176)), "an answer of a closed session is late");
        evidence.peer_acknowledged(at(150));
        assert_eq!(evidence.end(&quorum, &timers), Some(at(210)));
    }
}
