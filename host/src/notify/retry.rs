//! Retries: when a mail that was not taken is tried again, when it is given up.

use std::time::Duration;

/// Pauses after a mail was not taken; later ones are as long as the last of them. Greylisting servers want some minutes.
const MAIL_PAUSES_S: [u64; 7] = [5, 15, 60, 300, 900, 1_800, 3_600];
/// Pauses after no conversation came about: a server that is back should not wait an hour for its mail.
const SERVER_PAUSES_S: [u64; 5] = [5, 15, 60, 120, 300];
/// A server that was given the mail and did not say whether it keeps it may have kept it: asking seldom keeps the
/// copies few.
const UNSURE_PAUSE: Duration = Duration::from_secs(900);
/// A mail that the server refuses for good (a 5xx answer) is tried for a day, in which an operator may mend an address
/// or a rule of the server.
const REFUSED_AGE_MS_MAX: i64 = 24 * 3_600_000;
/// Every other mail is tried for three days.
const AGE_MS_MAX: i64 = 3 * 24 * 3_600_000;
/// No mail is given up with fewer tries, however old it seems: the clock may have jumped.
const TRIES_MIN: u32 = 3;

/// How a try ended, other than well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// No conversation came about, or we were refused as a whole; every other mail would fare the same.
    Server(String),
    /// The server refused this mail for now (a 4xx answer).
    Deferred(String),
    /// The server refused this mail for good (a 5xx answer).
    Refused(String),
    /// The server was given the mail and fell silent.
    Unsure(String),
}

impl Trouble {
    /// In a sentence.
    pub fn why(&self) -> &str {
        match self {
            Self::Server(why) | Self::Deferred(why) | Self::Refused(why) | Self::Unsure(why) => why,
        }
    }
}

/// How long to wait after so many tries of this kind, the last of which failed.
pub fn pause(trouble: &Trouble, tries: u32) -> Duration {
    let of = |pauses: &[u64]| {
        let last = pauses.len() - 1;
        let step = usize::try_from(tries.saturating_sub(1)).unwrap_or(last).min(last);
        Duration::from_secs(pauses[step])
    };
    match trouble {
        Trouble::Server(_) => of(&SERVER_PAUSES_S),
        Trouble::Deferred(_) => of(&MAIL_PAUSES_S),
        Trouble::Refused(_) => of(&MAIL_PAUSES_S[MAIL_PAUSES_S.len() - 1..]),
        Trouble::Unsure(_) => of(&MAIL_PAUSES_S).max(UNSURE_PAUSE),
    }
}

/// Whether a mail of this age is given up.
pub const fn is_given_up(trouble: &Trouble, age_ms: i64, tries: u32) -> bool {
    let age_ms_max = if matches!(trouble, Trouble::Refused(_)) { REFUSED_AGE_MS_MAX } else { AGE_MS_MAX };
    age_ms > age_ms_max && tries >= TRIES_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn word() -> String {
        "why".to_owned()
    }

    #[test]
    fn a_server_that_is_away_is_asked_at_least_every_five_minutes() {
        let pauses: Vec<u64> = (1..8).map(|tries| pause(&Trouble::Server(word()), tries).as_secs()).collect();
        assert_eq!(pauses, [5, 15, 60, 120, 300, 300, 300]);
    }

    #[test]
    fn a_greylisting_server_is_asked_again_within_minutes() {
        let within: Duration = (1..5).map(|tries| pause(&Trouble::Deferred(word()), tries)).sum();
        assert!(within <= Duration::from_secs(400), "{within:?}");
    }

    #[test]
    fn a_refusal_for_good_is_tried_once_an_hour_for_a_day() {
        let refused = Trouble::Refused(word());
        assert_eq!(pause(&refused, 1).as_secs(), 3_600);
        assert!(!is_given_up(&refused, 23 * HOUR_MS, 24));
        assert!(is_given_up(&refused, 25 * HOUR_MS, 24));
    }

    #[test]
    fn a_server_that_may_have_kept_the_mail_is_asked_seldom() {
        assert!((1..9).all(|tries| pause(&Trouble::Unsure(word()), tries) >= UNSURE_PAUSE));
    }

    #[test]
    fn a_clock_that_jumps_gives_no_mail_up() {
        let away = Trouble::Server(word());
        assert!(!is_given_up(&away, 1_000 * HOUR_MS, 2));
        assert!(is_given_up(&away, 1_000 * HOUR_MS, 3));
        assert!(!is_given_up(&away, -HOUR_MS, 9));
    }
}
