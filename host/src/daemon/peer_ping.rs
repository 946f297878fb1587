//! One ping of the other site: all its targets at once, the first answer ends it.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::probe::ping::{PingOutcome, Pinger};
use crate::probe::resolve;

/// Whether any host answers any of so many tries.
pub async fn any_answers(pinger: &Pinger, hosts: Vec<String>, timeout: Duration, tries: u32) -> bool {
    let mut running = JoinSet::new();
    for host in hosts {
        let pinger = pinger.clone();
        running.spawn(async move {
            for _ in 0..tries {
                if answers(&pinger, &host, timeout).await {
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
async fn answers(pinger: &Pinger, host: &str, timeout: Duration) -> bool {
    let begun = tokio::time::Instant::now();
    let why = match resolve::resolve(host, timeout).await {
        Ok(address) => match pinger.ping(address, timeout).await {
            PingOutcome::Answered { .. } => return true,
            PingOutcome::TimedOut => return false,
            PingOutcome::Failed(why) => why,
        },
        Err(why) => why.to_string(),
    };
    tracing::debug!(host, why, "the other site could not be pinged");
    tokio::time::sleep_until(begun + timeout).await;
    false
}
