//! ICMP echo, by surge-ping on one socket per address family.
//!
//! False losses are the trap here: a socket's receive buffer holds a few hundred queued replies and drops the rest
//! without a word, so a living host counts as dead. The buffer is raised, what was granted is read back, and no
//! more echoes are outstanding than it holds.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::Duration;

use surge_ping::{Client, Config, ICMP, PingIdentifier, PingSequence, SurgeError};
use tokio::sync::{OnceCell, Semaphore};

/// What is asked of the receive buffer: replies of 8,000 hosts.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
/// What one queued reply takes of it: the kernel counts the whole buffer of a packet, not its 64 bytes.
const REPLY_BYTES: usize = 1 << 10;
/// What is assumed where the buffer cannot be read back: half of what the system default holds.
const OUTSTANDING_DEFAULT: usize = 100;
/// Data of an echo, as `ping` sends it.
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
    /// The echo could not be sent, for a reason of this machine's; it says nothing about the host.
    Failed(String),
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
    /// Sequence and identifier of the next echo: no two outstanding echoes share both.
    next: AtomicU32,
    identifiers: AtomicU16,
}

struct Family {
    client: Client,
    outstanding: Semaphore,
}

impl std::fmt::Debug for Pinger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pinger").field("source", &self.shared.source).finish_non_exhaustive()
    }
}

impl Pinger {
    /// A pinger whose echoes leave from `source`. The IPv4 socket is opened now, so that a missing permission is
    /// found at the start and not at the first failover.
    ///
    /// # Errors
    /// See [`PingError`].
    pub async fn open(source: Option<IpAddr>) -> Result<Self, PingError> {
        let shared = Shared {
            source,
            v4: OnceCell::new(),
            v6: OnceCell::new(),
            next: AtomicU32::new(0),
            identifiers: AtomicU16::new(std::process::id() as u16),
        };
        let pinger = Self { shared: Arc::new(shared) };
        pinger.family(ICMP::V4).await?;
        Ok(pinger)
    }

    async fn family(&self, kind: ICMP) -> Result<&Family, PingError> {
        let source = self.shared.source.filter(|source| source.is_ipv4() == (kind == ICMP::V4));
        let cell = if kind == ICMP::V4 { &self.shared.v4 } else { &self.shared.v6 };
        cell.get_or_try_init(async || Family::open(kind, source)).await
    }

    /// Sends one echo and awaits its reply.
    pub async fn ping(&self, address: IpAddr, timeout: Duration) -> PingOutcome {
        let kind = if address.is_ipv4() { ICMP::V4 } else { ICMP::V6 };
        let family = match self.family(kind).await {
            Ok(family) => family,
            Err(error) => return PingOutcome::Failed(error.to_string()),
        };
        // The semaphore is never closed, so a permit always comes; the wait for it is no part of the timeout.
        let Ok(_permit) = family.outstanding.acquire().await else {
            return PingOutcome::Failed("the pinger is closed".to_owned());
        };
        let sequence = PingSequence(self.shared.next.fetch_add(1, Ordering::Relaxed) as u16);
        let identifier = PingIdentifier(self.shared.identifiers.fetch_add(1, Ordering::Relaxed));
        let mut pinger = family.client.pinger(address, identifier).await;
        pinger.timeout(timeout);
        match pinger.ping(sequence, &PAYLOAD).await {
            Ok((_, rtt)) => PingOutcome::Answered { rtt },
            Err(SurgeError::Timeout { .. }) => PingOutcome::TimedOut,
            Err(error) => PingOutcome::Failed(error.to_string()),
        }
    }
}

impl Family {
    fn open(kind: ICMP, source: Option<IpAddr>) -> Result<Self, PingError> {
        let mut config = Config::builder().kind(kind);
        if let Some(source) = source {
            config = config.bind(SocketAddr::new(source, 0));
        }
        let client = Client::new(&config.build()).map_err(|error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => PingError::Denied(error),
            _ => PingError::Socket(error),
        })?;
        let granted = raise_buffer(&client);
        let outstanding = granted.map_or(OUTSTANDING_DEFAULT, |bytes| (bytes / REPLY_BYTES).max(1));
        Ok(Self { client, outstanding: Semaphore::new(outstanding) })
    }
}

/// Raises the receive buffer as far as the system allows; how many bytes were granted.
fn raise_buffer(client: &Client) -> Option<usize> {
    let socket = client.get_socket();
    let descriptor = Descriptor(&socket);
    // More than rmem_max needs CAP_NET_ADMIN; without it the second call takes what is allowed.
    let forced = nix::sys::socket::setsockopt(
        &descriptor,
        nix::sys::socket::sockopt::RcvBufForce,
        &RECEIVE_BUFFER_BYTES,
    );
    if forced.is_err()
        && let Err(error) = nix::sys::socket::setsockopt(
            &descriptor,
            nix::sys::socket::sockopt::RcvBuf,
            &RECEIVE_BUFFER_BYTES,
        )
    {
        tracing::debug!(%error, "the receive buffer of the ICMP socket could not be raised");
    }
    nix::sys::socket::getsockopt(&descriptor, nix::sys::socket::sockopt::RcvBuf).ok()
}

struct Descriptor<'a>(&'a surge_ping::AsyncSocket);

impl AsFd for Descriptor<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        todo!()
    }
}
