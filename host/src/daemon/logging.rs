//! The log: one line per event on standard error, for a terminal or the journal.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Names the levels to show: a level, or `target=level` pairs with commas; default `info`.
const LEVEL_VARIABLE: &str = "DR_WATCHDOG_LOG";

/// Begins logging. The SSH library's own lines come only when asked for: our events already say what happened.
pub fn start() {
    let wanted = std::env::var(LEVEL_VARIABLE).ok().filter(|wanted| !wanted.is_empty());
    let parsed = wanted.as_deref().map(str::parse::<Targets>);
    let default = || Targets::new().with_default(LevelFilter::INFO).with_target("russh", LevelFilter::ERROR);
    let levels = match &parsed {
        Some(Ok(levels)) => levels.clone(),
        _ => default(),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_writer(std::io::stderr);
    tracing_subscriber::registry().with(levels).with(lines).init();
    if let Some(Err(error)) = parsed {
        let found = wanted.unwrap_or_default();
        tracing::warn!(%error, "{LEVEL_VARIABLE}=\"{found}\" is no list of levels; write info, debug or russh=debug");
    }
}
