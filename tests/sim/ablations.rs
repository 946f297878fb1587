//! The invariants can see: with a rule switched off a run that splits the sites is found.

use dr_watchdog_core::exclusion::agreed::Kind;
use dr_watchdog_core::exclusion::rules::{Rule, Rules};
use dr_watchdog_sim::options::Options;
use dr_watchdog_sim::run::{Plan, run};
use dr_watchdog_sim::tally::seed_of;

use crate::classes_of;

/// Where a rule's absence shows: the faults that are drawn, most schedules of the committed seed.
struct Search {
    rule: Rule,
    verbs: &'static [&'static str],
    kinds: &'static [Kind],
    is_assumed: bool,
    schedules: u64,
}

const SEED: u64 = 1;

const fn search(rule: Rule, verbs: &'static [&'static str], schedules: u64) -> Search {
    Search { rule, verbs, kinds: &[], is_assumed: true, schedules }
}

const SEARCHES: [Search; 5] = [
    search(Rule::PromotionWait, &["cutPeer", "isolate", "daemonHang", "cutPeerAndArbiters"], 3_000),
    search(Rule::Guard, &["cutPeer", "isolate", "daemonHang"], 200),
    search(Rule::BootAsStandby, &["powerLoss", "reboot", "cutPeer"], 100),
    search(
        Rule::AgreedOffGate,
        &["automaticOff", "release", "cutPeer", "isolate", "cutPeerAndArbiters"],
        800,
    ),
    Search {
        kinds: &[Kind::Mark],
        is_assumed: false,
        ..search(Rule::EpochMarks, &["freezeClock", "cutPeer"], 300)
    },
];

/// The first schedule that splits; `None` if there is none.
fn first_split(search: &Search, rules: Rules) -> Option<u64> {
    let options = Options {
        rules,
        classes: classes_of(search.verbs),
        kinds: search.kinds.to_vec(),
        is_assumed: search.is_assumed,
        ..Options::default()
    };
    (0..search.schedules).find(|index| {
        let plan = Plan::draw(seed_of(SEED, *index), &options);
        let violations = run(&options, &plan, false).violations;
        violations.iter().any(|found| found.invariant.starts_with("I1") || found.invariant.starts_with("I2"))
    })
}

#[test]
fn without_a_rule_a_schedule_of_the_committed_seed_splits_the_sites() {
    for search in &SEARCHES {
        let found = first_split(search, Rules::without(search.rule));
        println!("{}: schedule {found:?} of seed {SEED}, {:?}", search.rule.word(), search.verbs);
        let index = found.unwrap_or_else(|| panic!("{} is not missed", search.rule.word()));
        let with = Search { schedules: index + 1, ..*search };
        assert_eq!(first_split(&with, Rules::default()), None, "{} with all rules", search.rule.word());
    }
}
