//! Damping: which alarms become mail, and which are only counted until the next one.

use std::collections::BTreeMap;

use dr_watchdog_sdk::Utc;
use serde::{Deserialize, Serialize};

use super::kind::Kind;

/// Episodes of one kind that are told within one interval; a trouble that comes and goes more often is told once more
/// when the interval is over.
const EPISODES_MAX: u32 = 3;

/// What is remembered of the kinds that were mailed about. It is stored, so that a restart tells nothing twice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Damping {
    /// By the kind's word, which stands for service and trigger.
    episodes: BTreeMap<String, Episode>,
}

/// One trouble from its first alarm to its end, and what came shortly after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Episode {
    /// Whether it goes on.
    is_open: bool,
    /// When it began.
    since: Utc,
    /// When its last mail was written; `None`: it was held back.
    mailed: Option<Utc>,
    /// Alarms since that mail.
    held_back: u64,
    /// When the interval began in which the episodes are counted.
    window: Utc,
    /// Episodes in it.
    in_window: u32,
}

/// A mail that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Alarms of this kind that were held back before it.
    pub held_back: u64,
    /// When the episode began.
    pub since: Utc,
}

/// Whether at least the interval has gone by; a clock that was set back counts as if it had.
fn is_over(now: Utc, from: Utc, interval_ms: u64) -> bool {
    let gone = now.unix_ms().saturating_sub(from.unix_ms());
    u64::try_from(gone).map_or(true, |gone| gone >= interval_ms)
}

impl Damping {
    /// An alarm; the mail that is due for it.
    pub fn alarm(&mut self, now: Utc, kind: Kind, interval_ms: u64) -> Option<Due> {
        if kind.is_role_change() || kind == Kind::Test {
            return Some(Due { held_back: 0, since: now });
        }
        let fresh =
            Episode { is_open: false, since: now, mailed: None, held_back: 0, window: now, in_window: 0 };
        let episode = self.episodes.entry(kind.about().word.to_owned()).or_insert(fresh);
        if is_over(now, episode.window, interval_ms) {
            (episode.window, episode.in_window) = (now, 0);
        }
        if !episode.is_open {
            (episode.is_open, episode.since) = (true, now);
            episode.in_window = episode.in_window.saturating_add(1);
            if episode.in_window <= EPISODES_MAX {
                episode.mailed = None;
            }
        }
        if episode.mailed.is_some_and(|mailed| !is_over(now, mailed, interval_ms)) {
            episode.held_back = episode.held_back.saturating_add(1);
            return None;
        }
        episode.mailed = Some(now);
        Some(Due { held_back: std::mem::take(&mut episode.held_back), since: episode.since })
    }

    /// The end of a trouble; the mail that is due for it: the one that ends an episode that was mailed about.
    pub fn end(&mut self, kind: Kind) -> Option<Due> {
        let episode = self.episodes.get_mut(kind.about().word).filter(|episode| episode.is_open)?;
        episode.is_open = false;
        let was_told = episode.mailed.is_some_and(|mailed| mailed >= episode.since);
        if !was_told || kind.about().over.is_empty() {
            return None;
        }
        Some(Due { held_back: std::mem::take(&mut episode.held_back), since: episode.since })
    }

    /// Whether a trouble of this kind goes on.
    pub fn is_open(&self, kind: Kind) -> bool {
        self.episodes.get(kind.about().word).is_some_and(|episode| episode.is_open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    fn at(ms: i64) -> Utc {
        Utc::from_unix_ms(1_700_000_000_000 + ms)
    }

    #[test]
    fn the_same_trouble_is_told_once_in_an_interval_and_then_with_its_count() {
        let mut damping = Damping::default();
        assert!(damping.alarm(at(0), Kind::PolicyFailed, HOUR_MS).is_some());
        for ms in 1..10_000 {
            assert_eq!(damping.alarm(at(ms), Kind::PolicyFailed, HOUR_MS), None);
        }
        let due = damping.alarm(at(3_600_000), Kind::PolicyFailed, HOUR_MS).unwrap();
        assert_eq!((due.held_back, due.since), (9_999, at(0)));
    }

    #[test]
    fn kinds_do_not_hold_each_other_back() {
        let mut damping = Damping::default();
        assert!(damping.alarm(at(0), Kind::PolicyFailed, HOUR_MS).is_some());
        assert!(damping.alarm(at(1), Kind::PeerLost, HOUR_MS).is_some());
    }

    #[test]
    fn role_changes_are_never_held_back() {
        let mut damping = Damping::default();
        for ms in 0..10 {
            assert!(damping.alarm(at(ms), Kind::BecameActive, HOUR_MS).is_some());
            assert!(damping.alarm(at(ms), Kind::BecameStandby, HOUR_MS).is_some());
        }
    }

    #[test]
    fn an_end_is_told_once_and_clears_the_kind() {
        let mut damping = Damping::default();
        assert_eq!(damping.end(Kind::PeerLost), None, "nothing was wrong");
        damping.alarm(at(0), Kind::PeerLost, HOUR_MS);
        assert!(damping.is_open(Kind::PeerLost));
        assert_eq!(damping.end(Kind::PeerLost).unwrap().since, at(0));
        assert_eq!(damping.end(Kind::PeerLost), None, "it is over already");
        assert!(damping.alarm(at(5), Kind::PeerLost, HOUR_MS).is_some(), "a new episode is told at once");
    }

    #[test]
    fn a_trouble_that_comes_and_goes_is_held_back_after_three_episodes_until_the_interval_is_over() {
        let mut damping = Damping::default();
        let mut mails = 0;
        for ms in 0..5_000 {
            mails += usize::from(damping.alarm(at(ms), Kind::PeerLost, HOUR_MS).is_some());
            mails += usize::from(damping.end(Kind::PeerLost).is_some());
        }
        assert_eq!(mails, 6, "three episodes, each with its end");
        let due = damping.alarm(at(3_600_000), Kind::PeerLost, HOUR_MS).unwrap();
        assert_eq!(due.held_back, 4_997);
    }

    #[test]
    fn a_clock_that_was_set_back_holds_nothing_back_for_ever() {
        let mut damping = Damping::default();
        damping.alarm(at(1_000_000), Kind::PeerLost, HOUR_MS);
        assert!(damping.alarm(at(0), Kind::PeerLost, HOUR_MS).is_some());
    }

    #[test]
    fn it_survives_being_stored() {
        let mut damping = Damping::default();
        damping.alarm(at(0), Kind::PeerLost, HOUR_MS);
        let stored = serde_json::to_string(&damping).unwrap();
        let mut read: Damping = serde_json::from_str(&stored).unwrap();
        assert_eq!(read, damping);
        assert_eq!(read.alarm(at(1), Kind::PeerLost, HOUR_MS), None);
    }
}
