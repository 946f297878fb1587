//! How many sockets this program may have open at once.
//!
//! A look and a held session at each of a thousand arbiters are more than the usual limit of 1,024. Beyond the limit a
//! connection cannot be opened, and an arbiter would be blamed for what this machine refuses.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is asked for: looks and held sessions of 1,000 arbiters at once, sweeps, guests, files, with room. No more, as
/// old scripts close every number up to the limit that they inherit.
const FILES_WANTED: u64 = 8_192;
/// Sockets of one arbiter: its look and its held session.
const SOCKETS_OF_AN_ARBITER: u64 = 2;
/// Everything else that is open: files, guests, the control socket, sockets of sweeps.
const OTHERS: u64 = 256;

/// Raises the limit as far as the system allows without more rights.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let Some(wanted) = raised(limit.current, limit.maximum) else { return };
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit }) {
        tracing::debug!(%error, wanted, "the limit of open files stays as it is");
    }
}

/// Says so where the limit is too low for so many arbiters.
pub fn warn_if_short(arbiters: usize) {
    let Some(granted) = getrlimit(Resource::Nofile).current else { return };
    let needed = needed(arbiters);
    if granted < needed {
        tracing::warn!(
            granted,
            needed,
            "this program may open too few files for so many arbiters; some would seem unreachable: raise LimitNOFILE \
             of its unit, or ulimit -Hn"
        );
    }
}

/// The limit to ask for; nothing where there is none, or it is high enough.
fn raised(current: Option<u64>, maximum: Option<u64>) -> Option<u64> {
    let wanted = FILES_WANTED.min(maximum.unwrap_or(u64::MAX));
    current.is_some_and(|current| current < wanted).then_some(wanted)
}

fn needed(arbiters: usize) -> u64 {
    u64::try_from(arbiters).unwrap_or(u64::MAX).saturating_mul(SOCKETS_OF_AN_ARBITER).saturating_add(OTHERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_limit_is_raised_within_what_is_allowed_and_a_high_one_stays() {
        for (current, maximum, expected) in [
            (Some(1_024), Some(524_288), Some(FILES_WANTED)),
            (Some(1_024), None, Some(FILES_WANTED)),
            (Some(1_024), Some(4_096), Some(4_096)),
            (Some(1_024), Some(1_024), None),
            (Some(20_000), Some(20_000), None),
            (None, None, None),
        ] {
            assert_eq!(raised(current, maximum), expected, "{current:?} of {maximum:?}");
        }
        assert!(needed(1_000) <= FILES_WANTED);
    }
}
