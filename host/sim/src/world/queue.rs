//! What is to happen, in the order of true time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use dr_watchdog_core::Event;
use dr_watchdog_core::exclusion::message::Signed;

/// Something that happens.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A timer of the core is due.
    Timer { site: usize, generation: u64 },
    /// An event reaches the core that was running when it was caused.
    Core { site: usize, run: u64, event: Box<Event> },
    /// A signed heartbeat arrives.
    Heard { site: usize, signed: Box<Signed> },
    /// The holds of a site send their keepalives.
    KeepAlive { site: usize, generation: u64 },
    /// An answer to one arrives.
    Answer { site: usize, generation: u64, arbiter: usize, session: u64, sent_us: u64 },
    /// The answers to one round of them arrive: one bit per arbiter, of no session younger than `newest`.
    Answers { site: usize, generation: u64, arbiters: u64, newest: u64, sent_us: u64 },
    /// A hold is opened, if the arbiter can be reached then.
    Open { site: usize, generation: u64, arbiter: usize },
    /// A look reads the arbiter's table.
    Sample { site: usize, run: u64, arbiter: usize, look: u64, deadline_us: u64 },
    /// A sweep of pings ends.
    Sweep { site: usize, run: u64, sweep: u64 },
    /// The armed lease of a node's guard ends.
    GuardDue { site: usize, node: usize, generation: u64 },
    /// The pause detector of a site finds that its clock stood still.
    PauseSeen { site: usize },
    /// A fence has ended serving, or the end that a node out of reach knows is over.
    FenceDone { site: usize },
    /// A step of a plan ends.
    StepDone { site: usize, run: u64, plan: u64, step: usize, is_start: bool },
    /// The watchdog starts.
    Start { site: usize, run: u64 },
    /// A watchdog in a crash loop ends.
    CrashAgain { site: usize, fault: usize },
    /// A fault begins.
    FaultBegins { fault: usize },
    /// It ends.
    FaultEnds { fault: usize },
    /// An operator tries to switch automatic failover on again.
    SwitchOn { site: usize },
    /// An operator waits for the other site's word before the watchdog of this one is stopped.
    StopAsked { site: usize, fault: usize, tries: u32 },
    /// A round of looks in the mode without leases.
    PlainLook { site: usize, run: u64 },
}

impl Happening {
    /// The machine on which it happens: while that stands still, it waits.
    pub(crate) const fn machine(&self) -> Option<usize> {
        match self {
            Self::GuardDue { site, .. }
            | Self::FenceDone { site }
            | Self::PauseSeen { site }
            | Self::Answer { site, .. }
            | Self::Answers { site, .. }
            | Self::Sweep { site, .. }
            | Self::PlainLook { site, .. }
            | Self::StepDone { site, .. }
            | Self::Start { site, .. } => Some(*site),
            _ => self.process(),
        }
    }

    /// The watchdog that does it: while that hangs, it waits. A process that hangs sends nothing either: its sessions
    /// stay open, and grow old at the arbiters.
    pub(crate) const fn process(&self) -> Option<usize> {
        match self {
            Self::Timer { site, .. }
            | Self::Core { site, .. }
            | Self::Heard { site, .. }
            | Self::KeepAlive { site, .. }
            | Self::Open { site, .. }
            | Self::Sample { site, .. } => Some(*site),
            _ => None,
        }
    }
}

/// When an item is due, in which order it was pushed, where it lies: small, because the heap moves it about.
type Key = (u64, u32, u32);

/// The queue: a heap of keys beside the items.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<Key>>,
    items: Vec<Option<Happening>>,
    free: Vec<u32>,
    order: u32,
}

impl Queue {
    /// Adds an item; one that is due at the end of time never happens.
    ///
    /// A run has far fewer happenings than the order can count (`HAPPENINGS_MAX`), and far fewer at a time.
    pub(crate) fn push(&mut self, at_us: u64, what: Happening) {
        if at_us == u64::MAX {
            return;
        }
        self.order += 1;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.items[slot as usize] = Some(what);
                slot
            }
            None => {
                self.items.push(Some(what));
                u32::try_from(self.items.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.heap.push(Reverse((at_us, self.order, slot)));
    }

    /// When the next item is due.
    pub(crate) fn next_us(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at_us, _, _))| *at_us)
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, Happening)> {
        let Reverse((at_us, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        self.items.get_mut(slot as usize).and_then(Option::take).map(|what| (at_us, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_in_the_order_of_time_and_then_of_their_pushing() {
        let mut queue = Queue::default();
        for (at_us, site) in [(30, 0), (10, 1), (20, 2), (10, 3), (u64::MAX, 4)] {
            queue.push(at_us, Happening::FenceDone { site });
        }
        assert_eq!(queue.next_us(), Some(10));
        let sites: Vec<_> = std::iter::from_fn(|| queue.pop())
            .map(|(_, what)| match what {
                Happening::FenceDone { site } => site,
                other => panic!("{other:?} was never pushed"),
            })
            .collect();
        assert_eq!(sites, [1, 3, 2, 0]);
        queue.push(5, Happening::FenceDone { site: 7 });
        assert_eq!(queue.pop().map(|(at_us, _)| at_us), Some(5));
        assert_eq!(queue.items.len(), 4, "a slot is used again");
    }
}
