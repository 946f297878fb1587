//! What is to happen, in the order of true time.

use std::cmp::Ordering;
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
    /// A hold is opened, if the arbiter can be reached then.
    Open { site: usize, generation: u64, arbiter: usize },
    /// A look reads the arbiter's table.
    Sample { site: usize, run: u64, arbiter: usize, look: u64, deadline_us: u64 },
    /// A sweep of pings ends.
    Sweep { site: usize, run: u64, sweep: u64 },
    /// The armed lease of a guard ends.
    GuardDue { site: usize, generation: u64 },
    /// The fence has ended serving.
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
    /// A round of looks in the mode without leases.
    PlainLook { site: usize, run: u64 },
}

#[derive(Debug)]
struct Item {
    at_us: u64,
    order: u64,
    what: Happening,
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Item {}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Item {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap gives the greatest first; the earliest is wanted.
        (other.at_us, other.order).cmp(&(self.at_us, self.order))
    }
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Item>,
    order: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at_us: u64, what: Happening) {
        if at_us < u64::MAX {
            self.order += 1;
            self.heap.push(Item { at_us, order: self.order, what });
        }
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, Happening)> {
        self.heap.pop().map(|item| (item.at_us, item.what))
    }
}
