//! The rules with a witness: an ordered table, the first row that applies decides.
//!
//! Architecture invariant: pure. Facts in, a row out.

use std::fmt;

use dr_watchdog_sdk::threshold::Threshold;
use dr_watchdog_sdk::verdict::Action;
use dr_watchdog_sdk::{Role, Situation};

/// What the witness says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Witness {
    /// Whether it sees the other site serve, and how old that is.
    Sees { other_serves: bool, age_s: u64 },
    /// It gave no answer; why.
    Silent(String),
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sees { other_serves: true, age_s } => write!(f, "saw the other site serve {age_s} s ago"),
            Self::Sees { other_serves: false, age_s } => {
                write!(f, "saw the other site not serving {age_s} s ago")
            }
            Self::Silent(why) => write!(f, "silent: {why}"),
        }
    }
}

/// Everything the rules look at.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) role: Role,
    pub(crate) situation: Situation,
    /// Arbiters in all.
    pub(crate) total: u64,
    /// Those that answer ping.
    pub(crate) pinged: u64,
    /// Those that the other site manages.
    pub(crate) managed: u64,
    /// Those that could not be logged in to.
    pub(crate) unreachable: u64,
    /// `threshold.failover`.
    pub(crate) failover: Threshold,
    /// Oldest sight that counts.
    pub(crate) max_age_s: u64,
    pub(crate) witness: Witness,
}

impl Facts {
    fn is_active(&self) -> bool {
        self.role == Role::Active
    }

    fn has_sight(&self) -> bool {
        matches!(self.witness, Witness::Sees { age_s, .. } if age_s <= self.max_age_s)
    }
}

/// A row.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) sentence: &'static str,
    applies: fn(&Facts) -> bool,
    pub(crate) action: Action,
    pub(crate) is_problem: bool,
}

const fn row(
    name: &'static str,
    sentence: &'static str,
    applies: fn(&Facts) -> bool,
    action: Action,
    is_problem: bool,
) -> Rule {
    Rule { name, sentence, applies, action, is_problem }
}

/// The last row of the table: it applies always.
const LAST: Rule = row(
    "otherIsGone",
    "the other site is silent, the witness sees it serve no more, and it manages too few arbiters: this one becomes active",
    |_| true,
    Action::BeActive,
    false,
);

const RULES: [Rule; 9] = [
    row(
        "noArbiters",
        "no arbiters are configured, and a witness alone decides nothing: configure arbiters",
        |facts| facts.total == 0,
        Action::Nothing,
        true,
    ),
    row(
        "nobodyServes",
        "nobody serves: an operator decides which site does",
        |facts| !facts.is_active() && facts.situation != Situation::PeerLost,
        Action::Nothing,
        true,
    ),
    row(
        "activeReachesArbiters",
        "the other site is silent and this one reaches enough arbiters: it stays active",
        |facts| facts.is_active() && facts.failover.is_met_by(facts.pinged, facts.total),
        Action::Nothing,
        false,
    ),
    row(
        "activeReachesWitness",
        "this site reaches too few arbiters, but the witness: it is not cut off and stays active",
        |facts| facts.is_active() && !matches!(facts.witness, Witness::Silent(_)),
        Action::Nothing,
        false,
    ),
    row(
        "activeIsCutOff",
        "this site reaches neither enough arbiters nor the witness: it may be the one that is cut off, and becomes standby",
        Facts::is_active,
        Action::BeStandby,
        false,
    ),
    row(
        "noSight",
        "the witness is silent, or what it saw is too old: this site stays standby",
        |facts| !facts.has_sight(),
        Action::Nothing,
        false,
    ),
    row(
        "witnessSeesIt",
        "the witness sees the other site serve: only the line between the sites is down, and this one stays standby",
        |facts| matches!(facts.witness, Witness::Sees { other_serves: true, .. }),
        Action::Nothing,
        false,
    ),
    row(
        "otherManages",
        "with the unreachable arbiters presumed managed the other site may still serve: this one stays standby",
        |facts| facts.failover.is_met_by(facts.managed + facts.unreachable, facts.total),
        Action::Nothing,
        false,
    ),
    LAST,
];

/// The first row that applies.
pub(crate) fn decide(facts: &Facts) -> &'static Rule {
    RULES.iter().find(|rule| (rule.applies)(facts)).unwrap_or(&LAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(role: Role, free: u64, witness: Witness) -> Facts {
        Facts {
            role,
            situation: Situation::PeerLost,
            total: 3,
            pinged: free,
            managed: 3 - free,
            unreachable: 0,
            failover: Threshold::HALF,
            max_age_s: 30,
            witness,
        }
    }

    const fn sees(other_serves: bool, age_s: u64) -> Witness {
        Witness::Sees { other_serves, age_s }
    }

    #[test]
    fn every_row_decides_its_case() {
        let silent = || Witness::Silent("timeout".to_owned());
        let (active, standby) = (Role::Active, Role::Standby);
        let cases = [
            (facts(active, 3, silent()), "activeReachesArbiters"),
            (facts(active, 1, sees(false, 90)), "activeReachesWitness"),
            (facts(active, 1, silent()), "activeIsCutOff"),
            (facts(standby, 3, silent()), "noSight"),
            (facts(standby, 3, sees(false, 31)), "noSight"),
            (facts(standby, 3, sees(true, 1)), "witnessSeesIt"),
            (facts(standby, 1, sees(false, 1)), "otherManages"),
            (Facts { unreachable: 2, ..facts(standby, 3, sees(false, 1)) }, "otherManages"),
            (facts(standby, 3, sees(false, 30)), "otherIsGone"),
            (Facts { total: 0, ..facts(standby, 3, sees(false, 1)) }, "noArbiters"),
            (
                Facts { situation: Situation::BothStandby, ..facts(standby, 3, sees(false, 1)) },
                "nobodyServes",
            ),
        ];
        for (facts, name) in &cases {
            assert_eq!(decide(facts).name, *name, "{facts:?}");
        }
        let unhit: Vec<_> =
            RULES.iter().filter(|rule| !cases.iter().any(|(_, name)| *name == rule.name)).collect();
        assert!(unhit.is_empty(), "{unhit:?}");
    }

    #[test]
    fn the_witness_alone_makes_nobody_active() {
        for free in 0..3 {
            let answered =
                Facts { unreachable: free, managed: 3 - free, ..facts(Role::Standby, free, sees(false, 0)) };
            assert_eq!(decide(&answered).action, Action::Nothing);
        }
    }
}
