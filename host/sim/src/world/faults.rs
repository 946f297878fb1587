//! Faults: how each begins, how it heals.

use dr_watchdog_core::Event;
use dr_watchdog_core::exclusion::fact::{Command, Fact};

use super::queue::Happening;
use super::{MS_US, SECOND_US, World};
use crate::fault::Kind;

impl World {
    pub(super) fn begin_fault(&mut self, fault: usize) {
        let (kind, for_us) = (self.faults[fault].kind.clone(), self.faults[fault].for_s * SECOND_US);
        self.watch.note(self.now_us, None, || format!("FAULT {kind:?} for {} s", for_us / SECOND_US));
        let is_alone = !self.in_force.iter().any(|in_force| *in_force);
        self.in_force[fault] = true;
        // Dead, starting anew, or out of everybody's reach: to the other site it is the same.
        self.watch.loss = match kind {
            Kind::PowerLoss { site } | Kind::Reboot { site } | Kind::Isolate { site }
                if is_alone && self.sites[site].is_serving() =>
            {
                Some((site, self.now_us))
            }
            _ => None,
        };
        self.after(for_us, Happening::FaultEnds { fault });
        self.cut(&kind, true);
        match kind {
            Kind::PowerLoss { site } => self.power_off(site, false),
            Kind::Reboot { site } => self.power_off(site, true),
            Kind::ArbiterReboot { arbiter } => {
                self.arbiters[arbiter].reboot();
                self.arbiters[arbiter].down += 1;
            }
            Kind::SlowSsh => self.network.slow_ssh += 1,
            Kind::CutPeerAfter { messages } => self.network.cut_after = Some(messages),
            Kind::Loss { site, percent } => self.network.loss[site].push(percent),
            Kind::MoveVip { site } => self.move_vip(site),
            Kind::CutNode { site, node } => self.cut_node(site, node),
            Kind::DaemonCrash { site } => {
                self.kill_daemon(site, true);
                self.start_later(site, 2 * SECOND_US);
            }
            Kind::CrashLoop { site, .. } => self.crash_again(site, fault),
            Kind::DaemonHang { site } => self.sites[site].hung += 1,
            Kind::SlowStop { site, seconds } => self.sites[site].slow_stop_s = seconds,
            Kind::BlockSsh { site } => self.sites[site].ssh_blocked += 1,
            Kind::BlockUdp => self.network.udp_blocked += 1,
            Kind::DiskFull { site } => self.sites[site].disk_full += 1,
            Kind::StateLost { site } => self.lose_state(site),
            Kind::HookFails { site } => self.sites[site].hook_fails += 1,
            Kind::WallClockJump { site } => self.sites[site].clock.wall_off_ms += 7_200_000,
            Kind::Nat { site } => self.sites[site].nat += 1,
            Kind::WrongList { site } => {
                self.sites[site].wrong_list += 1;
                self.reload(site);
            }
            Kind::ForgottenShell { site, arbiter } => {
                let session = self.id();
                self.arbiters[arbiter].forgotten(self.now_us, site, session);
            }
            Kind::Freeze { site } => self.sites[site].frozen += 1,
            Kind::FreezeClock { site } => {
                self.sites[site].frozen += 1;
                self.sites[site].clock.stop(self.now_us);
            }
            Kind::Lie { arbiter } => self.arbiters[arbiter].lies += 1,
            Kind::RestoreImage { site } => self.restore_image(site),
            Kind::ArbitersDown { arbiters } => arbiters.iter().for_each(|i| self.arbiters[*i].down += 1),
            Kind::KillGuard { site } => self.kill_guard(site),
            Kind::Stop { site } => self.ask_stop(site, fault),
            Kind::Init { site } => self.init(site),
            _ => self.operate(kind),
        }
        self.note_serving();
    }

    fn kill_guard(&mut self, index: usize) {
        let site = &mut self.sites[index];
        let guard = &mut site.nodes[site.vip].guard;
        guard.stop_timer();
        if guard.armed.is_some() && guard.fenced_at_us.is_none() {
            let k_us = Self::us(self.options.timers().keep_alive);
            self.later(index, k_us, Event::Exclusion(Fact::GuardFailed));
        }
    }

    pub(super) fn end_fault(&mut self, fault: usize) {
        if !std::mem::take(&mut self.in_force[fault]) {
            return;
        }
        let kind = self.faults[fault].kind.clone();
        self.watch.note(self.now_us, None, || format!("healed {kind:?}"));
        self.cut(&kind, false);
        match kind {
            Kind::PowerLoss { site } | Kind::Reboot { site } => self.power_on(site),
            Kind::ArbiterReboot { arbiter } => self.arbiters[arbiter].down -= 1,
            Kind::SlowSsh => self.network.slow_ssh -= 1,
            Kind::CutPeerAfter { .. } => self.network.join_counted(),
            Kind::Loss { site, percent } => {
                let loss = &mut self.network.loss[site];
                if let Some(at) = loss.iter().position(|found| *found == percent) {
                    loss.remove(at);
                }
            }
            Kind::CutNode { site, node } => self.join_node(site, node),
            Kind::MoveVip { site } => {
                self.sites[site].is_vip_moving -= 1;
                if self.sites[site].is_vip_moving == 0 {
                    self.sites[site].move_vip();
                }
                self.start_later(site, 0);
            }
            Kind::CrashLoop { site, .. } => self.start_later(site, SECOND_US),
            Kind::DaemonHang { site } => {
                self.sites[site].hung -= 1;
                self.wake(site);
            }
            Kind::AutomaticOff { site } => self.switch_on(site),
            Kind::Stop { site } => self.start_again(site),
            Kind::SlowStop { site, .. } => self.sites[site].slow_stop_s = 0,
            Kind::BlockSsh { site } => self.sites[site].ssh_blocked -= 1,
            Kind::BlockUdp => self.network.udp_blocked -= 1,
            Kind::DiskFull { site } => self.sites[site].disk_full -= 1,
            Kind::HookFails { site } => self.sites[site].hook_fails -= 1,
            Kind::Release { .. } => self.at_active(Command::Resume),
            Kind::Nat { site } => self.sites[site].nat -= 1,
            Kind::WrongList { site } => {
                self.sites[site].wrong_list -= 1;
                self.reload(site);
            }
            Kind::Freeze { site } | Kind::FreezeClock { site } => {
                self.sites[site].frozen -= 1;
                if self.sites[site].frozen == 0 {
                    let was_still = self.sites[site].clock.go_on(self.now_us);
                    self.wake_guard(site);
                    self.wake(site);
                    if was_still && self.drawn.sees_pauses[site] {
                        let us = self.random.between(MS_US, SECOND_US);
                        self.after(us, Happening::PauseSeen { site });
                    }
                }
            }
            Kind::Lie { arbiter } => self.arbiters[arbiter].lies -= 1,
            Kind::ArbitersDown { arbiters } => arbiters.iter().for_each(|i| self.arbiters[*i].down -= 1),
            _ => {}
        }
        self.watch.healed_us = self.now_us;
        self.watch.loss = None;
        self.note_serving();
    }

    /// Cuts paths, or joins them again.
    fn cut(&mut self, kind: &Kind, is_cut: bool) {
        let change = |count: &mut u32| if is_cut { *count += 1 } else { *count -= 1 };
        let network = &mut self.network;
        match kind {
            Kind::CutPeer => network.peer.iter_mut().for_each(change),
            Kind::CutPeerOneWay { from } => change(&mut network.peer[*from]),
            Kind::Isolate { site } => {
                network.peer.iter_mut().for_each(change);
                network.out[*site].iter_mut().chain(&mut network.back[*site]).for_each(change);
            }
            Kind::IsolateOneWay { site, outward: true } => {
                change(&mut network.peer[*site]);
                network.out[*site].iter_mut().for_each(change);
            }
            Kind::IsolateOneWay { site, outward: false } => {
                change(&mut network.peer[1 - *site]);
                network.back[*site].iter_mut().for_each(change);
            }
            Kind::CutArbiters { site, arbiters } | Kind::CutPeerAndArbiters { site, arbiters } => {
                if matches!(kind, Kind::CutPeerAndArbiters { .. }) {
                    network.peer.iter_mut().for_each(change);
                }
                for arbiter in arbiters {
                    change(&mut network.out[*site][*arbiter]);
                    change(&mut network.back[*site][*arbiter]);
                }
            }
            _ => {}
        }
    }

    /// The configuration of a site was changed and is read again.
    fn reload(&mut self, site: usize) {
        let settings = self.settings(site);
        if let Some(core) = &self.sites[site].core
            && core.settings().managed_rule != settings.managed_rule
        {
            let run = self.sites[site].run;
            let event = Box::new(Event::Reloaded(Box::new(settings)));
            self.after(0, Happening::Core { site, run, event });
        }
    }

    fn power_off(&mut self, site: usize, is_orderly: bool) {
        let was_up = self.sites[site].down == 0;
        self.sites[site].down += 1;
        if was_up {
            self.kill_daemon(site, is_orderly);
            self.sites[site].clear_nodes();
        }
    }

    fn power_on(&mut self, index: usize) {
        let site = &mut self.sites[index];
        site.down -= 1;
        if site.down == 0 {
            site.boot += 1;
            // Services that are enabled come up with the machine, unless only a lease lets them.
            let was_active =
                site.disk.as_ref().is_some_and(|durable| durable.role == dr_watchdog_sdk::Role::Active);
            let has_rule = self.options.rules.has(dr_watchdog_core::exclusion::rules::Rule::BootAsStandby);
            let is_resumed = self.options.exclusion == crate::options::Exclusion::Manual;
            site.nodes.iter_mut().for_each(|node| node.is_serving = was_active && (is_resumed || !has_rule));
            let us = self.random.between(SECOND_US, 20 * SECOND_US);
            self.watch.boot_due_us = self.watch.boot_due_us.max(self.now_us + us);
            self.start_later(index, us);
        }
    }

    fn move_vip(&mut self, site: usize) {
        self.sites[site].is_vip_moving += 1;
        // The watchdog of the node that loses the VIP ends; that of the next one starts when it has it.
        self.kill_daemon(site, true);
    }

    pub(super) fn crash_again(&mut self, site: usize, fault: usize) {
        if !self.in_force[fault] {
            return;
        }
        let Kind::CrashLoop { up_s, .. } = self.faults[fault].kind else { return };
        self.kill_daemon(site, true);
        let down_us = self.random.between(SECOND_US, 4 * SECOND_US);
        self.start_later(site, down_us);
        self.after(down_us + up_s * SECOND_US, Happening::CrashAgain { site, fault });
    }

    pub(super) fn lose_state(&mut self, site: usize) {
        self.kill_daemon(site, true);
        self.sites[site].disk = None;
        self.watch.forgives_epoch[site] = true;
        self.start_later(site, 2 * SECOND_US);
    }

    fn restore_image(&mut self, index: usize) {
        self.kill_daemon(index, false);
        self.watch.forgives_epoch[index] = true;
        let site = &mut self.sites[index];
        site.disk = site.old_image.clone().or_else(|| site.disk.clone());
        site.nodes.iter_mut().for_each(|node| node.is_serving = false);
        site.boot += 1;
        self.start_later(index, 20 * SECOND_US);
    }

    /// A machine or a watchdog goes on: the clock is looked at first, then what waited in the sockets.
    fn wake(&mut self, index: usize) {
        if self.sites[index].hung > 0 || self.sites[index].frozen > 0 {
            return;
        }
        let waiting = std::mem::take(&mut self.sites[index].inbox);
        self.sites[index].timer_generation += 1;
        self.sites[index].timer_due = None;
        self.give(index, Event::TimePassed);
        for what in waiting {
            let us = self.random.between(MS_US, 20 * MS_US);
            self.after(us, what);
        }
    }

    /// The guard of a machine that goes on, whatever its watchdog does. Its timer counts on the machine's own clock,
    /// which may have stood still; a fence that stood still with it may still need all of its time.
    fn wake_guard(&mut self, index: usize) {
        for node in 0..self.sites[index].nodes.len() {
            self.sites[index].nodes[node].guard.stop_timer();
            self.set_guard_timer(index, node);
            if self.sites[index].nodes[node].guard.fenced_at_us.take().is_some() {
                self.fence_node(index, node);
            }
        }
    }

    /// The second clock shows that the first one stood still: the guard fences by itself, the watchdog stops.
    pub(super) fn pause_seen(&mut self, index: usize) {
        self.note(index, || "the clock stood still, another one shows".to_owned());
        let vip = self.sites[index].vip;
        if self.sites[index].nodes[vip].guard.armed.is_some() {
            self.fence(index);
        }
        self.later(index, MS_US, Event::Exclusion(Fact::TimeSlipped));
    }
}
