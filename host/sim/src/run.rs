//! One run: a safety phase with faults, then everything heals, then a liveness phase.

use dr_watchdog_core::exclusion::agreed::Kind as Shown;
use dr_watchdog_core::exclusion::quorum;
use dr_watchdog_sdk::threshold::Threshold;
use serde::{Deserialize, Serialize};

use crate::fault::{self, Fault, Kind};
use crate::invariant::{self, Violation};
use crate::options::{Drawn, Options};
use crate::policy::{Arbitration, Dice, Policy};
use crate::random::Random;
use crate::world::{Note, Track, World};

const SECOND_US: u64 = 1_000_000;
/// How long the world is watched after the promise of liveness is due.
const STAYS_S: u64 = 600;

/// What a run is made of: enough to repeat it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Seed of everything that is drawn while it runs.
    pub seed: u64,
    /// What was drawn before.
    pub drawn: Drawn,
    /// The faults.
    pub faults: Vec<Fault>,
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(seed: u64, options: &Options) -> Self {
        let mut random = Random::new(seed);
        let drawn = Drawn::draw(&mut random, options);
        let faults = fault::draw(&mut random, options);
        Self { seed, drawn, faults }
    }

    /// The first line of a run: the seed, with everything drawn.
    pub fn line(&self) -> String {
        let faults: Vec<String> = self
            .faults
            .iter()
            .map(|fault| format!("{:?} at {} s for {} s", fault.kind, fault.at_s, fault.for_s))
            .collect();
        format!("seed {} {:?}; faults: {}", self.seed, self.drawn, faults.join(", "))
    }
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Times at which both served, as begin, length in microseconds.
    pub overlaps: Vec<(u64, u64)>,
    /// The longest time without an active.
    pub none_us: u64,
    /// Failovers after a true loss.
    pub failovers_us: Vec<u64>,
    /// Failovers although the active was well.
    pub needless: u64,
    /// Broken promises.
    pub violations: Vec<Violation>,
    /// Happenings in all.
    pub happenings: u64,
    /// The story, where it was wanted.
    pub notes: Vec<Note>,
    /// Every change of who serves.
    pub changes: Vec<(u64, [bool; 2])>,
    /// Changes for a drawing, where the story was wanted.
    pub tracks: Vec<Track>,
}

impl Outcome {
    /// The longest time at which both served.
    pub fn longest_overlap_us(&self) -> u64 {
        self.overlaps.iter().map(|(_, span)| *span).max().unwrap_or(0)
    }
}

fn us(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn failover_bound(options: &Options, kept_s: u64) -> u64 {
    us(options.timers().taken_over_within(&options.heartbeat(), std::time::Duration::from_secs(kept_s)))
}

/// The bound of a failover after a true loss, with the start of the services not counted, for the slowest arbiters that
/// are drawn.
pub fn failover_bound_us(options: &Options) -> u64 {
    let drawn = options.kinds_drawn().iter().flat_map(|kind| {
        options.lingers_drawn_s().into_iter().map(|linger_s| kept_s(options, *kind, linger_s))
    });
    failover_bound(options, drawn.max().unwrap_or(0))
}

/// The same for the arbiters of one plan, before and after a change of their list.
fn failover_bound_of_us(options: &Options, plan: &Plan) -> u64 {
    let all_s = arbiters_kept_s(options, &plan.drawn, plan.drawn.kinds.len());
    let is_changed = plan.faults.iter().any(|fault| fault.kind == Kind::ChangeArbiters);
    let changed_s =
        if is_changed { arbiters_kept_s(options, &plan.drawn, plan.drawn.kept_by_change()) } else { 0 };
    failover_bound(options, all_s.max(changed_s))
}

/// A device that shows no age, or that forgets a dead session before the failover is over, tells of the loss only when
/// it forgets.
fn kept_s(options: &Options, kind: Shown, linger_s: u64) -> u64 {
    match kind {
        Shown::Mark => 0,
        Shown::Age | Shown::Counter if linger_s * SECOND_US >= failover_bound(options, 0) => 0,
        Shown::Age | Shown::Counter | Shown::Presence => linger_s,
    }
}

/// Of the first arbiters the slowest of the fastest that suffice.
fn arbiters_kept_s(options: &Options, drawn: &Drawn, total: usize) -> u64 {
    let arbiters = drawn.kinds.iter().zip(&drawn.linger_s).take(total);
    let mut kept_s: Vec<u64> = arbiters.map(|(kind, linger_s)| kept_s(options, *kind, *linger_s)).collect();
    kept_s.sort_unstable();
    let threshold = Threshold::from_ten_thousandths(options.threshold).unwrap_or(Threshold::HALF);
    let needed = kept_s.len() + 1 - quorum::need(threshold, kept_s.len()).min(kept_s.len());
    kept_s.get(needed - 1).copied().unwrap_or(0)
}

/// How long two sites may serve at once, given the faults.
fn overlap_bound_us(options: &Options, plan: &Plan) -> u64 {
    let faults = &plan.faults;
    let timers = options.timers();
    let has = |is: fn(&Kind) -> bool| faults.iter().any(|fault| is(&fault.kind));
    if has(|kind| {
        matches!(
            kind,
            Kind::Lie { .. } | Kind::Force { .. } | Kind::PeerIsOff { .. } | Kind::RestoreImage { .. }
        )
    }) {
        return u64::MAX;
    }
    let stops_clock = has(|kind| matches!(kind, Kind::FreezeClock { .. }));
    if stops_clock && plan.drawn.kinds.iter().any(|kind| *kind != Shown::Mark) {
        // Only marks tell a site that was asleep that the other one serves; elsewhere it renews its lease.
        return u64::MAX;
    }
    if stops_clock {
        return us(timers.longest(timers.lease + timers.fence));
    }
    if has(|kind| matches!(kind, Kind::Freeze { .. })) {
        return us(timers.longest(timers.fence));
    }
    0
}

/// Whether both sites lost their state: then only an operator can say who begins.
fn is_lost_for_good(faults: &[Fault]) -> bool {
    let loses = |which: usize| {
        faults.iter().any(|fault| {
            matches!(
                fault.kind,
                Kind::StateLost { site } | Kind::Reset { site } | Kind::Init { site } | Kind::RestoreImage { site }
                    if site == which
            )
        })
    };
    loses(0) && loses(1)
}

/// Runs a plan.
pub fn run(options: &Options, plan: &Plan, is_traced: bool) -> Outcome {
    let policy: Box<dyn Policy> =
        if options.is_dice { Box::new(Dice(Random::new(plan.seed ^ 0xd1ce))) } else { Box::new(Arbitration) };
    run_with(options, plan, policy, is_traced)
}

/// Runs a plan with a policy.
pub fn run_with(options: &Options, plan: &Plan, policy: Box<dyn Policy>, is_traced: bool) -> Outcome {
    let mut world =
        World::new(options, plan.drawn.clone(), plan.faults.clone(), plan.seed, policy, is_traced);
    let end_us = options.hours * 3_600 * SECOND_US;
    let last_us = plan.faults.iter().map(|fault| (fault.at_s + fault.for_s) * SECOND_US).max().unwrap_or(0);
    let safety_us = end_us.saturating_sub((invariant::SETTLES_WITHIN_S + STAYS_S) * SECOND_US).max(last_us);
    world.run_until(safety_us);
    world.heal();
    let healed_us = world.healed_us(safety_us);
    world.run_until((healed_us + invariant::SETTLES_WITHIN_S * SECOND_US).max(safety_us));
    let settled_us = world.now_us();
    let mut serving = world.serving();
    world.run_until(settled_us + STAYS_S * SECOND_US);
    if serving.iter().filter(|serves| **serves).count() == 1 && !options.is_dice {
        serving = world.serving();
    }
    let now_us = world.now_us();
    world.watch.finish(now_us);
    let mut violations = Vec::new();
    let bound_us = overlap_bound_us(options, plan);
    if bound_us == 0 {
        violations.extend(invariant::invariant_exclusion(&world));
    } else {
        violations.extend(invariant::invariant_bounded_overlap(&world, bound_us));
    }
    violations.extend(invariant::invariant_epoch(&world));
    let has = |is: fn(&Kind) -> bool| plan.faults.iter().any(|fault| is(&fault.kind));
    let is_node_alone = has(|kind| matches!(kind, Kind::CutNode { .. }))
        && has(|kind| matches!(kind, Kind::FreezeClock { .. }));
    violations.extend(invariant::invariant_higher_epoch(&world, options, is_node_alone));
    if options.exclusion.is_lease() && !options.is_dice {
        if !is_lost_for_good(&plan.faults) {
            violations.extend(invariant::invariant_liveness(serving, healed_us, settled_us));
        }
        violations.extend(invariant::invariant_failover_time(
            &world,
            options,
            failover_bound_of_us(options, plan),
        ));
    }
    Outcome {
        overlaps: world.watch.overlaps.clone(),
        none_us: world.watch.longest_none_us,
        failovers_us: world.watch.failovers_us.clone(),
        needless: world.watch.needless,
        violations,
        happenings: world.watch.happenings,
        notes: std::mem::take(&mut world.watch.notes),
        changes: std::mem::take(&mut world.watch.changes),
        tracks: std::mem::take(&mut world.watch.tracks),
    }
}
