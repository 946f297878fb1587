//! How far a site has come, as its daemon says it.

use dr_watchdog_core::transitions::Phase;
use serde::Deserialize;
use serde_json::{Value, json};

use super::site::{Site, SiteError};

/// The answer to `progress`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct State {
    /// Of the program.
    pub(in crate::cli) version: String,
    /// Name of the site.
    pub(in crate::cli) site: String,
    /// What it is doing.
    pub(in crate::cli) phase: Phase,
    /// The highest epoch it has held.
    pub(in crate::cli) epoch: u64,
    /// End of its boot time; `None` = it is over.
    pub(in crate::cli) boot_end: Option<String>,
    /// The plan that runs.
    pub(in crate::cli) plan: Option<PlanAt>,
    /// Its steps to become active.
    pub(in crate::cli) be_active: Vec<String>,
    /// Its steps to become standby.
    pub(in crate::cli) be_standby: Vec<String>,
    /// Whether an operator made it standby.
    pub(in crate::cli) handed_over: bool,
    /// What it hears of the other site.
    pub(in crate::cli) peer_heard: Option<Heard>,
    /// Why an operator could not make it active now.
    pub(in crate::cli) why_not_active: Option<String>,
}

/// A plan that runs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct PlanAt {
    /// `beActive` or `beStandby`.
    pub(in crate::cli) kind: String,
    /// From 0.
    pub(in crate::cli) step: usize,
    /// How many there are.
    pub(in crate::cli) steps: usize,
    /// Name of the step.
    pub(in crate::cli) name: Option<String>,
}

/// What a site hears of the other one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct Heard {
    /// What that one says it does.
    pub(in crate::cli) phase: Phase,
    /// Its epoch.
    pub(in crate::cli) epoch: u64,
}

impl State {
    /// Asks a site.
    pub(in crate::cli) fn of(site: &dyn Site) -> Result<Self, SiteError> {
        Self::read(site.ask("progress", json!({}))?)
    }

    fn read(answer: Value) -> Result<Self, SiteError> {
        serde_json::from_value(answer).map_err(|error| {
            SiteError::Unreachable(format!(
                "the answer is not understood ({error}); run the same version at both sites"
            ))
        })
    }
}
