//! What a site under `lease` knows, between one event and the next.

use std::collections::VecDeque;
use std::time::Duration;

use super::agreed::Say;
use super::claim::Claim;
use super::gates::Way;
use super::lease::Evidence;
use super::lpc::Contact;
use super::memory::Memory;
use super::message::{Duty, Echo, Stance};
use super::quorum::Quorum;
use super::rules::Rules;
use super::timers::Timers;
use crate::time::Moment;

/// Heartbeats whose answers are awaited; older ones are given up.
const SENT_MAX: usize = 64;

/// What the answer to a heartbeat is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// The other site's silence began anew when it heard it, so any standby's answer proves a right to serve.
    Lease,
    /// It asked for a vote: only that vote proves one.
    Vote,
    /// Nothing: the other site may take over although it heard it.
    Nothing,
}

/// A heartbeat that was sent.
#[derive(Debug, Clone, Copy)]
struct Sent {
    sequence: u64,
    at: Moment,
    worth: Worth,
}

/// Looks at one arbiter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Looking {
    /// The look that is under way, with when it was sent.
    pub running: Option<(u64, Moment)>,
    /// When the next one is due.
    pub due: Moment,
    /// When the last one that ended was sent.
    pub done: Option<Moment>,
}

/// What the other site last said of itself.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// When it was heard.
    pub at: Moment,
    /// Its heartbeat.
    pub me: Echo,
    /// What it is.
    pub stance: Stance,
    /// Whether its state is whole.
    pub is_joined: bool,
    /// The epoch in which it last served.
    pub served_epoch: u64,
    /// The highest epoch in which it has heard this site serve.
    pub seen_of_us: u64,
    /// Its safety settings.
    pub say: Say,
    /// Whether it steps down for this site.
    pub hands_over: bool,
}

/// What somebody wants.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// Who.
    pub way: Way,
    /// Since when.
    pub since: Moment,
    /// When the evidence of the last verdict was complete.
    pub evidence: Moment,
}

/// A site without its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joining {
    /// It has its state.
    Joined,
    /// It has none, or an old one.
    Lost {
        /// Since when it knows what the other site knows.
        told: Option<Moment>,
    },
}

/// The request to be released from the duty to stop.
#[derive(Debug, Clone, Copy)]
pub struct Release {
    /// Which.
    pub id: u64,
    /// For how long.
    pub span: Option<Duration>,
    /// Whether the other site has promised.
    pub is_in_force: bool,
}

/// What a site under `lease` knows.
#[derive(Debug)]
pub struct State {
    /// This run of the program.
    pub run: u64,
    random: u64,
    /// The rules in force.
    pub rules: Rules,
    /// Stored.
    pub memory: Memory,
    /// Versions that are on disk, as they are said to the other site.
    pub said: Say,
    /// The sets that count.
    pub quorum: Quorum,
    /// The timers that count.
    pub timers: Timers,
    /// The active's evidence.
    pub evidence: Evidence,
    /// The lease's end, as the evidence has it.
    pub end: Option<Moment>,
    /// The standby's evidence.
    pub contacts: Vec<Contact>,
    /// Looks at the arbiters.
    pub looks: Vec<Looking>,
    /// Next look of the monitor, while nobody is lost.
    pub monitor_due: Moment,
    sequence: u64,
    sent: VecDeque<Sent>,
    /// The first heartbeat since the last answer.
    pub unanswered: Option<Moment>,
    /// What the other site last said.
    pub peer: Option<Peer>,
    /// Arbiters at which it says that it holds sessions, by position in the agreed version.
    pub peer_holds: Vec<bool>,
    /// When it last sent a heartbeat that was no answer.
    pub regular_heard: Option<Moment>,
    /// Since when it has not been heard serving, stopping or claiming.
    pub silence: Moment,
    /// The claim.
    pub claim: Claim,
    /// No claim before that.
    pub claim_after: Moment,
    /// Whether this site met the other one while both were opening holds.
    pub has_met_other: bool,
    /// What is wanted.
    pub wish: Option<Wish>,
    /// Guards: what was last asked of them.
    pub guard_wanted: Option<(u64, Moment)>,
    /// Guards: what they have acknowledged.
    pub guard_armed: Option<(u64, Moment)>,
    /// Whether serving has ended here, and nothing has begun since.
    pub is_fenced: bool,
    /// Since when the other site's vote is asked for, and when next.
    pub asking: Option<(Moment, Moment)>,
    /// A vote was given; until then this site does not take over.
    pub promised_until: Option<Moment>,
    /// Release from the duty, at an active.
    pub release: Option<Release>,
    /// The promise that is on disk, as it is said to the other site.
    pub said_promise: Option<u64>,
    /// When the promise to the other site's release was written, at a standby; and when it ends by itself.
    pub promise_ends: Option<Moment>,
    /// The last verdict beStandby.
    pub standby_wanted: Option<Moment>,
    /// Whether the state is whole.
    pub joining: Joining,
    /// This site stepped down for the other one, until then.
    pub hands_over_until: Option<Moment>,
    /// When the doubt in this site's data ends by itself.
    pub doubt_until: Option<Moment>,
    /// Whether G4 and G5 have been open in this silence.
    pub were_open: bool,
    /// An operator forced this site to serve; it does until the other site is heard.
    pub is_forced: bool,
    /// An operator is stopping this standby's watchdog: what it promised then outlives this run.
    pub is_stopping: bool,
}

impl State {
    /// A site that starts.
    pub fn new(
        now: Moment,
        run: u64,
        names: &[String],
        memory: Memory,
        joining: Joining,
        rules: Rules,
    ) -> Self {
        let contacts = names
            .iter()
            .map(|name| Contact::new(now, memory.versions.kind(name), memory.calibrated.contains(name)));
        Self {
            run,
            random: run | 1,
            rules,
            said: memory.versions.say(),
            quorum: memory.versions.quorum(names),
            timers: memory.versions.timers(),
            evidence: Evidence::new(names.len()),
            end: None,
            contacts: contacts.collect(),
            looks: vec![Looking { due: now, ..Looking::default() }; names.len()],
            monitor_due: now,
            sequence: 0,
            sent: VecDeque::new(),
            unanswered: None,
            peer: None,
            peer_holds: Vec::new(),
            regular_heard: None,
            silence: now,
            claim: Claim::Closed,
            claim_after: now,
            has_met_other: false,
            wish: None,
            guard_wanted: None,
            guard_armed: None,
            is_fenced: true,
            asking: None,
            promised_until: None,
            release: None,
            said_promise: memory.promise.map(|promise| promise.id),
            promise_ends: promise_ends(now, &memory),
            standby_wanted: None,
            joining,
            hands_over_until: None,
            doubt_until: None,
            were_open: false,
            is_forced: false,
            is_stopping: false,
            memory,
        }
    }

    /// The F that counts here.
    pub fn wait(&self) -> Duration {
        if self.rules.has(super::rules::Rule::PromotionWait) { self.timers.wait } else { self.timers.lease }
    }

    /// Takes the next sequence number and remembers when it was sent.
    pub fn send(&mut self, now: Moment, worth: Worth, awaits_answer: bool) -> Echo {
        self.sequence += 1;
        if self.sent.len() == SENT_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent { sequence: self.sequence, at: now, worth });
        if awaits_answer && self.unanswered.is_none() {
            self.unanswered = Some(now);
        }
        Echo { run: self.run, sequence: self.sequence }
    }

    /// When the heartbeat was sent that this answers, with its worth; `None` = of another run, or given up.
    pub fn answered(&self, echo: Echo) -> Option<(Moment, Worth)> {
        let sent = self.sent.iter().find(|sent| echo.run == self.run && sent.sequence == echo.sequence)?;
        Some((sent.at, sent.worth))
    }

    /// Works out the lease's end anew.
    pub fn reckon(&mut self) {
        self.end = self.evidence.end(&self.quorum, &self.timers);
    }

    /// Works out what follows from the versions in force.
    pub fn refresh_versions(&mut self, now: Moment, names: &[String]) {
        self.quorum = self.memory.versions.quorum(names);
        self.timers = self.memory.versions.timers();
        self.evidence.resize(names.len());
        for (index, name) in names.iter().enumerate() {
            let kind = self.memory.versions.kind(name);
            match self.contacts.get_mut(index) {
                Some(contact) => contact.set_kind(now, kind),
                None => {
                    let is_calibrated = self.memory.calibrated.contains(name);
                    self.contacts.push(Contact::new(now, kind, is_calibrated));
                    self.looks.push(Looking { due: now, ..Looking::default() });
                }
            }
        }
        self.reckon();
    }

    /// Whether the other site has not been heard serving, stopping or claiming for F.
    pub fn is_silent(&self, now: Moment) -> bool {
        now.since(self.silence) >= self.wait()
    }

    /// Whether an arbiter is stale on a look young enough.
    pub fn is_stale(&self, now: Moment, arbiter: usize) -> bool {
        let wait = self.wait();
        self.contacts
            .get(arbiter)
            .is_some_and(|contact| contact.is_stale(now, wait) && contact.is_look_young(now, &self.timers))
    }

    /// Whether enough arbiters are stale.
    pub fn is_gone(&self, now: Moment) -> bool {
        self.quorum.is_free(|i| self.is_stale(now, i))
    }

    /// When silence and staleness are both F old, if nothing is heard or seen until then.
    pub fn opens_at(&self) -> Moment {
        let unusable = Moment::from_us(u64::MAX / 2);
        let contact = |i: usize| match self.contacts.get(i) {
            Some(contact) if contact.is_calibrated() => contact.last_possible(),
            _ => unusable,
        };
        self.quorum.decisive_contact(contact).max(self.silence).plus(self.wait())
    }

    /// Whether the other site was heard within a span.
    pub fn heard_within(&self, now: Moment, span: Duration) -> Option<Peer> {
        self.peer.filter(|peer| now.since(peer.at) <= span)
    }

    /// What this site owes.
    pub fn duty(&self) -> Duty {
        match self.release {
            None => Duty::Owed,
            Some(Release { id, is_in_force: true, .. }) => Duty::Off { id },
            Some(Release { id, span, .. }) => {
                Duty::OffWanted { id, seconds: span.map(|span| span.as_secs()) }
            }
        }
    }

    /// A span from 0 to `limit`, different at every call and at every site.
    pub fn random_span(&mut self, limit: Duration) -> Duration {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let limit_us = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX).max(1);
        Duration::from_micros(self.random % limit_us)
    }

    /// Forgets what was promised to the other site's release.
    pub const fn end_promise(&mut self) {
        self.memory.promise = None;
        self.said_promise = None;
        self.promise_ends = None;
    }

    /// Begins, or after a restart begins anew, the promise that is stored.
    pub fn begin_promise(&mut self, now: Moment) {
        self.promise_ends = promise_ends(now, &self.memory);
    }
}

/// When a stored promise ends by itself: the other site's span, as long as it can seem here, then F.
fn promise_ends(now: Moment, memory: &Memory) -> Option<Moment> {
    let timers = memory.versions.timers();
    let seconds = memory.promise?.seconds?;
    Some(now.plus(timers.longest(Duration::from_secs(seconds))).plus(timers.wait))
}
