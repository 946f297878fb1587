//! One question to whoever listens on a socket: the daemon, or the runner of a policy script.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::frames::{self, FrameError, Request, Response, ResponseError};

/// Set for a running policy script: the socket that answers its host calls.
pub const SOCKET_VARIABLE: &str = "DR_WATCHDOG_SOCKET";
/// Longest wait for an answer: the longest sweep and look that a daemon performs, with room.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(180);
/// What a daemon answers from its memory, between two turns of its loop.
const FROM_MEMORY: [&str; 3] = ["health", "progress", "sections"];
/// Longest wait for such an answer. A machine with much other work takes a second; who asks at night waits no longer.
const MEMORY_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no daemon answers at {0}; start it with `dr-watchdog run`")]
    Down(PathBuf),
    /// The socket may not be used.
    #[error("{0} cannot be used: {1}")]
    Socket(PathBuf, io::Error),
    /// Somebody listens, and says nothing.
    #[error(
        "a daemon holds {0} and did not answer within {1} s: it is stopped (SIGSTOP), frozen or overloaded; see its \
         log and `ps`, let it go on, or end it (kill -9) and start it again"
    )]
    Silent(PathBuf, u64),
    /// The conversation broke.
    #[error("the daemon did not answer")]
    Broken(#[source] FrameError),
    /// The daemon refused.
    #[error("{}", .0.message)]
    Refused(ResponseError),
}

/// The socket of the policy runner this process was started by, if it was.
pub fn script_socket() -> Option<PathBuf> {
    std::env::var_os(SOCKET_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Asks, and waits for the answer.
///
/// # Errors
/// See [`ClientError`].
pub fn ask(socket: &Path, method: &str, params: Value) -> Result<Value, ClientError> {
    let refused = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::Down(socket.to_owned()),
        _ => ClientError::Socket(socket.to_owned(), error),
    };
    let mut stream = UnixStream::connect(socket).map_err(refused)?;
    let limit = if FROM_MEMORY.contains(&method) { MEMORY_TIMEOUT } else { ANSWER_TIMEOUT };
    stream.set_read_timeout(Some(limit)).map_err(refused)?;
    stream.set_write_timeout(Some(limit)).map_err(refused)?;
    let broken = |error: FrameError| match &error {
        FrameError::Io(io) if matches!(io.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            ClientError::Silent(socket.to_owned(), limit.as_secs())
        }
        _ => ClientError::Broken(error),
    };
    let request = Request { id: 1, method: method.to_owned(), params };
    frames::write(&mut stream, &request).map_err(broken)?;
    let response: Response = frames::read(&mut stream).map_err(broken)?;
    match (response.result, response.error) {
        (_, Some(error)) => Err(ClientError::Refused(error)),
        (result, None) => Ok(result.unwrap_or_default()),
    }
}
