//! Every pair of fault classes on a coarse grid of times.

use dr_watchdog_sim::fault::{self, Fault};
use dr_watchdog_sim::options::{Drawn, Options};
use dr_watchdog_sim::random::Random;
use dr_watchdog_sim::run::{Plan, run};

/// Classes inside the assumptions.
const CLASSES: usize = fault::ASSUMED;
/// Seconds from the first fault to the second.
const APART_S: [u64; 2] = [20, 75];
const LASTS_S: u64 = 600;

fn plan(first: usize, second: usize, apart_s: u64) -> (Options, Plan) {
    let options = Options { hours: 2, ..Options::default() };
    let seed = (first * 100 + second) as u64 * 1_000 + apart_s;
    let mut random = Random::new(seed);
    let drawn = Drawn::draw(&mut random, &options);
    let mut at = |class: usize, at_s: u64| Fault {
        at_s,
        for_s: LASTS_S,
        kind: fault::kind(&mut random, class, options.arbiters),
    };
    let faults = vec![at(first, 640), at(second, 640 + apart_s)];
    (options, Plan { seed, drawn, faults })
}

#[test]
fn no_pair_of_faults_splits_the_sites() {
    let part = |odd: usize| {
        let mut split = Vec::new();
        for first in (0..CLASSES).filter(|first| first % 2 == odd) {
            for second in 0..CLASSES {
                for apart_s in APART_S {
                    let (options, plan) = plan(first, second, apart_s);
                    let outcome = run(&options, &plan, false);
                    if !outcome.violations.is_empty() {
                        split.push(format!("{}\n  {:?}", plan.line(), outcome.violations));
                    }
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
