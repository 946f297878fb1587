//! The transition table: every change of phase, one sentence per row.
//!
//! Log, mail, `explain` and docs print these sentences. A phase changes in no other way.

use serde::{Deserialize, Serialize};

/// What a site is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// It is no half of a pair.
    Standalone,
    /// It stands by.
    Standby,
    /// The beActive plan runs; services may be serving.
    Promoting,
    /// It serves.
    Active,
    /// The beStandby plan runs; services may still be serving.
    Demoting,
    /// The beStandby plan stopped at a failed step; services may still be serving.
    DemotionFailed,
}

impl Phase {
    /// The word as JSON has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Standby => "standby",
            Self::Promoting => "promoting",
            Self::Active => "active",
            Self::Demoting => "demoting",
            Self::DemotionFailed => "demotionFailed",
        }
    }

    /// Whether services of the site may be reachable.
    pub const fn may_serve(self) -> bool {
        !matches!(self, Self::Standby | Self::Standalone)
    }

    /// Whether the site means to serve.
    pub const fn claims_active(self) -> bool {
        matches!(self, Self::Promoting | Self::Active)
    }
}

/// Why a phase changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The configuration names this site the initial active, and nothing was stored.
    FirstStart,
    /// The stored role was active when the daemon started.
    FoundActive,
    /// The stored state could not be used.
    FoundUnusable,
    /// A beActive plan was found on the same boot.
    FoundPromotion,
    /// A beActive plan was found after a reboot.
    FoundPromotionOfEarlierBoot,
    /// A beStandby plan was found.
    FoundDemotion,
    /// A verdict asked for it, and every gate was open.
    Verdict,
    /// The last step ended.
    StepsDone,
    /// A step failed.
    StepFailed,
    /// The other site is active with a higher epoch.
    HigherEpoch,
    /// The new epoch could not be written.
    EpochNotWritten,
    /// The time to try again has come.
    RetryDue,
    /// The lease goes on over a restart of the watchdog.
    Adopted,
    /// The other site voted for this one.
    Vote,
    /// An operator asked for it.
    Operator,
    /// The watchdog of an active site was stopped with the other site's word.
    FoundStopped,
    /// The lease has ended.
    LeaseEnded,
    /// The guard has fenced, or is gone.
    GuardLost,
    /// The clock stood still or jumped.
    TimeSlipped,
}

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Phase before.
    pub from: Phase,
    /// What happened.
    pub cause: Cause,
    /// Phase after.
    pub to: Phase,
    /// For people.
    pub sentence: &'static str,
}

const fn row(from: Phase, cause: Cause, to: Phase, sentence: &'static str) -> Row {
    Row { from, cause, to, sentence }
}

/// The table.
pub static TRANSITIONS: [Row; 17] = [
    row(
        Phase::Standby,
        Cause::FirstStart,
        Phase::Promoting,
        "this site starts for the first time, is configured as the initial active, and heard no other active: it becomes active",
    ),
    row(
        Phase::Active,
        Cause::FoundActive,
        Phase::Demoting,
        "this site was active when its watchdog ended; a site boots as standby, so its services are stopped first",
    ),
    row(
        Phase::Standby,
        Cause::FoundUnusable,
        Phase::Demoting,
        "the stored state cannot be used, so services of this site may be serving: they are stopped first",
    ),
    row(
        Phase::Active,
        Cause::FoundStopped,
        Phase::Active,
        "an operator had stopped the watchdog with the other site's word, and the services went on: this site is active as before",
    ),
    row(
        Phase::Promoting,
        Cause::FoundPromotion,
        Phase::Promoting,
        "the watchdog ended while this site was becoming active and started again on the same boot: it goes on",
    ),
    row(
        Phase::Promoting,
        Cause::FoundPromotionOfEarlierBoot,
        Phase::Demoting,
        "the machine restarted while this site was becoming active: what was started is stopped",
    ),
    row(
        Phase::Demoting,
        Cause::FoundDemotion,
        Phase::Demoting,
        "the watchdog ended while this site was becoming standby: it goes on",
    ),
    row(
        Phase::Standby,
        Cause::Verdict,
        Phase::Promoting,
        "the policy asked for beActive and every gate is open: this site becomes active",
    ),
    row(
        Phase::Promoting,
        Cause::StepsDone,
        Phase::Active,
        "every step to become active is done: this site is active",
    ),
    row(
        Phase::Promoting,
        Cause::StepFailed,
        Phase::Demoting,
        "a step to become active failed: what was started is stopped, and this site stays standby",
    ),
    row(
        Phase::Promoting,
        Cause::HigherEpoch,
        Phase::Demoting,
        "the other site is active with a higher epoch: this site stops becoming active",
    ),
    row(
        Phase::Promoting,
        Cause::EpochNotWritten,
        Phase::Standby,
        "the new epoch could not be written to disk, so nothing was started: this site stays standby",
    ),
    row(
        Phase::Active,
        Cause::Verdict,
        Phase::Demoting,
        "the policy asked for beStandby and every gate is open: this site becomes standby",
    ),
    row(
        Phase::Active,
        Cause::HigherEpoch,
        Phase::Demoting,
        "the other site is active with a higher epoch: this site becomes standby",
    ),
    row(
        Phase::Demoting,
        Cause::StepsDone,
        Phase::Standby,
        "every step to become standby is done: this site is standby",
    ),
    row(
        Phase::Demoting,
        Cause::StepFailed,
        Phase::DemotionFailed,
        "a step to become standby failed: services of this site may still be serving",
    ),
    row(
        Phase::DemotionFailed,
        Cause::RetryDue,
        Phase::Demoting,
        "the step to become standby that failed is tried again",
    ),
];

/// The row for a phase and a cause.
pub fn find(from: Phase, cause: Cause) -> Option<&'static Row> {
    let mut rows = TRANSITIONS.iter().chain(&crate::exclusion::transitions::TRANSITIONS);
    rows.find(|row| row.from == from && row.cause == cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_rows_answer_the_same_question() {
        for (i, row) in TRANSITIONS.iter().enumerate() {
            let same =
                TRANSITIONS.iter().filter(|other| other.from == row.from && other.cause == row.cause).count();
            assert_eq!(same, 1, "row {i}");
            assert!(!row.sentence.is_empty() && !row.sentence.ends_with('.'), "row {i}");
        }
    }
}
