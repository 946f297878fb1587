//! Ping, names, TCP, SSH: how this program touches the network.

pub mod gateway;
pub mod ping;
pub mod resolve;
pub mod ssh;
pub mod tcp;
