//! The UDP sockets of the signed heartbeat.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dr_watchdog_core::automatic::Turn;
use dr_watchdog_core::event::Beat;
use dr_watchdog_core::transitions::Phase;
use dr_watchdog_sdk::Utc;
use dr_watchdog_sdk::sections::Core;
use nix::sys::socket::{setsockopt, sockopt};
use secrecy::ExposeSecret;
use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use tokio::net::UdpSocket;
use tokio::sync::watch;

use super::PeerError;
use super::inbox::{Inbox, Rejected, Rejection};
use super::wire::{self, Key, MESSAGE_BYTES_MAX, Message};
use crate::config::{Config, HASH_BYTES, safety_hash};

/// Refused packets in a row after which other tasks get a turn: a flood must not keep the timers waiting.
const REFUSED_IN_A_ROW_MAX: u32 = 32;
/// Pause after the socket itself failed (an interface that went away): it would fail again at once.
const FAILED_PAUSE: Duration = Duration::from_secs(1);

/// Which start of this site a message comes from.
#[derive(Debug, Clone, Copy)]
struct Start {
    instance: u64,
    started_ms: u64,
}

/// One bound address: tokio waits on it, the standard library sends, both on the same socket.
#[derive(Debug)]
struct Endpoint {
    address: SocketAddr,
    waiting: UdpSocket,
    sending: StdSocket,
}

#[derive(Debug)]
struct Shared {
    /// The first one sends.
    endpoints: Vec<Arc<Endpoint>>,
    inbox: Mutex<Inbox>,
    config_hash: [u8; HASH_BYTES],
    /// The origin of the span clock that the replay window counts with.
    origin: Instant,
}

/// A link to the other site. Dropping it ends its receivers.
#[derive(Debug)]
pub struct Link {
    shared: Arc<Shared>,
    key: Key,
    site_index: u8,
    start: Start,
    sequence: u64,
    targets: Vec<SocketAddr>,
    has_told_failure: bool,
    alive: watch::Sender<()>,
}

/// The receiving half, for a task of its own.
#[derive(Debug)]
pub struct Receiver {
    shared: Arc<Shared>,
    alive: watch::Receiver<()>,
}

/// A verified heartbeat of the other site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Where it came from.
    pub from: SocketAddr,
    /// What it says.
    pub message: Message,
    /// Whether the safety settings of both sites are the same.
    pub config_equal: bool,
}

impl Heard {
    /// As the core wants it; `heard` is the caller's clock.
    pub fn beat(&self, heard: Utc) -> Beat {
        Beat {
            site_index: self.message.site_index,
            epoch: self.message.epoch,
            phase: self.message.phase,
            config_equal: Some(self.config_equal),
            automatic_failover: self.message.automatic_failover,
            turn: self.message.turn.clone(),
            heard,
        }
    }
}

impl Link {
    /// Binds the sockets; `None` where no key is configured. Must be called within the runtime.
    ///
    /// # Errors
    /// When a socket cannot be bound.
    pub fn open(config: &Config) -> Result<Option<Self>, PeerError> {
        Self::open_after(None, config)
    }

    /// The link of a new configuration. Sockets whose address did not change, the sequence and the memory of what was
    /// heard go on; the old link goes on as well until it is dropped.
    ///
    /// # Errors
    /// When a socket cannot be bound.
    pub fn reopen(&self, config: &Config) -> Result<Option<Self>, PeerError> {
        Self::open_after(Some(self), config)
    }

    fn open_after(old: Option<&Self>, config: &Config) -> Result<Option<Self>, PeerError> {
        let Some(secret) = &config.peer.heartbeat_key else { return Ok(None) };
        let key = Key::new(secret.expose_secret().as_bytes());
        let known = old.map_or(&[][..], |old| &old.shared.endpoints);
        let endpoint = |address: SocketAddr| match known.iter().find(|known| known.address == address) {
            Some(known) => Ok(Arc::clone(known)),
            None => bind(address).map(Arc::new).map_err(|source| PeerError::Socket { address, source }),
        };
        let endpoints = own_addresses(config)?.into_iter().map(endpoint).collect::<Result<_, _>>()?;
        let (site_index, fresh) = (config.site.index, || Inbox::new(key.clone(), config.site.index));
        let inbox = old.map_or_else(fresh, |old| lock(&old.shared.inbox).with_key(key.clone(), site_index));
        let start = match old {
            Some(old) => old.start,
            None => Start { instance: random().map_err(PeerError::Random)?, started_ms: wall_ms() },
        };
        Ok(Some(Self {
            shared: Arc::new(Shared {
                endpoints,
                inbox: Mutex::new(inbox),
                config_hash: safety_hash(config),
                origin: old.map_or_else(Instant::now, |old| old.shared.origin),
            }),
            key,
            site_index,
            start,
            sequence: old.map_or(0, |old| old.sequence),
            targets: targets(config)?,
            has_told_failure: false,
            alive: watch::Sender::new(()),
        }))
    }

    /// Whether a link of one configuration serves the other as well.
    pub fn is_same(one: &Config, other: &Config) -> bool {
        let key =
            |config: &Config| config.peer.heartbeat_key.as_ref().map(|key| key.expose_secret().to_owned());
        let addresses = |config: &Config| (own_addresses(config).ok(), targets(config).ok());
        one.site.index == other.site.index
            && key(one) == key(other)
            && addresses(one) == addresses(other)
            && safety_hash(one) == safety_hash(other)
    }

    /// Sends one heartbeat to every address of the other site, without waiting.
    pub fn send(&mut self, phase: Phase, epoch: u64, automatic_on: bool, turn: Option<&Turn>) {
        self.sequence += 1;
        let message = Message {
            site_index: self.site_index,
            phase,
            automatic_failover: automatic_on,
            instance: self.start.instance,
            started_ms: self.start.started_ms,
            sequence: self.sequence,
            wall_ms: wall_ms(),
            epoch,
            config_hash: self.shared.config_hash,
            turn: turn.cloned(),
        };
        let bytes = wire::encode(&message, &self.key);
        let Some(endpoint) = self.shared.endpoints.first() else { return };
        for target in &self.targets {
            match endpoint.sending.send_to(&bytes, target) {
                Ok(_) => self.has_told_failure = false,
                // Once per outage: while a link is down every heartbeat fails.
                Err(error) if !self.has_told_failure => {
                    tracing::debug!(%target, %error, "a heartbeat could not be sent");
                    self.has_told_failure = true;
                }
                Err(_) => {}
            }
        }
    }

    /// A receiving half.
    pub fn receiver(&self) -> Receiver {
        Receiver { shared: Arc::clone(&self.shared), alive: self.alive.subscribe() }
    }

    /// Packets that were refused so far, by reason.
    pub fn rejected(&self) -> Rejected {
        lock(&self.shared.inbox).rejected()
    }

    /// The addresses it is bound to.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        let bound = |endpoint: &Arc<Endpoint>| endpoint.waiting.local_addr().unwrap_or(endpoint.address);
        self.shared.endpoints.iter().map(bound).collect()
    }
}

impl Receiver {
    /// The next heartbeat that is signed and new; `None` once the link is dropped.
    pub async fn receive(&mut self) -> Option<Heard> {
        let mut refused_in_a_row = 0;
        loop {
            tokio::select! {
                biased;
                // It never changes: it ends with the link.
                _ = self.alive.changed() => return None,
                () = readable(&self.shared.endpoints) => {}
            }
            match self.shared.read() {
                Ok(Some(heard)) => return Some(heard),
                Ok(None) => refused_in_a_row += 1,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    tracing::debug!(%error, "the heartbeat socket failed");
                    tokio::time::sleep(FAILED_PAUSE).await;
                }
            }
            if refused_in_a_row >= REFUSED_IN_A_ROW_MAX {
                refused_in_a_row = 0;
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Waits until one of the sockets has something; there are one or two.
async fn readable(endpoints: &[Arc<Endpoint>]) {
    let each = |index: usize| async move {
        match endpoints.get(index) {
            // What the wait itself fails with, reading fails with as well.
            Some(endpoint) => drop(endpoint.waiting.readable().await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = each(0) => {}
        () = each(1) => {}
    }
}

impl Shared {
    /// Reads one packet: a heartbeat, `None` for one that is refused.
    fn read(&self) -> io::Result<Option<Heard>> {
        // One byte more than a message may have, so that a longer packet is seen to be longer.
        let mut buffer = [0; MESSAGE_BYTES_MAX + 1];
        let mut last = io::Error::from(io::ErrorKind::WouldBlock);
        for endpoint in &self.endpoints {
            match endpoint.waiting.try_recv_from(&mut buffer) {
                Ok((length, from)) => return Ok(self.taken(&buffer[..length], from)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn taken(&self, bytes: &[u8], from: SocketAddr) -> Option<Heard> {
        let mono_ms = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let arrival = super::replay::Arrival { wall_ms: wall_ms(), mono_ms };
        let mut inbox = lock(&self.inbox);
        let before = inbox.rejected();
        match inbox.take(bytes, arrival) {
            Ok(message) => {
                let config_equal = message.config_hash == self.config_hash;
                Some(Heard { from, message, config_equal })
            }
            Err(why) => {
                tell(why, from, before.worrying() == 0);
                None
            }
        }
    }
}

/// The first refusal is worth a line of every log; what follows is counted and shown by `health`.
fn tell(why: Rejection, from: SocketAddr, is_first: bool) {
    let is_harmless = why == Rejection::Replay(super::replay::Refusal::Duplicate);
    if is_first && !is_harmless {
        tracing::warn!(%from, "a packet at the heartbeat port was refused: {why}; further ones are only counted");
    } else {
        tracing::debug!(%from, "a packet at the heartbeat port was refused: {why}");
    }
}

/// A panic while the lock was held left nothing half done that a next packet would not set right.
fn lock(inbox: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stamps messages and checks their age; no decision about a role rests on it.
fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_ne_bytes(bytes))
}

fn peer_vip(config: &Config) -> Result<IpAddr, PeerError> {
    let vip = &config.core.peer_vip;
    vip.parse().map_err(|_| PeerError::Address(vip.clone()))
}

/// Where heartbeats go: the other site's VIP and its load-balancer nodes, each once.
fn targets(config: &Config) -> Result<Vec<SocketAddr>, PeerError> {
    let mut addresses = vec![peer_vip(config)?];
    for node in Core::split(&config.core.peer_load_balancer_nodes) {
        let address = node.parse().map_err(|_| PeerError::Address(node.to_owned()))?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses.into_iter().map(|address| SocketAddr::new(address, config.peer.heartbeat_port)).collect())
}

/// What to bind to. Everything, unless probes must leave from one address: then that one, and the VIP beside it,
/// because that is where the other site sends to.
fn own_addresses(config: &Config) -> Result<Vec<SocketAddr>, PeerError> {
    let addresses = match config.site.source_address {
        None if peer_vip(config)?.is_ipv4() => vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
        None => vec![IpAddr::V6(Ipv6Addr::UNSPECIFIED)],
        Some(source) => {
            let vip = config.site.vip.as_ref().and_then(|vip| vip.parse().ok());
            std::iter::once(source).chain(vip.filter(|vip| *vip != source)).collect()
        }
    };
    Ok(addresses.into_iter().map(|address| SocketAddr::new(address, config.peer.heartbeat_port)).collect())
}

fn bind(address: SocketAddr) -> io::Result<Endpoint> {
    let socket = RawSocket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // The VIP may be at another node of this site now, and at this one a minute later.
    setsockopt(&socket, sockopt::IpFreebind, &true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    let sending: StdSocket = socket.into();
    let waiting = UdpSocket::from_std(sending.try_clone()?)?;
    Ok(Endpoint { address, waiting, sending })
}

#[cfg(test)]
mod tests;
