//! The ordered rule table of device arbitration: the first row that applies decides.
//!
//! Architecture invariant: pure. Facts in, a row out; no host call, no clock, no floating point.

use dr_watchdog_sdk::threshold::Threshold;
use dr_watchdog_sdk::verdict::Action;
use dr_watchdog_sdk::{Role, Situation, Utc};

use crate::share::Share;

/// How many arbiters are in which class. An arbiter that is neither managed nor unreachable is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Arbiters in all.
    pub total: u64,
    /// Arbiters that answered ping.
    pub pinged: u64,
    /// Arbiters that the other site manages.
    pub managed: u64,
    /// Arbiters whose SSH look failed for any reason.
    pub unreachable: u64,
}

/// Everything the rules look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The role of this site; never standalone.
    pub role: Role,
    /// Why the policy is asked.
    pub situation: Situation,
    /// Whether this site was the last active (`failover` is `active_to_standby`).
    pub was_last_active: bool,
    /// The arbiters.
    pub counts: Counts,
    /// `threshold.failover`.
    pub failover: Threshold,
    /// `threshold.adjustManaged`.
    pub adjust_managed: Threshold,
    /// The instant of the question, in whole seconds.
    pub now: Utc,
    /// End of the grace period while both sites are standby, in whole seconds.
    pub wait_until: Utc,
}

impl Facts {
    /// Share of arbiters that answered ping.
    pub const fn pinged(&self) -> Share {
        Share::new(self.counts.pinged, self.counts.total)
    }

    /// Share of arbiters that the other site manages.
    pub const fn managed(&self) -> Share {
        Share::new(self.counts.managed, self.counts.total)
    }

    /// Share of arbiters whose SSH look succeeded.
    pub const fn ssh_reachable(&self) -> Share {
        Share::new(self.counts.total - self.counts.unreachable, self.counts.total)
    }

    /// Share of arbiters that are managed, or unreachable and so presumed managed.
    pub const fn presumed_managed(&self) -> Share {
        Share::new(self.counts.managed + self.counts.unreachable, self.counts.total)
    }

    fn is_standby(&self) -> bool {
        self.role == Role::Standby
    }

    fn nobody_serves(&self) -> bool {
        self.is_standby() && self.situation != Situation::PeerLost
    }
}

/// Which evidence a row weighs; it tells what `flip` may move and what the description shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weighs {
    /// None.
    Nothing,
    /// Arbiters that answer ping.
    Pings,
    /// Arbiters by their sessions.
    Sessions,
}

/// One row.
#[derive(Debug)]
pub struct Rule {
    /// Its name, as `details.rule` and the tests know it.
    pub name: &'static str,
    /// The row as a sentence for people.
    pub sentence: &'static str,
    /// When it applies, if no row before it did.
    pub applies: fn(&Facts) -> bool,
    /// What it wants done.
    pub action: Action,
    /// Whether an operator is needed.
    pub is_problem: bool,
    /// Which evidence it weighs.
    pub weighs: Weighs,
}

/// The table. `>=` keeps, `<` moves.
pub const RULES: [Rule; 10] = [
    Rule {
        name: "noArbiters",
        sentence: "no arbiters are configured, so nothing can be decided: configure arbiters, or change the role by hand",
        applies: |facts| facts.counts.total == 0,
        action: Action::Nothing,
        is_problem: true,
        weighs: Weighs::Nothing,
    },
    Rule {
        name: "lastActiveReturns",
        sentence: "both sites are standby, this one was the last active and reaches enough arbiters: it becomes active again",
        applies: |facts| {
            facts.is_standby()
                && facts.situation == Situation::BothStandby
                && facts.was_last_active
                && facts.pinged().reaches(facts.failover)
        },
        action: Action::BeActive,
        is_problem: false,
        weighs: Weighs::Pings,
    },
    Rule {
        name: "waitForLastActive",
        sentence: "nobody serves, and the grace period for the last active site is not over: this site waits",
        applies: |facts| facts.nobody_serves() && facts.now < facts.wait_until,
        action: Action::Wait,
        is_problem: false,
        weighs: Weighs::Pings,
    },
    Rule {
        name: "graceIsOver",
        sentence: "nobody serves, and the grace period for the last active site is over: an operator decides which site serves",
        applies: Facts::nobody_serves,
        action: Action::Nothing,
        is_problem: true,
        weighs: Weighs::Pings,
    },
    Rule {
        name: "activeReachesArbiters",
        sentence: "the other site is silent and this one reaches enough arbiters: it stays active",
        applies: |facts| facts.role == Role::Active && facts.pinged().reaches(facts.failover),
        action: Action::Nothing,
        is_problem: false,
        weighs: Weighs::Pings,
    },
    Rule {
        name: "activeIsCutOff",
        sentence: "the other site is silent and this one reaches too few arbiters, so it may be the one that is cut off: it becomes standby",
        applies: |facts| facts.role == Role::Active,
        action: Action::BeStandby,
        is_problem: false,
        weighs: Weighs::Pings,
    },
    Rule {
        name: "activeManages",
        sentence: "the other site manages enough arbiters, so it serves: this one stays standby",
        applies: |facts| facts.is_standby() && facts.managed().reaches(facts.failover),
        action: Action::Nothing,
        is_problem: false,
        weighs: Weighs::Sessions,
    },
    Rule {
        name: "tooLittleEvidence",
        sentence: "too few arbiters could be logged in to, so this site may be the one that is cut off: it stays standby",
        applies: |facts| facts.is_standby() && !facts.ssh_reachable().reaches(facts.adjust_managed),
        action: Action::Nothing,
        is_problem: false,
        weighs: Weighs::Sessions,
    },
    Rule {
        name: "unreachableCountAsManaged",
        sentence: "with the unreachable arbiters presumed managed the other site may still serve: this one stays standby",
        applies: |facts| facts.is_standby() && facts.presumed_managed().reaches(facts.failover),
        action: Action::Nothing,
        is_problem: false,
        weighs: Weighs::Sessions,
    },
    Rule {
        name: "activeIsGone",
        sentence: "the other site is silent and manages too few arbiters even if the unreachable ones are presumed managed: this one becomes active",
        applies: Facts::is_standby,
        action: Action::BeActive,
        is_problem: false,
        weighs: Weighs::Sessions,
    },
];

/// The row that decides; `None` only for a standalone site with arbiters, which is no half of a pair.
pub fn decide(facts: &Facts) -> Option<&'static Rule> {
    RULES.iter().find(|rule| (rule.applies)(facts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const NOW: Utc = Utc::from_unix_ms(1_000_000);

    fn facts(role: Role, situation: Situation, counts: [u64; 4]) -> Facts {
        let [total, pinged, managed, unreachable] = counts;
        Facts {
            role,
            situation,
            was_last_active: false,
            counts: Counts { total, pinged, managed, unreachable },
            failover: Threshold::HALF,
            adjust_managed: Threshold::HALF,
            now: NOW,
            wait_until: NOW.plus_s(60),
        }
    }

    fn name(facts: &Facts) -> &'static str {
        decide(facts).unwrap().name
    }

    fn active(total: u64, pinged: u64) -> Facts {
        facts(Role::Active, Situation::PeerLost, [total, pinged, 0, 0])
    }

    fn standby(total: u64, managed: u64, unreachable: u64) -> Facts {
        facts(Role::Standby, Situation::PeerLost, [total, 0, managed, unreachable])
    }

    fn both(total: u64, pinged: u64) -> Facts {
        facts(Role::Standby, Situation::BothStandby, [total, pinged, 0, 0])
    }

    #[test]
    fn every_row_is_hit_by_the_case_that_its_sentence_tells() {
        let returns = Facts { was_last_active: true, ..both(3, 2) };
        let late = Facts { now: NOW.plus_s(60), ..both(3, 3) };
        let cases = [
            (active(0, 0), "noArbiters"),
            (standby(0, 0, 0), "noArbiters"),
            (both(0, 0), "noArbiters"),
            (returns, "lastActiveReturns"),
            (Facts { now: NOW.plus_s(600), ..returns }, "lastActiveReturns"),
            (Facts { was_last_active: true, ..both(3, 1) }, "waitForLastActive"),
            (both(3, 3), "waitForLastActive"),
            (Facts { situation: Situation::Waiting, ..returns }, "waitForLastActive"),
            (late, "graceIsOver"),
            (Facts { situation: Situation::Waiting, ..late }, "graceIsOver"),
            (Facts { role: Role::Active, ..returns }, "activeReachesArbiters"),
            (active(3, 2), "activeReachesArbiters"),
            (active(3, 1), "activeIsCutOff"),
            (standby(3, 2, 0), "activeManages"),
            (standby(3, 0, 2), "tooLittleEvidence"),
            (standby(4, 1, 1), "unreachableCountAsManaged"),
            (standby(3, 0, 0), "activeIsGone"),
        ];
        let mut unhit: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
        for (facts, expected) in cases {
            assert_eq!(name(&facts), expected, "{facts:?}");
            unhit.remove(expected);
        }
        assert!(unhit.is_empty(), "rows that no case hits: {unhit:?}");
    }

    #[test]
    fn a_standalone_site_with_arbiters_is_decided_by_no_row() {
        assert!(decide(&facts(Role::Standalone, Situation::PeerLost, [3, 3, 0, 0])).is_none());
    }

    #[test]
    fn equality_stays_in_every_comparison() {
        assert_eq!(name(&active(4, 2)), "activeReachesArbiters");
        assert_eq!(name(&standby(4, 2, 0)), "activeManages");
        assert_eq!(name(&standby(10, 3, 2)), "unreachableCountAsManaged", "0.5 >= 0.5");
        assert_eq!(name(&standby(10, 3, 1)), "activeIsGone", "0.4 < 0.5");
        assert_eq!(name(&standby(4, 0, 2)), "unreachableCountAsManaged", "half reachable is enough evidence");
        assert_eq!(name(&standby(5, 0, 3)), "tooLittleEvidence");
        let seven = Facts { failover: Threshold::SEVEN_TENTHS, ..active(10, 7) };
        assert_eq!(name(&seven), "activeReachesArbiters", "7 of 10 is exactly 0.7");
    }

    #[test]
    fn the_grace_period_ends_at_its_instant_and_not_after_it() {
        let at = |seconds| Facts { now: NOW.plus_s(seconds), ..both(3, 3) };
        assert_eq!(name(&at(59)), "waitForLastActive");
        assert_eq!(name(&at(60)), "graceIsOver");
    }

    #[test]
    fn the_guard_and_the_presumption_move_as_the_enumeration_says() {
        // Splits of 1 to 12 arbiters into managed, unreachable, free: 454; how many become active.
        let promotions = |failover: f64, adjust: f64| {
            let mut count = (0, 0);
            for total in 1..=12_u64 {
                for managed in 0..=total {
                    for unreachable in 0..=total - managed {
                        let facts = Facts {
                            failover: Threshold::from_number(failover).unwrap(),
                            adjust_managed: Threshold::from_number(adjust).unwrap(),
                            ..standby(total, managed, unreachable)
                        };
                        count.0 += 1;
                        count.1 += u64::from(name(&facts) == "activeIsGone");
                    }
                }
            }
            count
        };
        assert_eq!(promotions(0.5, 0.5), (454, 112));
        assert_eq!(promotions(0.5, 0.4), (454, 112));
        assert_eq!(promotions(0.8, 0.5), (454, 235));
    }

    #[test]
    fn the_extreme_thresholds_never_and_always_move() {
        let with = |failover: u16, facts: Facts| Facts {
            failover: Threshold::from_ten_thousandths(failover).unwrap(),
            adjust_managed: Threshold::from_ten_thousandths(0).unwrap(),
            ..facts
        };
        for total in 1..=6 {
            assert_eq!(name(&with(0, active(total, 0))), "activeReachesArbiters");
            assert_eq!(name(&with(0, standby(total, 0, 0))), "activeManages");
            assert_eq!(name(&with(10_000, active(total, total - 1))), "activeIsCutOff");
            assert_eq!(name(&with(10_000, standby(total, total - 1, 0))), "activeIsGone");
        }
    }
}
