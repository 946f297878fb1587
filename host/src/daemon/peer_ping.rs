//! One ping of the other site: all its targets at once, the first answer ends it.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::probe::ping::{PingOutcome, Pinger};
use crate::probe::resolve;

/// The same limit as the core's for the tries of a round.
const LATENESS_ABSORBED_MAX: Duration = Duration::from_millis(20);

/// Whether any host answers any of so many tries.
pub(super) async fn any_answers(pinger: &Pinger, hosts: Vec<String>, timeout: Duration, tries: u32) -> bool {
    let mut running = JoinSet::new();
    for host in hosts {
        let pinger = pinger.clone();
        running.spawn(async move {
            let mut until = Instant::now();
            for _ in 0..tries {
                let now = Instant::now();
                // Lateness of timers is absorbed; a pause of the program is not, or a try would get no time at all.
                let begun = if now.duration_since(until) <= LATENESS_ABSORBED_MAX { until } else { now };
                until = begun + timeout;
                if answers(&pinger, &host, until).await {
                    return true;
                }
            }
            false
        });
    }
    while let Some(ended) = running.join_next().await {
        match ended {
            Ok(true) => return true,
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "a ping task failed; this is a defect of the watchdog"),
        }
    }
    false
}

/// A try lasts its whole timeout even if it fails at once: the retries are there to bridge time, and five refusals
/// within a millisecond bridge none.
async fn answers(pinger: &Pinger, host: &str, until: Instant) -> bool {
    let timeout = until.saturating_duration_since(Instant::now());
    let why = match resolve::resolve(host, timeout).await {
        Ok(resolved) => match pinger.ping(resolved.address, timeout).await {
            PingOutcome::Answered { .. } => return true,
            PingOutcome::TimedOut => return false,
            PingOutcome::Failed(why) => why,
        },
        Err(why) => why.to_string(),
    };
    tracing::debug!(host, why, "the other site could not be pinged");
    tokio::time::sleep_until(until).await;
    false
}
