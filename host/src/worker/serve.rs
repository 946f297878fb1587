//! The worker's life: give up what a guest must not have, load the policy, answer questions until the watchdog goes.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::host::{Asked, Cancellations, Connection};
use super::hygiene::{self, HygieneError};
use super::{Guest, lua, native, wall};
use crate::frames::FrameError;
use crate::policy::protocol::{CANCEL_BYTES, FromWorker, Load, ToWorker, VERSION};
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

/// Serves until the watchdog closes the connection.
pub(super) fn serve() -> ExitCode {
    if rustix::termios::isatty(std::io::stdin()) {
        eprintln!("dr-watchdog worker: the watchdog starts this command itself, to run one policy in it");
        return ExitCode::FAILURE;
    }
    match work() {
        Ok(()) | Err(WorkerError::Frames(FrameError::Closed)) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn work() -> Result<(), WorkerError> {
    hygiene::name()?;
    hygiene::shed()?;
    hygiene::hide()?;
    let (frames, cancel) = hygiene::take_channels()?;
    let connection = Connection::new(UnixStream::from(frames));
    let cancellations = Arc::new(Cancellations::default());
    let watched = Arc::clone(&cancellations);
    std::thread::Builder::new()
        .name("cancel".to_owned())
        .spawn(move || watch(UnixStream::from(cancel), &watched))?;
    let ToWorker::Load(order) = connection.receive()? else { return Err(WorkerError::OutOfTurn) };
    wall::raise(&order)?;
    let mut guest = match load(&order) {
        Ok(guest) => guest,
        Err(failure) => return Ok(connection.send(&FromWorker::Failed(failure))?),
    };
    connection.send(&FromWorker::Hello { protocol: VERSION, describe: guest.describe() })?;
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
    }
}

fn load(order: &Load) -> Result<Box<dyn Guest>, Failure> {
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
        (Engine::Native, _) => native::load(&order.path, &order.config),
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
