//! Times and addresses that all arbiters share.

use std::net::IpAddr;
use std::time::Duration;

use super::parse::Families;

/// Times and addresses that all arbiters share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// From one look at an arbiter to the next.
    pub look: Duration,
    /// Deadline of a look.
    pub look_timeout: Duration,
    /// From one answered round trip of a held session to the next.
    pub keep_alive: Duration,
    /// How long a ping waits.
    pub ping_timeout: Duration,
    /// How often a ping that got no answer is repeated.
    pub ping_retries: u32,
    /// The node's own address, from which looks leave.
    pub source: Option<IpAddr>,
    /// Address from which held sessions leave; the node's own if absent.
    pub hold_address: Option<IpAddr>,
    /// The families of addresses that sessions of the other site may have.
    pub families: Families,
}

impl Settings {
    /// G: the longest gap between two looks that leaves their series unbroken.
    pub fn gap_max(&self) -> Duration {
        self.look * 2 + self.look_timeout
    }

    /// Timeout and tries of the ping beside a look: as many tries as fit into the look's deadline.
    pub fn ping_in_look(&self) -> (Duration, u32) {
        let timeout = self.ping_timeout.min(self.look_timeout).max(Duration::from_millis(1));
        let fitting = self.look_timeout.as_nanos() / timeout.as_nanos();
        let tries = u32::try_from(fitting).unwrap_or(u32::MAX);
        (timeout, tries.clamp(1, self.ping_retries.saturating_add(1)))
    }
}
