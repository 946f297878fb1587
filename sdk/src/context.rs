//! The context of one evaluation: who is asked, why, and until when.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sections::{Role, Situation};
use crate::utc::Utc;
use crate::verdict::Verdict;

/// What a policy is told with the question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Context {
    /// The role of this site.
    pub role: Role,
    /// Why the policy is asked.
    pub situation: Situation,
    /// End of the wait that is open. Null in `bothStandby` or `waiting` means that the situation starts now:
    /// its end is `now` + `waitDuration`.
    pub wait_time: Option<Utc>,
    /// The last verdict of this policy in this situation.
    pub previous: Option<Verdict>,
    /// Milliseconds the evaluation may take, host calls included.
    pub deadline_ms: u64,
    /// The instant the question is asked for.
    pub now: Utc,
}
