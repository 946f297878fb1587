//! What a site under `lease` must remember over a restart.

use serde::{Deserialize, Serialize};

use super::agreed::Versions;

/// The id of no pair: what a site has that lost its state. It is a stranger to nobody.
pub const NO_CLUSTER: u64 = 0;

/// The stored part of the exclusion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// Of which pair this site is one half; [`NO_CLUSTER`] where it does not know.
    pub cluster: u64,
    /// The epoch in which this site last served.
    pub served_epoch: u64,
    /// The highest epoch seen of the other site.
    pub peer_epoch: u64,
    /// The safety settings in force.
    pub versions: Versions,
    /// Arbiters whose rows of the other site have been seen while it said that it holds them.
    #[serde(default)]
    pub calibrated: Vec<String>,
    /// The other site's addresses with which they were seen; with other addresses it must be seen again.
    #[serde(default)]
    pub calibrated_with: Vec<String>,
    /// The other site's release from its duty, as promised.
    #[serde(default)]
    pub promise: Option<Promise>,
    /// Whether this site has served, and has lost its lease without the other site's word since.
    #[serde(default)]
    pub is_data_doubtful: bool,
}

impl Memory {
    /// The state of a pair that was just made.
    pub const fn new(cluster: u64, versions: Versions) -> Self {
        Self {
            cluster,
            served_epoch: 0,
            peer_epoch: 0,
            versions,
            calibrated: Vec::new(),
            calibrated_with: Vec::new(),
            promise: None,
            is_data_doubtful: false,
        }
    }
}

/// A promise not to take over by evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Promise {
    /// Which request of the other site.
    pub id: u64,
    /// For how long, on the other site's clock; `None` = until its word.
    pub seconds: Option<u64>,
}
