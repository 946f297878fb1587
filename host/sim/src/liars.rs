//! How many arbiters must lie before both sites serve at once: found by trying.

use dr_watchdog_core::exclusion::agreed::Kind as Shown;
use dr_watchdog_core::exclusion::quorum;
use dr_watchdog_sdk::threshold::Threshold;

use crate::fault::{Fault, Kind};
use crate::options::{Drawn, Options};
use crate::random::Random;
use crate::run::{Plan, run};

/// Seed of the one world in which the liars are added.
const SEED: u64 = 1;

/// The smallest numbers of arbiters that hide the active's sessions from the standby, and split the sites so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Liars {
    /// The sites are cut from each other, and nothing else is wrong. `None` = not even all of them.
    pub alone: Option<usize>,
    /// The active moreover reaches no more arbiters than it needs.
    pub with_cuts: Option<usize>,
}

/// Tries with one liar, then with one more, until the sites split.
pub fn smallest(options: &Options) -> Liars {
    // A mark tells the active of the other one's claim, whatever the arbiter shows to looks; so no marks where kinds
    // are drawn.
    let kinds = if options.kinds.is_empty() { vec![Shown::Age] } else { options.kinds.clone() };
    let options = Options { hours: 1, is_assumed: false, is_dice: false, kinds, ..options.clone() };
    let threshold = Threshold::from_ten_thousandths(options.threshold).unwrap_or(Threshold::HALF);
    let need = quorum::need(threshold, options.arbiters).min(options.arbiters);
    let spare: Vec<usize> = (need..options.arbiters).collect();
    let first = |cut: &[usize]| (1..=options.arbiters).find(|count| splits(&options, *count, cut));
    Liars { alone: first(&[]), with_cuts: first(&spare) }
}

/// Whether so many liars split the sites, while the active is cut from some of the others.
fn splits(options: &Options, count: usize, cut: &[usize]) -> bool {
    let drawn = Drawn::draw(&mut Random::new(SEED), options);
    let fault = |at_s, kind| Fault { at_s, for_s: 1_200, kind };
    let mut faults = vec![fault(640, Kind::CutPeer)];
    if !cut.is_empty() {
        faults.push(fault(630, Kind::CutArbiters { site: 0, arbiters: cut.to_vec() }));
    }
    faults.extend((0..count).map(|arbiter| fault(600, Kind::Lie { arbiter })));
    !run(options, &Plan { seed: SEED, drawn, faults }, false).overlaps.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn liars_split_the_sites_when_they_and_the_truly_stale_are_more_than_the_active_can_spare() {
        let of = |arbiters: usize, threshold: u16| {
            let found = smallest(&Options { arbiters, threshold, ..Options::default() });
            (found.alone, found.with_cuts)
        };
        assert_eq!(of(5, 5_000), (Some(3), Some(1)));
        assert_eq!(of(3, 5_000), (Some(2), Some(1)));
        assert_eq!(of(1, 5_000), (Some(1), Some(1)));
        assert_eq!(of(4, 5_000), (Some(3), Some(1)), "the active needs two, so three must be hidden");
    }
}
