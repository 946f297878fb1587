//! Makes a failing plan small: fewer faults first, then shorter ones.

use crate::options::Options;
use crate::run::{Plan, run};

/// Runs that may be spent on one plan.
const RUNS_MAX: usize = 400;

/// The smallest plan found that still breaks the same promise.
pub fn shrink(options: &Options, plan: &Plan, invariant: &str) -> Plan {
    shrink_by(plan, |candidate| {
        run(options, candidate, false).violations.iter().any(|v| v.invariant == invariant)
    })
}

/// The smallest plan found that still fails.
pub fn shrink_by(plan: &Plan, mut is_failing: impl FnMut(&Plan) -> bool) -> Plan {
    let mut best = plan.clone();
    let mut runs = 0;
    let mut fails = |candidate: &Plan| {
        runs += 1;
        runs <= RUNS_MAX && is_failing(candidate)
    };
    let mut has_shrunk = true;
    while has_shrunk {
        has_shrunk = false;
        for index in (0..best.faults.len()).rev() {
            let mut candidate = best.clone();
            candidate.faults.remove(index);
            if fails(&candidate) {
                best = candidate;
                has_shrunk = true;
            }
        }
    }
    for index in 0..best.faults.len() {
        while best.faults[index].for_s > 1 {
            let mut candidate = best.clone();
            candidate.faults[index].for_s /= 2;
            if !fails(&candidate) {
                break;
            }
            best = candidate;
        }
    }
    best
}
