//! What the core must know of the configuration.

use std::time::Duration;

use dr_watchdog_sdk::sections::{Role, Thresholds};

use crate::evidence::ManagedRule;
use crate::exclusion::agreed::Agreed;
use crate::exclusion::rules::Rules;

/// Settings of one site.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Settings {
    /// 0 or 1; the low bit of every epoch this site mints.
    pub site_index: u8,
    /// Role where nothing is stored.
    pub initial_role: Role,
    /// Whether verdicts are carried out.
    pub mode: Mode,
    /// Pings between the sites.
    pub heartbeat: Heartbeat,
    /// Load-balancer nodes of the other site beside its VIP.
    pub has_peer_nodes: bool,
    /// Shares of arbiters.
    pub thresholds: Thresholds,
    /// Length of the grace period while both sites are standby; `None` = for ever.
    pub wait_duration_s: Option<u64>,
    /// Names of the arbiters, in the order of the configuration.
    pub arbiters: Vec<String>,
    /// What makes an arbiter managed.
    pub managed_rule: ManagedRule,
    /// How long one round of looks at all arbiters takes at most: the deadline of a look, and a multiple of it where
    /// there are more arbiters than are asked at once.
    pub look_round: Duration,
    /// How two active sites are excluded.
    pub exclusion: Exclusion,
    /// Whether the settings are compared with the other site's before anything is decided after a start.
    #[serde(default)]
    pub verifies_at_boot: bool,
    /// Steps that make this site serve.
    pub be_active: Vec<Step>,
    /// Steps that end serving.
    pub be_standby: Vec<Step>,
}

/// Whether verdicts are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Mode {
    /// Carry them out.
    Enforce,
    /// Record what would have been done.
    Observe,
}

/// Pings between the sites (`domain.md` 3.1).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Heartbeat {
    /// From one round to the next.
    pub interval: Duration,
    /// How long a reply is awaited.
    pub timeout: Duration,
    /// Tries in a round: 1 + retries (reading A17).
    pub tries: u32,
}

impl Heartbeat {
    /// How long a site boots at the most: one interval and one full round. By then a living peer has been heard, so that no
    /// decision falls on the silence of the first second (`domain.md` row 161).
    pub fn boot_time(&self) -> Duration {
        self.interval + self.timeout * self.tries
    }

    /// How long a loss of the other site goes unnoticed at the most: one interval, then a full round at its VIP, then one
    /// at its nodes.
    pub fn lost_within(&self, has_nodes: bool) -> Duration {
        self.interval + self.timeout * self.tries * if has_nodes { 2 } else { 1 }
    }
}

/// How two active sites are excluded.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Exclusion {
    /// The manual's behaviour: the verdict alone decides, plus epochs and boot as standby.
    Verdict {
        /// F: a failed promotion blocks the next one for so long.
        wait: Duration,
    },
    /// A lease at the active, a longer wait at the standby (`exclusion-notes.md`).
    Lease(Box<Lease>),
}

/// What only `lease` must know of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Lease {
    /// The safety settings as they are in the file: a proposal, once others have been agreed.
    pub proposal: Agreed,
    /// Whether a site that lost its lease waits for proof that the other site has not served since.
    pub resume_alone: ResumeAlone,
    /// Whether a verdict beStandby is carried out although the lease is strong.
    pub honour_be_standby: Honour,
    /// All of them, except in a test build.
    pub rules: Rules,
}

/// When a site that lost its lease may come back without the other site's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum ResumeAlone {
    /// When marks at the arbiters prove that the other site has not served since, else after `waitDuration`.
    #[default]
    Proof,
    /// As soon as the other gates are open.
    AtOnce,
}

/// When a verdict beStandby is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Honour {
    /// When the lease is weak, or at the second such verdict in a row.
    #[default]
    WhenWeak,
    /// At once.
    AtOnce,
}

impl Exclusion {
    /// F.
    pub const fn wait(&self) -> Duration {
        match self {
            Self::Verdict { wait } => *wait,
            Self::Lease(lease) => lease.proposal.timers.wait,
        }
    }
}

/// One step of a plan; what it runs is the daemon's business.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Step {
    /// Name, as people see it.
    pub name: String,
    /// Whether it may run again after a crash that interrupted it.
    pub idempotent: bool,
    /// Whether the plan goes on when it fails.
    pub on_failure: OnFailure,
}

/// What a failed step does to its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum OnFailure {
    /// The plan stops.
    Stop,
    /// The plan goes on; the failure is reported.
    Continue,
}
