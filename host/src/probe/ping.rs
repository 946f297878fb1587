//! ICMP echo, by surge-ping on one socket per address family.
//!
//! False losses are the trap here: a socket's receive buffer holds a few hundred queued replies and drops the rest
//! without a word, so a living host counts as dead. The buffer is raised, what was granted is read back, and no
//! more echoes are outstanding than it holds.

mod arrival;
mod notes;
mod socket;
mod sweep;

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use surge_ping::{Client, Config, ICMP, IcmpPacket, PingIdentifier, PingSequence, SurgeError};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use notes::Notes;
pub use sweep::Manner;
use sweep::Sweeper;

/// What one queued reply takes of the receive buffer: the kernel counts the memory of a packet, not its 84 bytes,
/// and some network cards put each packet into half a page.
const REPLY_BYTES: usize = 2 << 10;
/// The same on a raw socket, which also gets the replies to everybody else on this machine, and on loopback the
/// requests.
const RAW_REPLY_BYTES: usize = 8 << 10;
/// Tries to send one echo: an error that a router reported about another echo may come back from a send.
const SEND_TRIES: usize = 4;
/// From here on a time-out was late, so this program was busy or stopped while a reply may have come.
const LATE: Duration = Duration::from_millis(5);
/// After a late time-out, how long to look for replies that are already here.
const DRAIN: Duration = Duration::from_millis(20);
/// Types of the packets that answer an echo.
const ECHO_REPLY_V4: u8 = 0;
const ECHO_REPLY_V6: u8 = 129;
/// Data of an echo, as much as `ping` sends.
const PAYLOAD: [u8; 56] = [0x64; 56];

/// How a ping ended.
#[derive(Debug, Clone, PartialEq)]
pub enum PingOutcome {
    /// A reply came.
    Answered {
        /// After so long.
        rtt: Duration,
    },
    /// No reply came in time.
    TimedOut,
    /// No reply came, and this machine or a router on the way says why: the echo could not be sent, or the host is
    /// unreachable.
    Failed(String),
}

/// A round trip in milliseconds, to the microsecond: more would be the noise of this machine.
pub fn milliseconds(rtt: Duration) -> f64 {
    const US_PER_MS: f64 = 1_000.0;
    // Exact: a round trip is far below the 2^53 microseconds that this can hold.
    rtt.as_micros() as f64 / US_PER_MS
}

/// Why nothing can be pinged.
#[derive(Debug, thiserror::Error)]
pub enum PingError {
    /// The system lets this user open no ICMP socket.
    #[error(
        "this user may not open an ICMP socket; either widen the sysctl net.ipv4.ping_group_range to include the \
         user's group, or give the program CAP_NET_RAW"
    )]
    Denied(#[source] std::io::Error),
    /// This machine does not have the address that echoes are to leave from.
    #[error("pings cannot leave from {0}: this machine does not have that address")]
    Source(IpAddr, #[source] std::io::Error),
    /// Another failure.
    #[error("the ICMP socket could not be opened")]
    Socket(#[source] std::io::Error),
}

/// Pings any host; cheap to clone.
#[derive(Clone)]
pub struct Pinger {
    shared: Arc<Shared>,
}

struct Shared {
    source: Option<IpAddr>,
    v4: OnceCell<Family>,
    v6: OnceCell<Family>,
    /// Sequence of the next echo: no two outstanding echoes to one host share it.
    next: AtomicU16,
}

struct Family {
    client: Client,
    /// A second handle of the client's socket, for what the client does not read.
    socket: Arc<UdpSocket>,
    outstanding: Semaphore,
    capacity: usize,
    notes: Notes,
    /// Tells our echoes from everybody else's on a raw socket; a datagram socket has an own one.
    identifier: PingIdentifier,
    errors: JoinHandle<()>,
}

/// What a sweep does in one family: its socket, where its hosts stand in the list, and which they are.
type Part = (Sweeper, Vec<usize>, Vec<IpAddr>);

impl Drop for Family {
    fn drop(&mut self) {
        self.errors.abort();
    }
}

impl std::fmt::Debug for Pinger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pinger").field("source", &self.shared.source).finish_non_exhaustive()
    }
}

impl Pinger {
    /// A pinger whose echoes leave from `source`. The socket of its family (of IPv4 without a source) is opened
    /// now, so that a missing permission is found at the start and not at the first failover.
    ///
    /// # Errors
    /// See [`PingError`].
    pub async fn open(source: Option<IpAddr>) -> Result<Self, PingError> {
        let next = AtomicU16::new(0);
        let shared = Shared { source, v4: OnceCell::new(), v6: OnceCell::new(), next };
        let pinger = Self { shared: Arc::new(shared) };
        pinger.family(source.is_none_or(|source| source.is_ipv4())).await?;
        Ok(pinger)
    }

    async fn family(&self, is_ipv4: bool) -> Result<&Family, PingError> {
        let source = self.shared.source.filter(|source| source.is_ipv4() == is_ipv4);
        let cell = if is_ipv4 { &self.shared.v4 } else { &self.shared.v6 };
        cell.get_or_try_init(async || Family::open(is_ipv4, source)).await
    }

    /// Asks every host at once; `found` hears of each by its position, as soon as it is known. Where the system grants
    /// raw sockets only, which a sweep cannot use, each host is asked by itself.
    pub async fn ask_all(&self, hosts: &[IpAddr], manner: Manner, found: impl Fn(usize, PingOutcome)) {
        if let Err(error) = self.sweep(hosts, manner, &found).await {
            tracing::debug!(%error, "the hosts are pinged one by one");
            self.one_by_one(hosts, manner, found).await;
        }
    }

    /// Asks every host in one sweep; `found` hears of each by its position, as soon as it is known.
    ///
    /// # Errors
    /// When no datagram socket can be had. Nobody has been asked then.
    pub async fn sweep(
        &self,
        hosts: &[IpAddr],
        manner: Manner,
        found: impl Fn(usize, PingOutcome),
    ) -> Result<(), PingError> {
        // An IPv4 address in the dress of IPv6 is an IPv4 host.
        let hosts: Vec<IpAddr> = hosts.iter().map(IpAddr::to_canonical).collect();
        let run = async |part: Option<Part>| {
            if let Some((sweeper, positions, addresses)) = part {
                let capacity = sweeper.capacity();
                tracing::trace!(capacity, hosts = addresses.len(), "a sweep begins");
                sweeper.run(&addresses, manner, |at, outcome| found(positions[at], outcome)).await;
            }
        };
        let (v4, v6) = (self.part(&hosts, true)?, self.part(&hosts, false)?);
        tokio::join!(run(v4), run(v6));
        Ok(())
    }

    /// The hosts of one family, with a socket for them.
    fn part(&self, hosts: &[IpAddr], is_ipv4: bool) -> Result<Option<Part>, PingError> {
        let (positions, addresses): (Vec<usize>, Vec<IpAddr>) =
            hosts.iter().copied().enumerate().filter(|(_, host)| host.is_ipv4() == is_ipv4).unzip();
        if positions.is_empty() {
            return Ok(None);
        }
        let source = self.shared.source.filter(|source| source.is_ipv4() == is_ipv4);
        Ok(Some((Sweeper::open(is_ipv4, source)?, positions, addresses)))
    }

    async fn one_by_one(&self, hosts: &[IpAddr], manner: Manner, found: impl Fn(usize, PingOutcome)) {
        let mut running = JoinSet::new();
        for (at, host) in hosts.iter().copied().enumerate() {
            let pinger = self.clone();
            running.spawn(async move { (at, pinger.tries(host, manner).await) });
        }
        while let Some(ended) = running.join_next().await {
            match ended {
                Ok((at, outcome)) => found(at, outcome),
                Err(error) => tracing::error!(%error, "a ping task failed; this is a defect of the watchdog"),
            }
        }
    }

    async fn tries(&self, host: IpAddr, manner: Manner) -> PingOutcome {
        let mut outcome = PingOutcome::TimedOut;
        for attempt in 1..=manner.tries {
            let begun = Instant::now();
            outcome = self.ping(host, manner.timeout).await;
            if matches!(outcome, PingOutcome::Answered { .. }) {
                return outcome;
            }
            // A try lasts its whole timeout even if it fails at once: retries are there to bridge time.
            if attempt < manner.tries {
                tokio::time::sleep_until(begun + manner.timeout).await;
            }
        }
        outcome
    }

    /// How many echoes may be outstanding at once, as far as this family's socket is open.
    pub fn capacity(&self, is_ipv4: bool) -> Option<usize> {
        let cell = if is_ipv4 { &self.shared.v4 } else { &self.shared.v6 };
        cell.get().map(|family| family.capacity)
    }

    /// Sends one echo and awaits its reply. An error that a router reports does not end the wait: anybody may send
    /// one, and a reply is better evidence.
    pub async fn ping(&self, address: IpAddr, timeout: Duration) -> PingOutcome {
        let address = address.to_canonical();
        let family = match self.family(address.is_ipv4()).await {
            Ok(family) => family,
            Err(error) => return PingOutcome::Failed(error.to_string()),
        };
        // The wait for a permit is no part of the timeout: the echo has not left yet.
        let Ok(_permit) = family.outstanding.acquire().await else {
            return PingOutcome::Failed("the pinger is closed".to_owned());
        };
        let mut refused = String::new();
        for _ in 0..SEND_TRIES {
            let sequence = self.shared.next.fetch_add(1, Ordering::Relaxed);
            match family.echo(address, sequence, timeout).await {
                Ok(outcome) => return outcome,
                Err(why) => refused = why,
            }
            family.read_errors();
        }
        PingOutcome::Failed(refused)
    }
}

impl Family {
    fn open(is_ipv4: bool, source: Option<IpAddr>) -> Result<Self, PingError> {
        let mut config = Config::builder().kind(if is_ipv4 { ICMP::V4 } else { ICMP::V6 });
        if let Some(source) = source {
            config = config.bind(SocketAddr::new(source, 0));
        }
        let client = Client::new(&config.build()).map_err(|error| match (error.kind(), source) {
            (std::io::ErrorKind::PermissionDenied, _) => PingError::Denied(error),
            (std::io::ErrorKind::AddrNotAvailable, Some(source)) => PingError::Source(source, error),
            _ => PingError::Socket(error),
        })?;
        let theirs = client.get_socket();
        let ours = socket::duplicate(theirs.get_native_sock()).map_err(PingError::Socket)?;
        let granted = socket::raise_buffer(&ours).map_err(PingError::Socket)?;
        let is_raw = theirs.get_type() == socket2::Type::RAW;
        let reply_bytes = if is_raw { RAW_REPLY_BYTES } else { REPLY_BYTES };
        let capacity = (granted / reply_bytes).max(1);
        tracing::debug!(is_ipv4, is_raw, granted, capacity, "the ICMP socket is open");
        socket::ask_for_errors(&ours, is_ipv4).map_err(PingError::Socket)?;
        // For the sweeps to come: the kernel takes a moment to begin with it.
        arrival::ask_for_stamps(&ours).map_err(PingError::Socket)?;
        let ours = UdpSocket::from_std(ours.into()).map_err(PingError::Socket)?;
        let socket = Arc::new(ours);
        let notes = Notes::default();
        let errors = tokio::spawn(read_errors_for_ever(Arc::clone(&socket), notes.clone()));
        let identifier = PingIdentifier(random());
        Ok(Self {
            client,
            socket,
            outstanding: Semaphore::new(capacity),
            capacity,
            notes,
            identifier,
            errors,
        })
    }

    /// One echo; an error if it could not be sent.
    async fn echo(&self, to: IpAddr, sequence: u16, timeout: Duration) -> Result<PingOutcome, String> {
        let note = self.notes.take_place(to, sequence);
        let mut pinger = self.client.pinger(to, self.identifier).await;
        pinger.timeout(timeout + DRAIN + timeout);
        let deadline = Instant::now() + timeout;
        let mut waiting = pin!(pinger.ping(PingSequence(sequence), &PAYLOAD));
        let mut ended = tokio::time::timeout_at(deadline, &mut waiting).await;
        if ended.is_err() && deadline.elapsed() > LATE {
            // This program was late, not necessarily the host: whatever came in the meantime is read first.
            ended = tokio::time::timeout(DRAIN, &mut waiting).await;
        }
        match ended {
            Ok(Ok((packet, rtt))) if is_reply(&packet) => Ok(PingOutcome::Answered { rtt }),
            Ok(Ok(_)) => {
                // On a raw socket the client takes a router's error for an answer.
                self.read_errors();
                Ok(PingOutcome::Failed(note.said().unwrap_or_else(|| "unreachable".to_owned())))
            }
            Ok(Err(SurgeError::Timeout { .. })) | Err(_) => {
                Ok(note.said().map_or(PingOutcome::TimedOut, PingOutcome::Failed))
            }
            Ok(Err(SurgeError::IOError(error))) => Err(format!("the echo could not be sent: {error}")),
            Ok(Err(error)) => Err(error.to_string()),
        }
    }

    /// Reads now what the reading task may not have heard of yet.
    fn read_errors(&self) {
        drain_errors(&self.socket, &self.notes);
    }
}

/// Whether a packet is the reply to an echo, and no error about it.
fn is_reply(packet: &IcmpPacket) -> bool {
    match packet {
        IcmpPacket::V4(packet) => packet.get_icmp_type().0 == ECHO_REPLY_V4,
        IcmpPacket::V6(packet) => packet.get_icmpv6_type().0 == ECHO_REPLY_V6,
    }
}

fn random() -> u16 {
    let mut bytes = [0; 2];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK) {
        Ok(_) => u16::from_ne_bytes(bytes),
        // Only two programs that ping one host need to differ, and their ids do.
        Err(_) => std::process::id() as u16,
    }
}

async fn read_errors_for_ever(socket: Arc<UdpSocket>, notes: Notes) {
    // Fails only when the runtime ends.
    while socket.ready(Interest::ERROR).await.is_ok() {
        let drained = || {
            drain_errors(&socket, &notes);
            // Says that nothing is left, so that the next wait is one.
            Err::<(), _>(std::io::Error::from(std::io::ErrorKind::WouldBlock))
        };
        let _ = socket.try_io(Interest::ERROR, drained);
    }
}

fn drain_errors(socket: &UdpSocket, notes: &Notes) {
    loop {
        match socket::next_error(socket) {
            Ok(reported) => notes.write(reported),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
            Err(error) => {
                tracing::debug!(%error, "the errors about echoes could not be read");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
