//! What must survive a restart.

use dr_watchdog_sdk::Utc;
use dr_watchdog_sdk::sections::{LastFailover, Role};
use serde::{Deserialize, Serialize};

use crate::effect::PlanKind;
use crate::exclusion::memory::Memory;

/// The stored state of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Durable {
    /// Role; it is `active` from before the first step that may serve until after the last one that ends it.
    pub role: Role,
    /// The kind of failover that happened last.
    pub failover: LastFailover,
    /// The highest epoch this site has held.
    pub epoch: u64,
    /// The highest epoch this site has held or heard of.
    pub epoch_seen: u64,
    /// Boot id of the kernel that wrote this.
    pub boot_id: String,
    /// Whether the initial active has not yet started for the first time.
    #[serde(default)]
    pub is_first_start_due: bool,
    /// The plan that was running.
    #[serde(default)]
    pub plan: Option<DurablePlan>,
    /// End of the grace period that began when both sites were found standby.
    #[serde(default)]
    pub both_standby_until: Option<Utc>,
    /// End of the wait that a verdict asked for.
    #[serde(default)]
    pub wait_until: Option<Utc>,
    /// The operator's disable of automatic failover.
    #[serde(default)]
    pub operator_off: Option<OperatorOff>,
    /// Which turn of the switch that was.
    #[serde(default)]
    pub switch: Switch,
    /// What operators' commands left behind.
    #[serde(default)]
    pub standing: Standing,
    /// What the exclusion by lease must remember.
    #[serde(default)]
    pub exclusion: Option<Box<Memory>>,
}

/// What operators' commands left behind; each ends with a word of the other site or another command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Standing {
    /// An operator made this site standby: it does not come back by itself before the other site has served.
    pub is_handed_over: bool,
    /// An operator stopped the watchdog, the other site gave its word, and the services went on.
    pub is_stopped: bool,
    /// This site gave its word not to take over by itself before it hears the other site again.
    pub is_promised: bool,
    /// An operator vouched that the other site is off.
    pub is_peer_off: bool,
}

/// Which turn of the operator's switch is in force here; see [`crate::automatic::Turn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Switch {
    /// Turns at either site until now.
    pub count: u64,
    /// Where the last one was.
    pub site_index: u8,
    /// Whether the other site has said that it has the same turn.
    pub is_agreed: bool,
}

/// A plan that was running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DurablePlan {
    /// Which steps.
    pub kind: PlanKind,
    /// The step that was running.
    pub step: usize,
    /// Its name, so that a changed configuration is noticed.
    pub step_name: String,
    /// What the plan is for.
    pub purpose: Purpose,
}

/// What a plan is for; it decides what `failover` says afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Purpose {
    /// The role moves from one site to the other.
    Failover,
    /// The initial active starts for the first time: no failover has happened.
    FirstStart,
    /// A promotion that never completed is taken back: no failover has happened.
    Undo,
}

/// An operator's disable of automatic failover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatorOff {
    /// When it ends by itself; `None` = never.
    pub until: Option<Utc>,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// Since when.
    pub since: Utc,
}

impl Durable {
    /// The state of a site that has none.
    pub fn new(role: Role, boot_id: &str) -> Self {
        Self {
            role,
            failover: LastFailover::None,
            epoch: 0,
            epoch_seen: 0,
            boot_id: boot_id.to_owned(),
            is_first_start_due: false,
            plan: None,
            both_standby_until: None,
            wait_until: None,
            operator_off: None,
            switch: Switch::default(),
            standing: Standing::default(),
            exclusion: None,
        }
    }

    /// The next epoch of a site: one more than the largest counter seen, with the site's index as its low bit, so
    /// that no two sites mint the same one (`exclusion-notes.md` 7).
    pub fn next_epoch(&self, site_index: u8) -> u64 {
        let counter = self.epoch.max(self.epoch_seen) / 2;
        (counter + 1) * 2 + u64::from(site_index & 1)
    }
}

/// What was found where the state is stored.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Found {
    /// Nothing: the site has never run.
    Absent,
    /// A state.
    Good(Box<Durable>),
    /// Something that is no state; why, in a sentence.
    Bad(String),
}
