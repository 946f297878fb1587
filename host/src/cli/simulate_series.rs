//! Many simulated runs over several threads, with a bar for whoever watches.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use dr_watchdog_sim::options::Options;
use dr_watchdog_sim::policy::{Arbitration, Dice, Policy};
use dr_watchdog_sim::random::Random;
use dr_watchdog_sim::run::{Outcome, Plan, failover_bound_us, run_with};
use dr_watchdog_sim::tally::{Tally, seed_of};
use serde_json::Value;

use super::simulate_guest::Shared;

/// Columns of the bar.
const COLUMNS: u64 = 40;

/// Who answers for the simulated sites.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Chosen {
    /// The default rules, in this process.
    Default,
    /// Anything at random.
    Dice,
    /// A policy file.
    File(PathBuf),
}

impl Chosen {
    /// The words `default` and `dice`, or a file.
    pub(super) fn of(file: Option<&PathBuf>) -> Self {
        match file.map(|file| file.as_os_str()) {
            None => Self::Default,
            Some(word) if word == "default" => Self::Default,
            Some(word) if word == "dice" => Self::Dice,
            Some(file) => Self::File(file.into()),
        }
    }

    /// How people know it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Default => "default".to_owned(),
            Self::Dice => "dice".to_owned(),
            Self::File(file) => file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }
}

/// Plays plans with one policy.
pub(super) struct Player<'a> {
    options: &'a Options,
    guest: Option<Shared>,
    is_dice: bool,
}

impl<'a> Player<'a> {
    /// Loads the policy, if it is a file.
    pub(super) fn new(options: &'a Options, chosen: &Chosen, world: &Value) -> Result<Self, String> {
        let guest = match chosen {
            Chosen::File(file) => Some(Shared::load(file, world)?),
            Chosen::Default | Chosen::Dice => None,
        };
        Ok(Self { options, guest, is_dice: *chosen == Chosen::Dice })
    }

    /// One run.
    pub(super) fn play(&self, plan: &Plan, is_traced: bool) -> Outcome {
        let policy: Box<dyn Policy> = match &self.guest {
            Some(guest) => Box::new(guest.clone()),
            None if self.is_dice => Box::new(Dice(Random::new(plan.seed ^ 0xd1ce))),
            None => Box::new(Arbitration),
        };
        run_with(self.options, plan, policy, is_traced)
    }

    /// What the policy asked for in vain, and how often it failed.
    pub(super) fn complaints(&self) -> Complaints {
        let Some(guest) = &self.guest else { return Complaints::default() };
        let guest = guest.0.borrow();
        Complaints {
            missing: guest.missing.clone(),
            failures: guest.failures,
            last_failure: guest.last_failure.clone(),
        }
    }
}

/// What went wrong with a policy.
#[derive(Debug, Clone, Default)]
pub(super) struct Complaints {
    /// The first thing that it asked for and that is not simulated.
    pub(super) missing: Option<String>,
    /// Evaluations that gave no verdict.
    pub(super) failures: u64,
    /// Why the last of them failed.
    pub(super) last_failure: Option<String>,
}

impl Complaints {
    fn join(self, other: Self) -> Self {
        Self {
            missing: self.missing.or(other.missing),
            failures: self.failures + other.failures,
            last_failure: self.last_failure.or(other.last_failure),
        }
    }
}

/// A series: which runs, by whom.
#[derive(Debug, Clone)]
pub(super) struct Series<'a> {
    pub(super) options: &'a Options,
    pub(super) seed: u64,
    pub(super) schedules: u64,
    pub(super) jobs: u64,
    pub(super) chosen: &'a Chosen,
    pub(super) world: &'a Value,
    pub(super) is_bar_wanted: bool,
}

impl Series<'_> {
    /// Plays every run of the series.
    pub(super) fn play(&self) -> Result<(Tally, Complaints), String> {
        let bar = Bar::new(self.schedules, self.is_bar_wanted);
        let parts = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.jobs)
                .map(|job| {
                    scope.spawn({
                        let bar = &bar;
                        move || self.part(job, bar)
                    })
                })
                .collect();
            let ended = threads.into_iter().map(|thread| thread.join());
            ended.collect::<Vec<_>>()
        });
        bar.clear();
        let mut all = (Tally::default(), Complaints::default());
        for part in parts {
            // A run that panicked has broken an assertion of the core: that is the finding, and it names its seed.
            let (tally, complaints) =
                part.map_err(|_| "a run ended by an assertion; its seed is printed above".to_owned())??;
            all = (all.0.join(tally), all.1.join(complaints));
        }
        Ok(all)
    }

    fn part(&self, job: u64, bar: &Bar) -> Result<(Tally, Complaints), String> {
        let player = Player::new(self.options, self.chosen, self.world)?;
        let mut tally = Tally::default();
        let bound_us = failover_bound_us(self.options);
        let mut index = job;
        while index < self.schedules {
            let plan = Plan::draw(seed_of(self.seed, index), self.options);
            let said = Said(index, &plan);
            let outcome = player.play(&plan, false);
            drop(said);
            tally.add(index, &plan, &outcome, bound_us);
            bar.step(&tally);
            index += self.jobs;
        }
        Ok((tally, player.complaints()))
    }
}

/// Names the run if it ends by a panic.
struct Said<'a>(u64, &'a Plan);

impl Drop for Said<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            super::output::failed(&format!("schedule {}: {}", self.0, self.1.line()));
        }
    }
}

/// The bar.
struct Bar {
    done: AtomicU64,
    total: u64,
    is_shown: bool,
}

impl Bar {
    fn new(total: u64, is_wanted: bool) -> Self {
        let is_shown = is_wanted && std::io::stderr().is_terminal();
        Self { done: AtomicU64::new(0), total, is_shown }
    }

    fn step(&self, tally: &Tally) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let is_due = done == self.total || done.is_multiple_of((self.total / 200).max(1));
        if self.is_shown && is_due {
            let full = usize::try_from(done * COLUMNS / self.total.max(1)).unwrap_or(0);
            let empty = usize::try_from(COLUMNS).unwrap_or(0).saturating_sub(full);
            let (full, empty) = ("#".repeat(full), ".".repeat(empty));
            let broken = if tally.failing > 0 { ", promises broken" } else { "" };
            // Nobody is left to be told if this fails.
            let _ = write!(std::io::stderr(), "\r[{full}{empty}] {done} of {}{broken}", self.total);
        }
    }

    fn clear(&self) {
        if self.is_shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_or_three_find_the_same() {
        let options = Options::default();
        let play = |jobs| {
            let series = Series {
                options: &options,
                seed: 11,
                schedules: 6,
                jobs,
                chosen: &Chosen::Default,
                world: &Value::Null,
                is_bar_wanted: false,
            };
            let (mut tally, _) = series.play().unwrap();
            tally.failovers_us.sort_unstable();
            (tally.runs, tally.happenings, tally.longest_none_us, tally.worst, tally.failovers_us)
        };
        assert_eq!(play(1), play(3));
    }
}
