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
use crate::config::model::Freshness;
use crate::probe::ping::{PingOutcome, milliseconds};
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
    /// Whether it shows how much it has received on a session; unknown where it showed none.
    pub shows_counter: Option<bool>,
    /// Whether the count of our own session moved from look to look, as it must: each look brings it a question.
    pub counter_moves: Option<bool>,
    /// What is taken of it: the configured word, or what `auto` comes to.
    pub freshness: Option<Freshness>,
    /// Whether it shows our own session, over which it is asked.
    pub shows_us: Option<bool>,
    /// Fingerprint of its host key.
    pub host_key: Option<String>,
    /// The counts of our own session in the last look, in order.
    pub(crate) counts: Vec<u64>,
}

/// Looks so many times.
pub(super) async fn survey(
    shared: Arc<Shared>,
    arbiter: usize,
    samples: u32,
    interval: Duration,
) -> Surveyed {
    let device = &shared.devices[arbiter];
    let resolved = resolve::resolve(&device.target.host, shared.settings.look_timeout).await;
    let address = resolved.ok().map(|resolved| resolved.address);
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
        let pinging = reach::ping_alone(&shared, arbiter);
        let (ping, seen) = tokio::join!(pinging, looking);
        found.pinged(ping);
        if let Some(seen) = seen {
            found.looked(seen.result, seen.is_unbroken, looker.connection.as_deref());
        }
    }
    found.speaks = device.speaks();
    found.freshness = found.taken(device.target.freshness);
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
                let rtt = milliseconds(rtt);
                let (least, most) = self.rtt_ms.unwrap_or((rtt, rtt));
                self.answered += 1;
                self.rtt_ms = Some((least.min(rtt), most.max(rtt)));
            }
            PingOutcome::TimedOut => self.silence = Some("timeout".to_owned()),
            PingOutcome::Failed(why) => self.silence = Some(why),
        }
    }

    fn looked(
        &mut self,
        result: Result<Vec<Row>, (SshOutcome, String)>,
        is_unbroken: bool,
        over: Option<&dyn Connection>,
    ) {
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
            self.shows_counter = Some(rows.iter().any(|row| row.counter.is_some()));
        }
        let Some(local) = connection.local() else { return };
        let ip = local.ip().to_canonical();
        let is_ours = |row: &&Row| is_at(row, ip) && row.port.is_none_or(|port| port == local.port());
        let ours: Vec<&Row> = rows.iter().filter(is_ours).collect();
        self.shows_us = Some(!ours.is_empty());
        let mut counts: Vec<u64> = ours.iter().filter_map(|row| row.counter).collect();
        counts.sort_unstable();
        if is_unbroken && !counts.is_empty() && !self.counts.is_empty() {
            self.counter_moves = Some(self.counter_moves == Some(true) || counts != self.counts);
        }
        self.counts = counts;
    }

    /// What tells a living session from a dead one here, with what was seen of the device.
    fn taken(&self, configured: Freshness) -> Option<Freshness> {
        match (configured, self.shows_age?, self.shows_counter?) {
            (Freshness::Auto | Freshness::Age, true, _) => Some(Freshness::Age),
            (Freshness::Auto | Freshness::Counter, _, true) => Some(Freshness::Counter),
            _ => Some(Freshness::Presence),
        }
    }
}

/// Whether a row comes from this address.
pub(super) fn is_at(row: &Row, address: IpAddr) -> bool {
    let bare = row.session.from.split('%').next().unwrap_or_default();
    bare.parse::<IpAddr>().is_ok_and(|from| from.to_canonical() == address)
}
