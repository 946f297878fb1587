//! Outside the assumptions: what overlap there is has the bound that is promised.

use dr_watchdog_sim::fault::{Fault, Kind};
use dr_watchdog_sim::options::{Drawn, Options};
use dr_watchdog_sim::random::Random;
use dr_watchdog_sim::run::{Plan, run};

use dr_watchdog_core::exclusion::agreed::Kind as Shown;

use crate::{classes_of, complaints, play};

/// A frozen active whose sites are cut from each other, at an instant and for a time that the seed draws.
fn frozen(seed: u64, is_clock_still: bool) -> (Options, Plan) {
    // Only marks carry an epoch from one site to the other.
    let options = Options { kinds: vec![Shown::Mark], hours: 3, is_assumed: false, ..Options::default() };
    let mut random = Random::new(seed);
    let drawn = Drawn::draw(&mut random, &options);
    let at_s = random.between(700, 1_200);
    let kind = if is_clock_still { Kind::FreezeClock { site: 0 } } else { Kind::Freeze { site: 0 } };
    let cut = Fault { at_s: at_s - 60, for_s: 3_000, kind: Kind::CutPeer };
    let freeze = Fault { at_s, for_s: random.between(60, 900), kind };
    (options, Plan { seed, drawn, faults: vec![cut, freeze] })
}

#[test]
fn a_machine_that_stood_still_overlaps_for_at_most_d_and_with_its_clock_for_at_most_l_and_d() {
    let mut longest = [0, 0];
    for seed in 0..150 {
        for is_clock_still in [false, true] {
            let (options, plan) = frozen(seed, is_clock_still);
            let outcome = run(&options, &plan, false);
            assert!(outcome.violations.is_empty(), "{}\n{:?}", plan.line(), outcome.violations);
            let at = usize::from(is_clock_still);
            longest[at] = longest[at].max(outcome.longest_overlap_us());
        }
    }
    println!("longest overlap: running clock {} us, stopped clock {} us", longest[0], longest[1]);
    assert!(longest[1] > 0, "a stopped clock must be able to overlap, or this test shows nothing");
}

#[test]
fn two_actives_by_force_end_within_a_heartbeat_and_d_once_they_can_talk() {
    // Forced takeovers, peers declared off, and everything that cuts the sites from each other.
    let classes = classes_of(&["force", "peerIsOff", "cutPeer", "isolate", "cutPeerAndArbiters", "blockUdp"]);
    let options = Options { classes, is_assumed: false, ..Options::default() };
    let tally = play(&options, 3, 300);
    assert_eq!(tally.failing, 0, "{}", complaints(&tally));
    assert!(tally.overlapping > 0, "force must be able to overlap, or this test shows nothing");
}
