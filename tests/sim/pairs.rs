//! Every pair of fault classes on a coarse grid of times.

use dr_watchdog_sim::fault::{ASSUMED, pair};
use dr_watchdog_sim::options::Options;
use dr_watchdog_sim::run::run;

/// Seconds from the first fault to the second.
const APART_S: [u64; 2] = [20, 75];

#[test]
fn no_pair_of_faults_splits_the_sites() {
    let options = Options { hours: 2, ..Options::default() };
    let part = |odd: usize| {
        let mut split = Vec::new();
        for first in (0..ASSUMED).filter(|first| first % 2 == odd) {
            for (second, apart_s) in (0..ASSUMED).flat_map(|second| APART_S.map(|apart_s| (second, apart_s)))
            {
                let plan = pair((first, second), apart_s, 0, &options);
                let outcome = run(&options, &plan, false);
                if !outcome.violations.is_empty() {
                    split.push(format!("{}\n  {:?}", plan.line(), outcome.violations));
                }
            }
        }
        split
    };
    let split: Vec<_> = std::thread::scope(|scope| {
        let threads = [0, 1].map(|odd| scope.spawn(move || part(odd)));
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(split.is_empty(), "{} pairs:\n{}", split.len(), split.join("\n"));
}
