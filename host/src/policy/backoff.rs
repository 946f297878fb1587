//! When a worker that crashed may start again (pure).

use std::collections::VecDeque;
use std::time::Duration;

use super::{Failure, FailureKind};

/// Wait after the first crash.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Crashes within [`WINDOW`] after which the policy is left alone until an operator reloads it.
pub const CRASHES_MAX: usize = 5;
/// Time for which a crash counts.
const WINDOW: Duration = Duration::from_secs(600);

/// Crashes of one policy. Time is an argument: the span since the policy was loaded.
#[derive(Debug, Default)]
pub struct Backoff {
    crashes: VecDeque<Duration>,
    /// Crashes since the last answer, whenever they were.
    in_a_row: u32,
    is_quarantined: bool,
}

impl Backoff {
    /// A crash happened.
    pub fn crashed(&mut self, now: Duration) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.crashes.push_back(now);
        while self.crashes.front().is_some_and(|crash| now.saturating_sub(*crash) >= WINDOW) {
            self.crashes.pop_front();
        }
        // Once reached it stays: only a reload, which makes a new `Backoff`, ends it.
        self.is_quarantined |= self.crashes.len() >= CRASHES_MAX;
    }

    /// It answered, or at least lives.
    pub const fn answered(&mut self) {
        self.in_a_row = 0;
    }

    /// Whether it may never start again.
    pub const fn is_quarantined(&self) -> bool {
        self.is_quarantined
    }

    /// Crashes within the window.
    pub fn crashes(&self) -> usize {
        self.crashes.len()
    }

    /// How long to wait before it may start again.
    pub fn wait(&self, now: Duration) -> Duration {
        let Some(last) = self.crashes.back() else { return Duration::ZERO };
        let doublings = self.in_a_row.saturating_sub(1);
        let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST_WAIT);
        (*last + wait).saturating_sub(now)
    }
}

/// Why a policy that crashed too often is not asked.
pub fn quarantined() -> Failure {
    let message =
        format!("the policy is quarantined: its worker crashed {CRASHES_MAX} times within 10 minutes");
    Failure::new(FailureKind::Crash, message)
        .with_hint("correct the policy, then reload (SIGHUP) or restart the watchdog")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_the_fifth_crash_in_ten_minutes_ends_it() {
        let mut backoff = Backoff::default();
        let mut now = Duration::from_secs(1);
        assert_eq!(backoff.wait(now), Duration::ZERO);
        for wait_ms in [200, 400, 800, 1_600] {
            backoff.crashed(now);
            assert!(!backoff.is_quarantined());
            assert_eq!(backoff.wait(now), Duration::from_millis(wait_ms));
            now += Duration::from_secs(60);
            assert_eq!(backoff.wait(now), Duration::ZERO);
        }
        backoff.crashed(now);
        assert!(backoff.is_quarantined());
    }

    #[test]
    fn crashes_further_apart_than_the_window_do_not_add_up() {
        let mut backoff = Backoff::default();
        for crash in 0..20 {
            backoff.crashed(Duration::from_secs(crash * 200));
        }
        assert_eq!(backoff.crashes(), 3);
        assert!(!backoff.is_quarantined());
    }

    #[test]
    fn the_wait_grows_to_half_a_minute_and_begins_anew_after_an_answer() {
        let mut backoff = Backoff::default();
        let spread = Duration::from_secs(151);
        let mut waits_ms = Vec::new();
        for crash in 1..=10 {
            backoff.crashed(spread * crash);
            waits_ms.push(backoff.wait(spread * crash).as_millis());
        }
        assert_eq!(waits_ms, [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]);
        backoff.answered();
        backoff.crashed(spread * 11);
        assert_eq!(backoff.wait(spread * 11), Duration::from_millis(200));
        assert!(!backoff.is_quarantined());
    }
}
