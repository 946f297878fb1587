//! The standby's evidence: per arbiter the last instant at which the other site can have reached it.
//!
//! *Stale* means that this instant is at least F ago; managed, unknown, unreachable all follow from that one number.

use std::net::IpAddr;
use std::time::Duration;

use super::agreed::Kind;
use super::rules::{Rule, Rules};
use super::timers::Timers;
use crate::time::Moment;

/// A row of an arbiter's session table that belongs to the other site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Row {
    /// Its other end.
    pub from: (IpAddr, u16),
    /// Time since the arbiter last received something on it, where the device shows it.
    pub age: Option<Duration>,
    /// What it has received, where the device counts.
    pub counter: Option<u64>,
}

/// The mark that the other site's hold has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Mark {
    /// Its epoch.
    pub epoch: u64,
    /// Whether it was written by a claim.
    pub is_claim: bool,
    /// The arbiter's uptime now, less that written; `None` when the arbiter has restarted since.
    pub age: Option<Duration>,
}

/// What one look at an arbiter has shown.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Look {
    /// The connection over which it was made.
    pub connection: u64,
    /// The arbiter's boot id, where it shows one.
    pub boot: u64,
    /// Rows of the other site.
    pub rows: Vec<Row>,
    /// Its mark.
    pub mark: Option<Mark>,
    /// Whether this site's own test session appeared as a row of the other site (NAT).
    pub is_own_seen_as_peer: bool,
}

/// What the last good look of an unbroken series showed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Previous {
    sent: Moment,
    answered: Moment,
    connection: u64,
    boot: u64,
    rows: Vec<Row>,
    had_mark: bool,
}

/// The last possible contact of the other site with one arbiter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    kind: Kind,
    last_possible: Moment,
    previous: Option<Previous>,
    is_calibrated: bool,
    /// Good looks in a row in which the other site said it holds a session that was not seen.
    unseen: u32,
    /// When something of the other site last moved here, for policies.
    last_trace: Option<Moment>,
    mark: Option<Mark>,
    /// Why this arbiter is unusable, if it is.
    is_same_from_both: bool,
}

/// What a look changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    /// A live trace of the other site was seen.
    pub is_peer_seen: bool,
    /// Calibration was won or lost.
    pub is_calibration_changed: bool,
}

/// Looks in a row that must contradict the other site before calibration is lost.
const UNSEEN_MAX: u32 = 2;

impl Contact {
    /// Nothing is known before `now`.
    pub const fn new(now: Moment, kind: Kind, is_calibrated: bool) -> Self {
        Self {
            kind,
            last_possible: now,
            previous: None,
            is_calibrated,
            unseen: 0,
            last_trace: None,
            mark: None,
            is_same_from_both: false,
        }
    }

    /// The last possible contact.
    pub const fn last_possible(&self) -> Moment {
        self.last_possible
    }

    /// Whether looks mean anything here.
    pub const fn is_calibrated(&self) -> bool {
        self.is_calibrated && !self.is_same_from_both
    }

    /// What this arbiter shows.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Takes another kind; absence begins anew.
    pub fn set_kind(&mut self, now: Moment, kind: Kind) {
        if kind != self.kind {
            self.kind = kind;
            self.broken(now);
        }
    }

    /// The mark of the last good look.
    pub const fn mark(&self) -> Option<Mark> {
        self.mark
    }

    /// When something of the other site last moved here.
    pub const fn last_trace(&self) -> Option<Moment> {
        self.last_trace
    }

    /// The series of looks is broken: absence begins anew.
    pub fn broken(&mut self, now: Moment) {
        self.last_possible = self.last_possible.max(now);
        self.previous = None;
        self.mark = None;
    }

    /// Takes a look that failed.
    pub fn failed(&mut self, now: Moment, rules: Rules) {
        if rules.has(Rule::UnbrokenLooks) {
            self.broken(now);
        }
    }

    /// Takes a look that was sent then and was answered now.
    pub fn looked(
        &mut self,
        now: Moment,
        sent: Moment,
        look: &Look,
        timers: &Timers,
        rules: Rules,
    ) -> Change {
        self.is_same_from_both = look.is_own_seen_as_peer;
        let is_unbroken = self.previous.as_ref().is_some_and(|previous| {
            now.since(previous.sent) <= timers.gap_max()
                && previous.connection == look.connection
                && previous.boot == look.boot
        });
        let is_unbroken = is_unbroken || (!rules.has(Rule::UnbrokenLooks) && self.previous.is_some());
        let trace_age = self.trace_age(look);
        // A dead trace's age drifts with the arbiter's clock, so only one younger than a gap is alive.
        let is_alive = |age| age <= timers.gap_max() && now.since(self.last_possible) > age;
        let is_peer_seen = trace_age.is_some_and(is_alive)
            || (self.kind == Kind::Presence && !look.rows.is_empty())
            || (self.kind == Kind::Counter && self.has_moved(look, is_unbroken));
        let has_vanished = self.has_vanished(look);
        if !self.is_calibrated() || !is_unbroken {
            // A mark alone may look back: it outlives the session that wrote it.
            let back = if self.kind == Kind::Mark && self.is_calibrated() { trace_age } else { None };
            self.last_possible = back.map_or(now, |age| now.earlier(age));
        } else if has_vanished || (is_peer_seen && !matches!(self.kind, Kind::Mark | Kind::Age)) {
            self.last_possible = now;
        } else if let Some(age) = trace_age {
            self.last_possible = self.last_possible.max(now.earlier(age));
        }
        self.note_trace(now, trace_age, is_peer_seen, look);
        self.mark = look.mark;
        self.previous = Some(Previous {
            sent,
            answered: now,
            connection: look.connection,
            boot: look.boot,
            rows: look.rows.clone(),
            had_mark: look.mark.is_some(),
        });
        Change { is_peer_seen, is_calibration_changed: false }
    }

    fn trace_age(&self, look: &Look) -> Option<Duration> {
        match self.kind {
            Kind::Mark => look.mark.and_then(|mark| mark.age),
            Kind::Age => look.rows.iter().filter_map(|row| row.age).min(),
            Kind::Counter | Kind::Presence => None,
        }
    }

    fn has_vanished(&self, look: &Look) -> bool {
        let Some(previous) = &self.previous else { return false };
        let is_there = |row: &Row| look.rows.iter().any(|now| now.from == row.from);
        match self.kind {
            Kind::Mark => previous.had_mark && look.mark.is_none(),
            Kind::Age | Kind::Counter | Kind::Presence => !previous.rows.iter().all(is_there),
        }
    }

    fn has_moved(&self, look: &Look, is_unbroken: bool) -> bool {
        let Some(previous) = self.previous.as_ref().filter(|_| is_unbroken) else {
            return !look.rows.is_empty();
        };
        look.rows.iter().any(|row| {
            let before = previous.rows.iter().find(|before| before.from == row.from);
            before.is_none_or(|before| before.counter != row.counter)
        })
    }

    fn note_trace(&mut self, now: Moment, age: Option<Duration>, is_peer_seen: bool, look: &Look) {
        match age {
            Some(age) => self.last_trace = Some(now.earlier(age)),
            None if is_peer_seen => self.last_trace = Some(now),
            None if look.rows.is_empty() => self.last_trace = None,
            None => {}
        }
    }

    /// Whether a live trace of the other site is in the last good look: that is what the other site's own word
    /// is compared with.
    fn sees_peer(&self, timers: &Timers) -> bool {
        let Some(previous) = &self.previous else { return false };
        match self.kind {
            Kind::Mark => self.mark.and_then(|mark| mark.age).is_some_and(|age| age < timers.wait),
            Kind::Age => previous.rows.iter().any(|row| row.age.is_some_and(|age| age < timers.wait)),
            Kind::Counter | Kind::Presence => !previous.rows.is_empty(),
        }
    }

    /// The other site is looked for under other addresses: absence proves nothing until it was seen under them.
    pub fn lose_calibration(&mut self, now: Moment) {
        self.is_calibrated = false;
        self.broken(now);
    }

    /// Compares the last good look with what the other site says of its hold here.
    pub fn calibrate(&mut self, now: Moment, is_held_by_peer: bool, timers: &Timers) -> Change {
        let before = self.is_calibrated;
        if is_held_by_peer && self.sees_peer(timers) {
            self.is_calibrated = true;
            self.unseen = 0;
        } else if is_held_by_peer && self.previous.is_some() {
            self.unseen += 1;
            if self.unseen >= UNSEEN_MAX {
                self.is_calibrated = false;
                self.broken(now);
            }
        }
        Change { is_peer_seen: false, is_calibration_changed: before != self.is_calibrated }
    }

    /// Whether the other site cannot have reached this arbiter for F.
    pub fn is_stale(&self, now: Moment, wait: Duration) -> bool {
        self.is_calibrated() && now.since(self.last_possible) >= wait
    }

    /// Whether the last good look is young enough for a decision.
    pub fn is_look_young(&self, now: Moment, timers: &Timers) -> bool {
        self.previous.as_ref().is_some_and(|previous| now.since(previous.sent) <= timers.look_age_max())
    }

    /// When the last good look was sent, with when it was answered.
    pub fn last_look(&self) -> Option<(Moment, Moment)> {
        self.previous.as_ref().map(|previous| (previous.sent, previous.answered))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const F: Duration = Duration::from_secs(80);

    fn at(seconds: u64) -> Moment {
        Moment::from_us(seconds * 1_000_000)
    }

    fn row(port: u16, age_s: Option<u64>, counter: Option<u64>) -> Row {
        Row { from: (IpAddr::from([192, 0, 2, 10]), port), age: age_s.map(Duration::from_secs), counter }
    }

    fn look(rows: &[Row]) -> Look {
        Look { connection: 1, boot: 1, rows: rows.to_vec(), ..Look::default() }
    }

    fn give(contact: &mut Contact, seconds: u64, look: &Look) -> Change {
        contact.looked(at(seconds), at(seconds), look, &Timers::reference(), Rules::default())
    }

    #[test]
    fn absence_counts_from_the_first_look_of_an_unbroken_series() {
        let mut contact = Contact::new(at(0), Kind::Age, true);
        for seconds in (100..=180).step_by(5) {
            give(&mut contact, seconds, &look(&[]));
            assert_eq!(contact.last_possible(), at(100));
        }
        assert!(!contact.is_stale(at(179), F) && contact.is_stale(at(180), F));
        give(&mut contact, 196, &look(&[]));
        assert_eq!(contact.last_possible(), at(196), "16 s are more than G");
        contact.failed(at(200), Rules::default());
        assert_eq!(contact.last_possible(), at(200));
        give(&mut contact, 205, &look(&[]));
        give(&mut contact, 210, &Look { boot: 2, ..look(&[]) });
        assert_eq!(contact.last_possible(), at(210), "the arbiter restarted");
    }

    #[test]
    fn an_old_dead_row_beside_a_young_one_does_not_hide_it() {
        let mut contact = Contact::new(at(0), Kind::Age, true);
        give(&mut contact, 100, &look(&[row(1, Some(500), None)]));
        assert_eq!(contact.last_possible(), at(100), "nothing is stale before F of looks");
        give(&mut contact, 105, &look(&[row(1, Some(505), None), row(2, Some(1), None)]));
        assert_eq!(contact.last_possible(), at(104));
        give(&mut contact, 110, &look(&[row(1, Some(510), None)]));
        assert_eq!(contact.last_possible(), at(110), "a row is gone");
    }

    #[test]
    fn a_counter_moves_the_contact_only_when_it_moves() {
        let mut contact = Contact::new(at(0), Kind::Counter, true);
        give(&mut contact, 100, &look(&[row(1, None, Some(7))]));
        give(&mut contact, 105, &look(&[row(1, None, Some(7))]));
        assert_eq!(contact.last_possible(), at(100));
        give(&mut contact, 110, &look(&[row(1, None, Some(8))]));
        assert_eq!(contact.last_possible(), at(110));
        give(&mut contact, 115, &look(&[row(1, None, Some(8)), row(2, None, Some(1))]));
        assert_eq!(contact.last_possible(), at(115));
    }

    #[test]
    fn a_present_row_without_age_is_a_contact_at_every_look() {
        let mut contact = Contact::new(at(0), Kind::Presence, true);
        give(&mut contact, 100, &look(&[row(1, None, None)]));
        give(&mut contact, 105, &look(&[row(1, None, None)]));
        assert_eq!(contact.last_possible(), at(105));
    }

    #[test]
    fn a_mark_looks_back_unless_the_arbiter_has_restarted() {
        let mark = |age_s: Option<u64>| Look {
            mark: Some(Mark { epoch: 2, is_claim: false, age: age_s.map(Duration::from_secs) }),
            ..look(&[])
        };
        let mut contact = Contact::new(at(0), Kind::Mark, true);
        give(&mut contact, 100, &mark(Some(40)));
        assert_eq!(contact.last_possible(), at(60));
        contact.failed(at(103), Rules::default());
        assert_eq!(contact.last_possible(), at(103));
        give(&mut contact, 105, &mark(Some(45)));
        assert_eq!(contact.last_possible(), at(60), "a new series may look back again");
        let mut restarted = Contact::new(at(0), Kind::Mark, true);
        give(&mut restarted, 100, &mark(None));
        assert_eq!(restarted.last_possible(), at(100));
    }

    #[test]
    fn an_arbiter_that_was_never_calibrated_is_never_stale() {
        let timers = Timers::reference();
        let mut contact = Contact::new(at(0), Kind::Age, false);
        for seconds in (100..=300).step_by(5) {
            give(&mut contact, seconds, &look(&[]));
        }
        assert!(!contact.is_stale(at(300), F));
        give(&mut contact, 305, &look(&[row(1, Some(2), None)]));
        assert!(contact.calibrate(at(305), true, &timers).is_calibration_changed);
        give(&mut contact, 310, &look(&[]));
        assert!(!contact.calibrate(at(310), true, &timers).is_calibration_changed, "once may be chance");
        give(&mut contact, 315, &look(&[]));
        assert!(contact.calibrate(at(315), true, &timers).is_calibration_changed);
        assert!(!contact.is_calibrated());
    }
}
