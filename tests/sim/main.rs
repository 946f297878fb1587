//! The ring of the simulator: both sites in virtual time, where no rule may be broken by any schedule.
#![allow(clippy::unwrap_used, reason = "what a test calls fails by panicking, like the test itself")]

mod ablations;
mod corpus;
mod fresh;
mod joint;
mod outside;
mod pairs;

use dr_watchdog_sim::fault::class_of;
use dr_watchdog_sim::options::Options;
use dr_watchdog_sim::tally::{Tally, series};

/// Threads of a series: a test machine has two cores.
const JOBS: u64 = 2;

/// The classes of these verbs: their numbers change with every new class.
fn classes_of(verbs: &[&str]) -> Vec<usize> {
    verbs.iter().map(|verb| class_of(verb).unwrap()).collect()
}

/// A series over the cores of the machine.
fn play(options: &Options, seed: u64, schedules: u64) -> Tally {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..JOBS)
            .map(|job| scope.spawn(move || series(options, seed, (job, JOBS, schedules), || {})))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).fold(Tally::default(), Tally::join)
    })
}

/// Every broken promise with the plan that broke it.
fn complaints(tally: &Tally) -> String {
    let lines = tally.failed.iter().map(|failed| {
        format!("schedule {}: {}: {}\n  {}", failed.index, failed.invariant, failed.text, failed.plan.line())
    });
    lines.collect::<Vec<_>>().join("\n")
}
