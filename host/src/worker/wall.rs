//! The wall around a guest: what the kernel takes from the worker before any guest code runs.
//!
//! Order matters: what needs privileges comes before privileges are given up. This is the one place where further
//! layers go.

use super::hygiene::{self, HygieneError};
use crate::policy::protocol::Load;

/// Raises the wall for this policy.
///
/// # Errors
/// When a layer that this kernel must have cannot be raised.
pub(super) fn raise(load: &Load) -> Result<(), HygieneError> {
    hygiene::limit_memory(load.memory_bytes)
}
