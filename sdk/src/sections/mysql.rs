//! `mysql`: the other site's MySQL (domain rows 106–108).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The other site's MySQL nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Mysql {
    /// Whether the other site has nodes for the database alone.
    pub has_dedicated_db: bool,
    /// Virtual address of the other site's database nodes.
    pub peer_vip: String,
    /// Database nodes of the other site, comma-joined.
    pub peer_nodes: String,
}
