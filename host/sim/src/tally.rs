//! What many runs come to.

use crate::options::Options;
use crate::run::{Outcome, Plan, run};

/// A run that broke a promise.
#[derive(Debug, Clone)]
pub struct Failed {
    /// Which run.
    pub index: u64,
    /// Its plan.
    pub plan: Plan,
    /// The promise.
    pub invariant: String,
    /// What was seen.
    pub text: String,
}

/// Failed runs that are kept; the rest are counted.
const KEPT_MAX: usize = 20;

/// What many runs come to.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Runs.
    pub runs: u64,
    /// Runs in which both sites served at once.
    pub overlapping: u64,
    /// The longest such time.
    pub longest_overlap_us: u64,
    /// Runs without an active for more than the bound of a failover.
    pub without_active: u64,
    /// The longest such time.
    pub longest_none_us: u64,
    /// Failovers although the active was well.
    pub needless: u64,
    /// Failovers after a true loss.
    pub failovers_us: Vec<u64>,
    /// Runs that broke a promise.
    pub failing: u64,
    /// Some of them.
    pub failed: Vec<Failed>,
    /// Happenings in all.
    pub happenings: u64,
    /// The worst run.
    pub worst: Option<Worst>,
}

/// How bad a run was: a broken promise first, then the time with two actives, then the time with none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Worst {
    is_broken: bool,
    overlap_us: u64,
    none_us: u64,
    /// Which run; of two that are equally bad the first.
    pub index: std::cmp::Reverse<u64>,
}

impl Tally {
    /// Adds a run.
    pub fn add(&mut self, index: u64, plan: &Plan, outcome: &Outcome, none_bound_us: u64) {
        self.runs += 1;
        let worst = Worst {
            is_broken: !outcome.violations.is_empty(),
            overlap_us: outcome.longest_overlap_us(),
            none_us: outcome.none_us,
            index: std::cmp::Reverse(index),
        };
        self.worst = self.worst.max(Some(worst));
        self.happenings += outcome.happenings;
        self.overlapping += u64::from(!outcome.overlaps.is_empty());
        self.longest_overlap_us = self.longest_overlap_us.max(outcome.longest_overlap_us());
        self.without_active += u64::from(outcome.none_us > none_bound_us);
        self.longest_none_us = self.longest_none_us.max(outcome.none_us);
        self.needless += outcome.needless;
        self.failovers_us.extend(&outcome.failovers_us);
        self.failing += u64::from(!outcome.violations.is_empty());
        for violation in &outcome.violations {
            if self.failed.len() < KEPT_MAX {
                self.failed.push(Failed {
                    index,
                    plan: plan.clone(),
                    invariant: violation.invariant.clone(),
                    text: violation.text.clone(),
                });
            }
        }
    }

    /// Joins two tallies.
    #[must_use]
    pub fn join(mut self, other: Self) -> Self {
        self.runs += other.runs;
        self.worst = self.worst.max(other.worst);
        self.overlapping += other.overlapping;
        self.longest_overlap_us = self.longest_overlap_us.max(other.longest_overlap_us);
        self.without_active += other.without_active;
        self.longest_none_us = self.longest_none_us.max(other.longest_none_us);
        self.needless += other.needless;
        self.failovers_us.extend(other.failovers_us);
        self.failing += other.failing;
        self.failed.extend(other.failed);
        self.failed.sort_by_key(|failed| failed.index);
        self.failed.truncate(KEPT_MAX);
        self.happenings += other.happenings;
        self
    }

    /// The failover time that so many of a hundred stay below.
    pub fn percentile_us(&self, percent: usize) -> u64 {
        let mut sorted = self.failovers_us.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        sorted.get(at).copied().unwrap_or(0)
    }
}

/// The seed of one run of a series.
pub const fn seed_of(base: u64, index: u64) -> u64 {
    crate::random::Random::new(base.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ index).next()
}

/// Runs a part of a series: every `step`-th run from `first` on.
pub fn series(
    options: &Options,
    base: u64,
    (first, step, count): (u64, u64, u64),
    mut each: impl FnMut(),
) -> Tally {
    let mut tally = Tally::default();
    let none_bound_us = crate::run::failover_bound_us(options);
    let mut index = first;
    while index < count {
        let plan = Plan::draw(seed_of(base, index), options);
        let outcome = run(options, &plan, false);
        tally.add(index, &plan, &outcome, none_bound_us);
        each();
        index += step;
    }
    tally
}
