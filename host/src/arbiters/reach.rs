//! Pings of arbiters: one with its retries, and a sweep over all.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Report, Shared, lock};
use crate::probe::gateway;
use crate::probe::ping::{Manner, PingOutcome};

/// What a sweep found: which arbiter, and how it ended.
type Found = mpsc::UnboundedSender<(usize, PingOutcome)>;

/// Pings every arbiter and reports each as soon as it is known, then the end.
pub(super) async fn sweep(shared: Arc<Shared>, round: u64) {
    let begun = Instant::now();
    let manner = Manner { timeout: shared.settings.ping_timeout, tries: shared.settings.ping_retries + 1 };
    let (mut finding, mut running) = start(&shared, manner);
    while let Some((arbiter, outcome)) = finding.recv().await {
        // Nobody listens any more only when the program ends.
        let _ = shared.reports.send(Report::Pinged { arbiter, outcome, begun }).await;
    }
    end(&mut running).await;
    let _ = shared.reports.send(Report::SweepFinished { round }).await;
}

/// Pings every arbiter as beside a look; in the order of the arbiters.
pub(super) async fn ping_all(shared: &Arc<Shared>) -> Vec<PingOutcome> {
    let (timeout, tries) = shared.settings.ping_in_look();
    let (mut finding, mut running) = start(shared, Manner { timeout, tries });
    let mut outcomes = vec![PingOutcome::TimedOut; shared.devices.len()];
    while let Some((arbiter, outcome)) = finding.recv().await {
        outcomes[arbiter] = outcome;
    }
    end(&mut running).await;
    outcomes
}

/// Starts a ping of every arbiter; what is found comes as soon as it is known.
fn start(
    shared: &Arc<Shared>,
    manner: Manner,
) -> (mpsc::UnboundedReceiver<(usize, PingOutcome)>, JoinSet<()>) {
    // One message per arbiter, so the arbiters are its bound.
    let (found, finding) = mpsc::unbounded_channel();
    let mut running = JoinSet::new();
    // A name's resolver may be slow or mute; the others do not wait for that.
    let (addressed, named): (Vec<usize>, Vec<usize>) =
        (0..shared.devices.len()).partition(|arbiter| address(shared, *arbiter).is_some());
    for arbiter in named {
        running.spawn(single(Arc::clone(shared), arbiter, manner, found.clone()));
    }
    running.spawn(together(Arc::clone(shared), addressed, manner, found));
    (finding, running)
}

async fn end(running: &mut JoinSet<()>) {
    while let Some(ended) = running.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a ping task failed; this is a defect of the watchdog");
        }
    }
}

fn address(shared: &Shared, arbiter: usize) -> Option<IpAddr> {
    shared.devices[arbiter].target.host.parse().ok()
}

/// Pings these arbiters, and this machine's own gateways with them, on one socket.
async fn together(shared: Arc<Shared>, arbiters: Vec<usize>, manner: Manner, found: Found) {
    let mut hosts: Vec<IpAddr> = arbiters.iter().filter_map(|arbiter| address(&shared, *arbiter)).collect();
    let gateways: Vec<IpAddr> = gateway::gateways_to(&hosts).into_iter().collect();
    hosts.extend(&gateways);
    // The silent ones are told last: by then it is known whether the gateway on the way to them is silent too.
    let silent = Mutex::new(Vec::new());
    let tell = |at: usize, outcome| match (arbiters.get(at), outcome) {
        (Some(arbiter), PingOutcome::TimedOut) => lock(&silent).push(*arbiter),
        // The receiver goes on until every sender is gone.
        (Some(arbiter), outcome) => drop(found.send((*arbiter, outcome))),
        (None, outcome) => shared.gateways.note(hosts[at], matches!(outcome, PingOutcome::Answered { .. })),
    };
    shared.pinger.ask_all(&hosts, manner, tell).await;
    for arbiter in std::mem::take(&mut *lock(&silent)) {
        let _ = found.send((arbiter, shared.silence(arbiter)));
    }
}

async fn single(shared: Arc<Shared>, arbiter: usize, manner: Manner, found: Found) {
    let outcome = ping(&shared, arbiter, manner.timeout, manner.tries).await;
    // The receiver goes on until every sender is gone.
    let _ = found.send((arbiter, outcome));
}

/// What is known of this machine's own gateways.
#[derive(Debug, Default)]
pub(super) struct Gateways(Mutex<BTreeMap<IpAddr, Gateway>>);

#[derive(Debug, Clone, Copy, Default)]
struct Gateway {
    /// Many never answer pings at all, and their silence says nothing.
    has_answered: bool,
    answers: bool,
}

impl Gateways {
    fn note(&self, gateway: IpAddr, answers: bool) {
        let mut all = lock(&self.0);
        let known = all.entry(gateway).or_default();
        if known.has_answered && known.answers && !answers {
            tracing::warn!(%gateway, "this site's own gateway does not answer any more; what lies behind it is not to blame");
        }
        known.answers = answers;
        known.has_answered |= answers;
    }

    fn is_lost(&self, gateway: IpAddr) -> bool {
        lock(&self.0).get(&gateway).is_some_and(|known| known.has_answered && !known.answers)
    }
}

impl Shared {
    /// How the silence of an arbiter is told: it may be this site that is cut off.
    fn silence(&self, arbiter: usize) -> PingOutcome {
        let gateways = address(self, arbiter).map(|address| gateway::gateways_to(&[address]));
        let lost = gateways.into_iter().flatten().find(|gateway| self.gateways.is_lost(*gateway));
        lost.map_or(PingOutcome::TimedOut, |gateway| {
            PingOutcome::Failed(format!("timeout; this site's own gateway {gateway} is silent too"))
        })
    }
}

/// Pings an arbiter until it answers, at most so often.
pub(super) async fn ping(shared: &Shared, arbiter: usize, timeout: Duration, tries: u32) -> PingOutcome {
    let mut outcome = PingOutcome::TimedOut;
    for attempt in 1..=tries {
        let begun = Instant::now();
        outcome = ping_once(shared, arbiter, timeout).await;
        if matches!(outcome, PingOutcome::Answered { .. }) {
            return outcome;
        }
        // A try lasts its whole timeout even if it fails at once: retries are there to bridge time.
        if attempt < tries {
            tokio::time::sleep_until(begun + timeout).await;
        }
    }
    // A sweep has asked the gateways too, not long ago.
    if outcome == PingOutcome::TimedOut { shared.silence(arbiter) } else { outcome }
}

/// One echo on a socket of its own, whose round trip is that of the kernel: for those who judge by it.
pub(super) async fn ping_alone(shared: &Shared, arbiter: usize) -> PingOutcome {
    let timeout = shared.settings.ping_timeout;
    let address = match shared.resolve(arbiter, timeout).await {
        Ok(address) => address,
        Err(why) => return PingOutcome::Failed(why.to_string()),
    };
    let outcome = Mutex::new(PingOutcome::TimedOut);
    let tell = |_, ended| *lock(&outcome) = ended;
    shared.pinger.ask_all(&[address], Manner { timeout, tries: 1 }, tell).await;
    outcome.into_inner().unwrap_or_else(PoisonError::into_inner)
}

async fn ping_once(shared: &Shared, arbiter: usize, timeout: Duration) -> PingOutcome {
    let begun = Instant::now();
    let address = match shared.resolve(arbiter, timeout).await {
        Ok(address) => address,
        Err(why) => return PingOutcome::Failed(why.to_string()),
    };
    shared.pinger.ping(address, timeout.saturating_sub(begun.elapsed())).await
}
