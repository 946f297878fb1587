//! `file`: when files are backed up, and when the other site's are fetched (domain rows 112–116).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Backup and restore of configuration and RRD files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct File {
    /// Backups made here.
    pub backup: Backup,
    /// Backups fetched from the active site.
    pub restore: Restore,
}

/// When and how many backups are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Backup {
    /// Backups kept; the oldest goes first.
    pub max_count: u32,
    /// Hours of the day, `*` or a comma-joined list.
    pub hours_of_day: String,
    /// Days of the week, `*` or a comma-joined list.
    pub days_of_week: String,
}

impl Default for Backup {
    /// Three backups, every hour of every day: the manual's sample.
    fn default() -> Self {
        Self { max_count: 3, hours_of_day: "*".to_owned(), days_of_week: "*".to_owned() }
    }
}

/// When backups are fetched from the active site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Restore {
    /// Hours of the day, `*` or a comma-joined list.
    pub hours_of_day: String,
    /// Days of the week, `*` or a comma-joined list.
    pub days_of_week: String,
}

impl Default for Restore {
    fn default() -> Self {
        Self { hours_of_day: "*".to_owned(), days_of_week: "*".to_owned() }
    }
}
