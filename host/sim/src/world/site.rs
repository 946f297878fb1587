//! One site: its machine, its watchdog, its guard, its services.

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

/// The guard of the site's nodes.
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
    pub(crate) guard: Guard,
    pub(crate) are_services_up: bool,
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
    pub(crate) fn new(rate_ppm: i64, arbiters: usize, disk: Durable) -> Self {
        Self {
            core: None,
            run: 0,
            boot: 1,
            clock: Clock::new(rate_ppm),
            disk: Some(disk),
            old_image: None,
            guard: Guard::idle(0),
            are_services_up: false,
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

    pub(crate) const fn is_serving(&self) -> bool {
        self.are_services_up && self.down == 0 && self.frozen == 0
    }

    /// What a watchdog that starts finds of its guard.
    pub(crate) fn guard_found(&self, true_us: u64) -> GuardFound {
        let now = self.clock.now(true_us).mono;
        match self.guard.armed {
            Some((epoch, until)) if !self.guard.has_fired && until > now => {
                GuardFound::Armed { epoch, until }
            }
            Some(_) => GuardFound::Fired,
            None if self.are_services_up => GuardFound::Fired,
            None => GuardFound::Idle,
        }
    }
}
