//! The sessions that a site holds at the arbiters, down to the keepalive.

use dr_watchdog_core::exclusion::fact::Fact;
use dr_watchdog_core::{Event, Moment};

use super::queue::Happening;
use super::site::Hold;
use super::{MS_US, SECOND_US, World};
use crate::options::Sessions;

/// Keepalives without an answer after which a session is given up.
const UNANSWERED_MAX: u32 = 3;

impl World {
    pub(super) fn begin_holds(&mut self, index: usize) {
        if self.sites[index].is_holding {
            return;
        }
        self.sites[index].is_holding = true;
        self.note(index, || "opens holds".to_owned());
        self.sites[index].hold_generation += 1;
        let generation = self.sites[index].hold_generation;
        let is_late = !self.options.exclusion.is_lease() && self.options.sessions == Sessions::Application;
        let start_us = if is_late { self.random.between(60 * SECOND_US, 300 * SECOND_US) } else { 0 };
        for arbiter in 0..self.arbiters.len() {
            self.reopen(index, generation, arbiter, start_us);
        }
        self.after(SECOND_US, Happening::KeepAlive { site: index, generation });
    }

    fn reopen(&mut self, index: usize, generation: u64, arbiter: usize, wait_us: u64) {
        let slow_us =
            if self.network.slow_ssh > 0 { self.random.between(SECOND_US, 8 * SECOND_US) } else { 0 };
        let us = wait_us + slow_us + self.random.between(300 * MS_US, 3 * SECOND_US);
        self.after(us, Happening::Open { site: index, generation, arbiter });
    }

    pub(super) fn end_holds(&mut self, index: usize) {
        if self.sites[index].is_holding {
            self.sites[index].is_holding = false;
            self.note(index, || "closes holds".to_owned());
            self.drop_holds(index, true);
        }
    }

    /// Every hold ends; an arbiter that can be reached hears of it, if the kernel lives to say so.
    pub(super) fn drop_holds(&mut self, index: usize, is_said: bool) {
        self.sites[index].hold_generation += 1;
        for arbiter in 0..self.arbiters.len() {
            if let Some(hold) = self.sites[index].holds[arbiter].take() {
                self.end_session(index, arbiter, hold.session, is_said);
                self.give(index, Event::Exclusion(Fact::HoldClosed { arbiter, session: hold.session }));
            }
        }
    }

    fn end_session(&mut self, index: usize, arbiter: usize, session: u64, is_said: bool) {
        let arrives = is_said
            && self.arbiters[arbiter].down == 0
            && self.network.reaches(&mut self.random, index, arbiter);
        if arrives {
            self.arbiters[arbiter].close(session);
        } else {
            self.arbiters[arbiter].die(session);
        }
    }

    pub(super) fn open_hold(&mut self, index: usize, generation: u64, arbiter: usize) {
        let site = &self.sites[index];
        if site.hold_generation != generation || !site.is_holding || site.holds[arbiter].is_some() {
            return;
        }
        if site.is_vip_moving > 0 || !self.can_exchange(index, arbiter) {
            self.reopen(index, generation, arbiter, 5 * SECOND_US);
            return;
        }
        let session = self.id();
        self.arbiters[arbiter].open(self.now_us, index, session);
        let (epoch, is_claim) = self.sites[index].mark;
        self.arbiters[arbiter].write(self.now_us, index, epoch, is_claim);
        self.sites[index].holds[arbiter] = Some(Hold { session, unanswered: 0 });
        let event = Event::Exclusion(Fact::HoldOpened { arbiter, session });
        let run = self.sites[index].run;
        // The first keepalive follows the log-in at once: whoever writes a mark writes it then.
        let sent_us = self.sites[index].clock.local_us(self.now_us);
        self.after(120 * MS_US, Happening::Answer { site: index, generation, arbiter, session, sent_us });
        // The log-in's last packet is on its way while the arbiter already shows the session.
        self.after(20 * MS_US, Happening::Core { site: index, run, event: Box::new(event) });
    }

    pub(super) fn keep_alive(&mut self, index: usize, generation: u64) {
        if self.sites[index].hold_generation != generation {
            return;
        }
        let mut answered = 0;
        for arbiter in 0..self.arbiters.len() {
            if let Some(hold) = self.sites[index].holds[arbiter]
                && self.keep_one(index, generation, arbiter, hold)
            {
                answered |= 1 << arbiter;
            }
        }
        if answered != 0 {
            let us = self.random.between(2 * MS_US, 80 * MS_US);
            let (newest, sent_us) = (self.next_id, self.sites[index].clock.local_us(self.now_us));
            self.after(
                us,
                Happening::Answers { site: index, generation, arbiters: answered, newest, sent_us },
            );
        }
        if self.sites[index].nodes.len() > 1 {
            self.renew_nodes(index);
        }
        let k_us = Self::us(self.options.timers().keep_alive);
        self.after(k_us, Happening::KeepAlive { site: index, generation });
    }

    /// One keepalive; whether its answer comes with those of the others.
    fn keep_one(&mut self, index: usize, generation: u64, arbiter: usize, hold: Hold) -> bool {
        let is_usable = self.sites[index].is_vip_moving == 0 && self.sites[index].ssh_blocked == 0;
        let arrives = is_usable
            && self.arbiters[arbiter].down == 0
            && self.network.reaches(&mut self.random, index, arbiter);
        if arrives && !self.arbiters[arbiter].receive(self.now_us, hold.session) {
            // The arbiter does not know the session any more and says so.
            self.lose_hold(index, generation, arbiter, hold.session);
            return false;
        }
        if arrives {
            let (epoch, is_claim) = self.sites[index].mark;
            self.arbiters[arbiter].write(self.now_us, index, epoch, is_claim);
        }
        if arrives && self.network.back[index][arbiter] == 0 {
            if self.network.slow_ssh == 0 {
                return true;
            }
            let us = self.random.between(2 * MS_US, 5 * SECOND_US);
            let (session, sent_us) = (hold.session, self.sites[index].clock.local_us(self.now_us));
            self.after(us, Happening::Answer { site: index, generation, arbiter, session, sent_us });
        } else {
            let unanswered = hold.unanswered + 1;
            self.sites[index].holds[arbiter] = Some(Hold { unanswered, ..hold });
            if unanswered >= UNANSWERED_MAX {
                self.end_session(index, arbiter, hold.session, true);
                self.lose_hold(index, generation, arbiter, hold.session);
            }
        }
        false
    }

    fn lose_hold(&mut self, index: usize, generation: u64, arbiter: usize, session: u64) {
        self.sites[index].holds[arbiter] = None;
        self.give_unless_hung(index, Event::Exclusion(Fact::HoldClosed { arbiter, session }));
        self.reopen(index, generation, arbiter, SECOND_US);
    }

    /// The answers of one round of keepalives. A session that was opened after it was not asked.
    pub(super) fn hold_answers(
        &mut self,
        index: usize,
        generation: u64,
        (arbiters, newest): (u64, u64),
        sent_us: u64,
    ) {
        if self.sites[index].hold_generation != generation {
            return;
        }
        let sent = Moment::from_us(sent_us);
        for arbiter in (0..self.arbiters.len()).filter(|arbiter| arbiters >> arbiter & 1 == 1) {
            let hold = self.sites[index].holds[arbiter].as_mut();
            let Some(hold) = hold.filter(|hold| hold.session <= newest) else { continue };
            hold.unanswered = 0;
            let session = hold.session;
            let mark = self.arbiters[arbiter].mark(self.now_us, 1 - index);
            let event = Event::Exclusion(Fact::HoldAnswered { arbiter, session, sent, mark });
            if self.sites[index].hung > 0 {
                let run = self.sites[index].run;
                self.sites[index].inbox.push(Happening::Core { site: index, run, event: Box::new(event) });
            } else {
                self.give_quietly(index, event);
            }
        }
        self.set_timer(index);
    }

    pub(super) fn hold_answer(
        &mut self,
        index: usize,
        generation: u64,
        arbiter: usize,
        session: u64,
        sent_us: u64,
    ) {
        if self.sites[index].hold_generation != generation {
            return;
        }
        if let Some(hold) = &mut self.sites[index].holds[arbiter]
            && hold.session == session
        {
            hold.unanswered = 0;
        }
        let mark = self.arbiters[arbiter].mark(self.now_us, 1 - index);
        let sent = Moment::from_us(sent_us);
        self.give_unless_hung(index, Event::Exclusion(Fact::HoldAnswered { arbiter, session, sent, mark }));
    }

    fn give_unless_hung(&mut self, index: usize, event: Event) {
        if self.sites[index].hung > 0 {
            let run = self.sites[index].run;
            self.sites[index].inbox.push(Happening::Core { site: index, run, event: Box::new(event) });
        } else {
            self.give(index, event);
        }
    }
}
