//! What the core asks for under `lease`, beside what it asks of every daemon.

use std::time::Duration;

use super::message::Signed;
use crate::time::Moment;

/// Something to do. `HoldArbiters` and `ReleaseArbiters` open and close the holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Send this signed heartbeat.
    Send(Box<Signed>),
    /// Look at one arbiter, from this node's own address; answered by `Looked`.
    Look {
        /// Repeated in the answer.
        look: u64,
        /// Position in the settings.
        arbiter: usize,
        /// Deadline.
        timeout: Duration,
    },
    /// Write this into the marks that the holds leave from now on.
    Mark {
        /// Epoch.
        epoch: u64,
        /// Whether it is a claim.
        is_claim: bool,
    },
    /// Arm the guards of all serving nodes until then; answered by `GuardArmed`. A lower epoch is refused; an
    /// earlier end is taken, because it only shortens.
    ArmGuard {
        /// For this epoch.
        epoch: u64,
        /// The lease's end.
        until: Moment,
    },
    /// End serving at every node within D; answered by `Fenced`.
    Fence,
}
