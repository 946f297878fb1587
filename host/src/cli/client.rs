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

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no daemon answers at {0}; start it with `dr-watchdog run`")]
    Down(PathBuf),
    /// The socket may not be used.
    #[error("{0} cannot be used: {1}")]
    Socket(PathBuf, io::Error),
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
    stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(refused)?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT)).map_err(refused)?;
    let request = Request { id: 1, method: method.to_owned(), params };
    frames::write(&mut stream, &request).map_err(ClientError::Broken)?;
    let response: Response = frames::read(&mut stream).map_err(ClientError::Broken)?;
    match (response.result, response.error) {
        (_, Some(error)) => Err(ClientError::Refused(error)),
        (result, None) => Ok(result.unwrap_or_default()),
    }
}
