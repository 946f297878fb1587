//! `pgsql`: the other site's PostgreSQL (domain rows 109–111).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The other site's PostgreSQL nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Pgsql {
    /// Whether the other site has specialised monitoring nodes.
    pub has_fmpm: bool,
    /// Virtual address of the other site's PostgreSQL nodes.
    pub peer_fmpm_vip: String,
    /// PostgreSQL nodes of the other site, comma-joined.
    pub peer_nodes: String,
}
