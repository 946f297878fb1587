//! Turns: how many laboratories run at once, across all test processes of this machine.
//!
//! Scenarios race real timers. Two of them fill two cores; more would turn a slow machine into a failed test.

use std::fs::{File, OpenOptions};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use crate::wait;

/// Laboratories at once.
const LABS_MAX: usize = 2;
/// Longest wait for a turn: every scenario of the ring before this one.
const TURN_LIMIT: Duration = Duration::from_secs(1_200);

/// A turn; it ends when it is dropped.
#[derive(Debug)]
pub struct Turn {
    _lock: Flock<File>,
}

/// Waits for a turn.
///
/// # Panics
/// When none comes free.
pub fn take_turn() -> Turn {
    wait::until(
        "a laboratory is free",
        TURN_LIMIT,
        || (0..LABS_MAX).find_map(try_lock).ok_or_else(busy),
        String::new,
    )
}

fn busy() -> String {
    format!("{LABS_MAX} laboratories are in use")
}

fn try_lock(place: usize) -> Option<Turn> {
    let path = std::env::temp_dir().join(format!("drw-lab-{place}.lock"));
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).unwrap();
    Flock::lock(file, FlockArg::LockExclusiveNonblock).ok().map(|lock| Turn { _lock: lock })
}
