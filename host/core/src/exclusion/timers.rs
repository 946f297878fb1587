//! The timers of the lease, with the arithmetic of F.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::settings::Heartbeat;

const SECOND: Duration = Duration::from_secs(1);

/// The timers (`exclusion-notes.md` 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timers {
    /// k: keepalive of a hold, with answer.
    pub keep_alive: Duration,
    /// L: lease, from the sending of what was acknowledged.
    pub lease: Duration,
    /// D: the guard has ended serving by then, counted from the lease's end.
    pub fence: Duration,
    /// From one look at an arbiter to the next.
    pub look: Duration,
    /// Deadline of one look.
    pub look_timeout: Duration,
    /// ρ: error of a clock's rate, in parts of a million.
    pub clock_error_ppm: u32,
    /// ε: slack.
    pub slack: Duration,
    /// F: silence after which the standby may take over.
    pub wait: Duration,
}

impl Timers {
    /// For heartbeats of 30 s: the manual's defaults.
    pub fn reference() -> Self {
        Self {
            keep_alive: 10 * SECOND,
            lease: 60 * SECOND,
            fence: 15 * SECOND,
            look: 5 * SECOND,
            look_timeout: 5 * SECOND,
            clock_error_ppm: 10_000,
            slack: 3 * SECOND,
            wait: Duration::ZERO,
        }
        .with_formula()
    }

    /// For heartbeats of 5 s.
    pub fn fast() -> Self {
        Self {
            keep_alive: 3 * SECOND,
            lease: 12 * SECOND,
            fence: 5 * SECOND,
            look: 2 * SECOND,
            look_timeout: 2 * SECOND,
            clock_error_ppm: 10_000,
            slack: SECOND,
            wait: Duration::ZERO,
        }
        .with_formula()
    }

    /// These timers with F as the formula gives it.
    #[must_use]
    pub fn with_formula(mut self) -> Self {
        self.wait = self.formula();
        self
    }

    /// G: the largest gap, from sending one look to the answer of the next.
    pub fn gap_max(&self) -> Duration {
        2 * self.look + self.look_timeout
    }

    /// P: the age from which a hold counts.
    pub fn hold_age_min(&self) -> Duration {
        self.gap_max() + SECOND
    }

    /// W: the oldest look a decision may use.
    pub fn look_age_max(&self) -> Duration {
        self.gap_max()
    }

    /// F = (L + max(D, W))·(1 + 2ρ) + ε, rounded up to a whole second.
    pub fn formula(&self) -> Duration {
        let overlap_us = (self.lease + self.fence.max(self.look_age_max())).as_micros();
        let drift_us = (overlap_us * 2 * u128::from(self.clock_error_ppm)).div_ceil(1_000_000);
        let us = overlap_us + drift_us + self.slack.as_micros();
        let seconds = us.div_ceil(SECOND.as_micros());
        Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX))
    }

    /// The bound of a failover: how long after a true loss of the active the standby serves at the latest, all else being
    /// well and its own steps aside. The heartbeat that is missed first was sent an interval after the loss at the most;
    /// the first look after it counts as the last contact. F later the policy is told of a look, and the claim makes one;
    /// each look ends by its deadline. `kept`: for how long the arbiter that decides keeps a dead session, where it shows
    /// no age, or forgets the session within this bound; else zero.
    pub fn taken_over_within(&self, heartbeat: &Heartbeat, kept: Duration) -> Duration {
        let missed = heartbeat.interval + heartbeat.timeout;
        missed.max(kept) + self.wait + (self.look + self.look_timeout) * 3
    }

    /// A span of the other site's clock, as long as it can seem on ours.
    pub fn longest(&self, span: Duration) -> Duration {
        span + self.drift(span)
    }

    /// A span of the other site's clock, as short as it can seem on ours.
    pub fn shortest(&self, span: Duration) -> Duration {
        span.saturating_sub(self.drift(span))
    }

    fn drift(&self, span: Duration) -> Duration {
        let us = span.as_micros() * 2 * u128::from(self.clock_error_ppm) / 1_000_000;
        Duration::from_micros(u64::try_from(us).unwrap_or(u64::MAX))
    }

    /// Timers that are at least as strict as both: the shortest lease, the longest wait.
    #[must_use]
    pub fn stricter(&self, other: &Self) -> Self {
        Self {
            keep_alive: self.keep_alive.min(other.keep_alive),
            lease: self.lease.min(other.lease),
            fence: self.fence.min(other.fence),
            look: self.look.min(other.look),
            look_timeout: self.look_timeout.max(other.look_timeout),
            clock_error_ppm: self.clock_error_ppm.max(other.clock_error_ppm),
            slack: self.slack.max(other.slack),
            wait: self.wait.max(other.wait),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_gives_80_s_for_the_reference_and_20_s_for_the_fast_profile() {
        assert_eq!(Timers::reference().wait, 80 * SECOND);
        assert_eq!(Timers::fast().wait, 20 * SECOND);
        assert_eq!(Timers::reference().gap_max(), 15 * SECOND);
        assert_eq!(Timers::reference().hold_age_min(), 16 * SECOND);
        assert_eq!(Timers::fast().gap_max(), 6 * SECOND);
    }

    #[test]
    fn a_failover_takes_145_s_at_most_with_the_reference_timers_and_38_s_with_the_fast_ones() {
        let reference = Heartbeat { interval: 30 * SECOND, timeout: 5 * SECOND, tries: 5 };
        let fast = Heartbeat { interval: 5 * SECOND, timeout: SECOND, tries: 5 };
        let within = |timers: Timers, heartbeat, kept| timers.taken_over_within(heartbeat, kept);
        assert_eq!(within(Timers::reference(), &reference, Duration::ZERO), 145 * SECOND);
        assert_eq!(within(Timers::fast(), &fast, Duration::ZERO), 38 * SECOND);
        // What a device forgets before a heartbeat is missed delays nothing; later it is all that counts.
        assert_eq!(within(Timers::reference(), &reference, 29 * SECOND), 145 * SECOND);
        assert_eq!(within(Timers::fast(), &fast, 29 * SECOND), 61 * SECOND);
    }

    #[test]
    fn joint_timers_have_the_shorter_lease_with_the_longer_wait() {
        let joint = Timers::reference().stricter(&Timers::fast());
        assert_eq!((joint.lease, joint.wait), (12 * SECOND, 80 * SECOND));
    }
}
