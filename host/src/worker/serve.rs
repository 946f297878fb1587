//! The worker's life: give up what a guest must not have, load the policy, answer questions until the watchdog goes.

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::host::{Asked, Cancellations, Connection};
use super::hygiene::{self, HygieneError};
use super::{Args, Guest, lua, native, wall};
use crate::frames::FrameError;
use crate::policy::protocol::{CANCEL_BYTES, FromWorker, Load, ToWorker, VERSION};
use crate::policy::terms::Layer;
use crate::policy::{Engine, Failure, FailureKind};

/// Why a worker ends before its watchdog does.
#[derive(Debug, thiserror::Error)]
enum WorkerError {
    #[error("the worker could not give up what a policy must not have: {0}")]
    Hygiene(#[from] HygieneError),
    #[error("the worker's conversation with the watchdog broke: {0}")]
    Frames(#[from] FrameError),
    #[error("the worker's second thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
    #[error("the watchdog spoke out of turn")]
    OutOfTurn,
}

/// What the outer half of the worker hands to the inner one.
#[derive(Debug, Default)]
pub(super) struct Inside {
    /// The descriptor of the guest's file.
    pub(super) file: Option<RawFd>,
    /// The user that the guest becomes.
    pub(super) uid: Option<u32>,
    /// Whether that user is nobody else.
    pub(super) is_alone: bool,
    /// Whether its mounts are its own, so that it may have a /proc of its own.
    pub(super) has_mounts: bool,
    /// Whether the machine's network is the guest's.
    pub(super) has_network: bool,
    /// Folders that are closed to the guest.
    pub(super) hidden: Vec<PathBuf>,
    /// Further layers that the operator left out.
    pub(super) without: Vec<Layer>,
    /// The layers of the wall that this system refused.
    pub(super) missing: Vec<String>,
}

impl Inside {
    /// As the command line has it.
    pub(super) fn of(args: Args) -> Self {
        Self {
            file: args.descriptor,
            uid: args.uid,
            is_alone: args.alone,
            has_mounts: args.mounts,
            has_network: args.network,
            hidden: args.hide,
            without: args.without,
            missing: args.missing,
        }
    }

    /// The command line that says so.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let mut arguments = vec!["--inside".to_owned()];
        arguments.extend(self.file.map(|file| format!("--descriptor={file}")));
        arguments.extend(self.uid.map(|uid| format!("--uid={uid}")));
        arguments.extend(self.is_alone.then(|| "--alone".to_owned()));
        arguments.extend(self.has_mounts.then(|| "--mounts".to_owned()));
        arguments.extend(self.has_network.then(|| "--network".to_owned()));
        arguments.extend(self.without.iter().map(|layer| format!("--without={}", layer.word())));
        arguments.extend(self.missing.iter().map(|missing| format!("--missing={missing}")));
        let mut arguments: Vec<OsString> = arguments.into_iter().map(OsString::from).collect();
        for folder in &self.hidden {
            arguments.extend(["--hide".into(), folder.into()]);
        }
        arguments
    }
}

/// Serves until the watchdog closes the connection.
pub(super) fn serve(inside: Inside) -> ExitCode {
    match work(inside) {
        Ok(()) | Err(WorkerError::Frames(FrameError::Closed)) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn work(mut inside: Inside) -> Result<(), WorkerError> {
    hygiene::name()?;
    hygiene::shed()?;
    let (frames, cancel) = hygiene::take_channels(inside.file)?;
    wall::raise(&mut inside)?;
    let connection = Connection::new(UnixStream::from(frames));
    let cancellations = Arc::new(Cancellations::default());
    let watched = Arc::clone(&cancellations);
    std::thread::Builder::new()
        .name("cancel".to_owned())
        .spawn(move || watch(UnixStream::from(cancel), &watched))?;
    let ToWorker::Load(order) = connection.receive()? else { return Err(WorkerError::OutOfTurn) };
    wall::limit(&order)?;
    let mut guest = match load(&order, &inside) {
        Ok(guest) => guest,
        Err(failure) => return Ok(connection.send(&FromWorker::Failed(failure))?),
    };
    let missing = inside.missing.clone();
    connection.send(&FromWorker::Hello { protocol: VERSION, describe: guest.describe(), missing })?;
    guest.rest();
    loop {
        let ToWorker::Ask { id, context } = connection.receive()? else { return Err(WorkerError::OutOfTurn) };
        let sections = connection.receive_bytes()?;
        cancellations.begin(id, guest.canceller());
        let host = Asked::new(&connection, Arc::clone(&cancellations), id, &context, sections);
        let answer = guest.evaluate(&context, &host);
        cancellations.end();
        if host.is_broken() {
            return Err(WorkerError::OutOfTurn);
        }
        match connection.send(&answer.map_or_else(FromWorker::Failed, FromWorker::Verdict)) {
            Err(FrameError::TooLong(bytes)) => {
                let message = format!("the verdict has {bytes} bytes, more than a frame holds");
                connection.send(&FromWorker::Failed(Failure::new(FailureKind::Verdict, message)))?;
            }
            sent => sent?,
        }
        guest.rest();
    }
}

fn load(order: &Load, inside: &Inside) -> Result<Box<dyn Guest>, Failure> {
    if order.protocol != VERSION {
        let message = format!("the watchdog speaks version {}, its worker version {VERSION}", order.protocol);
        return Err(Failure::new(FailureKind::Load, message)
            .with_hint("the program was replaced while it ran; restart the watchdog"));
    }
    match (order.engine, &order.source) {
        (Engine::Lua, Some(source)) => {
            let name = order.path.file_name().unwrap_or_default().to_string_lossy();
            let limits = lua::Limits {
                memory_bytes: usize::try_from(order.memory_bytes).unwrap_or(usize::MAX),
                load_time: Duration::from_millis(order.deadline_ms),
            };
            Ok(Box::new(lua::LuaGuest::load(&name, source, &order.config, limits)?))
        }
        (Engine::Native, _) => {
            let file = native::PluginFile { path: &order.path, descriptor: inside.file };
            native::load(file, order.sha256.as_deref(), &order.config, order.trial.as_ref())
        }
        (Engine::Lua | Engine::Script, _) => {
            let message = format!("{} is no policy for a worker", order.path.display());
            Err(Failure::new(FailureKind::Load, message))
        }
    }
}

fn watch(mut cancel: UnixStream, cancellations: &Cancellations) {
    let mut id = [0; CANCEL_BYTES];
    // The other end closes when the watchdog goes; the main thread then ends the process.
    while cancel.read_exact(&mut id).is_ok() {
        cancellations.cancel(u64::from_be_bytes(id));
    }
}
