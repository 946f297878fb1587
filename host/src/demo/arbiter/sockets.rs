//! The TCP sockets of this network namespace, from the kernel.

use std::io;
use std::net::SocketAddr;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::nlas::Nla;
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags};
use netlink_sys::{Socket, SocketAddr as NetlinkAddress, protocols::NETLINK_SOCK_DIAG};

/// Room for one datagram of the dump; the kernel fills at most 32 KiB.
const DATAGRAM_BYTES: usize = 64 << 10;
/// Datagrams of one dump: far more than the sockets that an arbiter lets be open.
const DATAGRAMS_MAX: usize = 1_024;

/// One TCP socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpSocket {
    /// The kernel's number of its state.
    pub state: u8,
    /// This end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// Bytes that wait to be read; of a listener: connections that wait to be accepted.
    pub receive_queue: u32,
    /// Bytes that wait to be acknowledged; of a listener: its backlog.
    pub send_queue: u32,
    /// Name of the congestion control.
    pub congestion: Option<String>,
    /// What `TCP_INFO` says.
    pub info: Option<TcpInfo>,
}

/// The part of the kernel's `struct tcp_info` that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpInfo {
    /// Retransmission timeout in microseconds.
    pub rto_us: u32,
    /// Segment size for sending.
    pub send_mss: u32,
    /// Milliseconds since data was last sent.
    pub last_sent_ms: u32,
    /// Milliseconds since data was last received: the age of the other end's last sign of life.
    pub last_received_ms: u32,
    /// Milliseconds since an acknowledgement was last received.
    pub last_ack_ms: u32,
    /// Round trip in microseconds.
    pub rtt_us: u32,
    /// Variance of the round trip in microseconds.
    pub rtt_variance_us: u32,
    /// Congestion window in segments.
    pub window: u32,
}

impl TcpInfo {
    /// Reads the kernel's bytes: eight of one byte, then words. The structure only ever grows at its end.
    fn read(bytes: &[u8]) -> Option<Self> {
        let word = |index: usize| {
            let start = 8 + 4 * index;
            let four = bytes.get(start..start + 4)?;
            Some(u32::from_ne_bytes(four.try_into().ok()?))
        };
        Some(Self {
            rto_us: word(0)?,
            send_mss: word(2)?,
            last_sent_ms: word(9)?,
            last_received_ms: word(11)?,
            last_ack_ms: word(12)?,
            rtt_us: word(15)?,
            rtt_variance_us: word(16)?,
            window: word(18)?,
        })
    }
}

/// Every TCP socket of the calling thread's network namespace, IPv4 before IPv6.
///
/// # Errors
/// When the kernel cannot say; a kernel without `tcp_diag` is one of them.
pub fn tcp_sockets() -> io::Result<Vec<TcpSocket>> {
    let mut all = dump(AF_INET, SocketId::new_v4())?;
    all.extend(dump(AF_INET6, SocketId::new_v6())?);
    Ok(all)
}

fn dump(family: u8, socket_id: SocketId) -> io::Result<Vec<TcpSocket>> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&NetlinkAddress::new(0, 0))?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let request = InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::INFO | ExtensionFlags::CONG,
        states: StateFlags::all(),
        socket_id,
    };
    let mut question = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    question.finalize();
    let mut bytes = vec![0; question.buffer_len()];
    question.serialize(&mut bytes);
    socket.send(&bytes, 0)?;

    let mut found = Vec::new();
    let mut datagram = vec![0; DATAGRAM_BYTES];
    for _ in 0..DATAGRAMS_MAX {
        let length = socket.recv(&mut &mut datagram[..], 0)?;
        if read_datagram(&datagram[..length], &mut found)? {
            return Ok(found);
        }
    }
    Err(io::Error::other(format!("the kernel's list of sockets is longer than {DATAGRAMS_MAX} datagrams")))
}

/// Reads the messages of one datagram; true at the end of the dump.
fn read_datagram(mut rest: &[u8], found: &mut Vec<TcpSocket>) -> io::Result<bool> {
    while !rest.is_empty() {
        let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        // Messages begin on multiples of four.
        let length = (message.header.length as usize).next_multiple_of(4).min(rest.len());
        match message.payload {
            NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                found.push(tcp_socket(*response));
            }
            NetlinkPayload::Done(_) => return Ok(true),
            NetlinkPayload::Error(error) => return Err(error.to_io()),
            _ => {}
        }
        if length == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a netlink message of length 0"));
        }
        rest = &rest[length..];
    }
    Ok(false)
}

fn tcp_socket(response: InetResponse) -> TcpSocket {
    let header = response.header;
    let id = header.socket_id;
    let mut socket = TcpSocket {
        state: header.state,
        local: SocketAddr::new(id.source_address, id.source_port),
        remote: SocketAddr::new(id.destination_address, id.destination_port),
        receive_queue: header.recv_queue,
        send_queue: header.send_queue,
        congestion: None,
        info: None,
    };
    for attribute in response.nlas {
        match attribute {
            Nla::TcpInfo(bytes) => socket.info = TcpInfo::read(&bytes),
            Nla::Congestion(name) => socket.congestion = Some(name),
            _ => {}
        }
    }
    socket
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_connection_is_seen_from_both_ends_with_the_age_of_its_last_data() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"x").unwrap();
        server.read_exact(&mut [0]).unwrap();

        let sockets = tcp_sockets().unwrap();
        let (here, there) = (server.local_addr().unwrap(), client.local_addr().unwrap());
        let seen = sockets.iter().find(|socket| socket.local == here && socket.remote == there).unwrap();
        assert_eq!(seen.state, 1);
        assert!(seen.info.unwrap().last_received_ms < 10_000, "{seen:?}");
        assert!(seen.info.unwrap().send_mss > 500, "{seen:?}");
        assert!(seen.congestion.is_some());
        assert!(sockets.iter().any(|socket| socket.local == there && socket.remote == here));
        assert!(sockets.iter().any(|socket| socket.local == here && socket.state == 10), "the listener");
    }

    #[test]
    fn a_short_tcp_info_is_no_tcp_info() {
        assert_eq!(TcpInfo::read(&[0; 20]), None);
    }
}
