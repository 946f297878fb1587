//! What systemd is told of the daemon it runs: ready, alive, ending.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use dr_watchdog_core::Watchdog;
use dr_watchdog_core::heartbeat::Reach;
use dr_watchdog_core::transitions::Phase;
use tokio::time::Instant;

/// Names the socket that systemd listens on.
const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";
/// How long systemd waits for a sign of life, in microseconds.
const WATCHDOG_VARIABLE: &str = "WATCHDOG_USEC";

/// The line to systemd; silent where nobody listens.
#[derive(Debug)]
pub(super) struct Systemd {
    line: Option<(UnixDatagram, SocketAddr)>,
    every: Option<Duration>,
    next: Instant,
    is_ready: bool,
    /// What `systemctl status` shows.
    status: String,
}

impl Systemd {
    /// As the environment says.
    pub(super) fn from_environment() -> Self {
        let socket = std::env::var_os(SOCKET_VARIABLE);
        let line = socket.and_then(|name| open(name.as_bytes()));
        let us = std::env::var(WATCHDOG_VARIABLE).ok().and_then(|us| us.parse::<u64>().ok());
        // Twice in each span, so that one late turn is no death.
        let every = us.filter(|us| *us > 0 && line.is_some()).map(|us| Duration::from_micros(us / 2));
        Self { line, every, next: Instant::now(), is_ready: false, status: String::new() }
    }

    /// Says that the daemon is ready once its first round is complete: from then on it knows whether the other site
    /// answers. Then, whenever that changes, what the site is.
    pub(super) fn follow(&mut self, core: &Watchdog) {
        let is_round_complete = core.reach() != Reach::Unknown || core.phase() == Phase::Standalone;
        if self.line.is_none() || !self.is_ready && !is_round_complete {
            return;
        }
        let status = format!("{} (epoch {})", core.phase().word(), core.epoch());
        if !std::mem::replace(&mut self.is_ready, true) {
            self.say(&format!("READY=1\nSTATUS={status}"));
        } else if status != self.status {
            self.say(&format!("STATUS={status}"));
        }
        self.status = status;
    }

    /// Comes when a sign of life is due.
    pub(super) async fn due(&self) {
        match self.every {
            Some(_) => tokio::time::sleep_until(self.next).await,
            None => std::future::pending().await,
        }
    }

    /// Gives one.
    pub(super) fn ping(&mut self) {
        self.say("WATCHDOG=1");
        self.next = Instant::now() + self.every.unwrap_or_default();
    }

    /// Says that the daemon ends.
    pub(super) fn ending(&self) {
        self.say("STOPPING=1");
    }

    fn say(&self, text: &str) {
        if let Some((socket, address)) = &self.line
            && let Err(error) = socket.send_to_addr(text.as_bytes(), address)
        {
            tracing::debug!(%error, "systemd could not be told \"{text}\"");
        }
    }
}

/// A name that begins with `@` is an abstract one.
fn open(name: &[u8]) -> Option<(UnixDatagram, SocketAddr)> {
    let address = match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name)),
    };
    let opened = address.and_then(|address| UnixDatagram::unbound().map(|socket| (socket, address)));
    opened.inspect_err(|error| tracing::warn!(%error, "{SOCKET_VARIABLE} cannot be used")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_with_a_path_and_an_abstract_one_are_both_reached() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        let line = open(path.as_os_str().as_bytes());
        let systemd =
            Systemd { line, every: None, next: Instant::now(), is_ready: false, status: String::new() };
        systemd.ending();
        let mut bytes = [0; 64];
        let length = listener.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"STOPPING=1");
        assert!(open(b"@dr-watchdog-test").is_some());
    }
}
