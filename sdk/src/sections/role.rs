//! `role`, with `failover`: what this site is, and how it last became so.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The disaster-recovery role of a site (domain row 140).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// It serves.
    Active,
    /// It stands by.
    Standby,
    /// It is no half of a pair: disaster recovery is not set up, or was reset.
    Standalone,
}

impl Role {
    /// The word as JSON has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Standalone => "standalone",
        }
    }
}

/// The kind of failover that happened last at this site (domain row 141).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum LastFailover {
    /// None yet.
    #[default]
    #[serde(rename = "")]
    None,
    /// This site was active and became standby: it is the last active of this site's memory.
    #[serde(rename = "active_to_standby")]
    ActiveToStandby,
    /// This site was standby and became active.
    #[serde(rename = "standby_to_active")]
    StandbyToActive,
}
