//! The network behind a policy's host calls, with real packets.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dr_watchdog_sdk::evidence::{PingAnswer, SshAnswer, TcpAnswer};
use tokio::task::JoinSet;

use crate::arbiters::Arbiters;
use crate::config::Config;
use crate::policy::answers::{Boxed, Network};
use crate::probe::ping::{PingOutcome, Pinger};
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

/// Pings every host at once.
pub async fn ping_all(
    pinger: &Pinger,
    hosts: &[String],
    timeout: Duration,
    retries: u32,
) -> BTreeMap<String, PingAnswer> {
    let mut running = JoinSet::new();
    for host in hosts {
        let (pinger, host) = (pinger.clone(), host.clone());
        running.spawn(async move {
            let answer = ping_one(&pinger, &host, timeout, retries).await;
            (host, answer)
        });
    }
    let mut answers = BTreeMap::new();
    while let Some(ended) = running.join_next().await {
        match ended {
            Ok((host, answer)) => {
                answers.insert(host, answer);
            }
            Err(error) => tracing::error!(%error, "a ping task failed; this is a defect of the watchdog"),
        }
    }
    answers
}

async fn ping_one(pinger: &Pinger, host: &str, timeout: Duration, retries: u32) -> PingAnswer {
    let address = match resolve::resolve(host, timeout).await {
        Ok(address) => address,
        Err(why) => return PingAnswer { ping: false, rtt_ms: None, why: Some(why.to_string()) },
    };
    let mut why = None;
    for _ in 0..=retries {
        match pinger.ping(address, timeout).await {
            PingOutcome::Answered { rtt } => {
                return PingAnswer { ping: true, rtt_ms: Some(rtt.as_secs_f64() * 1_000.0), why: None };
            }
            PingOutcome::TimedOut => why = Some("timeout".to_owned()),
            PingOutcome::Failed(reason) => why = Some(reason),
        }
    }
    PingAnswer { ping: false, rtt_ms: None, why }
}

async fn connect(address: &str, source: Option<IpAddr>, timeout: Duration) -> TcpAnswer {
    match tcp::connect(address, source, timeout).await {
        Ok(elapsed) => TcpAnswer { open: true, elapsed_ms: Some(elapsed.as_secs_f64() * 1_000.0), why: None },
        Err(why) => TcpAnswer { open: false, elapsed_ms: None, why: Some(why.to_string()) },
    }
}
