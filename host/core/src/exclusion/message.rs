//! What a signed heartbeat says under `lease`.

use super::agreed::{Agreed, Say};
use crate::event::Beat;

/// What a site is to the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Stance {
    /// It stands by, and its fence is finished.
    Standby,
    /// It claims: its holds are open, and it looks whether the other site has any.
    Claiming {
        /// The epoch it would mint.
        epoch: u64,
    },
    /// It serves, or is about to.
    Active,
    /// It serves no longer than its fence takes.
    Stopping,
}

impl Stance {
    /// Whether the standby's silence begins anew when it hears this.
    pub const fn breaks_silence(self) -> bool {
        !matches!(self, Self::Standby)
    }
}

/// A heartbeat that is answered: of which run of the program, and which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Echo {
    /// Chosen anew at every start of the program.
    pub run: u64,
    /// Grows by one with every heartbeat.
    pub sequence: u64,
}

/// Votes while both sites are standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Ballot {
    /// May I?
    Ask {
        /// An operator asked for it.
        is_manual: bool,
    },
    /// You may; I shall not for F.
    Grant,
}

/// What an active owes while the operator has switched automatic failover off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Duty {
    /// It stops when its lease ends.
    Owed,
    /// It would like not to.
    OffWanted {
        /// Which request.
        id: u64,
        /// For how many seconds; `None` = until further notice.
        seconds: Option<u64>,
    },
    /// It does not, as agreed.
    Off {
        /// Which request.
        id: u64,
    },
}

/// A signed heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Signed {
    /// What every heartbeat says.
    pub beat: Beat,
    /// Of which pair.
    pub cluster: u64,
    /// This heartbeat.
    pub me: Echo,
    /// The heartbeat it answers.
    pub echo: Option<Echo>,
    /// What the sender is.
    pub stance: Stance,
    /// Whether its state is whole.
    pub is_joined: bool,
    /// The epoch in which it last served.
    pub served_epoch: u64,
    /// The highest epoch it has seen of the receiver.
    pub seen_of_peer: u64,
    /// A vote.
    pub ballot: Option<Ballot>,
    /// Safety settings: versions.
    pub say: Say,
    /// Safety settings: what follows.
    pub proposal: Option<Box<Agreed>>,
    /// Arbiters at which it has held a session for the minimum age, by position in the agreed version.
    pub holds: Vec<bool>,
    /// What it owes, if it is active.
    pub duty: Duty,
    /// The request of the other site that it has promised.
    pub promised: Option<u64>,
    /// Whether it stepped down so that the other site takes over.
    pub hands_over: bool,
}
