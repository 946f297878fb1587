//! The nodes of a site: their guards, how each is fenced, where services start or stop.

use dr_watchdog_core::exclusion::fact::Fact;
use dr_watchdog_core::exclusion::rules::Rule;
use dr_watchdog_core::transitions::Phase;
use dr_watchdog_core::{Event, Moment, Watchdog};

use super::queue::Happening;
use super::{Change, MS_US, World};

impl World {
    /// Services start where the watchdog reaches a node whose guard is armed.
    pub(super) fn start_services(&mut self, index: usize) {
        let site = &mut self.sites[index];
        for node in 0..site.nodes.len() {
            let guard = &site.nodes[node].guard;
            let is_guarded = guard.armed.is_some() && !guard.has_fired && guard.fenced_at_us.is_none();
            if node == site.vip || (is_guarded && site.reaches(node)) {
                site.nodes[node].is_serving = true;
            }
        }
    }

    /// Services stop in order where the watchdog reaches a node.
    pub(super) fn stop_services(&mut self, index: usize) {
        let site = &mut self.sites[index];
        for node in 0..site.nodes.len() {
            site.nodes[node].is_serving &= !site.reaches(node);
        }
    }

    pub(super) fn arm_guard(&mut self, index: usize, epoch: u64, until: Moment) {
        let site = &self.sites[index];
        let guard = &site.nodes[site.vip].guard;
        let is_older = guard.armed.is_some_and(|(armed, _)| epoch < armed);
        if is_older || guard.fenced_at_us.is_some() {
            return;
        }
        let at_us = site.clock.true_us(until, self.now_us);
        self.watch.track(self.now_us, index, Change::Lease { until_us: at_us });
        self.sites[index].lease = Some((epoch, until));
        for node in 0..self.sites[index].nodes.len() {
            self.arm_node(index, node, (epoch, until));
        }
        self.later(index, 5 * MS_US, Event::Exclusion(Fact::GuardArmed { epoch, until }));
    }

    /// Arms one node, if it can be told. Where a site has several, none is armed for more than a lease ahead, whatever
    /// the site was released from: one that the VIP has left, or that is cut from it, ends by itself.
    fn arm_node(&mut self, index: usize, node: usize, (epoch, until): (u64, Moment)) {
        let lease = self.options.timers().lease;
        let site = &mut self.sites[index];
        let now = site.clock.now(self.now_us).mono;
        let until = if site.nodes.len() == 1 { until } else { until.min(now.plus(lease)) };
        let is_told = site.reaches(node);
        let it = &mut site.nodes[node];
        let is_older = it.guard.armed.is_some_and(|(armed, _)| epoch < armed);
        if !is_told || is_older || it.guard.fenced_at_us.is_some() {
            return;
        }
        it.guard.armed = Some((epoch, until));
        it.guard.has_fired = false;
        it.known_until = Some(until);
        self.set_guard_timer(index, node);
    }

    /// The watchdog of the node with the VIP renews the nodes, and takes one that is back into service again.
    pub(super) fn renew_nodes(&mut self, index: usize) {
        let site = &self.sites[index];
        let now = site.clock.now(self.now_us).mono;
        let is_active = site.core.as_ref().map(Watchdog::phase) == Some(Phase::Active);
        let is_asked = site.is_fence_asked;
        let lease = site.lease.filter(|(_, until)| *until > now && is_active && !is_asked);
        let Some(lease) = lease else { return };
        for node in 0..self.sites[index].nodes.len() {
            self.arm_node(index, node, lease);
        }
        if self.sites[index].is_serving() {
            self.start_services(index);
            self.note_serving();
        }
    }

    /// Sets a guard's timer to the lease's end, unless it comes before that anyway.
    pub(super) fn set_guard_timer(&mut self, index: usize, node: usize) {
        let has_rule = self.options.rules.has(Rule::Guard);
        let site = &mut self.sites[index];
        let guard = &mut site.nodes[node].guard;
        let Some((_, until)) = guard.armed.filter(|_| !guard.has_fired) else { return };
        let at_us = site.clock.true_us(until, self.now_us);
        if at_us < guard.timer_us && has_rule {
            guard.stop_timer();
            guard.timer_us = at_us;
            let generation = guard.generation;
            self.queue.push(at_us, Happening::GuardDue { site: index, node, generation });
        }
    }

    /// A guard's timer is absolute: it fires at the lease's end whatever the watchdog does.
    pub(super) fn guard_due(&mut self, index: usize, node: usize, generation: u64) {
        let site = &mut self.sites[index];
        let now = site.clock.now(self.now_us).mono;
        let is_vip = node == site.vip;
        let guard = &mut site.nodes[node].guard;
        if guard.generation != generation {
            return;
        }
        guard.timer_us = u64::MAX;
        let Some((_, until)) = guard.armed.filter(|_| !guard.has_fired) else { return };
        if until > now {
            self.set_guard_timer(index, node);
            return;
        }
        guard.has_fired = true;
        self.note(index, || format!("guard of node {node} fires"));
        if is_vip {
            self.fence(index);
            self.later(index, MS_US, Event::Exclusion(Fact::GuardFailed));
        } else {
            self.fence_node(index, node);
        }
    }

    /// Every node that can be told ends serving within D; one that cannot does so at the end that it knows.
    pub(super) fn fence(&mut self, index: usize) {
        self.sites[index].is_fence_asked = true;
        self.sites[index].lease = None;
        for node in 0..self.sites[index].nodes.len() {
            if self.sites[index].reaches(node) {
                self.fence_node(index, node);
            }
        }
    }

    /// The fence ends serving within D.
    pub(super) fn fence_node(&mut self, index: usize, node: usize) {
        let deadline = Self::us(self.options.timers().fence);
        let takes_us = if self.random.percent(self.drawn.slow_fence_percent) {
            deadline
        } else {
            self.random.between(100 * MS_US, deadline)
        };
        let it = &mut self.sites[index].nodes[node];
        // A guard that has nothing to end says so at once.
        let is_done = !it.is_serving && it.guard.fenced_at_us.is_none();
        let done_at = self.now_us + if is_done { 10 * MS_US } else { takes_us };
        it.guard.has_fired = true;
        let done_at = it.guard.fenced_at_us.map_or(done_at, |before| before.min(done_at)).max(self.now_us);
        it.guard.fenced_at_us = Some(done_at);
        self.queue.push(done_at, Happening::FenceDone { site: index });
    }

    pub(super) fn fence_done(&mut self, index: usize) {
        let now_us = self.now_us;
        let mut fenced = Vec::new();
        for (number, node) in self.sites[index].nodes.iter_mut().enumerate() {
            if node.guard.fenced_at_us.is_some_and(|at_us| at_us <= now_us) {
                node.guard.fenced_at_us = None;
                node.guard.armed = None;
                node.guard.has_fired = false;
                if std::mem::take(&mut node.is_serving) {
                    fenced.push(number);
                }
            }
        }
        for number in fenced {
            self.note(index, || format!("node {number} is fenced"));
        }
        self.note_serving();
        self.tell_fenced(index);
    }

    /// Serving has ended when every node that can be asked says so, and every other one is beyond its end.
    fn tell_fenced(&mut self, index: usize) {
        let timers = self.options.timers();
        let site = &mut self.sites[index];
        let now = site.clock.now(self.now_us).mono;
        let mut open_until = now;
        for number in 0..site.nodes.len() {
            if site.reaches(number) {
                if site.nodes[number].guard.fenced_at_us.is_some() {
                    return;
                }
                site.nodes[number].known_until = None;
            } else if let Some(until) = site.nodes[number].known_until {
                open_until = open_until.max(until.plus(timers.longest(timers.fence)));
            }
        }
        if !site.is_fence_asked {
            return;
        }
        if open_until > now {
            let at_us = site.clock.true_us(open_until, self.now_us);
            self.queue.push(at_us, Happening::FenceDone { site: index });
            return;
        }
        site.is_fence_asked = false;
        self.give(index, Event::Exclusion(Fact::Fenced));
    }

    /// A node that its site's watchdog cannot ask when it starts may serve for a lease, as far as that one knows.
    pub(super) fn doubt_nodes(&mut self, index: usize) {
        let lease = self.options.timers().lease;
        let site = &mut self.sites[index];
        let until = site.clock.now(self.now_us).mono.plus(lease);
        for node in 0..site.nodes.len() {
            if !site.reaches(node) {
                site.nodes[node].known_until = Some(until);
            }
        }
    }

    pub(super) fn cut_node(&mut self, index: usize, node: usize) {
        if let Some(it) = self.sites[index].nodes.get_mut(node) {
            it.cut += 1;
        }
    }

    /// A node is back: if its site is to serve nothing, neither may it.
    pub(super) fn join_node(&mut self, index: usize, node: usize) {
        let Some(it) = self.sites[index].nodes.get_mut(node) else { return };
        it.cut -= 1;
        if self.sites[index].is_fence_asked && self.sites[index].core.is_some() {
            self.fence(index);
        }
    }
}
