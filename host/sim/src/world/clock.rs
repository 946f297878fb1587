//! A site's clock: its own rate, standing still where the machine does.

use dr_watchdog_core::{Moment, Now};
use dr_watchdog_sdk::Utc;

/// 2026-01-01T00:00:00+00:00 in milliseconds.
const START_MS: i64 = 1_767_225_600_000;
const MILLION: i64 = 1_000_000;

/// A clock that runs fast or slow.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    rate_ppm: i64,
    /// What it showed at the true time `since_us`.
    base_us: u64,
    since_us: u64,
    /// By how much the wall clock is off.
    pub(crate) wall_off_ms: i64,
    is_still: bool,
}

impl Clock {
    pub(crate) const fn new(rate_ppm: i64) -> Self {
        Self { rate_ppm, base_us: 1_000_000, since_us: 0, wall_off_ms: 0, is_still: false }
    }

    /// What it shows at a true time.
    pub(crate) fn local_us(&self, true_us: u64) -> u64 {
        if self.is_still {
            return self.base_us;
        }
        // A schedule is hours long, so the product has room to spare.
        let span = i64::try_from(true_us - self.since_us).unwrap_or(0);
        self.base_us + u64::try_from(span + span * self.rate_ppm / MILLION).unwrap_or(0)
    }

    /// Both clocks at a true time.
    pub(crate) fn now(&self, true_us: u64) -> Now {
        let local_us = self.local_us(true_us);
        let wall = START_MS + i64::try_from(local_us / 1_000).unwrap_or(0) + self.wall_off_ms;
        Now { mono: Moment::from_us(local_us), wall: Utc::from_unix_ms(wall) }
    }

    /// The true time at which it will show at least `local`.
    pub(crate) fn true_us(&self, local: Moment, true_now_us: u64) -> u64 {
        let left = local.us().saturating_sub(self.local_us(true_now_us));
        if left > 1_000_000_000_000 {
            return u64::MAX;
        }
        let left = i64::try_from(left).unwrap_or(i64::MAX);
        let span = left * MILLION / (MILLION + self.rate_ppm) + 1;
        true_now_us + u64::try_from(span).unwrap_or(0)
    }

    pub(crate) fn stop(&mut self, true_us: u64) {
        self.base_us = self.local_us(true_us);
        self.is_still = true;
    }

    /// It runs again; whether it stood still.
    pub(crate) const fn go_on(&mut self, true_us: u64) -> bool {
        if self.is_still {
            self.since_us = true_us;
        }
        std::mem::replace(&mut self.is_still, false)
    }
}
