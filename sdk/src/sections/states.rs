//! `states`: what the watchdog's services last said (domain rows 148–167).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::utc::Utc;

/// The states of the seven services; one that never ran is absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct States {
    /// Arbiters that answer ping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arbiter_monitor: Option<ServiceState>,
    /// Configuration files across the nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_monitor: Option<ServiceState>,
    /// Replication of configuration and RRD files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_monitor: Option<ServiceState>,
    /// The heartbeat between the sites; its `service` is a [`HeartbeatService`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<ServiceState<HeartbeatService>>,
    /// MySQL replication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mysql_monitor: Option<ServiceState>,
    /// PostgreSQL replication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pgsql_monitor: Option<ServiceState>,
    /// Services of this site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_monitor: Option<ServiceState>,
}

/// The state of one service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServiceState<S: Default = Map<String, Value>> {
    /// What the service is doing now: `idle`, `running` or `unknown` (reading A28).
    pub progress: String,
    /// Its last message.
    pub msg: Message,
    /// What is particular to the service.
    pub service: S,
}

/// The last message of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Message {
    /// The service's name.
    pub service: String,
    /// What is wrong, in a sentence; empty when all is well.
    pub description: String,
    /// True when all is well.
    pub state: bool,
    /// Sent despite damping; always false here (reading A29).
    pub force: bool,
    /// Progress stored with the message; `unknown` in all the manual's samples.
    pub progress: String,
    /// `{"code": 0}`, or `{"localFailover": false}` for the heartbeat (reading A30).
    pub payload: Map<String, Value>,
    /// When it was said.
    pub time: Utc,
}

impl Default for Message {
    fn default() -> Self {
        Self {
            service: String::new(),
            description: String::new(),
            state: true,
            force: false,
            progress: "unknown".to_owned(),
            payload: Map::new(),
            time: Utc::default(),
        }
    }
}

/// Why a policy is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Situation {
    /// Neither the VIP nor a load-balancer node of the other site answers.
    PeerLost,
    /// The other site answers and is standby, and so is this one.
    BothStandby,
    /// A wait that was granted has not been resolved: the other site is silent.
    Waiting,
}

impl Situation {
    /// The word as JSON has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::PeerLost => "peerLost",
            Self::BothStandby => "bothStandby",
            Self::Waiting => "waiting",
        }
    }
}

/// What is particular to the heartbeat service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HeartbeatService {
    /// Whether the site is booting; no decision falls before `bootEndTime`.
    pub booting: bool,
    /// End of the boot time.
    pub boot_end_time: Option<Utc>,
    /// End of the wait that is open.
    pub wait_time: Option<Utc>,
    /// Whether automatic failover is on.
    pub automatic_failover: bool,
    /// When a disabled automatic failover comes back; null = never by itself, or it is on.
    pub automatic_failover_end_time: Option<Utc>,
    /// The instant for which the policy is asked (present only in what a policy sees).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<Utc>,
    /// Why the policy is asked (present only in what a policy sees).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub situation: Option<Situation>,
}

impl Default for HeartbeatService {
    fn default() -> Self {
        Self {
            booting: false,
            boot_end_time: None,
            wait_time: None,
            automatic_failover: true,
            automatic_failover_end_time: None,
            now: None,
            situation: None,
        }
    }
}
