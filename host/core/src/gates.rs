//! The gates: what no verdict can pass by.
//!
//! A table with a sentence per row; the first gate that is closed is the printed reason (design 5).

use std::time::Duration;

use dr_watchdog_sdk::verdict::{Action, VerdictState};
use dr_watchdog_sdk::{Situation, Verdict};

use crate::automatic::Automatic;
use crate::durable::Standing;
use crate::settings::Mode;
use crate::transitions::Phase;

/// The gates, in the order in which they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// 1: the verdict is valid.
    Valid,
    /// 2: the site may decide at all.
    Site,
    /// 3: verdicts are carried out.
    Enforce,
    /// 4: automatic failover is on.
    Automatic,
    /// 5: exclusion.
    Exclusion,
}

impl Gate {
    /// The word as history and `explain` have it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Site => "site",
            Self::Enforce => "enforce",
            Self::Automatic => "automaticFailover",
            Self::Exclusion => "exclusion",
        }
    }
}

/// A gate that stopped an action, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Which gate.
    pub gate: Gate,
    /// In a sentence.
    pub why: String,
}

/// Everything the gates look at.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The verdict.
    pub verdict: &'a Verdict,
    /// Why the policy failed, if it did.
    pub failure: Option<&'a str>,
    /// What the site is doing.
    pub phase: Phase,
    /// Whether it is booting.
    pub is_booting: bool,
    /// The situation the policy was asked in.
    pub asked_in: Situation,
    /// The situation now.
    pub situation: Option<Situation>,
    /// Whether verdicts are carried out.
    pub mode: Mode,
    /// The switches of automatic failover.
    pub automatic: &'a Automatic,
    /// Epochs: of this site, and of the other one if it is heard now.
    pub epochs: (u64, Option<u64>),
    /// Whether the grace period of the former active is over.
    pub is_grace_over: bool,
    /// How much longer a failed promotion blocks the next one.
    pub blocked_for: Option<Duration>,
    /// What operators' commands left behind.
    pub standing: Standing,
}

type Check = fn(&Facts<'_>) -> Option<String>;

/// The table. A row returns why it stops the action; actions that change no role pass gates 3 to 5.
static GATES: [(Gate, Check); 13] = [
    (Gate::Valid, policy_failed),
    (Gate::Site, standalone),
    (Gate::Site, changing),
    (Gate::Site, booting),
    (Gate::Site, wrong_state),
    (Gate::Site, situation_over),
    (Gate::Enforce, observing),
    (Gate::Automatic, promotion_off),
    (Gate::Automatic, demotion_off),
    (Gate::Exclusion, handed_over),
    (Gate::Exclusion, promised),
    (Gate::Exclusion, promotion_failed_recently),
    (Gate::Exclusion, peer_was_active_later),
];

/// The first gate that is closed for this verdict.
pub fn first_closed(facts: &Facts<'_>) -> Option<Stop> {
    GATES.iter().find_map(|(gate, check)| check(facts).map(|why| Stop { gate: *gate, why }))
}

/// Whether the verdict asks for another role than the site has.
pub fn wants_change(verdict: &Verdict, phase: Phase) -> bool {
    matches!((verdict.action, phase), (Action::BeActive, Phase::Standby) | (Action::BeStandby, Phase::Active))
}

fn policy_failed(facts: &Facts<'_>) -> Option<String> {
    facts.failure.map(|failure| format!("the policy gave no verdict: {failure}"))
}

fn standalone(facts: &Facts<'_>) -> Option<String> {
    (facts.phase == Phase::Standalone).then(|| "this site is standalone; it has no other site".to_owned())
}

fn changing(facts: &Facts<'_>) -> Option<String> {
    let is_settled = matches!(facts.phase, Phase::Standby | Phase::Active | Phase::Standalone);
    (!is_settled).then(|| format!("a role change is running ({})", facts.phase.word()))
}

fn booting(facts: &Facts<'_>) -> Option<String> {
    facts
        .is_booting
        .then(|| "this site is booting; it decides nothing before its boot time is over".to_owned())
}

fn wrong_state(facts: &Facts<'_>) -> Option<String> {
    let role = if facts.phase.may_serve() { VerdictState::Active } else { VerdictState::Standby };
    let (said, is) = (facts.verdict.state.word(), role.word());
    (facts.verdict.state != role)
        .then(|| format!("the verdict speaks for a site that is {said}, this one is {is}"))
}

fn situation_over(facts: &Facts<'_>) -> Option<String> {
    let same_kind = facts.situation.is_some_and(|now| {
        now == facts.asked_in || matches!((now, facts.asked_in), (Situation::Waiting, Situation::PeerLost))
    });
    (!same_kind)
        .then(|| format!("the situation {} in which the policy was asked is over", facts.asked_in.word()))
}

fn observing(facts: &Facts<'_>) -> Option<String> {
    let stops = facts.mode == Mode::Observe && wants_change(facts.verdict, facts.phase);
    stops.then(|| format!("mode is \"observe\": would have done {}", facts.verdict.action.word()))
}

fn promotion_off(facts: &Facts<'_>) -> Option<String> {
    is_promotion(facts).then(|| facts.automatic.why_off()).flatten()
}

/// Only the operator's switch stops a demotion; that of connectivity never does.
fn demotion_off(facts: &Facts<'_>) -> Option<String> {
    let is_demotion = wants_change(facts.verdict, facts.phase) && facts.verdict.action == Action::BeStandby;
    let operator = Automatic { operator: facts.automatic.operator.clone(), connectivity: None };
    is_demotion.then(|| operator.why_off()).flatten()
}

fn is_promotion(facts: &Facts<'_>) -> bool {
    wants_change(facts.verdict, facts.phase) && facts.verdict.action == Action::BeActive
}

fn handed_over(facts: &Facts<'_>) -> Option<String> {
    (is_promotion(facts) && facts.standing.is_handed_over).then(|| {
        "an operator made this site standby; it does not come back by itself before the other site has served".to_owned()
    })
}

fn promised(facts: &Facts<'_>) -> Option<String> {
    (is_promotion(facts) && facts.standing.is_promised).then(|| {
        "this site was stopped and gave its word not to take over by itself before it hears the other site again"
            .to_owned()
    })
}

fn promotion_failed_recently(facts: &Facts<'_>) -> Option<String> {
    let left = facts.blocked_for.filter(|_| is_promotion(facts))?;
    Some(format!("the last promotion failed; the next one is possible in {} s", left.as_secs() + 1))
}

/// Two standbys that both remember having been the last active must not both come back: within the grace period
/// the one with the lower epoch is not the former active (`exclusion-notes.md` 4, last row; reading A4).
fn peer_was_active_later(facts: &Facts<'_>) -> Option<String> {
    let (own, peer) = (facts.epochs.0, facts.epochs.1.filter(|_| is_promotion(facts))?);
    (peer > own && facts.asked_in == Situation::BothStandby && !facts.is_grace_over)
        .then(|| format!("the other site was active later than this one (its epoch {peer}, ours {own})"))
}
