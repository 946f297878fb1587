//! The agreed configuration: what both sites must count with, as a version.

use dr_watchdog_sdk::threshold::Threshold;
use serde::{Deserialize, Serialize};

use super::quorum::{Quorum, Set};
use super::timers::Timers;

/// What an arbiter shows of the other site's sessions, best first (`exclusion-notes.md` 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// A mark with the arbiter's own uptime: it outlives the session and carries the epoch.
    Mark,
    /// The age of the last byte received.
    Age,
    /// A counter that is compared between looks.
    Counter,
    /// Only that a session is there.
    Presence,
}

impl Kind {
    /// All of them, best first.
    pub const ALL: [Self; 4] = [Self::Mark, Self::Age, Self::Counter, Self::Presence];

    /// The word as the configuration has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mark => "mark",
            Self::Age => "age",
            Self::Counter => "counter",
            Self::Presence => "presence",
        }
    }
}

/// One version of the safety settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Agreed {
    /// Grows by one with every change.
    pub version: u64,
    /// Arbiters by name, with what each shows.
    pub arbiters: Vec<(String, Kind)>,
    /// T, in ten-thousandths.
    pub threshold: u16,
    /// The timers.
    pub timers: Timers,
}

impl Agreed {
    /// The share of arbiters that keeps the active.
    pub const fn threshold(&self) -> Threshold {
        match Threshold::from_ten_thousandths(self.threshold) {
            Some(threshold) => threshold,
            None => Threshold::HALF,
        }
    }

    /// Whether two versions say the same, their number aside.
    pub fn is_same(&self, other: &Self) -> bool {
        self.arbiters == other.arbiters && self.threshold == other.threshold && self.timers == other.timers
    }

    fn set(&self, names: &[String]) -> Set {
        let position = |name: &String| names.iter().position(|known| known == name);
        // An arbiter that is not configured here is never heard, so it takes a place that nothing fills.
        let members = self.arbiters.iter().map(|(name, _)| position(name).unwrap_or(usize::MAX));
        Set::new(members.collect(), self.threshold())
    }
}

/// The versions in force at one site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Versions {
    /// The agreed version.
    pub current: Agreed,
    /// The version that follows; while it is here, both count.
    #[serde(default)]
    pub next: Option<Agreed>,
}

impl Versions {
    /// Only one version.
    pub const fn single(current: Agreed) -> Self {
        Self { current, next: None }
    }

    /// Every arbiter of every version in force, by name.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (name, _) in self.all().flat_map(|agreed| &agreed.arbiters) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// The versions in force.
    pub fn all(&self) -> impl Iterator<Item = &Agreed> {
        [Some(&self.current), self.next.as_ref()].into_iter().flatten()
    }

    /// The sets in force.
    pub fn quorum(&self, names: &[String]) -> Quorum {
        Quorum::new(self.all().map(|agreed| agreed.set(names)).collect())
    }

    /// The strictest timers in force.
    pub fn timers(&self) -> Timers {
        match &self.next {
            Some(next) => self.current.timers.stricter(&next.timers),
            None => self.current.timers,
        }
    }

    /// What an arbiter shows; where two versions differ, the one that shows less.
    pub fn kind(&self, name: &str) -> Kind {
        let found = self.all().flat_map(|agreed| &agreed.arbiters).filter(|(known, _)| known == name);
        found.map(|(_, kind)| *kind).max().unwrap_or(Kind::Presence)
    }

    /// What the heartbeat says of them.
    pub fn say(&self) -> Say {
        Say { current: self.current.version, next: self.next.as_ref().map(|next| next.version) }
    }
}

/// The versions a site is at, as it says in its heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Say {
    /// The agreed version.
    pub current: u64,
    /// The version that follows.
    pub next: Option<u64>,
}

impl Say {
    /// The newest version this site has written down.
    pub fn newest(self) -> u64 {
        self.next.unwrap_or(self.current)
    }
}
