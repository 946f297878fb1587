//! The terms of a policy: what the operator grants it, pins it to, and keeps for it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use dr_watchdog_sdk::host::method;
use serde::{Deserialize, Serialize};

use super::protocol::Trial;

/// What a policy may be granted beyond the common host calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Grant {
    /// The host call `ping`.
    Ping,
    /// The host call `tcp`.
    Tcp,
    /// The host call `ssh`.
    Ssh,
    /// The machine's own network.
    Network,
}

impl Grant {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ping, Self::Tcp, Self::Ssh, Self::Network];

    /// The word as the configuration has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Tcp => "tcp",
            Self::Ssh => "ssh",
            Self::Network => "network",
        }
    }

    /// The inverse of [`Grant::word`].
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.word() == word)
    }

    /// The grant that a host call needs; None for the common ones.
    pub fn of_call(name: &str) -> Option<Self> {
        match name {
            method::PING => Some(Self::Ping),
            method::TCP => Some(Self::Tcp),
            method::SSH => Some(Self::Ssh),
            _ => None,
        }
    }
}

/// A layer of the wall beyond those that every guest has. Another wall stands behind each, so that a system without
/// it, or an operator who must, can do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// A filter of system calls.
    Seccomp,
    /// A list of the folders that may be read.
    Landlock,
}

impl Layer {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Seccomp, Self::Landlock];

    /// The word as the configuration has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Seccomp => "seccomp",
            Self::Landlock => "landlock",
        }
    }

    /// The inverse of [`Layer::word`].
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layer| layer.word() == word)
    }
}

/// The terms of one policy.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// `policy.grants`; None where nothing is written, which is [`Terms::granted`]'s default.
    pub grants: Option<BTreeSet<Grant>>,
    /// `policy.sha256`.
    pub sha256: Option<String>,
    /// Where `state.put` keeps its value; None keeps it only as long as the policy is loaded.
    pub state_file: Option<PathBuf>,
    /// `policy.sandbox.uid`.
    pub uid: Option<u32>,
    /// Folders that are closed to the guest.
    pub hidden: Vec<PathBuf>,
    /// `policy.sandbox.seccomp = false`, `policy.sandbox.landlock = false`.
    pub without: BTreeSet<Layer>,
    /// What `plugin check` tries on it before it is loaded.
    pub trial: Option<Trial>,
    /// Whether a network that is granted is an empty one: nothing of this evaluation may leave the machine.
    pub is_network_cut: bool,
    /// `policy.script.memory`; None is the default.
    pub script_memory_bytes: Option<u64>,
    /// `policy.script.processes = "machine"`.
    pub is_script_among_others: bool,
}

impl Terms {
    /// What the policy is granted: what is written, else the probes that every engine has (design 7: the same host
    /// calls everywhere). A network of its own is never granted without being written.
    pub fn granted(&self) -> BTreeSet<Grant> {
        self.grants.clone().unwrap_or_else(|| BTreeSet::from([Grant::Ping, Grant::Tcp, Grant::Ssh]))
    }

    /// Whether the guest reaches the machine's own network.
    pub fn has_network(&self) -> bool {
        !self.is_network_cut && self.granted().contains(&Grant::Network)
    }
}

/// What a policy asks for and has not got, as the configuration line that would grant it; None if nothing is missing.
pub fn line_for(asked: &[String], granted: &BTreeSet<Grant>) -> Option<String> {
    let words: BTreeSet<Grant> = asked.iter().filter_map(|word| Grant::from_word(word)).collect();
    if words.is_subset(granted) {
        return None;
    }
    let all: Vec<String> = words.union(granted).map(|grant| format!("\"{}\"", grant.word())).collect();
    Some(format!("policy.grants = [{}]", all.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_gets_what_is_written_and_a_network_only_then() {
        let mut terms = Terms::default();
        assert!(terms.granted().contains(&Grant::Ssh));
        assert!(!terms.granted().contains(&Grant::Network));
        terms.grants = Some(BTreeSet::from([Grant::Tcp]));
        let asked = ["network".to_owned(), "tcp".to_owned()];
        let line = line_for(&asked, &terms.granted());
        assert_eq!(line.as_deref(), Some("policy.grants = [\"tcp\", \"network\"]"));
        assert_eq!(line_for(&asked[1..], &terms.granted()), None);
        assert!(Grant::ALL.iter().all(|grant| Grant::from_word(grant.word()) == Some(*grant)));
        assert!(Layer::ALL.iter().all(|layer| Layer::from_word(layer.word()) == Some(*layer)));
    }
}
