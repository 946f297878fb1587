//! The network behind a policy's host calls, with real packets.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dr_watchdog_sdk::evidence::{PingAnswer, SshAnswer, TcpAnswer};
use tokio::task::JoinSet;

use crate::arbiters::Arbiters;
use crate::config::Config;
use crate::policy::answers::{Boxed, Network};
use crate::probe::ping::{Manner, PingOutcome, Pinger, milliseconds};
use crate::probe::{resolve, tcp};

/// Real packets, from this site's addresses.
#[derive(Debug)]
pub(super) struct LiveNetwork {
    config: Rc<Config>,
    pinger: Arc<Pinger>,
    arbiters: Rc<Arbiters>,
}

impl LiveNetwork {
    /// The network of this daemon.
    pub(super) const fn new(config: Rc<Config>, pinger: Arc<Pinger>, arbiters: Rc<Arbiters>) -> Self {
        Self { config, pinger, arbiters }
    }
}

impl Network for LiveNetwork {
    fn ping<'a>(
        &'a self,
        hosts: &'a [String],
        timeout: Duration,
        retries: u32,
    ) -> Boxed<'a, BTreeMap<String, PingAnswer>> {
        Box::pin(ping_all(&self.pinger, hosts, timeout, retries))
    }

    fn ssh<'a>(&'a self, arbiter: &'a str, command: &'a str, timeout: Duration) -> Boxed<'a, SshAnswer> {
        Box::pin(self.arbiters.run_command(arbiter, command, timeout))
    }

    fn tcp<'a>(&'a self, address: &'a str, timeout: Duration) -> Boxed<'a, TcpAnswer> {
        Box::pin(connect(address, self.config.site.source_address, timeout))
    }
}

/// The network that a policy's host calls reach.
pub fn live_network(
    config: &Rc<Config>,
    pinger: &Arc<Pinger>,
    arbiters: &Rc<Arbiters>,
) -> impl Network + use<> {
    LiveNetwork::new(Rc::clone(config), Arc::clone(pinger), Rc::clone(arbiters))
}

/// Pings every host at once, in one sweep.
pub async fn ping_all(
    pinger: &Pinger,
    hosts: &[String],
    timeout: Duration,
    retries: u32,
) -> BTreeMap<String, PingAnswer> {
    let mut resolving = JoinSet::new();
    for host in hosts.iter().cloned() {
        resolving.spawn(async move {
            let resolved = resolve::resolve(&host, timeout).await;
            (host, resolved)
        });
    }
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    let mut answers = BTreeMap::new();
    while let Some(ended) = resolving.join_next().await {
        match ended {
            Ok((host, Ok(resolved))) => {
                names.push(host);
                addresses.push(resolved.address);
            }
            Ok((host, Err(why))) => {
                answers.insert(host, answer(PingOutcome::Failed(why.to_string())));
            }
            Err(error) => tracing::error!(%error, "a name's task failed; this is a defect of the watchdog"),
        }
    }
    let manner = Manner { timeout, tries: retries.saturating_add(1) };
    let found = Mutex::new(&mut answers);
    let tell = |at: usize, outcome| {
        found.lock().unwrap_or_else(PoisonError::into_inner).insert(names[at].clone(), answer(outcome));
    };
    pinger.ask_all(&addresses, manner, tell).await;
    answers
}

fn answer(outcome: PingOutcome) -> PingAnswer {
    let (ping, rtt_ms, why) = match outcome {
        PingOutcome::Answered { rtt } => (true, Some(milliseconds(rtt)), None),
        PingOutcome::TimedOut => (false, None, Some("timeout".to_owned())),
        PingOutcome::Failed(why) => (false, None, Some(why)),
    };
    PingAnswer { ping, rtt_ms, why }
}

async fn connect(address: &str, source: Option<IpAddr>, timeout: Duration) -> TcpAnswer {
    match tcp::connect(address, source, timeout).await {
        Ok(elapsed) => TcpAnswer { open: true, elapsed_ms: Some(elapsed.as_secs_f64() * 1_000.0), why: None },
        Err(why) => TcpAnswer { open: false, elapsed_ms: None, why: Some(why.to_string()) },
    }
}
