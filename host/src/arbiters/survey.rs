//! A survey of one arbiter: several looks that tell whether it is fit to be one.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dr_watchdog_sdk::evidence::SshOutcome;
use tokio::time::MissedTickBehavior;

use super::Shared;
use super::look::Looker;
use super::parse::Row;
use super::reach;
use crate::probe::ping::PingOutcome;
use crate::probe::ssh::Connection;
use crate::probe::{gateway, resolve};

/// What a survey found out about one arbiter.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Surveyed {
    /// Its name.
    pub name: String,
    /// SSH port.
    pub port: u16,
    /// Its address, or why there is none.
    pub address: Option<IpAddr>,
    /// This machine's gateway on the way to it; none on the same link.
    pub gateway: Option<IpAddr>,
    /// Pings sent.
    pub pings: u32,
    /// Pings answered.
    pub answered: u32,
    /// Shortest and longest round trip in milliseconds.
    pub rtt_ms: Option<(f64, f64)>,
    /// Why the last unanswered ping was.
    pub silence: Option<String>,
    /// Looks begun.
    pub looks: u32,
    /// Looks that showed its sessions.
    pub looked: u32,
    /// Why the last failed look failed.
    pub failure: Option<(SshOutcome, String)>,
    /// Which kind of device it answered as.
    pub speaks: Option<&'static str>,
    /// Whether it shows how long a session has been silent; unknown where it showed none.
    pub shows_age: Option<bool>,
    /// Whether it shows our own session, over which it is asked.
    pub shows_us: Option<bool>,
    /// Fingerprint of its host key.
    pub host_key: Option<String>,
}

/// Looks so many times.
pub(super) async fn survey(
    shared: Arc<Shared>,
    arbiter: usize,
    samples: u32,
    interval: Duration,
) -> Surveyed {
    let device = &shared.devices[arbiter];
    let address = resolve::resolve(&device.target.host, shared.settings.look_timeout).await.ok();
    let mut found = Surveyed {
        name: device.target.name.clone(),
        port: device.target.port,
        address,
        gateway: address.and_then(|address| gateway::gateways_to(&[address]).into_iter().next()),
        ..Surveyed::default()
    };
    let mut looker = Looker::default();
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..samples {
        ticks.tick().await;
        // Devices lock users out who are refused again and again.
        let is_refused =
            matches!(found.failure, Some((SshOutcome::Auth | SshOutcome::Hostkey, _))) && found.looked == 0;
        let looking = async { if is_refused { None } else { Some(looker.look(&shared, arbiter).await) } };
        // One try each: this is about what gets lost.
        let pinging = reach::ping(&shared, arbiter, shared.settings.ping_timeout, 1);
        let (ping, seen) = tokio::join!(pinging, looking);
        found.pinged(ping);
        if let Some(seen) = seen {
            found.looked(seen.result, looker.connection.as_deref());
        }
    }
    found.speaks = device.dialect().map(|dialect| dialect.name);
    if let Some(connection) = looker.connection {
        connection.close().await;
    }
    found
}

impl Surveyed {
    fn pinged(&mut self, outcome: PingOutcome) {
        self.pings += 1;
        match outcome {
            PingOutcome::Answered { rtt } => {
                let rtt = rtt.as_secs_f64() * 1_000.0;
                let (least, most) = self.rtt_ms.unwrap_or((rtt, rtt));
                self.answered += 1;
                self.rtt_ms = Some((least.min(rtt), most.max(rtt)));
            }
            PingOutcome::TimedOut => self.silence = Some("timeout".to_owned()),
            PingOutcome::Failed(why) => self.silence = Some(why),
        }
    }

    fn looked(&mut self, result: Result<Vec<Row>, (SshOutcome, String)>, over: Option<&dyn Connection>) {
        self.looks += 1;
        let rows = match result {
            Ok(rows) => rows,
            Err(failure) => {
                self.failure = Some(failure);
                return;
            }
        };
        self.looked += 1;
        let Some(connection) = over else { return };
        self.host_key = connection.host_key().or_else(|| self.host_key.take());
        if !rows.is_empty() {
            self.shows_age = Some(rows.iter().any(|row| row.session.age_ms.is_some()));
        }
        self.shows_us = connection.local().map(|local| {
            let ip = local.ip().to_canonical();
            rows.iter().any(|row| is_at(row, ip) && row.port.is_none_or(|port| port == local.port()))
        });
    }
}

/// Whether a row comes from this address.
pub(super) fn is_at(row: &Row, address: IpAddr) -> bool {
    let bare = row.session.from.split('%').next().unwrap_or_default();
    bare.parse::<IpAddr>().is_ok_and(|from| from.to_canonical() == address)
}
