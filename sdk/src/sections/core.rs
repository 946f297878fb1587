//! `core`: the other site's addresses (domain rows 100–105).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The other site's nodes. Lists are comma-joined texts, as the manual prints them (reading A38).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Core {
    /// Virtual address of the other site's load balancer: the one that heartbeats ping.
    pub peer_vip: String,
    /// Encrypted administrator passwords of the other site; shown as `***`.
    pub admin_pass: String,
    /// Seconds after which a file transfer counts as failed.
    pub scp_timeout: u32,
    /// Load-balancer nodes of the other site, comma-joined: pinged when its VIP is silent.
    pub peer_load_balancer_nodes: String,
    /// Business-logic nodes of the other site, comma-joined.
    pub peer_business_logic_nodes: String,
    /// Addresses from which the other site manages devices, comma-joined.
    pub peer_device_mgt_ips: String,
}

impl Core {
    /// Splits one of the comma-joined lists; blanks are trimmed, empty entries dropped.
    pub fn split(list: &str) -> impl Iterator<Item = &str> {
        list.split(',').map(str::trim).filter(|entry| !entry.is_empty())
    }
}
