//! What the tests of this package share.

#![allow(dead_code, reason = "each test file uses its own part of it")]

pub(crate) mod proxy;
pub(crate) mod server;
pub(crate) mod sshd;

use std::time::{Duration, Instant};

/// Longest wait for a state that should come soon.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Awaits a state; panics with what was awaited if it does not come.
pub(crate) async fn wait_until(what: &str, mut is_reached: impl FnMut() -> bool) {
    let begun = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    while !is_reached() {
        assert!(begun.elapsed() < SOON, "{what}: not reached within {SOON:?}");
        tick.tick().await;
    }
}
