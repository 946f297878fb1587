//! The other site: signed heartbeat messages, commands over SSH.

pub mod inbox;
pub mod link;
pub mod remote;
pub mod replay;
pub mod shell;
pub mod wire;

use std::io;
use std::net::SocketAddr;

/// Why there is no link to the other site.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The socket could not be had.
    #[error("the UDP socket {address} for heartbeats cannot be opened; is peer.heartbeatPort in use?")]
    Socket {
        /// Where it was to be bound.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The configuration names no address to send to.
    #[error("core.peerVip \"{0}\" is no IP address")]
    Address(String),
    /// The system gives no random numbers.
    #[error("the system gives no random number to name this start by")]
    Random(#[source] io::Error),
}
