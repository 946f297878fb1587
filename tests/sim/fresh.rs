//! Ten thousand disasters that nobody has seen before.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use dr_watchdog_core::exclusion::agreed::Kind;
use dr_watchdog_sim::options::{Exclusion, Options, Profile};

use crate::{classes_of, complaints, play};

/// A seed that differs from run to run; it is printed, and `simulate --seed` repeats the series.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish() >> 32
}

#[test]
fn ten_thousand_schedules_of_a_fresh_seed_break_no_promise() {
    let (options, seed) = (Options::default(), seed());
    println!("dr-watchdog simulate --schedules 10000 --seed {seed}");
    let tally = play(&options, seed, 10_000);
    assert_eq!(tally.failing, 0, "seed {seed}\n{}", complaints(&tally));
    assert_eq!((tally.runs, tally.overlapping), (10_000, 0));
    assert!(tally.needless * 2_000 <= tally.runs, "needless failovers: {}", tally.needless);
    assert!(tally.percentile_us(99) <= 115_000_000, "p99 {} us", tally.percentile_us(99));
}

#[test]
fn every_number_of_arbiters_threshold_kind_and_profile_keeps_the_promise() {
    let seed = seed();
    let base = Options::default;
    let mut variants = vec![Options { profile: Profile::Fast, ..base() }];
    variants.extend([1, 2, 3, 4, 11].map(|arbiters| Options { arbiters, ..base() }));
    variants.extend([3_000, 7_000, 10_000].map(|threshold| Options { threshold, ..base() }));
    variants.extend(Kind::ALL.map(|kind| Options { kinds: vec![kind], ..base() }));
    for options in variants {
        let tally = play(&options, seed, 200);
        assert_eq!(tally.overlapping, 0, "seed {seed} {options:?}\n{}", complaints(&tally));
    }
}

#[test]
fn a_policy_that_answers_at_random_splits_only_what_has_no_lease() {
    let options = Options { is_dice: true, ..Options::default() };
    let tally = play(&options, 5, 300);
    assert_eq!(tally.overlapping, 0, "{}", complaints(&tally));
    let manual = Options { exclusion: Exclusion::Verdict, ..options };
    assert!(play(&manual, 5, 100).overlapping > 0, "a verdict that is no request must split");
}

#[test]
fn the_manuals_rules_overlap_as_often_as_the_study_found() {
    // In the study's world: arbiters that forget a dead session after a minute, and faults of sites, paths and arbiters
    // only. `tests/README.md` has the figures of other worlds beside it.
    let options = Options {
        exclusion: Exclusion::Verdict,
        linger_s: Some(60),
        classes: classes_of(&[
            "powerLoss",
            "reboot",
            "cutPeer",
            "cutPeerOneWay",
            "isolate",
            "isolateOneWay",
            "cutArbiters",
            "cutPeerAndArbiters",
            "arbitersDown",
            "slowSsh",
            "loss",
            "moveVip",
            "daemonHang",
            "automaticOff",
            "handOver",
            "slowStop",
            "blockSsh",
        ]),
        ..Options::default()
    };
    let tally = play(&options, 1, 1_000);
    let per_thousand = tally.overlapping * 1_000 / tally.runs;
    assert!((50..=250).contains(&per_thousand), "{per_thousand} of 1000 schedules overlap");
}

#[test]
fn the_same_seed_is_the_same_run() {
    let options = Options::default();
    let (first, again) = (play(&options, 9, 20), play(&options, 9, 20));
    assert_eq!((first.happenings, first.worst), (again.happenings, again.worst));
}
