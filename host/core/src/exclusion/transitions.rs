//! The rows of the transition table that only `lease` knows.

use crate::transitions::{Cause, Phase, Row};

const fn row(from: Phase, cause: Cause, to: Phase, sentence: &'static str) -> Row {
    Row { from, cause, to, sentence }
}

/// The table.
pub static TRANSITIONS: [Row; 10] = [
    row(
        Phase::Standby,
        Cause::Adopted,
        Phase::Active,
        "the watchdog started again on the same boot, its guard is armed and its lease goes on: this site stays active",
    ),
    row(
        Phase::Standby,
        Cause::Vote,
        Phase::Promoting,
        "both sites were standby, and the other site voted for this one: it becomes active",
    ),
    row(
        Phase::Standby,
        Cause::Operator,
        Phase::Promoting,
        "an operator asked for it and every gate of that way is open: this site becomes active",
    ),
    row(
        Phase::Active,
        Cause::Operator,
        Phase::Demoting,
        "an operator asked for it: this site becomes standby, and the other site takes over",
    ),
    row(
        Phase::Active,
        Cause::LeaseEnded,
        Phase::Demoting,
        "the lease ended: the other site and too many arbiters were silent for L; serving has ended",
    ),
    row(
        Phase::Promoting,
        Cause::LeaseEnded,
        Phase::Demoting,
        "the lease ended before this site was active: what was started is stopped",
    ),
    row(
        Phase::Active,
        Cause::GuardLost,
        Phase::Demoting,
        "the guard has fenced or is gone: this site becomes standby",
    ),
    row(
        Phase::Promoting,
        Cause::GuardLost,
        Phase::Demoting,
        "the guard has fenced or is gone: this site stops becoming active",
    ),
    row(
        Phase::Active,
        Cause::TimeSlipped,
        Phase::Demoting,
        "the clock of this machine stood still or jumped: this site becomes standby",
    ),
    row(
        Phase::Promoting,
        Cause::TimeSlipped,
        Phase::Demoting,
        "the clock of this machine stood still or jumped: this site stops becoming active",
    ),
];
