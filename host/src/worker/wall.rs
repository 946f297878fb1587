//! The inner wall around a guest: what the worker gives up before any guest code runs.
//!
//! The namespaces stand already when this runs. Order matters: what needs privileges comes before privileges are
//! given up, and what the kernel forgets with them comes after. This is the one place where further layers go.

use super::hygiene::{self, HygieneError};
use super::serve::Inside;
use crate::policy::protocol::Load;

/// Takes from this process what no guest has.
///
/// A system may refuse a list of processes of the guest's own; then that is noted and no error.
///
/// # Errors
/// When a layer that every kernel has cannot be raised.
pub(super) fn raise(inside: &mut Inside) -> Result<(), HygieneError> {
    if inside.has_mounts
        && let Err(error) = hygiene::mount_processes()
    {
        inside.missing.push(error.to_string());
    }
    if let Some(uid) = inside.uid {
        hygiene::become_user(uid)?;
    }
    hygiene::drop_privileges()?;
    hygiene::follow()?;
    hygiene::hide()?;
    hygiene::limit_files()?;
    if inside.is_alone { hygiene::limit_processes() } else { Ok(()) }
}

/// Limits what this policy may use.
///
/// # Errors
/// When the limit cannot be set.
pub(super) fn limit(load: &Load) -> Result<(), HygieneError> {
    hygiene::limit_memory(load.memory_bytes)
}
