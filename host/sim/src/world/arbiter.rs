//! An arbiter: a device with a session table, some with a folder for marks.

use std::net::IpAddr;
use std::time::Duration;

use dr_watchdog_core::exclusion::agreed::Kind;
use dr_watchdog_core::exclusion::lpc::{Look, Mark, Row};

/// A row of its session table.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) site: usize,
    pub(crate) session: u64,
    pub(crate) received_us: u64,
    pub(crate) count: u64,
    /// Whether its other end is gone without a word.
    pub(crate) is_dead: bool,
    /// Whether it comes from another address than the holds.
    pub(crate) is_foreign: bool,
}

/// What a hold wrote.
#[derive(Debug, Clone, Copy)]
struct Written {
    epoch: u64,
    is_claim: bool,
    at_us: u64,
    boot: u64,
}

/// An arbiter.
#[derive(Debug, Clone)]
pub(crate) struct Arbiter {
    pub(crate) kind: Kind,
    rate_ppm: i64,
    linger_us: u64,
    pub(crate) down: u32,
    pub(crate) lies: u32,
    boot: u64,
    rows: Vec<Entry>,
    marks: [Option<Written>; 2],
}

impl Arbiter {
    pub(crate) const fn new(kind: Kind, rate_ppm: i64, linger_s: u64) -> Self {
        Self {
            kind,
            rate_ppm,
            linger_us: linger_s * 1_000_000,
            down: 0,
            lies: 0,
            boot: 1,
            rows: Vec::new(),
            marks: [None; 2],
        }
    }

    pub(crate) fn reboot(&mut self) {
        self.boot += 1;
        self.rows.clear();
    }

    pub(crate) fn open(&mut self, now_us: u64, site: usize, session: u64) {
        self.rows.push(Entry {
            site,
            session,
            received_us: now_us,
            count: 1,
            is_dead: false,
            is_foreign: false,
        });
    }

    pub(crate) fn forgotten(&mut self, now_us: u64, site: usize, session: u64) {
        self.rows.push(Entry {
            site,
            session,
            received_us: now_us,
            count: 1,
            is_dead: false,
            is_foreign: true,
        });
    }

    /// A keepalive arrived; whether its session is known.
    pub(crate) fn receive(&mut self, now_us: u64, session: u64) -> bool {
        match self.rows.iter_mut().find(|row| row.session == session) {
            Some(row) => {
                row.received_us = now_us;
                row.count += 1;
                true
            }
            None => false,
        }
    }

    pub(crate) fn write(&mut self, now_us: u64, site: usize, epoch: u64, is_claim: bool) {
        if self.kind == Kind::Mark {
            self.marks[site] = Some(Written { epoch, is_claim, at_us: now_us, boot: self.boot });
        }
    }

    /// The other end said that it closes.
    pub(crate) fn close(&mut self, session: u64) {
        self.rows.retain(|row| row.session != session);
    }

    /// The other end is gone without a word.
    pub(crate) fn die(&mut self, session: u64) {
        self.rows.iter_mut().filter(|row| row.session == session).for_each(|row| row.is_dead = true);
    }

    pub(crate) fn mark(&self, now_us: u64, site: usize) -> Option<Mark> {
        let written = self.marks[site]?;
        let age = (written.boot == self.boot).then(|| self.shown(now_us - written.at_us));
        Some(Mark { epoch: written.epoch, is_claim: written.is_claim, age })
    }

    /// A span as its own clock shows it.
    fn shown(&self, us: u64) -> Duration {
        let span = i64::try_from(us).unwrap_or(i64::MAX);
        let shown = span + span / 1_000_000 * self.rate_ppm;
        Duration::from_micros(u64::try_from(shown).unwrap_or(0))
    }

    /// What a look shows of the other site.
    pub(crate) fn look(&mut self, now_us: u64, other: usize, connection: u64) -> Look {
        let linger = self.linger_us;
        self.rows.retain(|row| !row.is_dead || now_us - row.received_us <= linger);
        if self.lies > 0 {
            return Look { connection, boot: self.boot, ..Look::default() };
        }
        let address = IpAddr::from([192, 0, 2, if other == 0 { 10 } else { 20 }]);
        let rows = self.rows.iter().filter(|row| row.site == other && !row.is_foreign).map(|row| Row {
            from: (address, u16::try_from(row.session % 60_000).unwrap_or(0)),
            age: (self.kind == Kind::Age).then(|| self.shown(now_us - row.received_us)),
            counter: (self.kind == Kind::Counter).then_some(row.count),
        });
        let rows = rows.collect();
        Look { connection, boot: self.boot, rows, mark: self.mark(now_us, other), is_own_seen_as_peer: false }
    }

    /// The addresses that `arbiters.sessions` shows, for the mode without leases.
    pub(crate) fn has_row(&mut self, now_us: u64, other: usize) -> Option<Duration> {
        self.look(now_us, other, 0).rows.iter().map(|row| row.age.unwrap_or_default()).min()
    }
}
