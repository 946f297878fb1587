//! The decision table: every case of the default rules, asked through every engine.

pub mod cases;
pub mod engines;
pub mod oracle;

use dr_watchdog_sdk::Verdict;

pub use cases::Case;

/// What all engines must agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `state`.
    pub state: String,
    /// `action`.
    pub action: String,
    /// `payload.waitTime`.
    pub wait_time: String,
}

impl From<&Verdict> for Answer {
    fn from(verdict: &Verdict) -> Self {
        Self {
            state: verdict.state.word().to_owned(),
            action: verdict.action.word().to_owned(),
            wait_time: verdict.payload.wait_time.clone(),
        }
    }
}
