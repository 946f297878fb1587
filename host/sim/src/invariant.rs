//! The promises, one function each: what must hold in every run.

use serde::{Deserialize, Serialize};

use crate::options::Options;
use crate::world::World;

/// Seconds after the last heal by which exactly one site serves (I5).
pub const SETTLES_WITHIN_S: u64 = 120;

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// Its name.
    pub invariant: String,
    /// What was seen.
    pub text: String,
}

fn broken(invariant: &str, text: String) -> Violation {
    Violation { invariant: invariant.to_owned(), text }
}

/// I1: no two sites serve at the same instant.
pub fn invariant_exclusion(world: &World) -> Option<Violation> {
    let (at, span) = world.watch.overlaps.iter().max_by_key(|(_, span)| *span)?;
    let text = format!("both sites served for {:.3} s from {:.3} s on", seconds(*span), seconds(*at));
    Some(broken("I1 exclusion", text))
}

/// I2: outside the assumptions an overlap is bounded.
pub fn invariant_bounded_overlap(world: &World, bound_us: u64) -> Option<Violation> {
    let (at, span) = world.watch.overlaps.iter().max_by_key(|(_, span)| *span)?;
    (*span > bound_us).then(|| {
        let text = format!(
            "both sites served for {:.3} s from {:.3} s on; the bound is {:.3} s",
            seconds(*span),
            seconds(*at),
            seconds(bound_us)
        );
        broken("I2 bounded overlap", text)
    })
}

/// I3, its other half: sites that can talk do not both serve for longer than a heartbeat takes, then the fence. A node that
/// its own watchdog does not reach has but its guard, which ends serving with the lease, later by a clock that stood still.
pub fn invariant_higher_epoch(world: &World, options: &Options, is_node_alone: bool) -> Option<Violation> {
    let us = |span: std::time::Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let timers = options.timers();
    // A heartbeat is on its way for some milliseconds, and its interval is counted on a clock with an error.
    let told = if is_node_alone { timers.lease } else { options.heartbeat().interval };
    let bound_us = us(timers.longest(told + timers.fence)) + 100_000;
    let longest_us = world.watch.longest_talking_us;
    (options.exclusion.is_lease() && longest_us > bound_us).then(|| {
        let text = format!(
            "both sites served for {:.3} s while they could talk; the bound is {:.3} s",
            seconds(longest_us),
            seconds(bound_us)
        );
        broken("I3 higher epoch", text)
    })
}

/// I3: epochs never fall.
pub fn invariant_epoch(world: &World) -> Option<Violation> {
    let site = world.watch.fallen.first()?;
    Some(broken("I3 epoch", format!("the epoch of site {site} fell")))
}

/// I5: after all faults have healed exactly one site serves.
pub fn invariant_liveness(serving: [bool; 2], healed_us: u64, now_us: u64) -> Option<Violation> {
    let count = serving.iter().filter(|serves| **serves).count();
    (count != 1).then(|| {
        let after = seconds(now_us - healed_us);
        broken("I5 liveness", format!("{count} sites serve {after:.0} s after the last heal"))
    })
}

/// I6: a true loss with all else well is taken over in time.
pub fn invariant_failover_time(world: &World, options: &Options, bound_us: u64) -> Option<Violation> {
    let slowest = world.watch.failovers_us.iter().max()?;
    (options.exclusion.is_lease() && *slowest > bound_us).then(|| {
        let text = format!(
            "{:.1} s from the loss to serving; the bound is {:.1} s",
            seconds(*slowest),
            seconds(bound_us)
        );
        broken("I6 failover time", text)
    })
}

/// Microseconds as seconds, for people.
pub fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}
