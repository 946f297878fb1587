//! The daemon: builds the rooms in a visible order, then turns the run loop.

pub mod control;
pub mod health;
pub mod history;
pub mod lock;
pub mod logging;
pub mod state_file;
pub mod steps;

mod build;
mod effects;
mod journal;
mod live_network;
mod mailing;
mod observing;
mod operator;
mod peer_login;
mod peer_ping;
mod pending;
mod policy_desk;
mod policy_versions;
mod records;
mod requests;
mod run_loop;
mod sections;
mod settings;
mod silence;
mod since;
mod systemd;
mod verification;
mod watched;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use dr_watchdog_core::Watchdog;
use dr_watchdog_core::durable::Found;
use dr_watchdog_core::journal::Begin;
use tokio::sync::mpsc;

pub use build::{arbiters as build_arbiters, evidence, timers as arbiter_settings};
pub use live_network::{live_network, ping_all};
pub use mailing::server as mail_server;
pub use run_loop::now;
pub use settings::settings;

use crate::config::{self, Config, ConfigErrors};
use crate::paths::Paths;
use crate::peer::PeerError;
use crate::peer::link::Link;
use crate::policy::Failure;
use crate::probe::ping::{PingError, Pinger};
use effects::World;
use history::{History, HistoryError};
use journal::Journal;
use lock::{Lock, LockError};
use policy_desk::Desk;
use run_loop::Inbox;
use state_file::StateFile;
use steps::Steps;

/// The kernel's name for this boot: another one after every reboot.
const BOOT_ID_FILE: &str = "/proc/sys/kernel/random/boot_id";

/// Why the daemon did not start, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// Another daemon runs here, or the lock cannot be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file or folder cannot be used.
    #[error("{} cannot be {doing}", .path.display())]
    Files {
        /// Which one.
        path: PathBuf,
        /// What we were doing with it.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The history cannot be used.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Nothing can be pinged.
    #[error("arbiters and the other site cannot be pinged")]
    Ping(#[source] PingError),
    /// The signed heartbeat cannot be sent.
    #[error("the signed heartbeat cannot be exchanged")]
    Peer(#[source] PeerError),
    /// The default policy is missing.
    #[error("{0}")]
    Policy(Failure),
    /// The run loop failed.
    #[error("the run loop failed")]
    Loop(#[source] io::Error),
}

/// Runs the daemon until it is told to end.
///
/// # Errors
/// See [`DaemonError`].
pub async fn run(paths: Paths) -> Result<(), DaemonError> {
    let (config, warnings) = config::load(&paths)?;
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    make_folders(&paths)?;
    let _lock = Lock::take(&paths.pid_file)?;
    let (mut world, inbox) = build(paths, Rc::new(config)).await?;
    let (core, journal) = boot(&mut world)?;
    tracing::info!(
        site = world.config.site.name,
        is = core.phase().word(),
        epoch = core.epoch(),
        "the watchdog of this site runs"
    );
    let socket = world.paths.socket.clone();
    let result = run_loop::run(core, world, inbox, journal).await;
    if let Err(error) = fs::remove_file(&socket) {
        tracing::warn!(%error, file = %socket.display(), "the control socket stays behind; it is in nobody's way");
    }
    result.map_err(DaemonError::Loop)
}

fn files(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> DaemonError {
    let path = path.to_owned();
    move |source| DaemonError::Files { path, doing, source }
}

fn make_folders(paths: &Paths) -> Result<(), DaemonError> {
    // The run folder holds the links that a script's PATH begins with, so the script's own user must get through.
    let folders = [
        (&paths.state_dir, 0o700, "closed to others (mode 0700)"),
        (&paths.run_dir, 0o755, "opened to others (mode 0755)"),
    ];
    for (folder, mode, doing) in folders {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(files(folder, "made"))?;
        let found = fs::metadata(folder).map_err(files(folder, "looked at"))?.permissions().mode();
        // Nothing is written where nothing changes: what is wrong with the disk is told by the file it hits.
        if found & 0o7777 != mode {
            let changed = fs::set_permissions(folder, fs::Permissions::from_mode(mode));
            changed.map_err(files(folder, doing))?;
        }
    }
    Ok(())
}

async fn build(paths: Paths, config: Rc<Config>) -> Result<(World, Inbox), DaemonError> {
    let history = History::open(&paths.history_file)?;
    let pinger = Pinger::open(config.site.source_address).await.map_err(DaemonError::Ping)?;
    let pinger = Arc::new(pinger);
    let (events, heard) = mpsc::unbounded_channel();
    let arbiters = build::arbiters(&config, &pinger, &events);
    let spec = build::policy_spec(&config, &paths).map_err(DaemonError::Policy)?;
    let (answers, answered) = mpsc::unbounded_channel();
    let desk = Desk::open(spec, World::network(&config, &pinger, &arbiters), answers);
    let (ends, ended) = mpsc::unbounded_channel();
    let listener = control::bind(&paths.socket).map_err(files(&paths.socket, "made"))?;
    let (requests, asked) = mpsc::channel(control::REQUESTS_MAX);
    let in_flight = control::InFlight::new();
    tokio::task::spawn_local(control::serve(listener, requests, in_flight.clone()));
    let link = Link::open(&config).map_err(DaemonError::Peer)?;
    if let Some(link) = &link {
        build::listen(link, &events);
    }
    let steps = Steps::new(steps::launcher(), ends);
    let state_file = StateFile::new(paths.state_file.clone());
    let notifier = mailing::open(&paths, &config);
    let world =
        World::new(paths, config, arbiters, pinger, link, desk, steps, state_file, history, notifier, events);
    let (logins, logged_in) = mpsc::unbounded_channel();
    peer_login::start(world.configured(), logins);
    let inbox = Inbox {
        events: heard,
        answers: answered,
        steps: ended,
        requests: asked,
        logins: logged_in,
        in_flight,
    };
    Ok((world, inbox))
}

fn boot(world: &mut World) -> Result<(Watchdog, Journal), DaemonError> {
    let boot_id_file = Path::new(BOOT_ID_FILE);
    let boot_id = fs::read_to_string(boot_id_file).map_err(files(boot_id_file, "read"))?;
    let found = world.state_file.read();
    if let Found::Bad(why) = &found {
        match world.state_file.set_aside() {
            Ok(aside) => tracing::error!("{why}; a copy is kept as {}", aside.display()),
            Err(error) => tracing::error!(%error, "{why}; it could not be copied aside"),
        }
    }
    mailing::found(world, &found);
    let begin = Begin {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        now: now(),
        settings: settings(&world.config),
        boot: Begin::boot_of(boot_id.trim()),
        found,
    };
    let journal = Journal::begin(&world.paths.journal_file, begin.clone());
    Ok((begin.core(), journal))
}
