//! The simulated world: two real cores, and around them everything that can break.

mod arbiter;
mod clock;
mod effects;
mod faults;
mod happen;
mod holds;
mod network;
mod nodes;
mod operator;
mod queue;
mod site;
mod watch;

use std::time::Duration;

use dr_watchdog_core::durable::{Durable, Found};
use dr_watchdog_core::evidence::ManagedRule;
use dr_watchdog_core::exclusion::agreed::Versions;
use dr_watchdog_core::exclusion::memory::Memory;
use dr_watchdog_core::settings::{Exclusion, Honour, Lease, Mode, OnFailure, ResumeAlone, Settings, Step};
use dr_watchdog_core::watchdog::Boot;
use dr_watchdog_core::{Event, Watchdog};
use dr_watchdog_sdk::sections::{Role, Thresholds};
use dr_watchdog_sdk::threshold::Threshold;

use crate::fault::Fault;
use crate::options::{self, Drawn, Options};
use crate::policy::Policy;
use crate::random::Random;

use arbiter::Arbiter;
use network::Network;
use queue::{Happening, Queue};
use site::Site;
pub use watch::{Change, Note, Track, Watch};

const SECOND_US: u64 = 1_000_000;
const MS_US: u64 = 1_000;
/// Seconds of the grace period, far beyond what heals.
const WAIT_DURATION_S: u64 = 28_800;
/// More happenings than any schedule has: a loop that turns for ever ends the run instead of hanging it.
const HAPPENINGS_MAX: u64 = 20_000_000;

/// A stored state with which a site goes on in the role that it had, as under the manual's rules alone.
fn as_left(durable: &Durable) -> Durable {
    let mut durable = durable.clone();
    durable.standing.is_stopped = durable.role == Role::Active;
    durable
}

/// The world.
#[derive(Debug)]
pub struct World {
    options: Options,
    drawn: Drawn,
    faults: Vec<Fault>,
    random: Random,
    now_us: u64,
    queue: Queue,
    sites: [Site; 2],
    arbiters: Vec<Arbiter>,
    network: Network,
    policy: Box<dyn Policy>,
    next_id: u64,
    /// Which faults are in force.
    in_force: Vec<bool>,
    /// What was seen.
    pub watch: Watch,
}

impl World {
    /// A world at its start: site 0 is to be active, site 1 standby, all is well.
    pub fn new(
        options: &Options,
        drawn: Drawn,
        faults: Vec<Fault>,
        seed: u64,
        policy: Box<dyn Policy>,
        is_traced: bool,
    ) -> Self {
        let mut random = Random::new(seed ^ 0x5151_5151);
        let arbiters: Vec<Arbiter> = (0..options.arbiters)
            .map(|i| Arbiter::new(drawn.kinds[i], drawn.arbiter_ppm[i], drawn.linger_s[i]))
            .collect();
        let versions = Versions::single(drawn.agreed(options));
        let disk = |other: &str| {
            let mut durable = Durable::new(Role::Standby, "boot-1");
            let mut memory = Memory::new(7, versions.clone());
            memory.calibrated = versions.names();
            memory.calibrated_with = vec![other.to_owned()];
            durable.exclusion = Some(Box::new(memory));
            durable
        };
        // Without guards nobody would end serving at a node that is out of reach.
        let nodes = |site: usize| if options.exclusion.is_lease() { drawn.nodes[site].max(1) } else { 1 };
        let sites = [0, 1].map(|i| {
            Site::new(drawn.rate_ppm[i], options.arbiters, nodes(i), disk(["192.0.2.20", "192.0.2.10"][i]))
        });
        let mut queue = Queue::default();
        let begin = [random.between(1, 30 * SECOND_US), random.between(1, 30 * SECOND_US)];
        for (site, at_us) in begin.into_iter().enumerate() {
            queue.push(at_us, Happening::Start { site, run: 0 });
        }
        for (index, fault) in faults.iter().enumerate() {
            queue.push(fault.at_s * SECOND_US, Happening::FaultBegins { fault: index });
        }
        Self {
            in_force: vec![false; faults.len()],
            watch: Watch::new(is_traced),
            network: Network::new(options.arbiters),
            options: options.clone(),
            drawn,
            faults,
            random,
            now_us: 0,
            queue,
            sites,
            arbiters,
            policy,
            next_id: 1_000,
        }
    }

    /// Runs until a true time.
    pub fn run_until(&mut self, end_us: u64) {
        let mut happenings = 0;
        while self.queue.next_us().is_some_and(|at_us| at_us <= end_us) && happenings <= HAPPENINGS_MAX {
            let Some((at_us, what)) = self.queue.pop() else { break };
            happenings += 1;
            debug_assert!(at_us >= self.now_us, "the world goes forward");
            self.now_us = at_us;
            self.happen(what);
        }
        self.now_us = self.now_us.max(end_us);
        self.watch.happenings += happenings;
        self.note_serving();
    }

    /// Ends every fault that is still in force, and everything that waits to begin.
    pub fn heal(&mut self) {
        for fault in 0..self.faults.len() {
            self.end_fault(fault);
        }
    }

    /// The true time.
    pub const fn now_us(&self) -> u64 {
        self.now_us
    }

    /// When the last fault healed, counting an orderly stop that a fault made slow and the boot of a machine, even those
    /// that are still under way.
    pub fn healed_us(&self, at_most_us: u64) -> u64 {
        let healed_us = self.watch.healed_us.max(self.watch.stopped_us).min(at_most_us);
        let due_us = self.watch.stop_due_us.max(self.watch.boot_due_us);
        if due_us > at_most_us { due_us } else { healed_us }
    }

    /// Which sites serve.
    pub fn serving(&self) -> [bool; 2] {
        [self.sites[0].is_serving(), self.sites[1].is_serving()]
    }

    const fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn after(&mut self, us: u64, what: Happening) {
        self.queue.push(self.now_us.saturating_add(us), what);
    }

    fn settings(&self, site: usize) -> Settings {
        let options = &self.options;
        let timers = options.timers();
        let other = match (self.sites[site].wrong_list, site) {
            (0, 0) => "192.0.2.20",
            (0, _) => "192.0.2.10",
            _ => "192.0.2.99",
        };
        let threshold = Threshold::from_ten_thousandths(options.threshold).unwrap_or(Threshold::HALF);
        let exclusion = match options.exclusion {
            options::Exclusion::Verdict | options::Exclusion::Manual => {
                Exclusion::Verdict { wait: timers.wait }
            }
            options::Exclusion::Lease => Exclusion::Lease(Box::new(Lease {
                proposal: self.drawn.agreed(options),
                resume_alone: ResumeAlone::Proof,
                honour_be_standby: Honour::WhenWeak,
                rules: options.rules,
            })),
        };
        let step = |name: &str| Step { name: name.to_owned(), idempotent: true, on_failure: OnFailure::Stop };
        Settings {
            site_index: u8::from(site == 1),
            initial_role: if site == 0 { Role::Active } else { Role::Standby },
            mode: Mode::Enforce,
            heartbeat: options.heartbeat(),
            has_peer_nodes: true,
            thresholds: Thresholds {
                failover: threshold,
                adjust_managed: threshold,
                ..Thresholds::default()
            },
            wait_duration_s: Some(WAIT_DURATION_S),
            arbiters: (0..options.arbiters).map(|i| format!("r{i}")).collect(),
            managed_rule: ManagedRule {
                peer_addresses: vec![other.to_owned()],
                stale_ms: u64::try_from(timers.wait.as_millis()).unwrap_or(u64::MAX),
            },
            look_round: timers.look_timeout,
            exclusion,
            verifies_at_boot: false,
            be_active: vec![step("start services")],
            be_standby: vec![step("stop services")],
        }
    }

    /// The watchdog of a site starts, if its machine is on.
    fn start(&mut self, index: usize) {
        let site = &self.sites[index];
        if site.down > 0 || site.stopped > 0 || site.core.is_some() {
            return;
        }
        let settings = self.settings(index);
        let run = self.random.next();
        self.doubt_nodes(index);
        let site = &mut self.sites[index];
        site.run += 1;
        let now = site.clock.now(self.now_us);
        let boot_number = if self.options.exclusion == options::Exclusion::Manual { 1 } else { site.boot };
        let boot = Boot { id: format!("boot-{boot_number}"), run, guard: site.guard_found(self.now_us) };
        let found = match (&site.disk, self.options.exclusion) {
            (Some(durable), exclusion) if !exclusion.is_lease() && durable.epoch == 0 => Found::Absent,
            (Some(durable), options::Exclusion::Manual) => Found::Good(Box::new(as_left(durable))),
            (Some(durable), _) => Found::Good(Box::new(durable.clone())),
            (None, _) => Found::Bad("the state file is gone".to_owned()),
        };
        let core = Watchdog::boot_leased(now, settings, &boot, found);
        self.watch.track(self.now_us, index, Change::Phase(core.phase()));
        self.sites[index].core = Some(core);
        self.note(index, || format!("watchdog starts, guard {:?}", boot.guard));
        self.perform(index);
        self.note_serving();
    }

    /// The watchdog of a site is gone; its kernel closes its sockets.
    fn kill_daemon(&mut self, index: usize, is_kernel_alive: bool) {
        self.watch.track(self.now_us, index, Change::Gone);
        let site = &mut self.sites[index];
        site.core = None;
        site.lease = None;
        site.run += 1;
        site.timer_generation += 1;
        site.timer_due = None;
        site.connections.iter_mut().for_each(|connection| *connection = None);
        site.inbox.clear();
        self.drop_holds(index, is_kernel_alive);
        self.sites[index].is_holding = false;
        self.note_serving();
    }

    fn start_later(&mut self, index: usize, us: u64) {
        let run = self.sites[index].run;
        self.after(us, Happening::Start { site: index, run });
    }

    /// Gives an event to a core and does what it asks for.
    fn give(&mut self, index: usize, event: Event) {
        self.give_quietly(index, event);
        self.set_timer(index);
    }

    /// Gives one of several events that happen in one instant; the timer is set after the last.
    fn give_quietly(&mut self, index: usize, event: Event) {
        let site = &mut self.sites[index];
        let now = site.clock.now(self.now_us);
        let Some(core) = site.core.as_mut() else { return };
        core.handle_event(now, event);
        self.perform_effects(index);
    }

    fn perform(&mut self, index: usize) {
        self.perform_effects(index);
        self.set_timer(index);
    }

    fn perform_effects(&mut self, index: usize) {
        while let Some(effect) = self.sites[index].core.as_mut().and_then(Watchdog::poll_effect) {
            self.effect(index, effect);
        }
    }

    fn set_timer(&mut self, index: usize) {
        let site = &mut self.sites[index];
        let Some(due) = site.core.as_ref().and_then(Watchdog::poll_timeout) else { return };
        if site.timer_due.is_none_or(|before| due < before) {
            let at_us = site.clock.true_us(due, self.now_us).max(self.now_us);
            site.timer_due = Some(due);
            site.timer_generation += 1;
            let generation = site.timer_generation;
            self.queue.push(at_us, Happening::Timer { site: index, generation });
        }
    }

    fn note(&mut self, site: usize, text: impl FnOnce() -> String) {
        self.watch.note(self.now_us, Some(site), text);
    }

    fn note_serving(&mut self) {
        for site in 0..2 {
            if self.watch.is_serving(site) && !self.sites[site].is_serving() {
                self.watch.well_stopped = self.is_well(site).then_some(site);
            }
        }
        let serving = self.serving();
        self.watch.path(self.now_us, self.is_path_whole());
        self.watch.serving(self.now_us, serving);
    }

    /// Whether a site has no reason to stop: it is on, nobody asked for it, and it reaches the other site or enough
    /// arbiters.
    fn is_well(&self, index: usize) -> bool {
        let site = &self.sites[index];
        let is_asked = self.faults.iter().zip(&self.in_force).any(|(fault, in_force)| {
            use crate::fault::Kind;
            let is_operator = matches!(
                fault.kind,
                Kind::HandOver { .. }
                    | Kind::Manual { .. }
                    | Kind::Force { .. }
                    | Kind::Stop { .. }
                    | Kind::PeerIsOff { .. }
            );
            let is_own = matches!(
                fault.kind,
                Kind::HookFails { .. }
                    | Kind::CrashLoop { .. }
                    | Kind::StateLost { .. }
                    | Kind::RestoreImage { .. }
                    | Kind::DaemonCrash { .. }
                    | Kind::MoveVip { .. }
            );
            *in_force && (is_operator || is_own)
        });
        let is_up = site.down == 0 && site.frozen == 0 && site.hung == 0 && site.core.is_some();
        let other = &self.sites[1 - index];
        let hears_peer = self.network.peer == [0, 0]
            && self.network.udp_blocked == 0
            && other.core.is_some()
            && other.down == 0
            && other.frozen == 0
            && other.hung == 0;
        let is_quiet = self.network.loss.iter().all(Vec::is_empty)
            && self.network.slow_ssh == 0
            && self.now_us > self.watch.healed_us + 60 * SECOND_US;
        is_up && !is_asked && hears_peer && is_quiet
    }

    /// Whether the sites can talk, both ways, and are there to do so.
    fn is_path_whole(&self) -> bool {
        let is_there =
            |site: &Site| site.down == 0 && site.frozen == 0 && site.hung == 0 && site.core.is_some();
        self.network.peer == [0, 0]
            && self.network.udp_blocked == 0
            && self.network.loss.iter().all(Vec::is_empty)
            && self.sites.iter().all(is_there)
    }

    /// A span of a site's clock in true microseconds, its rate error aside.
    fn us(span: Duration) -> u64 {
        u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
    }
}
