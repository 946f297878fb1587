//! The demo: two sites, three arbiters and a real failover on this machine.

pub mod arbiter;
pub mod links;
pub mod namespace;
