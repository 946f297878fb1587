//! The inner wall around a guest: what the worker gives up before any guest code runs.
//!
//! The namespaces stand already when this runs. Order matters: what needs privileges comes before privileges are
//! given up, and what the kernel forgets with them comes after; the further layers come last, because they forbid
//! what the others are made of.

use super::hygiene::{self, HygieneError};
use super::serve::Inside;
use super::{calls, files};
use crate::policy::protocol::Load;
use crate::policy::terms::Layer;

/// Processes and threads of a guest.
const PROCESSES_MAX: u64 = 64;

/// Takes from this process what no guest has.
///
/// A system may refuse a list of processes of the guest's own, or know nothing of the further layers; then that is
/// noted and no error.
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
    if inside.is_alone {
        hygiene::limit_processes(PROCESSES_MAX)?;
    }
    further(inside);
    Ok(())
}

fn further(inside: &mut Inside) {
    if !inside.without.contains(&Layer::Landlock)
        && let Err(why) = files::close(&inside.hidden, inside.has_network)
    {
        inside.missing.push(format!("a list of what it may read ({why})"));
    }
    if !inside.without.contains(&Layer::Seccomp)
        && let Err(why) = calls::filter(inside.has_network)
    {
        inside.missing.push(format!("a filter of its system calls ({why})"));
    }
}

/// Limits what this policy may use.
///
/// # Errors
/// When the limit cannot be set.
pub(super) fn limit(load: &Load) -> Result<(), HygieneError> {
    hygiene::limit_memory(load.memory_bytes)
}
