//! A role change followed to its end, each step told as it begins.

use std::time::{Duration, Instant};

use dr_watchdog_core::transitions::Phase;

use super::site::{Site, SiteError};
use super::state::State;
use crate::cli::output;
use crate::cli::wait::pause;

/// From one look to the next.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// A site that does not answer for so long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Longest role change that is followed; each of its steps has a deadline of its own.
const CHANGE_MAX: Duration = Duration::from_secs(4 * 3_600);

/// Tells what goes on, unless only the end is wanted.
#[derive(Debug)]
pub(in crate::cli) struct Teller {
    /// Whether nothing is told.
    pub(in crate::cli) is_quiet: bool,
}

impl Teller {
    /// Tells one thing.
    pub(in crate::cli) fn tell(&self, text: &str) {
        if !self.is_quiet {
            output::line(text);
        }
    }
}

/// Where a role change shall end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Goal {
    /// It serves.
    Active,
    /// It stands by.
    Standby,
}

/// What a phase means on the way to a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Arrived,
    OnTheWay,
    Failed,
}

const fn standing(goal: Goal, phase: Phase) -> Standing {
    match (goal, phase) {
        (Goal::Active, Phase::Active) | (Goal::Standby, Phase::Standby) => Standing::Arrived,
        (Goal::Active, Phase::Promoting) | (Goal::Standby, Phase::Demoting) => Standing::OnTheWay,
        _ => Standing::Failed,
    }
}

/// Follows a role change of a site.
///
/// # Errors
/// How it ended otherwise, in a sentence that says what to do.
pub(in crate::cli) fn follow(site: &dyn Site, goal: Goal, teller: &Teller) -> Result<State, String> {
    let begun = Instant::now();
    let mut heard = Instant::now();
    let mut told = String::new();
    loop {
        match State::of(site) {
            Ok(state) => {
                heard = Instant::now();
                let line = line(&state);
                if line != told {
                    teller.tell(&format!("  {line}"));
                    told = line;
                }
                match standing(goal, state.phase) {
                    Standing::Arrived => return Ok(state),
                    Standing::Failed => return Err(failed(goal, &state)),
                    Standing::OnTheWay => {}
                }
            }
            Err(SiteError::Refused(_, why)) => return Err(why),
            Err(SiteError::Unreachable(why) | SiteError::Down(why)) if heard.elapsed() >= SILENCE_MAX => {
                return Err(format!(
                    "site {} does not answer any more: {why}; what was begun there goes on by itself; repeat the command when it answers",
                    site.name()
                ));
            }
            Err(SiteError::Unreachable(_) | SiteError::Down(_)) => {}
        }
        if begun.elapsed() >= CHANGE_MAX {
            return Err(format!(
                "the role change of site {} still runs; follow it with `health`",
                site.name()
            ));
        }
        pause(LOOK_INTERVAL);
    }
}

fn line(state: &State) -> String {
    match &state.plan {
        Some(plan) if plan.step < plan.steps => format!(
            "site {}: {} step {} of {}: {}",
            state.site,
            plan.kind,
            plan.step + 1,
            plan.steps,
            plan.name.as_deref().unwrap_or("?")
        ),
        _ => format!("site {} is {} (epoch {})", state.site, state.phase.word(), state.epoch),
    }
}

fn failed(goal: Goal, state: &State) -> String {
    let site = &state.site;
    match (goal, state.phase) {
        (Goal::Standby, Phase::DemotionFailed) => {
            let step = state.plan.as_ref().and_then(|plan| plan.name.as_deref()).unwrap_or("?");
            format!(
                "step \"{step}\" failed at site {site}: its services may still be serving, so the other site was left as it is; finish the step by hand (the log and `history` there say why it failed), then repeat the command"
            )
        }
        (Goal::Active, Phase::Standby | Phase::Demoting | Phase::DemotionFailed) => format!(
            "site {site} did not become active and is {}: a step failed (the log and `history` there name it). Nobody may be serving now: repair it and repeat the command, or run `manualFailover -a` at the other site",
            state.phase.word()
        ),
        (_, phase) => {
            format!("site {site} is {} now: somebody else changed its role; look at `health`", phase.word())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_is_the_goal_or_on_the_way_or_a_failure() {
        for (goal, arrived, way) in [
            (Goal::Active, Phase::Active, Phase::Promoting),
            (Goal::Standby, Phase::Standby, Phase::Demoting),
        ] {
            assert_eq!(standing(goal, arrived), Standing::Arrived);
            assert_eq!(standing(goal, way), Standing::OnTheWay);
            assert_eq!(standing(goal, Phase::DemotionFailed), Standing::Failed);
            assert_eq!(standing(goal, Phase::Standalone), Standing::Failed);
        }
    }
}
