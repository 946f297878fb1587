//! Waiting for a state, with a limit; nothing in the rings sleeps for a time and hopes.

use std::time::{Duration, Instant};

/// How long a check that failed rests before it is tried again.
const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// Tries `check` until it gives a value or the limit is over; the last reason of a failure is returned.
///
/// # Errors
/// The last failure, when the limit is over.
pub fn poll<T>(limit: Duration, mut check: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let end = Instant::now() + limit;
    loop {
        match check() {
            Ok(value) => return Ok(value),
            Err(why) if Instant::now() >= end => return Err(why),
            // Nobody unparks this thread; a spurious return only tries earlier.
            Err(_) => std::thread::park_timeout(POLL_INTERVAL),
        }
    }
}

/// Waits until `check` gives a value.
///
/// # Panics
/// When the limit is over: with what was waited for, the last reason, and whatever `dump` says.
pub fn until<T>(
    what: &str,
    limit: Duration,
    check: impl FnMut() -> Result<T, String>,
    dump: impl FnOnce() -> String,
) -> T {
    match poll(limit, check) {
        Ok(value) => value,
        Err(why) => panic!("waited {limit:?} until {what}; at the end: {why}\n{}", dump()),
    }
}

/// A check from a condition.
///
/// # Errors
/// The text of `why`, when the condition does not hold.
pub fn holds(condition: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(why()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_comes_is_seen_and_one_that_does_not_ends_with_its_last_reason() {
        let mut tries = 0;
        let seen = poll(Duration::from_secs(10), || {
            tries += 1;
            if tries == 3 { Ok(tries) } else { Err(format!("try {tries}")) }
        });
        assert_eq!(seen, Ok(3));
        assert_eq!(poll(Duration::ZERO, || Err::<(), _>("never".to_owned())), Err("never".to_owned()));
    }
}
