//! What happens, given to whom it concerns; what waits while a machine or a process stands still.

use dr_watchdog_core::Event;
use dr_watchdog_core::exclusion::fact::Fact;

use super::World;
use super::queue::Happening;

impl World {
    pub(super) fn happen(&mut self, what: Happening) {
        let is_still = what.machine().is_some_and(|site| self.sites[site].frozen > 0)
            || what.process().is_some_and(|site| self.sites[site].hung > 0);
        match what.machine().filter(|_| is_still) {
            Some(site) => self.sites[site].inbox.push(what),
            None => self.happen_now(what),
        }
    }

    fn happen_now(&mut self, what: Happening) {
        match what {
            Happening::Timer { site, generation } => {
                if self.sites[site].timer_generation == generation {
                    self.sites[site].timer_due = None;
                    self.give(site, Event::TimePassed);
                }
            }
            Happening::Core { site, run, event } => {
                if self.sites[site].run == run {
                    self.give(site, *event);
                }
            }
            Happening::Heard { site, signed } => self.give(site, Event::Exclusion(Fact::Heard(signed))),
            Happening::KeepAlive { site, generation } => self.keep_alive(site, generation),
            Happening::Answer { site, generation, arbiter, session, sent_us } => {
                self.hold_answer(site, generation, arbiter, session, sent_us);
            }
            Happening::Answers { site, generation, arbiters, newest, sent_us } => {
                self.hold_answers(site, generation, (arbiters, newest), sent_us);
            }
            Happening::Open { site, generation, arbiter } => self.open_hold(site, generation, arbiter),
            Happening::Sample { site, run, arbiter, look, deadline_us } => {
                self.sample(site, run, arbiter, look, deadline_us);
            }
            Happening::Sweep { site, run, sweep } => self.sweep(site, run, sweep),
            Happening::GuardDue { site, node, generation } => self.guard_due(site, node, generation),
            Happening::FenceDone { site } => self.fence_done(site),
            Happening::PauseSeen { site } => self.pause_seen(site),
            Happening::StepDone { site, run, plan, step, is_start } => {
                self.step_done(site, run, plan, step, is_start);
            }
            Happening::Start { site, run } => {
                if self.sites[site].run == run {
                    self.start(site);
                }
            }
            Happening::CrashAgain { site, fault } => self.crash_again(site, fault),
            Happening::FaultBegins { fault } => self.begin_fault(fault),
            Happening::FaultEnds { fault } => self.end_fault(fault),
            Happening::PlainLook { site, run } => self.plain_look(site, run),
            Happening::SwitchOn { site } => self.switch_on(site),
            Happening::StopAsked { site, fault, tries } => self.stop_if_agreed(site, fault, tries),
        }
    }
}
