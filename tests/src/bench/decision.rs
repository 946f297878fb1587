//! How late decisions fall: past the moment at which the configured timers make them due.

use std::time::Duration;

use serde_json::Value;

use super::{median, print, tell};
use crate::lab::Lone;

/// Decisions that are looked at.
const ROUNDS: usize = 30;
/// `heartbeat.interval` of the laboratory: a policy is asked once in it while the other site is lost.
const INTERVAL_US: f64 = 1e6;
/// Longest measurement.
const LIMIT: Duration = Duration::from_secs(120);
/// Most milliseconds past the deadlines and the policy's own time.
const OVERSHOOT_MS_MAX: f64 = 5.0;

/// Measures; whether the bar is met.
///
/// # Panics
/// When the site does not decide.
pub fn measure() -> bool {
    println!("decisions: {ROUNDS} rounds of a site whose other site is lost, the compiled default policy");
    let mut lone = Lone::new(|_, recipe| recipe.policy = None);
    lone.site.start();
    let decisions = lone.site.wait_decisions(0, ROUNDS + 1, LIMIT);
    let us = |decision: &Value, pointer: &str| {
        decision.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer}: {decision}"))
    };
    let (mut late, mut beside) = (Vec::new(), Vec::new());
    for pair in decisions.windows(2) {
        let asked_late = us(&pair[1], "/askedUs") - us(&pair[0], "/askedUs") - INTERVAL_US;
        let around =
            us(&pair[1], "/decidedUs") - us(&pair[1], "/askedUs") - us(&pair[1], "/policy/elapsedUs");
        late.push((asked_late + around) / 1e3);
        beside.push(around / 1e3);
    }
    tell("from the question to the decision, without the policy's own time", median(beside), "ms");
    let median = median(late);
    print("past the deadlines, median", median, "ms", "≤ 5", median <= OVERSHOOT_MS_MAX)
}
