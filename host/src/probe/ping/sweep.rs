//! A sweep: echoes to many hosts on one datagram socket of its own.
//!
//! The client that pings single hosts needs a task, a timer and a lock per echo; a sweep needs a list. It sends while
//! it drains, never has more echoes outstanding than its receive buffer holds, and reads whatever came before it
//! calls an echo unanswered.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::time::Instant;

use super::{
    DRAIN, ECHO_REPLY_V4, ECHO_REPLY_V6, LATE, PAYLOAD, PingError, PingOutcome, REPLY_BYTES, SEND_TRIES,
    arrival, socket,
};
use arrival::Arrival;

/// Most echoes outstanding: each has a sequence number of 16 bits to itself.
const OUTSTANDING_MAX: usize = 1 << 16;
/// Echoes that are sent before other tasks get their turn.
const BATCH: usize = 64;
/// Bytes before the data of an echo.
const HEADER_BYTES: usize = 8;
/// Types of the packets that ask for an echo.
const ECHO_REQUEST_V4: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;
/// How long to wait where this machine's own queues are full.
const FULL_PAUSE: Duration = Duration::from_millis(1);
/// Tries of one host that are not held against it because this program was late.
const FREE_TRIES_MAX: u8 = 2;
/// From this share of the timeout on, lateness of this program makes a try say nothing.
const LATE_SHARE: u32 = 4;
/// Packets read in one go, so that a flood cannot hold the sweep up.
const DRAIN_PACKETS_MAX: usize = 4_096;

/// What a sweep waits for.
const ARRIVAL: Interest = Interest::READABLE.add(Interest::ERROR);

/// How a sweep's hosts are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// How long each try waits.
    pub timeout: Duration,
    /// Tries per host; one at least.
    pub tries: u32,
}

/// An opened socket for one sweep over hosts of one family.
#[derive(Debug)]
pub(super) struct Sweeper {
    socket: UdpSocket,
    /// A second handle of it, which the runtime watches: its own calls ask the runtime first whether anything came,
    /// and only a turn of the loop would tell it.
    watched: tokio::net::UdpSocket,
    is_ipv4: bool,
    capacity: usize,
}

impl Sweeper {
    /// Opens the socket, with a receive buffer as large as the system allows.
    pub(super) fn open(is_ipv4: bool, source: Option<IpAddr>) -> Result<Self, PingError> {
        let (domain, protocol) = match is_ipv4 {
            true => (Domain::IPV4, Protocol::ICMPV4),
            false => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket =
            Socket::new(domain, Type::DGRAM, Some(protocol)).map_err(|error| match error.kind() {
                ErrorKind::PermissionDenied => PingError::Denied(error),
                _ => PingError::Socket(error),
            })?;
        if let Some(source) = source {
            let bound = socket.bind(&SocketAddr::new(source, 0).into());
            bound.map_err(|error| PingError::Source(source, error))?;
        }
        socket.set_nonblocking(true).map_err(PingError::Socket)?;
        let owned = socket.into();
        let granted = socket::raise_buffer(&owned).map_err(PingError::Socket)?;
        socket::ask_for_errors(&owned, is_ipv4).map_err(PingError::Socket)?;
        arrival::ask_for_stamps(&owned).map_err(PingError::Socket)?;
        let socket = UdpSocket::from(owned);
        let watched =
            socket.try_clone().and_then(tokio::net::UdpSocket::from_std).map_err(PingError::Socket)?;
        Ok(Self { socket, watched, is_ipv4, capacity: (granted / REPLY_BYTES).clamp(1, OUTSTANDING_MAX) })
    }

    /// How many echoes may be outstanding at once.
    pub(super) const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Asks every host; `found` hears of each as soon as it is known, by its position.
    pub(super) async fn run(self, hosts: &[IpAddr], manner: Manner, found: impl FnMut(usize, PingOutcome)) {
        let mut run = Run::new(&self, hosts, manner, found);
        loop {
            let is_held_up = run.send().await;
            run.drain();
            run.expire();
            let Some(deadline) = run.next_deadline() else {
                if run.queue.is_empty() {
                    return;
                }
                if is_held_up {
                    tokio::time::sleep(FULL_PAUSE).await;
                }
                continue;
            };
            let until = if is_held_up { deadline.min(Instant::now() + FULL_PAUSE) } else { deadline };
            let arrival = self.watched.ready(ARRIVAL);
            if let Ok(Ok(_)) = tokio::time::timeout_at(until, arrival).await
                && run.drain()
            {
                // Says that nothing is left, so that the next wait is one.
                let nothing = || Err::<(), _>(io::Error::from(ErrorKind::WouldBlock));
                let _ = self.watched.try_io(ARRIVAL, nothing);
            }
        }
    }
}

/// One echo.
#[derive(Debug)]
struct Echo {
    host: usize,
    sent: Instant,
    is_open: bool,
    /// What was reported about it.
    said: Option<String>,
}

/// What is known of one host.
#[derive(Debug, Clone, Copy)]
struct Host {
    tries_left: u32,
    free_tries_left: u8,
    is_done: bool,
    /// Position of the last echo to it.
    last: usize,
}

struct Run<'a, F> {
    sweeper: &'a Sweeper,
    targets: &'a [IpAddr],
    manner: Manner,
    found: F,
    hosts: Vec<Host>,
    queue: VecDeque<usize>,
    echoes: Vec<Echo>,
    /// Position of the latest echo with each sequence number, counted from 1.
    by_sequence: Vec<usize>,
    /// All echoes before this one are closed.
    first_open: usize,
    outstanding: usize,
    packet: Vec<u8>,
    /// Late time-outs wait until then for replies that are on their way to us.
    grace: Option<Instant>,
}

impl<'a, F: FnMut(usize, PingOutcome)> Run<'a, F> {
    fn new(sweeper: &'a Sweeper, targets: &'a [IpAddr], manner: Manner, found: F) -> Self {
        let host = Host {
            tries_left: manner.tries.max(1),
            free_tries_left: FREE_TRIES_MAX,
            is_done: false,
            last: 0,
        };
        let kind = if sweeper.is_ipv4 { ECHO_REQUEST_V4 } else { ECHO_REQUEST_V6 };
        // The kernel fills in the identifier and the checksum of a datagram socket.
        let mut packet = vec![kind, 0, 0, 0, 0, 0, 0, 0];
        packet.extend_from_slice(&PAYLOAD);
        Self {
            sweeper,
            targets,
            manner,
            found,
            hosts: vec![host; targets.len()],
            queue: (0..targets.len()).collect(),
            echoes: Vec::with_capacity(targets.len()),
            by_sequence: vec![0; OUTSTANDING_MAX],
            first_open: 0,
            outstanding: 0,
            packet,
            grace: None,
        }
    }

    /// Sends what the buffer has room for; whether this machine's own queues hold it up.
    async fn send(&mut self) -> bool {
        let mut sent = 0;
        while self.outstanding < self.sweeper.capacity
            && self.echoes.len() - self.first_open < OUTSTANDING_MAX
        {
            let Some(host) = self.queue.pop_front() else { return false };
            if self.hosts[host].is_done {
                continue;
            }
            match self.send_one(host) {
                Ok(sent) => self.opened(host, sent, None),
                Err(error) if socket::is_full(&error) => {
                    self.queue.push_front(host);
                    return true;
                }
                Err(error) => {
                    let said = format!("the echo could not be sent: {error}");
                    self.opened(host, Instant::now(), Some(said));
                }
            }
            self.receive_one();
            sent += 1;
            if sent % BATCH == 0 {
                tokio::task::yield_now().await;
                self.drain();
                self.expire();
            }
        }
        false
    }

    /// Sends one echo. An error that a router reported about another echo may come back from a send, so the next
    /// try comes at once.
    fn send_one(&mut self, host: usize) -> io::Result<Instant> {
        let sequence = sequence_of(self.echoes.len());
        self.packet[6..HEADER_BYTES].copy_from_slice(&sequence.to_be_bytes());
        let to = SocketAddr::new(self.targets[host], 0);
        let mut refused = None;
        for _ in 0..SEND_TRIES {
            // Before the echo leaves: a short way has the answer here before the call returns.
            let sent = Instant::now();
            match self.sweeper.socket.send_to(&self.packet, to) {
                Ok(_) => return Ok(sent),
                Err(error) if socket::is_full(&error) => return Err(error),
                Err(error) => refused = Some(error),
            }
            self.read_errors();
        }
        Err(refused.unwrap_or_else(|| ErrorKind::WouldBlock.into()))
    }

    fn opened(&mut self, host: usize, sent: Instant, said: Option<String>) {
        let state = &mut self.hosts[host];
        state.tries_left -= 1;
        if let (Some(said), 0) = (&said, state.tries_left) {
            // Nothing can come any more, and no try follows that the time would have to be bridged to.
            let said = said.clone();
            self.finish(host, PingOutcome::Failed(said));
            return;
        }
        let position = self.echoes.len();
        state.last = position;
        self.by_sequence[usize::from(sequence_of(position))] = position + 1;
        self.echoes.push(Echo { host, sent, is_open: true, said });
        self.outstanding += 1;
    }

    fn finish(&mut self, host: usize, outcome: PingOutcome) {
        self.hosts[host].is_done = true;
        (self.found)(host, outcome);
    }

    fn close(&mut self, position: usize) {
        if let Some(echo) = self.echoes.get_mut(position).filter(|echo| echo.is_open) {
            echo.is_open = false;
            self.outstanding -= 1;
        }
    }

    /// Reads all that has come; whether nothing is left.
    fn drain(&mut self) -> bool {
        self.read_errors();
        for _ in 0..DRAIN_PACKETS_MAX {
            if !self.receive_one() {
                return true;
            }
        }
        false
    }

    /// Reads one packet; false if there was none.
    fn receive_one(&mut self) -> bool {
        let mut bytes = [0; HEADER_BYTES];
        // The rest of the packet is dropped by the kernel: the header says it all.
        match arrival::receive(&self.sweeper.socket, &mut bytes) {
            Ok(Arrival { length, from, unread }) => {
                if let Some(from) = from.filter(|_| length == HEADER_BYTES) {
                    self.received(bytes, from, unread);
                }
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            // A reported error; it stands in the queue of errors too.
            Err(_) => {
                self.read_errors();
                true
            }
        }
    }

    fn received(&mut self, header: [u8; HEADER_BYTES], from: IpAddr, unread: Duration) {
        let expected = if self.sweeper.is_ipv4 { ECHO_REPLY_V4 } else { ECHO_REPLY_V6 };
        let [kind, _, _, _, _, _, high, low] = header;
        let Some(position) = self.echo_with(u16::from_be_bytes([high, low]), from) else { return };
        if kind != expected {
            return;
        }
        let Echo { host, sent, .. } = self.echoes[position];
        if !self.hosts[host].is_done {
            // A reply to an earlier try is as good: the host lives.
            self.close(self.hosts[host].last);
            self.close(position);
            // How long it lay here is this program's doing, unless the clock was set in the meantime.
            let elapsed = sent.elapsed();
            let rtt = elapsed.checked_sub(unread).unwrap_or(elapsed);
            self.finish(host, PingOutcome::Answered { rtt });
        }
    }

    /// The echo with this sequence number, if it went to this address: a reply of somebody else is none.
    fn echo_with(&self, sequence: u16, address: IpAddr) -> Option<usize> {
        let position = self.by_sequence[usize::from(sequence)].checked_sub(1)?;
        (self.targets[self.echoes[position].host] == address).then_some(position)
    }

    fn read_errors(&mut self) {
        for _ in 0..DRAIN_PACKETS_MAX {
            match socket::next_error(&self.sweeper.socket) {
                Ok(reported) => {
                    if let Some(position) = self.echo_with(reported.sequence, reported.to) {
                        self.echoes[position].said = Some(reported.what);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => {
                    tracing::debug!(%error, "the errors about echoes could not be read");
                    return;
                }
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let oldest = self.echoes.get(self.first_open)?;
        Some(self.grace.unwrap_or(oldest.sent + self.manner.timeout))
    }

    /// Ends the echoes whose time is over; whatever came has been read before.
    fn expire(&mut self) {
        loop {
            while self.echoes.get(self.first_open).is_some_and(|echo| !echo.is_open) {
                self.first_open += 1;
            }
            let Some(oldest) = self.echoes.get(self.first_open) else { break };
            let deadline = oldest.sent + self.manner.timeout;
            let now = Instant::now();
            if now < deadline {
                break;
            }
            let late = now - deadline;
            match self.grace {
                // This program was late, so a reply may be on its way through the machine: a moment more.
                None if late > LATE => {
                    self.grace = Some(now + DRAIN);
                    return;
                }
                Some(grace) if now < grace => return,
                _ => {}
            }
            self.expired(late.saturating_sub(DRAIN) > self.manner.timeout / LATE_SHARE);
        }
        self.grace = None;
    }

    /// The oldest open echo got no answer.
    fn expired(&mut self, was_late: bool) {
        let position = self.first_open;
        let said = self.echoes[position].said.take();
        let host = self.echoes[position].host;
        self.close(position);
        let state = &mut self.hosts[host];
        if was_late && state.free_tries_left > 0 {
            // Whoever was stopped for so long cannot tell who was silent.
            state.free_tries_left -= 1;
            state.tries_left += 1;
        }
        if state.tries_left > 0 {
            self.queue.push_back(host);
        } else {
            self.finish(host, said.map_or(PingOutcome::TimedOut, PingOutcome::Failed));
        }
    }
}

const fn sequence_of(position: usize) -> u16 {
    (position % OUTSTANDING_MAX) as u16
}
