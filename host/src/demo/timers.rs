//! The timers of the demo, short, with the arithmetic that makes them safe.

use std::time::Duration;

/// From one heartbeat round to the next.
pub const INTERVAL: Duration = Duration::from_secs(1);
/// How long the answer to a ping is awaited.
pub const TIMEOUT: Duration = Duration::from_millis(500);
/// Pings of a round after the first one failed.
pub const RETRIES: u32 = 1;
/// k: from one answered round trip of a held session to the next.
pub const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// L. The verdict mode has no lease; it only lengthens F.
pub const LEASE: Duration = Duration::from_secs(6);
/// D. As L.
pub const FENCE_DEADLINE: Duration = Duration::from_secs(1);
/// From one look at an arbiter to the next.
pub const LOOK: Duration = Duration::from_secs(1);
/// Deadline of a look: a log-in by a machine that is busy with other things.
pub const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// epsilon.
pub const SLACK: Duration = Duration::from_millis(500);
/// rho, in per cent.
pub const CLOCK_ERROR_PERCENT: u32 = 1;
/// F, the formula rounded up to the second.
pub const WAIT: Duration = Duration::from_secs(11);
/// Longest evaluation of the policy.
pub const POLICY_DEADLINE: Duration = Duration::from_secs(2);
/// Longest run of a step: a shell that writes a file, on a machine that is busy with other things.
pub const STEP_DEADLINE: Duration = Duration::from_secs(2);
/// Steps of each role change.
pub const STEPS: u32 = 2;

/// F by the formula: `(L + max(D, W)) · (1 + 2 rho) + epsilon`, with `W = 2 · look + lookTimeout`.
fn least_wait() -> Duration {
    let window = LOOK * 2 + LOOK_TIMEOUT;
    (LEASE + FENCE_DEADLINE.max(window)) * (100 + 2 * CLOCK_ERROR_PERCENT) / 100 + SLACK
}

/// How long a cut-off active site serves at most: a round begins, the last ping and the look that the first missed
/// one began end, the policy answers, the steps end.
fn latest_stop() -> Duration {
    let round = TIMEOUT * (1 + RETRIES);
    let look = TIMEOUT + LOOK_TIMEOUT;
    INTERVAL + round.max(look) + POLICY_DEADLINE + STEP_DEADLINE * STEPS
}

/// When the standby takes over at the earliest: its arbiters last heard the active up to k before the cut.
fn earliest_start() -> Duration {
    WAIT - KEEP_ALIVE
}

/// The arithmetic, for people.
pub fn arithmetic() -> Vec<String> {
    let s = |span: Duration| span.as_secs_f64();
    let window = LOOK * 2 + LOOK_TIMEOUT;
    vec![
        format!(
            "F = (L {} + max(D {}, W {})) × {} + {} = {} s, rounded up to {} s: a session at an arbiter that is silent for so long is stale",
            s(LEASE),
            s(FENCE_DEADLINE),
            s(window),
            1.0 + f64::from(2 * CLOCK_ERROR_PERCENT) / 100.0,
            s(SLACK),
            s(least_wait()),
            s(WAIT),
        ),
        format!(
            "an active site that is cut off stops within {} s: interval {} + pings and look {} + policy {} + {STEPS} steps of {}",
            s(latest_stop()),
            s(INTERVAL),
            s((TIMEOUT * (1 + RETRIES)).max(TIMEOUT + LOOK_TIMEOUT)),
            s(POLICY_DEADLINE),
            s(STEP_DEADLINE),
        ),
        format!(
            "the standby takes over {} s after the cut at the earliest (F − keepAlive): later than that, so never both",
            s(earliest_start()),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standby_waits_longer_than_the_active_may_serve() {
        assert!(WAIT >= least_wait(), "{:?}", least_wait());
        assert!(latest_stop() < earliest_start(), "{:?} {:?}", latest_stop(), earliest_start());
    }

    #[test]
    fn the_configuration_check_accepts_the_timers() {
        assert!(INTERVAL >= TIMEOUT * (1 + RETRIES));
        assert!(LEASE >= KEEP_ALIVE * 3 && LEASE >= TIMEOUT * 2 && INTERVAL <= LEASE / 2);
    }

    #[test]
    fn the_arithmetic_shows_its_numbers() {
        let lines = arithmetic();
        assert!(lines[0].starts_with("F = (L 6 + max(D 1, W 4)) × 1.02 + 0.5 = 10.7 s"), "{lines:?}");
        assert!(lines[1].contains("within 9.5 s") && lines[2].contains("10 s after the cut"), "{lines:?}");
    }
}
