//! When a worker that crashed may start again (pure).

use std::collections::VecDeque;
use std::time::Duration;

/// Wait after the first crash.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Crashes within [`WINDOW`] after which the policy is left alone until an operator reloads it.
pub(super) const CRASHES_MAX: usize = 5;
/// Time for which a crash counts.
const WINDOW: Duration = Duration::from_secs(600);

/// Crashes of one policy. Time is an argument: the span since the policy was loaded.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    crashes: VecDeque<Duration>,
    is_quarantined: bool,
}

impl Backoff {
    /// A crash happened.
    pub(super) fn crashed(&mut self, now: Duration) {
        self.crashes.push_back(now);
        while self.crashes.front().is_some_and(|crash| now.saturating_sub(*crash) >= WINDOW) {
            self.crashes.pop_front();
        }
        // Once reached it stays: only a reload, which makes a new `Backoff`, ends it.
        self.is_quarantined |= self.crashes.len() >= CRASHES_MAX;
    }

    /// Whether it may never start again.
    pub(super) const fn is_quarantined(&self) -> bool {
        self.is_quarantined
    }

    /// Crashes within the window.
    pub(super) fn crashes(&self) -> usize {
        self.crashes.len()
    }

    /// How long to wait before it may start again.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        let Some(last) = self.crashes.back() else { return Duration::ZERO };
        let doublings = u32::try_from(self.crashes.len() - 1).unwrap_or(u32::MAX);
        let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST_WAIT);
        (*last + wait).saturating_sub(now)
    }
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
}
