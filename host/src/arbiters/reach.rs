//! Pings of arbiters: one with its retries, and a sweep over all.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Report, Shared};
use crate::probe::ping::PingOutcome;
use crate::probe::resolve;

/// Pings every arbiter and reports each, then the end.
pub(super) async fn sweep(shared: Arc<Shared>, round: u64) {
    let mut running = JoinSet::new();
    for arbiter in 0..shared.devices.len() {
        let shared = Arc::clone(&shared);
        running.spawn(async move {
            let begun = Instant::now();
            let tries = shared.settings.ping_retries + 1;
            let outcome = ping(&shared, arbiter, shared.settings.ping_timeout, tries).await;
            // Nobody listens any more only when the program ends.
            let _ = shared.reports.send(Report::Pinged { arbiter, outcome, begun }).await;
        });
    }
    while let Some(ended) = running.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a ping task failed; this is a defect of the watchdog");
        }
    }
    let _ = shared.reports.send(Report::SweepFinished { round }).await;
}

/// Pings an arbiter until it answers, at most so often.
pub(super) async fn ping(shared: &Shared, arbiter: usize, timeout: Duration, tries: u32) -> PingOutcome {
    let host = &shared.devices[arbiter].target.host;
    let mut outcome = PingOutcome::TimedOut;
    for attempt in 1..=tries {
        let begun = Instant::now();
        outcome = ping_once(shared, host, timeout).await;
        if matches!(outcome, PingOutcome::Answered { .. }) {
            return outcome;
        }
        // A try lasts its whole timeout even if it fails at once: retries are there to bridge time.
        if attempt < tries {
            tokio::time::sleep_until(begun + timeout).await;
        }
    }
    outcome
}

async fn ping_once(shared: &Shared, host: &str, timeout: Duration) -> PingOutcome {
    let begun = Instant::now();
    let address: IpAddr = match resolve::resolve(host, timeout).await {
        Ok(address) => address,
        Err(why) => return PingOutcome::Failed(why.to_string()),
    };
    shared.pinger.ping(address, timeout.saturating_sub(begun.elapsed())).await
}
