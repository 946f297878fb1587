//! All that the core may ask for, in the imperative.

use std::time::Duration;

use dr_watchdog_sdk::{Situation, Utc, Verdict};

use crate::durable::Durable;
use crate::evidence::Evidence;
use crate::exclusion::request::Request;
use crate::gates::Stop;
use crate::transitions::Row;

/// Something to do. Effects are performed in the order in which they are polled.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Ping the other site; answered by `PeerPingEnded`.
    PingPeer {
        /// Repeated in the answer.
        ping: u64,
        /// Whom.
        targets: PingTargets,
        /// How long each reply is awaited.
        timeout: Duration,
        /// How often each target is tried; the first reply of any ends the ping.
        tries: u32,
    },
    /// Send a signed heartbeat with what [`crate::Watchdog`] says of itself now.
    SendHeartbeat,
    /// Look at every arbiter, every look interval, until told to stop.
    StartLooking,
    /// Stop that.
    StopLooking,
    /// Ping every arbiter once; answered by `ArbiterPinged` each, then `SweepEnded`.
    SweepArbiters {
        /// Repeated in the answer.
        sweep: u64,
    },
    /// Hold one session at every arbiter from now on: that is what makes it managed by this site.
    HoldArbiters,
    /// Close the held sessions: serving has ended.
    ReleaseArbiters,
    /// Ask the policy; answered by `VerdictReturned`.
    AskPolicy(Box<Ask>),
    /// Write the state; answered by `Persisted` or `PersistFailed`.
    Persist {
        /// Repeated in the answer.
        write: u64,
        /// What to write.
        durable: Box<Durable>,
    },
    /// Run a step of a plan; answered by `StepEnded`.
    RunStep {
        /// Repeated in the answer.
        plan: u64,
        /// Which steps.
        kind: PlanKind,
        /// Which of them.
        step: usize,
    },
    /// End the running step of this plan, with its children; it needs no answer.
    CancelStep {
        /// Which plan.
        plan: u64,
    },
    /// Say that a row of the transition table was taken.
    Changed(&'static Row),
    /// Write a decision to the history.
    Record(Box<Decision>),
    /// Tell the operator.
    Notify(Notice),
    /// Something that is only asked for under `lease`.
    Exclusion(Request),
}

/// Whom to ping at the other site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PingTargets {
    /// Its virtual address.
    Vip,
    /// Its other load-balancer nodes, in parallel.
    Nodes,
}

/// A question to the policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// Repeated in the answer.
    pub id: u64,
    /// Why.
    pub situation: Situation,
    /// End of the wait that is open.
    pub wait_time: Option<Utc>,
    /// The last verdict in this situation.
    pub previous: Option<Verdict>,
    /// What was seen at the arbiters.
    pub evidence: Evidence,
}

/// Which plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PlanKind {
    /// `roleChange.beActive`.
    BeActive,
    /// `roleChange.beStandby`.
    BeStandby,
}

impl PlanKind {
    /// The word as configuration and JSON have it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::BeActive => "beActive",
            Self::BeStandby => "beStandby",
        }
    }
}

/// What became of a verdict.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Of the question.
    pub ask: u64,
    /// The answer.
    pub verdict: Verdict,
    /// Why the policy failed, if it did.
    pub failure: Option<String>,
    /// The gate that stopped the action, if one did.
    pub stopped: Option<Stop>,
    /// What was done, in a sentence.
    pub outcome: String,
}

/// Something the operator should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What kind of thing.
    pub trigger: Trigger,
    /// What happened, what we did, what the operator may do.
    pub text: String,
}

/// Kinds of notices (`domain.md` rows 87–96, and ours).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    /// This site became active (row 90).
    BecameActive,
    /// This site became standby (row 89).
    BecameStandby,
    /// Automatic failover was disabled because of arbiter connectivity (row 87).
    AutomaticFailoverDisabled,
    /// It is enabled again.
    AutomaticFailoverEnabled,
    /// Fewer arbiters answer than `threshold.warning` (row 88).
    ArbitersBelowWarning,
    /// They answer again.
    ArbitersAnswer,
    /// The other site does not answer.
    PeerLost,
    /// It answers again.
    PeerBack,
    /// The policy gave no verdict (reading A22).
    PolicyFailed,
    /// The policy crashed too often: nobody asks it until it is loaded again.
    PolicyQuarantined,
    /// A gate stopped a role change.
    GateClosed,
    /// A step of a role change failed.
    StepFailed,
    /// The state could not be written.
    StateNotWritten,
    /// The stored state could not be used.
    StateUnusable,
    /// The two sites' settings contradict each other.
    SettingsContradict,
    /// An operator vouches that the other site is off.
    PeerIsOff,
    /// The other site spoke, which ends that word.
    PeerIsNotOff,
    /// Settings that both sites must share differ.
    SettingsDiffer,
    /// They are the same again.
    SettingsAgree,
    /// Both sites are standby.
    BothStandby,
    /// An arbiter shows another host key than the expected one.
    HostKeyChanged,
    /// What the exclusion rests on changed: calibration, agreement, joining.
    Exclusion,
}

impl Trigger {
    /// The word as history and health have it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::BecameActive => "becameActive",
            Self::BecameStandby => "becameStandby",
            Self::AutomaticFailoverDisabled => "automaticFailoverDisabled",
            Self::AutomaticFailoverEnabled => "automaticFailoverEnabled",
            Self::ArbitersBelowWarning => "arbitersBelowWarning",
            Self::ArbitersAnswer => "arbitersAnswer",
            Self::PeerLost => "peerLost",
            Self::PeerBack => "peerBack",
            Self::PolicyFailed => "policyFailed",
            Self::PolicyQuarantined => "policyQuarantined",
            Self::GateClosed => "gateClosed",
            Self::StepFailed => "stepFailed",
            Self::StateNotWritten => "stateNotWritten",
            Self::StateUnusable => "stateUnusable",
            Self::SettingsContradict => "settingsContradict",
            Self::PeerIsOff => "peerIsOff",
            Self::PeerIsNotOff => "peerIsNotOff",
            Self::SettingsDiffer => "settingsDiffer",
            Self::SettingsAgree => "settingsAgree",
            Self::BothStandby => "bothStandby",
            Self::HostKeyChanged => "hostKeyChanged",
            Self::Exclusion => "exclusion",
        }
    }
}
