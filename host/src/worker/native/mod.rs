//! Compiled plugins: the place where they are loaded.

use std::path::Path;

use serde_json::Value;

use super::Guest;
use crate::policy::{Failure, FailureKind};

/// Loads a plugin.
///
/// # Errors
/// Always, in this build.
pub fn load(path: &Path, _config: &Value) -> Result<Box<dyn Guest>, Failure> {
    let message = format!("{}: this build loads no compiled plugins", path.display());
    Err(Failure::new(FailureKind::Load, message))
}
