//! Operators: what they type, and how they go on when they are refused.

use std::time::Duration;

use dr_watchdog_core::Event;
use dr_watchdog_core::exclusion::fact::{Command, Fact};
use dr_watchdog_core::exclusion::state::Joining;
use dr_watchdog_core::transitions::Phase;

use super::queue::Happening;
use super::site::Guard;
use super::{SECOND_US, World};
use crate::fault::Kind;

/// Seconds for which an operator waits for the other site's word.
const STOP_TRIES_MAX: u32 = 60;

impl World {
    /// What operators do; faults that only cut paths have done all they do.
    pub(super) fn operate(&mut self, kind: Kind) {
        match kind {
            Kind::AutomaticOff { site } => {
                let off =
                    Event::OperatorDisabled { span: None, reason: "drill".to_owned(), by: "ops".to_owned() };
                self.command(site, off);
            }
            Kind::HandOver { site } => {
                self.command(site, Event::Exclusion(Fact::Operator(Command::HandOver)))
            }
            Kind::Manual { site } => self.become_active(site, false),
            Kind::Force { site } => self.become_active(site, true),
            Kind::Release { seconds } => {
                let span = Some(Duration::from_secs(seconds));
                self.at_active(Command::Release { span });
            }
            Kind::ChangeArbiters => self.change_arbiters(),
            Kind::Reset { site } => self.command(site, Event::Exclusion(Fact::Operator(Command::Reset))),
            Kind::PeerIsOff { site } => {
                self.command(site, Event::Exclusion(Fact::Operator(Command::PeerIsOff)))
            }
            _ => {}
        }
    }

    fn command(&mut self, site: usize, event: Event) {
        if self.sites[site].hung == 0 && self.sites[site].frozen == 0 {
            self.give(site, event);
        }
    }

    /// An operator who gets no answer tries again, and one who is told that the disk did not take it too.
    pub(super) fn switch_on(&mut self, index: usize) {
        let site = &self.sites[index];
        let is_there = site.core.is_some() && site.hung == 0 && site.frozen == 0;
        let is_written = is_there && site.disk_full == 0;
        if is_there {
            self.watch.healed_us = self.now_us;
            self.give(index, Event::OperatorEnabled);
        }
        if !is_written {
            self.after(10 * SECOND_US, Happening::SwitchOn { site: index });
        }
    }

    fn become_active(&mut self, site: usize, is_forced: bool) {
        self.command(site, Event::Exclusion(Fact::Operator(Command::BecomeActive { is_forced })));
    }

    pub(super) fn at_active(&mut self, command: Command) {
        for site in 0..2 {
            let phase = self.sites[site].core.as_ref().map(dr_watchdog_core::Watchdog::phase);
            if phase == Some(Phase::Active) {
                self.command(site, Event::Exclusion(Fact::Operator(command)));
            }
        }
    }

    /// The first arbiter leaves the agreed set; where it was missing it comes back.
    fn change_arbiters(&mut self) {
        for site in 0..2 {
            let Some(core) = &self.sites[site].core else { continue };
            let Some(state) = core.lease().filter(|_| core.phase() == Phase::Active) else { continue };
            let mut agreed = state.memory.versions.current.clone();
            let full = self.drawn.agreed(&self.options);
            let half = self.drawn.kept_by_change();
            let is_full = agreed.arbiters.len() == full.arbiters.len();
            agreed.arbiters = if is_full { full.arbiters[..half].to_vec() } else { full.arbiters };
            self.command(site, Event::Exclusion(Fact::Proposed(Box::new(agreed))));
        }
    }

    /// `stop`: at an active the other site must promise first, because nobody ends serving at a lease's end then.
    pub(super) fn ask_stop(&mut self, site: usize, fault: usize) {
        self.stop_if_agreed(site, fault, 0);
    }

    pub(super) fn stop_if_agreed(&mut self, index: usize, fault: usize, tries: u32) {
        let site = &self.sites[index];
        let Some(core) = site.core.as_ref().filter(|_| self.in_force[fault] && site.stopped == 0) else {
            return;
        };
        // What was typed counts when it is on the disk.
        let disk = site.disk.as_ref();
        let is_written = match core.phase() {
            Phase::Standby => {
                let has_promised = disk.is_some_and(|durable| {
                    durable.exclusion.as_ref().is_none_or(|memory| memory.promise.is_some())
                });
                has_promised && !site.is_fencing()
            }
            Phase::Active => {
                core.why_not_stopped().is_none() && disk.is_some_and(|durable| durable.standing.is_stopped)
            }
            _ => false,
        };
        let is_agreed = core.phase() == Phase::Active;
        let command = if is_agreed { Command::Stop } else { Command::Promise };
        if is_written && site.hung == 0 && site.frozen == 0 {
            self.note(index, || "stopped by an operator; services are left as they are".to_owned());
            self.sites[index].stopped += 1;
            self.kill_daemon(index, true);
            if is_agreed {
                self.release_guards(index);
            }
        } else if tries < STOP_TRIES_MAX {
            self.command(index, Event::Exclusion(Fact::Operator(command)));
            self.after(SECOND_US, Happening::StopAsked { site: index, fault, tries: tries + 1 });
        } else {
            // Refused: the site goes on with its duty.
            self.command(index, Event::Exclusion(Fact::Operator(Command::Resume)));
        }
    }

    /// The guards of the nodes that can be told let go: services go on without them.
    fn release_guards(&mut self, index: usize) {
        let site = &mut self.sites[index];
        for node in 0..site.nodes.len() {
            if site.reaches(node) {
                site.nodes[node].guard = Guard::idle(site.nodes[node].guard.generation + 1);
            }
        }
    }

    /// `start` after a `stop`.
    pub(super) fn start_again(&mut self, index: usize) {
        if self.sites[index].stopped > 0 {
            self.sites[index].stopped -= 1;
            self.start_later(index, SECOND_US);
        } else {
            self.command(index, Event::Exclusion(Fact::Operator(Command::Resume)));
        }
    }

    /// `reset`, then `init`: a standby's state is made anew, and joins the other site's pair. At an active it is
    /// refused.
    pub(super) fn init(&mut self, index: usize) {
        self.command(index, Event::Exclusion(Fact::Operator(Command::Reset)));
        let state = self.sites[index].core.as_ref().and_then(|core| core.lease());
        if state.is_some_and(|state| state.joining != Joining::Joined) {
            self.lose_state(index);
        }
    }
}
