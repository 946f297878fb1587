//! The log: one line per event on standard error, for a terminal or the journal.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Names the levels to show, as in `RUST_LOG`; default `info`.
const LEVEL_VARIABLE: &str = "DR_WATCHDOG_LOG";

/// Begins logging. The SSH library's own lines come only when asked for: our events already say what happened.
pub fn start() {
    let filter =
        EnvFilter::try_from_env(LEVEL_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info,russh=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_writer(std::io::stderr)
        .init();
}
