//! A change of the agreed arbiters, with the sites cut from each other at every message of it.

use dr_watchdog_core::exclusion::agreed::Kind as Shown;
use dr_watchdog_core::exclusion::rules::{Rule, Rules};
use dr_watchdog_sim::fault::{Fault, Kind};
use dr_watchdog_sim::options::{Drawn, Options};
use dr_watchdog_sim::run::{Outcome, Plan, run};

/// More signed heartbeats than a change takes, the regular ones between them included.
const MESSAGES: u64 = 16;
const ARBITERS: usize = 5;

/// The change at 700 s, the cut at a message of it, then the active reaches only some arbiters. Two changes: from all
/// arbiters to the first three, and back.
fn cut_at(messages: u64, unreached: usize, is_second: bool, rules: Rules) -> Outcome {
    let options = Options { hours: 1, rules, ..Options::default() };
    let drawn = Drawn {
        rate_ppm: [0, 0],
        kinds: vec![Shown::Age; ARBITERS],
        arbiter_ppm: vec![0; ARBITERS],
        linger_s: vec![900; ARBITERS],
        slow_fence_percent: 100,
        sees_pauses: [false, false],
        nodes: [1, 1],
    };
    let fault = |at_s, for_s, kind| Fault { at_s, for_s, kind };
    let mut faults = Vec::new();
    if is_second {
        faults.push(fault(650, 1, Kind::ChangeArbiters));
    }
    // The count begins before the change, so that its first message is the first that is counted.
    faults.push(fault(700, 1_200, Kind::CutPeerAfter { messages }));
    faults.push(fault(700, 1, Kind::ChangeArbiters));
    let arbiters: Vec<_> = (0..ARBITERS).filter(|arbiter| unreached >> arbiter & 1 == 1).collect();
    if !arbiters.is_empty() {
        faults.push(fault(705, 1_100, Kind::CutArbiters { site: 0, arbiters }));
    }
    run(&options, &Plan { seed: messages * 100 + unreached as u64, drawn, faults }, false)
}

/// Every cut after which a promise is broken, as message, arbiters, change.
fn broken(rules: Rules, is_broken: fn(&Outcome) -> bool) -> Vec<(u64, usize, bool)> {
    let part = |is_second: bool| {
        let cases = (0..MESSAGES).flat_map(|messages| (0..1 << ARBITERS).map(move |set| (messages, set)));
        let broken = cases.filter(|(messages, set)| is_broken(&cut_at(*messages, *set, is_second, rules)));
        broken.map(|(messages, set)| (messages, set, is_second)).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let threads = [false, true].map(|is_second| scope.spawn(move || part(is_second)));
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn a_change_that_is_cut_at_any_message_splits_nobody_and_finishes_by_itself() {
    assert_eq!(broken(Rules::default(), |outcome| !outcome.violations.is_empty()), []);
}

#[test]
fn without_the_joint_state_a_cut_between_two_messages_splits_the_sites() {
    let split = broken(Rules::without(Rule::JointChange), |outcome| !outcome.overlaps.is_empty());
    println!("{} of {} cuts split the sites", split.len(), MESSAGES << (ARBITERS + 1));
    assert!(!split.is_empty(), "the joint state is not missed");
}
