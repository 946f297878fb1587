//! Ping, names, TCP, SSH: how this program touches the network.

pub mod descriptors;
pub mod gateway;
mod last_known;
pub mod ping;
pub mod resolve;
pub mod ssh;
pub mod tcp;
