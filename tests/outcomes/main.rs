//! The expected outcomes of the domain's table, row by row, through the real core with the real rules.
//!
//! Rows are named as `domain.md` section 5 has them. A row says what each site sees, then what becomes of it.
#![allow(clippy::unwrap_used, reason = "what a test calls fails by panicking, like the test itself")]

mod site;

use dr_watchdog_core::Event;
use dr_watchdog_core::effect::Trigger;
use dr_watchdog_core::heartbeat::Reach;
use dr_watchdog_core::transitions::Phase;
use dr_watchdog_sdk::sections::{LastFailover, Role};
use dr_watchdog_sdk::{Action, Situation};

use site::{Arbiters, Around, Peer, Site};

/// What becomes of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The policy is not even asked.
    NotAsked,
    /// It is asked, and nothing changes.
    Nothing,
    BeActive,
    BeStandby,
}

struct Row {
    name: &'static str,
    role: Role,
    around: Around,
    outcome: Outcome,
}

const fn row(name: &'static str, role: Role, peer: Peer, arbiters: Arbiters, outcome: Outcome) -> Row {
    Row { name, role, around: Around { peer, arbiters }, outcome }
}

const PEER_STANDBY: Peer = Peer::Answers(Phase::Standby);
const PEER_ACTIVE: Peer = Peer::Answers(Phase::Active);

/// The rows that begin with a settled pair and automatic failover on.
const ROWS: [Row; 19] = [
    row("all fine", Role::Active, PEER_STANDBY, Arbiters(0, 4, 0), Outcome::NotAsked),
    row("all fine", Role::Standby, PEER_ACTIVE, Arbiters(4, 0, 0), Outcome::NotAsked),
    row(
        "remote VIP dead, another LB node answers",
        Role::Active,
        Peer::NodeAnswers,
        Arbiters(0, 4, 0),
        Outcome::NotAsked,
    ),
    row(
        "remote VIP dead, another LB node answers",
        Role::Standby,
        Peer::NodeAnswers,
        Arbiters(4, 0, 0),
        Outcome::NotAsked,
    ),
    row("site1 dead, arbiters free", Role::Standby, Peer::Silent, Arbiters(0, 4, 0), Outcome::BeActive),
    row(
        "site2 dead, site1 reaches >= 50 % arbiters",
        Role::Active,
        Peer::Silent,
        Arbiters(0, 3, 1),
        Outcome::Nothing,
    ),
    row(
        "site2 dead, site1 reaches < 50 %",
        Role::Active,
        Peer::Silent,
        Arbiters(0, 1, 3),
        Outcome::BeStandby,
    ),
    row(
        "inter-site link lost, site1 manages arbiters",
        Role::Active,
        Peer::Silent,
        Arbiters(0, 4, 0),
        Outcome::Nothing,
    ),
    row(
        "inter-site link lost, site1 manages arbiters",
        Role::Standby,
        Peer::Silent,
        Arbiters(4, 0, 0),
        Outcome::Nothing,
    ),
    row(
        "inter-site link lost, site1 cut from arbiters",
        Role::Active,
        Peer::Silent,
        Arbiters(0, 0, 4),
        Outcome::BeStandby,
    ),
    row(
        "inter-site link lost, site1 cut from arbiters",
        Role::Standby,
        Peer::Silent,
        Arbiters(0, 4, 0),
        Outcome::BeActive,
    ),
    row(
        "inter-site link lost, site2 cut from arbiters",
        Role::Active,
        Peer::Silent,
        Arbiters(0, 4, 0),
        Outcome::Nothing,
    ),
    row(
        "inter-site link lost, site2 cut from arbiters",
        Role::Standby,
        Peer::Silent,
        Arbiters(0, 0, 4),
        Outcome::Nothing,
    ),
    row(
        "inter-site link lost, both cut from arbiters",
        Role::Active,
        Peer::Silent,
        Arbiters(0, 0, 4),
        Outcome::BeStandby,
    ),
    row(
        "inter-site link lost, both cut from arbiters",
        Role::Standby,
        Peer::Silent,
        Arbiters(0, 0, 4),
        Outcome::Nothing,
    ),
    row("exactly 50 % pinged", Role::Active, Peer::Silent, Arbiters(0, 2, 2), Outcome::Nothing),
    row("exactly 50 % managed", Role::Standby, Peer::Silent, Arbiters(2, 2, 0), Outcome::Nothing),
    row("3 of 10 managed, 2 unreachable", Role::Standby, Peer::Silent, Arbiters(3, 5, 2), Outcome::Nothing),
    row("3 of 10 managed, 1 unreachable", Role::Standby, Peer::Silent, Arbiters(3, 6, 1), Outcome::BeActive),
];

fn settled(role: Role, around: Around) -> Site {
    Site::settled(role, LastFailover::None, around)
}

fn outcome(site: &Site, before: Role) -> Outcome {
    match (before, site.watchdog.phase()) {
        (Role::Active, Phase::Standby) => Outcome::BeStandby,
        (Role::Standby, Phase::Active) => Outcome::BeActive,
        (Role::Active, Phase::Active) | (Role::Standby, Phase::Standby) if site.decisions.is_empty() => {
            Outcome::NotAsked
        }
        (Role::Active, Phase::Active) | (Role::Standby, Phase::Standby) => Outcome::Nothing,
        (_, phase) => panic!("a role change has not ended: {phase:?}"),
    }
}

#[test]
fn every_row_has_its_outcome() {
    for row in &ROWS {
        let mut site = settled(row.role, row.around);
        site.run_for(100);
        assert_eq!(outcome(&site, row.role), row.outcome, "{} ({})", row.name, row.role.word());
    }
}

#[test]
fn with_automatic_failover_disabled_no_row_changes_a_role() {
    for row in &ROWS {
        let mut site = settled(row.role, row.around);
        site.give(Event::OperatorDisabled {
            span: None,
            reason: "maintenance".to_owned(),
            by: "test".to_owned(),
        });
        site.run_for(100);
        assert_eq!(site.watchdog.role(), row.role, "{}", row.name);
    }
}

#[test]
fn a_node_that_answers_for_a_silent_vip_is_a_local_failover_at_both_sites() {
    for role in [Role::Active, Role::Standby] {
        let mut site = settled(role, Around { peer: Peer::NodeAnswers, arbiters: Arbiters(0, 4, 0) });
        site.run_for(70);
        assert_eq!(site.watchdog.reach(), Reach::Up { local_failover: true });
    }
}

#[test]
fn a_standby_that_sees_no_arbiter_disables_its_automatic_failover_and_tells() {
    let mut site = settled(Role::Standby, Around { peer: Peer::Silent, arbiters: Arbiters(0, 0, 4) });
    site.run_for(100);
    assert!(site.watchdog.automatic().connectivity.is_some());
    assert!(site.triggers.contains(&Trigger::AutomaticFailoverDisabled));
    site.around = Around { peer: PEER_ACTIVE, arbiters: Arbiters(4, 0, 0) };
    site.run_for(100);
    assert!(site.watchdog.automatic().is_on(), "it comes back by itself");
}

#[test]
fn both_standby_and_the_link_back_makes_the_former_active_active_and_the_other_one_wait() {
    let around = Around { peer: PEER_STANDBY, arbiters: Arbiters(0, 4, 0) };
    let mut former = settled(Role::Active, Around { peer: Peer::Silent, arbiters: Arbiters(0, 0, 4) });
    former.run_for(100);
    assert_eq!(former.watchdog.phase(), Phase::Standby);
    former.around = around;
    former.run_for(100);
    assert_eq!(former.watchdog.phase(), Phase::Active, "beActive again: its arbiters answer");

    let mut other = settled(Role::Standby, Around { peer: Peer::Silent, arbiters: Arbiters(0, 0, 4) });
    other.run_for(100);
    other.around = around;
    other.run_for(100);
    assert_eq!(other.watchdog.situation(), Some(Situation::BothStandby));
    let last = other.decisions.last().unwrap();
    assert_eq!((last.verdict.action, other.watchdog.phase()), (Action::Wait, Phase::Standby));
    assert_eq!(last.verdict.wait_until(), other.watchdog.wait_time(), "until waitDuration is over");
    other.run_for(9 * 3_600);
    let last = other.decisions.last().unwrap();
    assert_eq!(last.verdict.action, Action::Nothing, "after it an operator decides");
    assert!(last.verdict.payload.details.as_ref().unwrap().contains_key("problem"));
}

#[test]
fn a_site_that_rebooted_comes_up_standby_and_decides_nothing_before_its_boot_time_is_over() {
    let active_elsewhere = Around { peer: PEER_ACTIVE, arbiters: Arbiters(4, 0, 0) };
    let mut site = Site::rebooted(Role::Active, active_elsewhere);
    site.run_for(100);
    assert_eq!(site.watchdog.phase(), Phase::Standby, "the other site is active");

    let alone = Around { peer: Peer::Silent, arbiters: Arbiters(0, 4, 0) };
    let mut site = Site::rebooted(Role::Standby, alone);
    assert!(site.watchdog.boot_end().is_some());
    site.run_for(50);
    assert!(site.decisions.is_empty());
    site.run_for(60);
    assert_eq!(site.watchdog.phase(), Phase::Active);
}
