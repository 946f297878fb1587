//! What the cores ask for, done in the simulated world.

use std::time::Duration;

use dr_watchdog_core::durable::Durable;
use dr_watchdog_core::effect::{Ask, PingTargets, PlanKind};
use dr_watchdog_core::event::Beat;
use dr_watchdog_core::exclusion::fact::Fact;
use dr_watchdog_core::exclusion::request::Request;
use dr_watchdog_core::{Effect, Event};
use dr_watchdog_sdk::evidence::{Session, SshOutcome};
use dr_watchdog_sdk::sections::Role;
use dr_watchdog_sdk::{Verdict, VerdictState};

use super::queue::Happening;
use super::{Change, MS_US, SECOND_US, World};
use crate::options::Exclusion;
use crate::policy;

impl World {
    pub(super) fn effect(&mut self, index: usize, effect: Effect) {
        match effect {
            Effect::PingPeer { ping, targets, timeout, tries } => {
                self.ping_peer(index, ping, targets, timeout, tries)
            }
            Effect::SendHeartbeat => self.send_plain(index),
            Effect::StartLooking => {
                if !self.options.exclusion.is_lease() {
                    let run = self.sites[index].run;
                    self.after(300 * MS_US, Happening::PlainLook { site: index, run });
                }
            }
            Effect::StopLooking => self.sites[index].connections.iter_mut().for_each(|c| *c = None),
            Effect::SweepArbiters { sweep } => {
                let run = self.sites[index].run;
                self.after(20 * MS_US, Happening::Sweep { site: index, run, sweep });
            }
            Effect::HoldArbiters => self.begin_holds(index),
            Effect::ReleaseArbiters => self.end_holds(index),
            Effect::AskPolicy(ask) => self.ask(index, &ask),
            Effect::Persist { write, durable } => self.persist(index, write, *durable),
            Effect::RunStep { plan, kind, .. } => self.run_step(index, plan, kind),
            Effect::CancelStep { .. } => self.sites[index].plan += 1,
            Effect::Changed(row) => {
                self.watch.track(self.now_us, index, Change::Phase(row.to));
                self.note(index, || row.sentence.to_owned());
            }
            Effect::Record(decision) => {
                self.note(index, || format!("verdict {:?}: {}", decision.verdict.action, decision.outcome))
            }
            Effect::Notify(notice) => self.note(index, || notice.text),
            Effect::Exclusion(request) => self.request(index, request),
        }
    }

    fn request(&mut self, index: usize, request: Request) {
        match request {
            Request::Send(signed) => {
                self.network.count_message();
                let passes = self.network.udp_blocked == 0 && self.network.to_peer(&mut self.random, index);
                if passes && self.sites[1 - index].down == 0 {
                    let delay = self.random.between(MS_US, 30 * MS_US);
                    self.after(delay, Happening::Heard { site: 1 - index, signed });
                }
            }
            Request::Look { look, arbiter, timeout } => self.look(index, look, arbiter, timeout),
            Request::Mark { epoch, is_claim } => self.sites[index].mark = (epoch, is_claim),
            Request::ArmGuard { epoch, until } => self.arm_guard(index, epoch, until),
            Request::Fence => self.fence(index),
        }
    }

    pub(super) fn later(&mut self, index: usize, us: u64, event: Event) {
        let run = self.sites[index].run;
        self.after(us, Happening::Core { site: index, run, event: Box::new(event) });
    }

    fn ping_peer(&mut self, index: usize, ping: u64, targets: PingTargets, timeout: Duration, tries: u32) {
        let other = &self.sites[1 - index];
        let is_there = other.down == 0 && other.frozen == 0;
        let is_there = is_there && (targets == PingTargets::Nodes || other.is_vip_moving == 0);
        let answered = is_there
            && (0..tries).any(|_| {
                self.network.to_peer(&mut self.random, index)
                    && self.network.to_peer(&mut self.random, 1 - index)
            });
        let us =
            if answered { self.random.between(2 * MS_US, 40 * MS_US) } else { Self::us(timeout * tries) };
        self.later(index, us, Event::PeerPingEnded { ping, answered });
    }

    /// The heartbeat of the mode without leases.
    fn send_plain(&mut self, index: usize) {
        let Some(core) = &self.sites[index].core else { return };
        if self.options.exclusion == Exclusion::Manual {
            return;
        }
        let beat = Beat {
            site_index: u8::from(index == 1),
            epoch: core.epoch(),
            phase: core.phase(),
            config_equal: None,
            automatic_failover: core.automatic().is_on(),
            turn: core.turn_said().cloned(),
            heard: self.sites[1 - index].clock.now(self.now_us).wall,
        };
        if self.network.udp_blocked == 0 && self.network.to_peer(&mut self.random, index) {
            let delay = self.random.between(MS_US, 30 * MS_US);
            self.later(1 - index, delay, Event::HeartbeatHeard(beat));
        }
    }

    fn can_ping(&mut self, index: usize, arbiter: usize) -> bool {
        let is_up = self.arbiters[arbiter].down == 0;
        let paths = self.network.out[index][arbiter] == 0 && self.network.back[index][arbiter] == 0;
        is_up
            && paths
            && self.network.passes(&mut self.random, index)
            && self.network.passes(&mut self.random, index)
    }

    pub(super) fn sweep(&mut self, index: usize, run: u64, sweep: u64) {
        if self.sites[index].run != run {
            return;
        }
        for arbiter in 0..self.arbiters.len() {
            let answer = if self.can_ping(index, arbiter) { Ok(0.8) } else { Err(String::new()) };
            self.give_quietly(index, Event::ArbiterPinged { arbiter, answer });
        }
        self.give(index, Event::SweepEnded { sweep });
    }

    pub(super) fn can_exchange(&mut self, index: usize, arbiter: usize) -> bool {
        self.arbiters[arbiter].down == 0
            && self.sites[index].ssh_blocked == 0
            && self.network.exchange(&mut self.random, index, arbiter)
    }

    fn look(&mut self, index: usize, look: u64, arbiter: usize, timeout: Duration) {
        if arbiter >= self.arbiters.len() {
            self.look_failed(index, look, arbiter, Self::us(timeout));
            return;
        }
        let is_new = self.sites[index].connections[arbiter].is_none();
        let fast_us = if is_new {
            self.random.between(300 * MS_US, 3 * SECOND_US)
        } else {
            self.random.between(10 * MS_US, 300 * MS_US)
        };
        let slow_us =
            if self.network.slow_ssh > 0 { self.random.between(SECOND_US, 8 * SECOND_US) } else { 0 };
        let deadline_us = self.now_us + Self::us(timeout);
        let run = self.sites[index].run;
        self.after(fast_us + slow_us, Happening::Sample { site: index, run, arbiter, look, deadline_us });
    }

    /// The look reads the table, if the arbiter can be reached; the answer arrives a little later.
    pub(super) fn sample(&mut self, index: usize, run: u64, arbiter: usize, look: u64, deadline_us: u64) {
        if self.sites[index].run != run {
            return;
        }
        let is_good = self.now_us < deadline_us && self.can_exchange(index, arbiter);
        if !is_good {
            let left = deadline_us.saturating_sub(self.now_us);
            self.look_failed(index, look, arbiter, left);
            return;
        }
        let connection = self.sites[index].connections[arbiter].unwrap_or(0);
        let connection = if connection == 0 { self.id() } else { connection };
        self.sites[index].connections[arbiter] = Some(connection);
        let mut seen = self.arbiters[arbiter].look(self.now_us, 1 - index, connection);
        if self.sites[index].wrong_list > 0 {
            seen.rows.clear();
        }
        seen.is_own_seen_as_peer = self.sites[index].nat > 0;
        let ping = if self.can_ping(index, arbiter) { Ok(0.8) } else { Err(String::new()) };
        let delay = self.random.between(MS_US, 200 * MS_US);
        self.later(index, delay, Event::Exclusion(Fact::Looked { look, arbiter, ping, result: Ok(seen) }));
    }

    fn look_failed(&mut self, index: usize, look: u64, arbiter: usize, us: u64) {
        if let Some(connection) = self.sites[index].connections.get_mut(arbiter) {
            *connection = None;
        }
        let is_pinged = arbiter < self.arbiters.len() && self.can_ping(index, arbiter);
        let ping = if is_pinged { Ok(0.8) } else { Err(String::new()) };
        let result = Err((SshOutcome::Timeout, String::new()));
        self.later(index, us, Event::Exclusion(Fact::Looked { look, arbiter, ping, result }));
    }

    /// One round of looks in the mode without leases.
    pub(super) fn plain_look(&mut self, index: usize, run: u64) {
        let is_looking = self.sites[index].core.as_ref().is_some_and(|core| core.is_looking());
        if self.sites[index].run != run || !is_looking {
            return;
        }
        for arbiter in 0..self.arbiters.len() {
            let answer = if self.can_ping(index, arbiter) { Ok(0.8) } else { Err(String::new()) };
            self.give(index, Event::ArbiterPinged { arbiter, answer });
            let from = if index == 0 { "192.0.2.20" } else { "192.0.2.10" };
            let result = if self.can_exchange(index, arbiter) {
                let row = self.arbiters[arbiter].has_row(self.now_us, 1 - index);
                Ok(row.map(|_| Session { from: from.to_owned(), age_ms: None }).into_iter().collect())
            } else {
                Err((SshOutcome::Timeout, String::new()))
            };
            self.give(index, Event::ArbiterLooked { arbiter, result });
        }
        self.after(5 * SECOND_US, Happening::PlainLook { site: index, run });
    }

    fn ask(&mut self, index: usize, ask: &Ask) {
        let Some(core) = &self.sites[index].core else { return };
        let settings = core.settings();
        let site = policy::Site {
            index,
            role: core.role(),
            failover: core.failover(),
            thresholds: settings.thresholds.clone(),
            wait_duration_s: super::WAIT_DURATION_S,
        };
        let (verdict, failure) = match self.policy.decide(&site, ask) {
            Ok(verdict) => (verdict, None),
            Err(why) => {
                let state =
                    if site.role == Role::Active { VerdictState::Active } else { VerdictState::Standby };
                (Verdict::nothing(state, why.clone()), Some(why))
            }
        };
        let delay = self.random.between(50 * MS_US, 500 * MS_US);
        self.later(index, delay, Event::VerdictReturned { ask: ask.id, verdict, failure });
    }

    fn persist(&mut self, index: usize, write: u64, durable: Durable) {
        let delay = self.random.between(MS_US, 20 * MS_US);
        if self.sites[index].disk_full > 0 {
            self.later(
                index,
                delay,
                Event::PersistFailed { write, why: "no space left on device".to_owned() },
            );
            return;
        }
        self.watch.epoch(index, durable.epoch);
        if self.sites[index].old_image.is_none() && durable.epoch > 0 {
            self.sites[index].old_image = Some(durable.clone());
        }
        self.sites[index].disk = Some(durable);
        self.later(index, delay, Event::Persisted { write });
    }

    fn run_step(&mut self, index: usize, plan: u64, kind: PlanKind) {
        let is_start = kind == PlanKind::BeActive;
        let run = self.sites[index].run;
        self.sites[index].plan += 1;
        let mark = self.sites[index].plan;
        let mut us = self.random.between(2 * SECOND_US, 10 * SECOND_US);
        if is_start {
            if self.sites[index].hook_fails == 0 {
                self.start_services(index);
                self.note_serving();
            }
        } else {
            us += self.sites[index].slow_stop_s * SECOND_US;
        }
        self.after(
            us,
            Happening::StepDone {
                site: index,
                run,
                plan,
                step: usize::try_from(mark).unwrap_or(0),
                is_start,
            },
        );
    }

    pub(super) fn step_done(&mut self, index: usize, run: u64, plan: u64, mark: usize, is_start: bool) {
        let site = &mut self.sites[index];
        if site.run != run || site.plan != mark as u64 {
            return;
        }
        let mut result = Ok(());
        if is_start && site.hook_fails > 0 {
            result = Err("exit status 1".to_owned());
        }
        if is_start && result.is_ok() {
            self.start_services(index);
        }
        if !is_start {
            self.stop_services(index);
            self.watch.stopped_us = self.now_us;
        }
        self.note_serving();
        self.give(index, Event::StepEnded { plan, step: 0, result });
    }
}
