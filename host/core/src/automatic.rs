//! The switches of automatic failover: the operator's, with end, reason and author; and the one of connectivity.

use dr_watchdog_sdk::Utc;

use serde::{Deserialize, Serialize};

use crate::durable::OperatorOff;

/// Both switches of one site.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Automatic {
    /// Set by an operator; never cleared by the program before its end.
    pub operator: Option<OperatorOff>,
    /// Set by lost arbiters, cleared when they answer again (reading A5). It blocks this site's promotion only.
    pub connectivity: Option<ConnectivityOff>,
}

/// Automatic failover is off because this site sees too few arbiters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectivityOff {
    /// In a sentence.
    pub reason: String,
    /// Since when.
    pub since: Utc,
    /// Which evidence was missing; the same must be back before the switch clears.
    pub by: Missing,
}

/// Evidence that was missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Answers to ping, while the other site answered.
    Pings,
    /// SSH log-ins, when the policy was asked.
    LogIns,
}

/// One turn of the operator's switch. Both sites end with the later one, whichever of them it was turned at.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// Grows by one with every turn at either site; 0 = it was never turned.
    pub count: u64,
    /// Where it was turned: of two turns at the same instant the one at site 1 counts.
    pub site_index: u8,
    /// What it was turned to; `None` = on.
    pub off: Option<OperatorOff>,
}

impl Turn {
    /// Whether this turn is the one that counts of two different ones.
    pub fn is_later_than(&self, other: &Self) -> bool {
        self.rank() > other.rank()
    }

    /// Whether both are the same turn.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }

    const fn rank(&self) -> (u64, u8) {
        (self.count, self.site_index)
    }
}

impl Automatic {
    /// Whether both switches are on.
    pub const fn is_on(&self) -> bool {
        self.operator.is_none() && self.connectivity.is_none()
    }

    /// When the operator's disable ends by itself.
    pub fn ends(&self) -> Option<Utc> {
        self.operator.as_ref().and_then(|off| off.until)
    }

    /// Ends an operator's disable whose time is over (reading A6); returns whether it did.
    pub fn expire(&mut self, now: Utc) -> bool {
        let is_over = self.ends().is_some_and(|until| until <= now);
        if is_over {
            self.operator = None;
        }
        is_over
    }

    /// Why a promotion is blocked, for people.
    pub fn why_off(&self) -> Option<String> {
        match (&self.operator, &self.connectivity) {
            (Some(off), _) => {
                let end = off
                    .until
                    .map_or_else(|| "until it is enabled".to_owned(), |until| format!("until {until}"));
                Some(format!("automatic failover is disabled {end} by {}: {}", off.by, off.reason))
            }
            (None, Some(off)) => {
                Some(format!("automatic failover is disabled since {}: {}", off.since, off.reason))
            }
            (None, None) => None,
        }
    }
}
