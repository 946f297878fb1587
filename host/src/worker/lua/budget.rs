//! The time of one evaluation, enforced between instructions.
//!
//! It stops the usual runaway. What it cannot stop (a pattern that backtracks for ever, a loop around `pcall`) is
//! killed from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mlua::{HookTriggers, Lua, VmState};

/// Instructions from one check to the next: about 50 µs.
const INSTRUCTIONS: u32 = 10_000;
/// Memory of a state from which on garbage is collected.
const UNCOLLECTED_BYTES: usize = 8 << 20;
/// The error that stops a policy.
pub(super) const STOPPED: &str = "stopped at the deadline";

/// The time of one evaluation.
pub(super) struct Budget {
    deadline: Option<Instant>,
    cancelled: Arc<AtomicBool>,
    spent: Arc<AtomicBool>,
}

impl Budget {
    /// From now on.
    pub(super) fn new(time: Duration, cancelled: &Arc<AtomicBool>) -> Self {
        Self {
            // Later than any clock can show is never.
            deadline: Instant::now().checked_add(time),
            cancelled: Arc::clone(cancelled),
            spent: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Watches every coroutine of this state.
    pub(super) fn install(&self, lua: &Lua) -> mlua::Result<()> {
        let (deadline, cancelled, spent) =
            (self.deadline, Arc::clone(&self.cancelled), Arc::clone(&self.spent));
        lua.set_global_hook(HookTriggers::new().every_nth_instruction(INSTRUCTIONS), move |lua, _| {
            if !lua.gc_is_running() && lua.used_memory() > UNCOLLECTED_BYTES {
                lua.gc_restart();
            }
            let is_late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if is_late || cancelled.load(Ordering::Relaxed) {
                spent.store(true, Ordering::Relaxed);
                return Err(mlua::Error::runtime(STOPPED));
            }
            Ok(VmState::Continue)
        })
    }

    /// Whether it stopped something.
    pub(super) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed)
    }
}
