//! Packets as the kernel received them: who sent each, and how long it has lain unread.
//!
//! A busy program reads a reply later than it came. The kernel stamps each with the wall clock, and only the difference
//! to that clock is used here: no time of day leaves this file.

use std::io::{self, IoSliceMut};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt};
use rustix::time::{ClockId, clock_gettime};

use super::socket;

/// Room for one stamp.
const CONTROL_BYTES: usize = 64;

/// One packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    /// Its bytes that were read.
    pub(super) length: usize,
    /// Its sender.
    pub(super) from: Option<IpAddr>,
    /// How long it has lain here; zero where the kernel says nothing of it.
    pub(super) unread: Duration,
}

/// Asks for the stamps. The kernel begins a moment later, and until then a packet is stamped when it is read; it goes on
/// as long as any socket has asked.
pub(super) fn ask_for_stamps(socket: &impl AsFd) -> io::Result<()> {
    Ok(setsockopt(&socket.as_fd(), ReceiveTimestampns, &true)?)
}

/// Reads the next packet.
///
/// # Errors
/// `WouldBlock` if there is none.
pub(super) fn receive(socket: &impl AsFd, bytes: &mut [u8]) -> io::Result<Arrival> {
    let number = socket.as_fd().as_raw_fd();
    let mut control = [0; CONTROL_BYTES];
    let mut parts = [IoSliceMut::new(bytes)];
    let message = recvmsg::<SockaddrStorage>(number, &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT)?;
    let stamp = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::ScmTimestampns(stamp) => Some(since_epoch(stamp.tv_sec(), stamp.tv_nsec())),
        _ => None,
    });
    let now = clock_gettime(ClockId::Realtime);
    let unread = stamp.map_or(Duration::ZERO, |stamp| {
        // Set back in the meantime, the clock says that the packet is still to come.
        since_epoch(now.tv_sec, now.tv_nsec).saturating_sub(stamp)
    });
    Ok(Arrival { length: message.bytes, from: message.address.as_ref().and_then(socket::address), unread })
}

/// Clocks before 1970 stamp nothing that is used.
fn since_epoch(seconds: i64, nanoseconds: i64) -> Duration {
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    Duration::from_secs(part(seconds)) + Duration::from_nanos(part(nanoseconds))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_packet_that_lay_unread_says_for_how_long() {
        let (here, there) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        ask_for_stamps(&here).unwrap();
        let mut bytes = [0; 4];
        assert_eq!(receive(&here, &mut bytes).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let late = Duration::from_millis(30);
        // The kernel begins to stamp a moment after it was asked.
        let begun = Instant::now();
        loop {
            let sent = Instant::now();
            there.send_to(b"echo", here.local_addr().unwrap()).unwrap();
            while sent.elapsed() < late {
                std::hint::spin_loop();
            }
            let arrival = receive(&here, &mut bytes).unwrap();
            assert_eq!((arrival.length, arrival.from), (4, Some(IpAddr::from([127, 0, 0, 1]))));
            assert!(arrival.unread <= sent.elapsed(), "{:?}", arrival.unread);
            // The way to the socket takes its part of the time on a loaded machine.
            if arrival.unread > late / 3 {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", arrival.unread);
        }
    }
}
