//! Directed paths: between the sites, and between each site and each arbiter.

use crate::random::Random;

/// How many faults cut each path, and how lossy each site is.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    /// From site to site.
    pub(crate) peer: [u32; 2],
    /// From site to arbiter.
    pub(crate) out: [Vec<u32>; 2],
    /// From arbiter to site.
    pub(crate) back: [Vec<u32>; 2],
    /// Lost packets of a site, in percent, one entry per fault.
    pub(crate) loss: [Vec<u64>; 2],
    pub(crate) udp_blocked: u32,
    pub(crate) slow_ssh: u32,
    /// Signed heartbeats until the path between the sites is cut.
    pub(crate) cut_after: Option<u64>,
}

impl Network {
    pub(crate) fn new(arbiters: usize) -> Self {
        let paths = || [vec![0; arbiters], vec![0; arbiters]];
        Self {
            peer: [0; 2],
            out: paths(),
            back: paths(),
            loss: [Vec::new(), Vec::new()],
            udp_blocked: 0,
            slow_ssh: 0,
            cut_after: None,
        }
    }

    /// Whether a packet from a site gets through.
    pub(crate) fn passes(&self, random: &mut Random, site: usize) -> bool {
        self.loss[site].iter().all(|percent| !random.percent(*percent))
    }

    /// Counts a signed heartbeat before it leaves; the one at which the count ends finds the path cut.
    pub(crate) fn count_message(&mut self) {
        match &mut self.cut_after {
            None => {}
            Some(0) => {
                self.cut_after = None;
                self.peer.iter_mut().for_each(|cut| *cut += 1);
            }
            Some(left) => *left -= 1,
        }
    }

    /// Joins what the count has cut.
    pub(crate) fn join_counted(&mut self) {
        if self.cut_after.take().is_none() {
            self.peer.iter_mut().for_each(|cut| *cut -= 1);
        }
    }

    /// Whether one packet from site to site arrives.
    pub(crate) fn to_peer(&self, random: &mut Random, from: usize) -> bool {
        self.peer[from] == 0 && self.passes(random, 0) && self.passes(random, 1)
    }

    /// Whether an exchange with an arbiter over TCP succeeds: a lost packet is sent again.
    pub(crate) fn exchange(&self, random: &mut Random, site: usize, arbiter: usize) -> bool {
        let tries = 3;
        let reaches = self.out[site][arbiter] == 0 && self.back[site][arbiter] == 0;
        reaches && (0..tries).any(|_| self.passes(random, site))
    }

    /// Whether something sent to an arbiter arrives, answered or not.
    pub(crate) fn reaches(&self, random: &mut Random, site: usize, arbiter: usize) -> bool {
        self.out[site][arbiter] == 0 && (0..3).any(|_| self.passes(random, site))
    }
}
