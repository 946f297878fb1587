//! Evidence per arbiter: ping, sessions, held sessions.
//!
//! Three things go on here, each on request: *looking* (ping and sessions of every arbiter, on one kept connection
//! each), *holding* (one session per arbiter that proves to the other site that this one lives) and *sweeping* (one
//! ping of every arbiter). All of them report; nobody decides here.

mod attend;
mod device;
pub mod findings;
mod hold;
mod linger;
mod look;
mod movement;
pub mod parse;
mod reach;
pub mod round;
mod settings;
mod survey;

use std::collections::VecDeque;
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dr_watchdog_sdk::evidence::{Session, SshAnswer, SshOutcome};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::config::model::{Arbiter, LOOKS_AT_ONCE};
use crate::probe::ping::{PingOutcome, Pinger};
use crate::probe::resolve::{self, ResolveError};
use crate::probe::ssh::{Adapter, Connection, Destination, SshError, Transport};
use device::Device;
pub use linger::{LINGER_LIMIT, Linger};
pub use settings::Settings;
pub use survey::Surveyed;

/// Most connections that are opened at once, for looks and holds together: log-ins cost this machine, and the network,
/// more than anything else here.
pub const LOOK_CONNECTS_MAX: usize = LOOKS_AT_ONCE;
/// Of these, most looks at arbiters whose last look failed.
const SECOND_CONNECTS_MAX: usize = LOOK_CONNECTS_MAX / 2;
/// Of these, most held sessions.
pub const HOLD_CONNECTS_MAX: usize = 64;
/// Most sweeps at once. More pile up only where a sweep takes longer than the heartbeat's interval.
const SWEEPS_MAX: usize = 4;
/// How long the goodbyes at the end of the program may take in all.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Something that was found out. An arbiter is its position in the list.
#[derive(Debug)]
pub enum Report {
    /// A ping ended.
    Pinged {
        /// Which arbiter.
        arbiter: usize,
        /// How.
        outcome: PingOutcome,
        /// When it was begun.
        begun: Instant,
    },
    /// All arbiters of a sweep have been pinged.
    SweepFinished {
        /// The number that [`Arbiters::sweep`] was given.
        round: u64,
    },
    /// A look at the sessions ended.
    Looked {
        /// Which arbiter.
        arbiter: usize,
        /// The sessions, or which step failed and how.
        result: Result<Vec<Session>, (SshOutcome, String)>,
        /// When the question was sent.
        begun: Instant,
        /// Whether the connection is the one of the look before; a look over a new one begins a new series.
        is_unbroken: bool,
    },
    /// Another host key than the expected one was shown. Said once per attempt; there is one a minute.
    HostKeyChanged {
        /// Which arbiter.
        arbiter: usize,
        /// What was shown and what was expected.
        why: String,
    },
    /// An arbiter with a name is asked at its last known address from now on, or at the present one again.
    AddressAged {
        /// Which arbiter.
        arbiter: usize,
        /// The last known address; `None` = a name server has told one again.
        old: Option<IpAddr>,
    },
    /// A held session is open.
    HoldOpened {
        /// Which arbiter.
        arbiter: usize,
    },
    /// A held session answered.
    HoldAnswered {
        /// Which arbiter.
        arbiter: usize,
        /// When the question was sent: the arbiter may have answered any time since.
        sent: Instant,
    },
    /// A held session broke, or cannot be opened. Said once per reason.
    HoldLost {
        /// Which arbiter.
        arbiter: usize,
        /// Why.
        why: String,
    },
}

/// What one look found.
#[derive(Debug)]
pub struct Look {
    /// How the ping ended.
    pub ping: PingOutcome,
    /// The sessions, or which step failed and how; `None` if nobody asked for them.
    pub sessions: Option<Result<Vec<Session>, (SshOutcome, String)>>,
    /// The last known address that was asked, where no name server told the present one.
    pub old_address: Option<IpAddr>,
}

/// All arbiters of a site.
#[derive(Debug)]
pub struct Arbiters {
    shared: Arc<Shared>,
    looking: Mutex<Option<Running>>,
    holding: Mutex<Option<Running>>,
    sweeping: Mutex<VecDeque<JoinHandle<()>>>,
    /// Tasks that say goodbye.
    ending: Mutex<Vec<JoinHandle<()>>>,
}

/// What every task of this room knows.
#[derive(Debug)]
struct Shared {
    devices: Vec<Device>,
    settings: Settings,
    pinger: Arc<Pinger>,
    gateways: reach::Gateways,
    transport: Arc<dyn Transport>,
    reports: mpsc::Sender<Report>,
    look_connects: Semaphore,
    second_connects: Semaphore,
    hold_connects: Semaphore,
}

/// Tasks that run until they are told to stop.
#[derive(Debug)]
struct Running {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    fn stop(self, ending: &Mutex<Vec<JoinHandle<()>>>) {
        self.stop.send_replace(true);
        let mut ending = lock(ending);
        ending.retain(|task| !task.is_finished());
        ending.extend(self.tasks);
    }
}

impl Arbiters {
    /// Arbiters that are reached by the usual adapter, and trusted by their pins alone.
    pub fn new(
        targets: Vec<Arbiter>,
        settings: Settings,
        pinger: Arc<Pinger>,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        Self::with_transport(targets, settings, pinger, reports, Adapter::Russh.transport(Vec::new()))
    }

    /// Arbiters that are reached by this transport.
    pub fn with_transport(
        targets: Vec<Arbiter>,
        settings: Settings,
        pinger: Arc<Pinger>,
        reports: mpsc::Sender<Report>,
        transport: Arc<dyn Transport>,
    ) -> Self {
        let shared = Shared {
            devices: targets.into_iter().map(Device::new).collect(),
            settings,
            pinger,
            gateways: reach::Gateways::default(),
            transport,
            reports,
            look_connects: Semaphore::new(LOOK_CONNECTS_MAX),
            second_connects: Semaphore::new(SECOND_CONNECTS_MAX),
            hold_connects: Semaphore::new(HOLD_CONNECTS_MAX),
        };
        Self {
            shared: Arc::new(shared),
            looking: Mutex::default(),
            holding: Mutex::default(),
            sweeping: Mutex::default(),
            ending: Mutex::default(),
        }
    }

    /// Looks at every arbiter now and at each interval, until told to stop.
    pub fn start_looking(&self) {
        let begin = Instant::now();
        self.start(&self.looking, |shared, arbiter, stopped| {
            tokio::spawn(look::look_until_stopped(shared, arbiter, begin, stopped))
        });
    }

    /// Ends the looking and closes its connections.
    pub fn stop_looking(&self) {
        if let Some(running) = lock(&self.looking).take() {
            running.stop(&self.ending);
        }
    }

    /// Holds one session at every arbiter, until told to release them.
    pub fn hold(&self) {
        self.start(&self.holding, |shared, arbiter, stopped| {
            tokio::spawn(hold::hold_until_stopped(shared, arbiter, stopped))
        });
    }

    /// Closes the held sessions.
    pub fn release(&self) {
        if let Some(running) = lock(&self.holding).take() {
            running.stop(&self.ending);
        }
    }

    fn start(
        &self,
        place: &Mutex<Option<Running>>,
        task: impl Fn(Arc<Shared>, usize, watch::Receiver<bool>) -> JoinHandle<()>,
    ) {
        let mut place = lock(place);
        if place.is_some() {
            return;
        }
        let (stop, stopped) = watch::channel(false);
        let arbiters = 0..self.shared.devices.len();
        let tasks =
            arbiters.map(|arbiter| task(Arc::clone(&self.shared), arbiter, stopped.clone())).collect();
        *place = Some(Running { stop, tasks });
    }

    /// Pings every arbiter once, with the configured retries.
    pub fn sweep(&self, round: u64) {
        let mut sweeping = lock(&self.sweeping);
        sweeping.retain(|sweep| !sweep.is_finished());
        if sweeping.len() >= SWEEPS_MAX
            && let Some(oldest) = sweeping.pop_front()
        {
            tracing::warn!(
                "a sweep of the arbiters takes longer than {SWEEPS_MAX} intervals and is given up"
            );
            oldest.abort();
        }
        sweeping.push_back(tokio::spawn(reach::sweep(Arc::clone(&self.shared), round)));
    }

    /// Looks once at every arbiter, beside whatever else goes on; in the order of the targets.
    pub async fn look_once(&self, wants_sessions: bool) -> Vec<Look> {
        if !wants_sessions {
            let pings = reach::ping_all(&self.shared).await;
            let looks = pings.into_iter().zip(&self.shared.devices);
            return looks
                .map(|(ping, device)| Look { ping, sessions: None, old_address: *lock(&device.old_address) })
                .collect();
        }
        self.each(|shared, arbiter| async move { look::look_once(&shared, arbiter).await }).await
    }

    /// Looks at every arbiter so many times, at this interval; in the order of the targets.
    pub async fn survey(&self, samples: u32, interval: Duration) -> Vec<Surveyed> {
        self.each(|shared, arbiter| survey::survey(shared, arbiter, samples, interval)).await
    }

    /// Measures how long these arbiters keep the session of a dead client, all at once.
    pub async fn linger(&self, of: &[usize], limit: Duration) -> Vec<(usize, Result<Linger, String>)> {
        let mut running = JoinSet::new();
        for arbiter in of.iter().copied() {
            let shared = Arc::clone(&self.shared);
            running.spawn(async move { (arbiter, linger::measure(&shared, arbiter, limit).await) });
        }
        running.join_all().await
    }

    async fn each<T: Send + 'static, F>(&self, task: impl Fn(Arc<Shared>, usize) -> F) -> Vec<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut running = JoinSet::new();
        for arbiter in 0..self.shared.devices.len() {
            let doing = task(Arc::clone(&self.shared), arbiter);
            running.spawn(async move { (arbiter, doing.await) });
        }
        let mut ended = running.join_all().await;
        ended.sort_by_key(|(arbiter, _)| *arbiter);
        ended.into_iter().map(|(_, value)| value).collect()
    }

    /// Runs a command at an arbiter, for a policy.
    pub async fn run_command(&self, name: &str, command: &str, timeout: Duration) -> SshAnswer {
        let arbiter = self.shared.devices.iter().position(|device| device.target.name == name);
        let Some(arbiter) = arbiter else {
            let names: Vec<&str> =
                self.shared.devices.iter().map(|device| device.target.name.as_str()).collect();
            let message = format!("there is no arbiter \"{name}\"; the arbiters are {}", names.join(", "));
            return SshAnswer::Failed { error: SshOutcome::Dns, message };
        };
        self.shared.devices[arbiter].run_command(&self.shared, arbiter, command, timeout).await
    }

    /// Ends everything; goodbyes may take a moment.
    pub async fn shutdown(&self) {
        self.stop_looking();
        self.release();
        for sweep in lock(&self.sweeping).drain(..) {
            sweep.abort();
        }
        let ending = std::mem::take(&mut *lock(&self.ending));
        let deadline = Instant::now() + SHUTDOWN_TIMEOUT;
        for mut task in ending {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

impl Drop for Arbiters {
    fn drop(&mut self) {
        self.stop_looking();
        self.release();
    }
}

impl Shared {
    /// Opens a connection, for whatever purpose. Where a wrong host key was shown a moment ago, none is opened: that is
    /// an alarm for people, and trying again tells an impostor only more of us.
    async fn connect(
        &self,
        arbiter: usize,
        to: &Destination,
        deadline: Instant,
    ) -> Result<Box<dyn Connection>, SshError> {
        let device = &self.devices[arbiter];
        if let Some(alarm) = device.alarm(Instant::now()) {
            return Err(alarm.into());
        }
        let connected = self.transport.connect(to, deadline).await;
        if let Err(SshError::HostKey(error)) = &connected
            && error.is_alarm()
        {
            device.raise(Instant::now(), error.clone());
            // Nobody listens any more only when the program ends.
            let _ = self.reports.send(Report::HostKeyChanged { arbiter, why: error.to_string() }).await;
        }
        connected
    }

    /// The address of an arbiter, by now; says so once where it is the last known one.
    async fn resolve(&self, arbiter: usize, timeout: Duration) -> Result<IpAddr, ResolveError> {
        let device = &self.devices[arbiter];
        let resolved = resolve::resolve(&device.target.host, timeout).await?;
        let old = resolved.age.map(|_| resolved.address);
        if std::mem::replace(&mut *lock(&device.old_address), old) != old {
            // Nobody listens any more only when the program ends.
            let _ = self.reports.send(Report::AddressAged { arbiter, old }).await;
        }
        Ok(resolved.address)
    }

    /// The destination of a look.
    fn look_at(&self, arbiter: usize) -> Destination {
        self.devices[arbiter].destination(self.settings.source)
    }

    /// The destination of a held session.
    fn hold_at(&self, arbiter: usize) -> Destination {
        self.devices[arbiter].destination(self.settings.hold_address.or(self.settings.source))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns once the tasks are told to stop, or nobody is left to tell them.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|is_stopped| *is_stopped).await;
}
