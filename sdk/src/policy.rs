//! The trait that a compiled policy implements.

use std::fmt;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::context::Context;
use crate::host::{Host, HostError};
use crate::verdict::Verdict;

/// A compiled policy. Implement it, then write `drw_export!(MyPolicy)`.
///
/// One instance is made when the policy is loaded. `evaluate` is never called twice at once for one instance;
/// `cancel` may come from another thread while it runs.
pub trait Policy: Sized + Send + Sync + 'static {
    /// Name, as operators see it.
    const NAME: &'static str;
    /// Version of the policy.
    const VERSION: &'static str;
    /// Who made it.
    const VENDOR: &'static str;
    /// Where to ask about it.
    const CONTACT: &'static str;
    /// Its licence.
    const LICENSE: &'static str;

    /// Longest evaluation that makes sense for this policy, in milliseconds; shown by `plugin describe`.
    const RECOMMENDED_DEADLINE_MS: u64 = 10_000;

    /// What `[policy.config]` holds. The host checks it by this type's schema before `create` is called.
    type Config: DeserializeOwned + JsonSchema;

    /// Makes the instance.
    ///
    /// # Errors
    /// When the configuration is valid by its schema and still makes no sense.
    fn create(config: Self::Config) -> Result<Self, PolicyError>;

    /// Answers one question. Return before [`Host::remaining_ms`] is used up.
    ///
    /// # Errors
    /// Any error is a verdict of `nothing` with this text as its reason.
    fn evaluate(&self, context: &Context, host: &dyn Host) -> Result<Verdict, PolicyError>;

    /// The host no longer wants an answer. The default leaves it to [`Host::is_cancelled`].
    fn cancel(&self) {}

    /// JSON Schema of `payload.details`, for whoever reads the verdicts.
    fn details_schema() -> Option<Value> {
        None
    }

    /// Host calls beyond the common ones that this policy wants granted.
    fn wanted_capabilities() -> &'static [&'static str] {
        &[]
    }
}

/// Why a policy could not answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyError {
    /// What went wrong, in a sentence.
    pub message: String,
    /// The configuration key or the field that is to blame.
    pub field: Option<String>,
    /// What the operator may do.
    pub hint: Option<String>,
}

impl PolicyError {
    /// An error with a sentence.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// The form that crosses the ABI.
    pub fn to_json(&self) -> Value {
        serde_json::json!({ "message": self.message, "field": self.field, "hint": self.hint })
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PolicyError {}

impl From<HostError> for PolicyError {
    fn from(error: HostError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<String> for PolicyError {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}
