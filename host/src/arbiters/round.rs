//! How long one round of evidence takes, worked out before it is needed; pure.

use std::time::Duration;

use super::{LOOK_CONNECTS_MAX, Settings};
use crate::config::model::turns;

/// The longest that one round over all arbiters takes while so many of them are mute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// The pings.
    pub pings: Duration,
    /// The looks at the sessions.
    pub looks: Duration,
}

impl Round {
    /// The whole round: both halves run beside each other.
    pub fn longest(&self) -> Duration {
        self.pings.max(self.looks)
    }
}

/// The round over arbiters of which so many are mute, with room for so many outstanding echoes.
pub fn round(mute: usize, capacity: usize, settings: &Settings) -> Round {
    let (timeout, tries) = settings.ping_in_look();
    Round {
        pings: turns(mute, capacity, timeout.saturating_mul(tries)),
        looks: turns(mute, LOOK_CONNECTS_MAX, settings.look_timeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn settings() -> Settings {
        Settings {
            look_timeout: 5 * SECOND,
            ping_timeout: 5 * SECOND,
            ping_retries: 4,
            ..Settings::default()
        }
    }

    #[test]
    fn a_round_takes_one_deadline_until_there_are_more_mute_ones_than_places() {
        for (mute, capacity, pings_s, looks_s) in
            [(0, 100, 5, 5), (100, 100, 5, 5), (256, 1_000, 5, 5), (257, 1_000, 5, 10), (500, 104, 25, 10)]
        {
            let round = round(mute, capacity, &settings());
            assert_eq!((round.pings, round.looks), (pings_s * SECOND, looks_s * SECOND), "{mute} mute");
            assert_eq!(round.longest(), round.pings.max(round.looks));
        }
        assert_eq!(turns(usize::MAX, 0, Duration::MAX), Duration::MAX);
    }
}
