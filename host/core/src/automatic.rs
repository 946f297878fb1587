//! The switches of automatic failover: the operator's, with end, reason and author; and the one of connectivity.

use dr_watchdog_sdk::Utc;

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
