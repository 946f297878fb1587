//! What surge-ping leaves out of its ICMP socket: the size of its receive buffer, and the errors that routers report.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrStorage,
    recvmsg, sendmsg, setsockopt, socketpair,
};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, sockopt};

/// What is asked of the receive buffer; nothing is reserved by asking.
const RECEIVE_BUFFER_BYTES: usize = 32 << 20;
/// Where the sequence number stands in an echo.
const SEQUENCE_AT: std::ops::Range<usize> = 6..8;
/// Room for one reported error: its text of control and the echo it is about.
const CONTROL_BYTES: usize = 512;

/// A descriptor of our own for a socket whose owner shows its number only: the kernel hands it over as it would to
/// another process.
pub(super) fn duplicate(number: RawFd) -> io::Result<OwnedFd> {
    let (out, back) = socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::SOCK_CLOEXEC)?;
    let byte = [IoSlice::new(b"s")];
    sendmsg::<()>(out.as_raw_fd(), &byte, &[ControlMessage::ScmRights(&[number])], MsgFlags::empty(), None)?;
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut room);
    let mut received = [0];
    rustix::net::recvmsg(
        &back,
        &mut [IoSliceMut::new(&mut received)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    descriptor.ok_or_else(|| io::Error::other("the kernel handed over no descriptor"))
}

/// Raises the receive buffer as far as the system allows; how many bytes were granted.
pub(super) fn raise_buffer(socket: &OwnedFd) -> io::Result<usize> {
    // More than net.core.rmem_max needs CAP_NET_ADMIN; without it the second call takes what is allowed.
    if sockopt::set_socket_recv_buffer_size_force(socket, RECEIVE_BUFFER_BYTES).is_err() {
        sockopt::set_socket_recv_buffer_size(socket, RECEIVE_BUFFER_BYTES)?;
    }
    Ok(sockopt::socket_recv_buffer_size(socket)?)
}

/// Asks for the errors that routers and this machine report about echoes.
pub(super) fn ask_for_errors(socket: &OwnedFd, is_ipv4: bool) -> io::Result<()> {
    if is_ipv4 {
        setsockopt(socket, Ipv4RecvErr, &true)?
    } else {
        setsockopt(socket, Ipv6RecvErr, &true)?
    }
    Ok(())
}

/// Whether this machine has no room for a packet just now, which says nothing about anybody.
pub(super) fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(nix::Error::ENOBUFS as i32)
}

/// An error that was reported about an echo.
#[derive(Debug)]
pub(super) struct Reported {
    /// Whom the echo was for.
    pub(super) to: IpAddr,
    /// Its sequence number.
    pub(super) sequence: u16,
    /// What was said, by whom.
    pub(super) what: String,
}

/// The next reported error.
///
/// # Errors
/// `WouldBlock` if there is none.
pub(super) fn next_error(socket: &impl AsFd) -> io::Result<Reported> {
    let number = socket.as_fd().as_raw_fd();
    loop {
        let mut echo = [0; 128];
        let mut parts = [IoSliceMut::new(&mut echo)];
        let mut control = [0; CONTROL_BYTES];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let message = match recvmsg::<SockaddrStorage>(number, &mut parts, Some(&mut control), flags) {
            Ok(message) => message,
            Err(nix::Error::EINTR) => continue,
            Err(error) => return Err(error.into()),
        };
        let said = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::Ipv4RecvErr(error, by) => {
                Some((error.ee_errno, by.map(|by| IpAddr::from(by.sin_addr.s_addr.to_ne_bytes()))))
            }
            ControlMessageOwned::Ipv6RecvErr(error, by) => {
                Some((error.ee_errno, by.map(|by| IpAddr::from(by.sin6_addr.s6_addr))))
            }
            _ => None,
        });
        let to = message.address.as_ref().and_then(address);
        let length = message.bytes;
        let sequence = echo.get(SEQUENCE_AT).filter(|_| length >= SEQUENCE_AT.end);
        let sequence = sequence.and_then(|bytes| bytes.try_into().ok()).map(u16::from_be_bytes);
        // What cannot be told apart concerns nobody; the echo then ends as a time-out.
        if let (Some((errno, by)), Some(to), Some(sequence)) = (said, to, sequence) {
            return Ok(Reported { to, sequence, what: words(errno, by) });
        }
    }
}

pub(super) fn address(of: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = of.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
    v4.or_else(|| of.as_sockaddr_in6().map(|address| IpAddr::from(address.ip())))
}

fn words(errno: u32, by: Option<IpAddr>) -> String {
    let code = i32::try_from(errno).unwrap_or(0);
    let what = match nix::Error::from_raw(code) {
        nix::Error::EHOSTUNREACH => "host unreachable".to_owned(),
        nix::Error::ENETUNREACH => "network unreachable".to_owned(),
        nix::Error::ECONNREFUSED => "refused".to_owned(),
        nix::Error::EACCES => "prohibited".to_owned(),
        other => other.desc().to_lowercase(),
    };
    match by.filter(|by| !by.is_unspecified()) {
        Some(by) => format!("{what}, says {by}"),
        None => what,
    }
}
