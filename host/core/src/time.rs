//! Time as an argument: a monotonic moment for spans, a UTC instant for what is stored.
//!
//! A [`Moment`] is CLOCK_BOOTTIME, which goes on in suspend; the wall clock may jump and is used only for
//! instants that outlive a reboot (`exclusion-notes.md` 12).

use std::time::Duration;

use dr_watchdog_sdk::Utc;

/// Microseconds on the site's own CLOCK_BOOTTIME.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize,
)]
pub struct Moment(u64);

impl Moment {
    /// A moment from microseconds since boot.
    pub const fn from_us(us: u64) -> Self {
        Self(us)
    }

    /// Microseconds since boot.
    pub const fn us(self) -> u64 {
        self.0
    }

    /// This moment, moved forward.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
    }

    /// This moment, moved back; not before the boot.
    #[must_use]
    pub fn earlier(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
    }

    /// The span from `earlier` to this moment; zero if it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// A UTC instant to the millisecond; its text has whole seconds only.
pub(crate) mod utc_ms {
    use dr_watchdog_sdk::Utc;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(instant: &Utc, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(instant.unix_ms())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Utc, D::Error> {
        i64::deserialize(deserializer).map(Utc::from_unix_ms)
    }
}

/// Both clocks, read at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Now {
    /// For spans.
    pub mono: Moment,
    /// For what is stored and shown.
    #[serde(with = "utc_ms")]
    pub wall: Utc,
}

impl Now {
    /// The moment at which the wall clock will show `instant`, if nobody sets it.
    pub fn moment_of(self, instant: Utc) -> Moment {
        let ms = instant.unix_ms().saturating_sub(self.wall.unix_ms());
        self.mono.plus(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
    }
}
