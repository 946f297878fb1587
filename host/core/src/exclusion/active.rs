//! What an active does with what it sees: a table with a sentence per row.

use crate::transitions::Cause;

/// What an active sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sight {
    /// The lease has ended.
    pub is_lease_over: bool,
    /// A guard has fenced, or is gone.
    pub is_guard_lost: bool,
    /// An active or a claim of the other site has a higher epoch: heard, or read in a mark.
    pub is_higher_epoch: bool,
    /// The clock of this machine cannot be trusted.
    pub has_time_slipped: bool,
    /// The verdict is beStandby.
    pub is_standby_wanted: bool,
    /// It was so before, at least one heartbeat timeout ago, and nothing else since.
    pub is_standby_wanted_again: bool,
    /// Nothing that the lease rests on is fresher than half of it.
    pub is_lease_weak: bool,
    /// The configuration says that such a verdict is honoured at once.
    pub is_honoured_at_once: bool,
    /// An operator's off is in force here.
    pub is_off: bool,
}

/// One row.
#[derive(Debug)]
pub struct Row {
    /// When it applies.
    applies: fn(&Sight) -> bool,
    /// What follows; `None` = it goes on serving.
    pub cause: Option<Cause>,
    /// For people.
    pub sentence: &'static str,
}

/// The table (`exclusion-notes.md` 4); the first row that applies counts.
pub static ROWS: [Row; 7] = [
    Row {
        applies: |sight| sight.is_lease_over,
        cause: Some(Cause::LeaseEnded),
        sentence: "neither the other site nor enough arbiters have answered for L: serving ends",
    },
    Row {
        applies: |sight| sight.is_guard_lost,
        cause: Some(Cause::GuardLost),
        sentence: "the guard has fenced or is gone: serving ends",
    },
    Row {
        applies: |sight| sight.has_time_slipped,
        cause: Some(Cause::TimeSlipped),
        sentence: "the clock of this machine stood still or jumped, so no lease can be counted: serving ends",
    },
    Row {
        applies: |sight| sight.is_higher_epoch,
        cause: Some(Cause::HigherEpoch),
        sentence: "the other site serves or claims with a higher epoch: serving ends",
    },
    Row {
        applies: |sight| {
            sight.is_standby_wanted
                && !sight.is_off
                && (sight.is_lease_weak || sight.is_standby_wanted_again || sight.is_honoured_at_once)
        },
        cause: Some(Cause::Verdict),
        sentence: "the policy asked for beStandby, and the lease does not speak against it: serving ends",
    },
    Row {
        applies: |sight| sight.is_standby_wanted,
        cause: None,
        sentence: "the policy asked for beStandby once, and the lease is strong: the site goes on serving",
    },
    Row { applies: |_| true, cause: None, sentence: "the lease holds: the site serves" },
];

/// The row that applies.
pub fn row(sight: &Sight) -> &'static Row {
    // The last row applies always.
    ROWS.iter().find(|row| (row.applies)(sight)).unwrap_or(&ROWS[ROWS.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_reached() {
        let none = Sight::default();
        let cases = [
            Sight { is_lease_over: true, is_higher_epoch: true, ..none },
            Sight { is_guard_lost: true, ..none },
            Sight { has_time_slipped: true, ..none },
            Sight { is_higher_epoch: true, is_standby_wanted: true, ..none },
            Sight { is_standby_wanted: true, is_lease_weak: true, ..none },
            Sight { is_standby_wanted: true, is_standby_wanted_again: true, is_off: true, ..none },
            none,
        ];
        for (index, sight) in cases.iter().enumerate() {
            assert!(std::ptr::eq(row(sight), &raw const ROWS[index]), "row {index}");
        }
        assert_eq!(
            row(&Sight { is_standby_wanted: true, ..none }).cause,
            None,
            "one bad sweep stops nothing while the lease is strong"
        );
    }
}
