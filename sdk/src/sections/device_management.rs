//! `deviceManagement`: addresses from which devices are managed (domain rows 134–136).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Device-management addresses of both sites.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeviceManagement {
    /// Of the other site, comma-joined.
    pub peer_nodes: String,
    /// Of this site, comma-joined.
    pub nodes: String,
    /// Of this node: `address,interface`.
    pub ip: String,
}
