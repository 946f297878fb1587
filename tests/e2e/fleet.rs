//! Fleets of arbiters, scaled down; `dr-watchdog-bench fleet` runs the whole.

use std::path::Path;
use std::time::Duration;

use dr_watchdog_tests::bench::fleet::{SMALL, held, round};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_dr-watchdog-bench"))
}

/// Goal: a cut of some arbiters concerns nobody else, and their sessions come back by themselves soon after it is mended.
#[test]
fn a_cut_of_every_tenth_arbiter_drops_no_other_session_and_heals_within_a_minute() {
    let cut = held(program(), SMALL);
    assert_eq!((cut.others_lost, cut.noticed), (0, SMALL.sessions / 10), "{cut:?}");
    assert!(cut.back <= Duration::from_secs(60), "{cut:?}");
}

/// Goal: arbiters that live are found although hundreds of mute ones stand before them. Wrong would be: a living arbiter
/// counts as silent because its turn came too late.
#[test]
fn living_arbiters_behind_five_hundred_mute_ones_are_all_found_in_one_round() {
    let round = round(program(), SMALL);
    assert_eq!(round.reached, SMALL.living, "{round:?}");
    // Two turns of 256 mute ones, 5 s each, and some room for a busy machine: W of the reference profile.
    assert!(round.took >= Duration::from_secs(10) && round.took <= Duration::from_secs(15), "{round:?}");
}
