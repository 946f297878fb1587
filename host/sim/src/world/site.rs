//! One site: its machines, its watchdog, the guard with the services of each machine.

use dr_watchdog_core::durable::Durable;
use dr_watchdog_core::exclusion::fact::GuardFound;
use dr_watchdog_core::{Moment, Watchdog};

use super::clock::Clock;
use super::queue::Happening;

/// A hold at an arbiter, as the site's kernel sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hold {
    pub(crate) session: u64,
    /// Keepalives without an answer.
    pub(crate) unanswered: u32,
}

/// The guard of one node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guard {
    pub(crate) armed: Option<(u64, Moment)>,
    /// Its timer: which one is set, and for which true time. A renewed lease moves it only when it comes.
    pub(crate) generation: u64,
    pub(crate) timer_us: u64,
    pub(crate) has_fired: bool,
    /// True time at which the fence that runs has ended serving.
    pub(crate) fenced_at_us: Option<u64>,
}

impl Guard {
    /// One that is not armed; timers of the one before it are void.
    pub(crate) const fn idle(generation: u64) -> Self {
        Self { armed: None, generation, timer_us: u64::MAX, has_fired: false, fenced_at_us: None }
    }

    /// Voids its timer.
    pub(crate) const fn stop_timer(&mut self) {
        self.generation += 1;
        self.timer_us = u64::MAX;
    }
}

/// One machine of a site.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) guard: Guard,
    pub(crate) is_serving: bool,
    /// How many faults cut it from the other machines of its site.
    pub(crate) cut: u32,
    /// Until when it may serve at most, as the watchdog of the site knows.
    pub(crate) known_until: Option<Moment>,
}

impl Node {
    /// One that serves nothing; timers of the one before it are void.
    pub(crate) const fn idle(generation: u64, cut: u32) -> Self {
        Self { guard: Guard::idle(generation), is_serving: false, cut, known_until: None }
    }
}

/// One site.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) core: Option<Watchdog>,
    /// Grows with every start of the watchdog, so that nothing reaches a later one.
    pub(crate) run: u64,
    pub(crate) boot: u64,
    pub(crate) clock: Clock,
    pub(crate) disk: Option<Durable>,
    pub(crate) old_image: Option<Durable>,
    pub(crate) nodes: Vec<Node>,
    /// The node with the VIP: its watchdog acts.
    pub(crate) vip: usize,
    /// What the watchdog has asked of the guards: for which epoch they are armed, until when.
    pub(crate) lease: Option<(u64, Moment)>,
    /// Whether the watchdog, or the guard beside it, has ended serving at every node, and the end is awaited.
    pub(crate) is_fence_asked: bool,
    pub(crate) down: u32,
    /// Whether an operator has stopped the watchdog.
    pub(crate) stopped: u32,
    pub(crate) frozen: u32,
    pub(crate) hung: u32,
    /// Nothing that arrived meanwhile is lost: it waits in the sockets.
    pub(crate) inbox: Vec<Happening>,
    /// When the timer of the core is due, on the site's clock, and which one it is.
    pub(crate) timer_due: Option<Moment>,
    pub(crate) timer_generation: u64,
    pub(crate) is_holding: bool,
    pub(crate) holds: Vec<Option<Hold>>,
    pub(crate) hold_generation: u64,
    pub(crate) mark: (u64, bool),
    /// Connection of the looks at each arbiter.
    pub(crate) connections: Vec<Option<u64>>,
    pub(crate) is_vip_moving: u32,
    pub(crate) ssh_blocked: u32,
    pub(crate) disk_full: u32,
    pub(crate) hook_fails: u32,
    pub(crate) nat: u32,
    pub(crate) wrong_list: u32,
    pub(crate) slow_stop_s: u64,
    pub(crate) plan: u64,
}

impl Site {
    pub(crate) fn new(rate_ppm: i64, arbiters: usize, nodes: usize, disk: Durable) -> Self {
        Self {
            core: None,
            run: 0,
            boot: 1,
            clock: Clock::new(rate_ppm),
            disk: Some(disk),
            old_image: None,
            nodes: (0..nodes).map(|_| Node::idle(0, 0)).collect(),
            vip: 0,
            lease: None,
            is_fence_asked: false,
            down: 0,
            stopped: 0,
            frozen: 0,
            hung: 0,
            inbox: Vec::new(),
            timer_due: None,
            timer_generation: 0,
            is_holding: false,
            holds: vec![None; arbiters],
            hold_generation: 0,
            mark: (0, false),
            connections: vec![None; arbiters],
            is_vip_moving: 0,
            ssh_blocked: 0,
            disk_full: 0,
            hook_fails: 0,
            nat: 0,
            wrong_list: 0,
            slow_stop_s: 0,
            plan: 0,
        }
    }

    pub(crate) fn is_serving(&self) -> bool {
        self.down == 0 && self.frozen == 0 && self.nodes.iter().any(|node| node.is_serving)
    }

    /// Whether the node with the VIP reaches a node of its site.
    pub(crate) fn reaches(&self, node: usize) -> bool {
        node == self.vip || (self.nodes[node].cut == 0 && self.nodes[self.vip].cut == 0)
    }

    /// Every node is as after a power loss; what cuts it goes on.
    pub(crate) fn clear_nodes(&mut self) {
        for node in &mut self.nodes {
            *node = Node::idle(node.guard.generation + 1, node.cut);
        }
        self.is_fence_asked = false;
    }

    /// The VIP moves to the next node that is not cut from the others, if there is one.
    pub(crate) fn move_vip(&mut self) {
        let count = self.nodes.len();
        let next = (1..count).map(|step| (self.vip + step) % count).find(|node| self.nodes[*node].cut == 0);
        self.vip = next.unwrap_or(self.vip);
    }

    /// Whether some node is fencing.
    pub(crate) fn is_fencing(&self) -> bool {
        self.nodes.iter().any(|node| node.guard.fenced_at_us.is_some())
    }

    /// What a watchdog that starts finds of the guards: the smallest end of those that it can ask. A node that it cannot
    /// ask may be serving.
    pub(crate) fn guard_found(&self, true_us: u64) -> GuardFound {
        let now = self.clock.now(true_us).mono;
        let mut found = GuardFound::Idle;
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            if !self.reaches(index) {
                return GuardFound::Fired;
            }
            found = match (node.guard.armed, found) {
                (Some((epoch, until)), before) if !node.guard.has_fired && until > now => match before {
                    GuardFound::Armed { epoch: other, .. } if other != epoch => return GuardFound::Fired,
                    GuardFound::Armed { until: other, .. } => {
                        GuardFound::Armed { epoch, until: until.min(other) }
                    }
                    _ => GuardFound::Armed { epoch, until },
                },
                (Some(_), _) => return GuardFound::Fired,
                (None, _) if node.is_serving => return GuardFound::Fired,
                (None, before) => before,
            };
        }
        found
    }
}
