//! The control socket: requests of the command line, answered by the run loop.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::frames::{self, FrameError, Request, Response, ResponseError};

/// Callers at once; the next one waits in the backlog of the socket.
const CONNECTIONS_MAX: usize = 32;
/// Requests that wait for the run loop.
pub const REQUESTS_MAX: usize = 64;
/// A caller that says nothing for so long is let go, so that it cannot keep others out.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// How long the daemon, when it ends, waits until what it answered is written: a caller that does not read must not
/// keep it.
const LAST_ANSWERS_TIMEOUT: Duration = Duration::from_secs(1);

/// The answers that are not yet written.
#[derive(Debug, Clone)]
pub struct InFlight(Arc<Semaphore>);

impl InFlight {
    /// None yet.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(CONNECTIONS_MAX)))
    }

    /// Waits until every answer is written: `stop` is answered by a daemon that is about to be gone.
    pub async fn written(&self) {
        let all = self.0.acquire_many(CONNECTIONS_MAX as u32);
        if tokio::time::timeout(LAST_ANSWERS_TIMEOUT, all).await.is_err() {
            tracing::debug!("a caller of the control socket did not take its answer");
        }
    }
}

impl Default for InFlight {
    fn default() -> Self {
        Self::new()
    }
}

/// A request and where its answer goes.
pub type Asked = (Request, oneshot::Sender<Response>);

/// Binds the socket. The caller holds the lock of the daemon's root, so a socket that is there already is one that a
/// killed daemon left behind.
///
/// # Errors
/// When it cannot be made.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    // Whoever may write here may move the active role: the daemon's own user alone.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Takes callers until the daemon ends.
pub async fn serve(listener: UnixListener, requests: mpsc::Sender<Asked>, in_flight: InFlight) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // The semaphore is never closed, so a place always comes.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(stream, requests.clone(), place, in_flight.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a caller of the control socket could not be taken");
                // Out of descriptors, most likely: trying again at once would only turn in a circle.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(
    mut stream: UnixStream,
    requests: mpsc::Sender<Asked>,
    _place: OwnedSemaphorePermit,
    in_flight: InFlight,
) {
    loop {
        let read = tokio::time::timeout(SILENCE_MAX, frames::read_async::<Request>(&mut stream)).await;
        let request = match read {
            Ok(Ok(request)) => request,
            Ok(Err(FrameError::Closed)) | Err(_) => return,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a caller of the control socket is not understood");
                let error = ResponseError { kind: "badRequest".to_owned(), message: error.to_string() };
                let response = Response { id: 0, result: None, error: Some(error) };
                // The caller may be gone already.
                let _ = frames::write_async(&mut stream, &response).await;
                return;
            }
        };
        let (reply, answer) = oneshot::channel();
        // One answer at once on each connection, and never closed: a permit is always there.
        let Ok(_flying) = in_flight.0.acquire().await else { return };
        if requests.send((request, reply)).await.is_err() {
            return;
        }
        let Ok(response) = answer.await else { return };
        if frames::write_async(&mut stream, &response).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_requests_are_answered_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let (requests, mut asked) = mpsc::channel(REQUESTS_MAX);
        tokio::spawn(serve(bind(&path).unwrap(), requests, InFlight::new()));
        tokio::spawn(async move {
            while let Some((request, reply)) = asked.recv().await {
                let response = Response { id: request.id, result: Some(json!(request.method)), error: None };
                reply.send(response).unwrap();
            }
        });
        let mut stream = UnixStream::connect(&path).await.unwrap();
        for method in ["health", "stop"] {
            let request = Request { id: 1, method: method.to_owned(), params: json!({}) };
            frames::write_async(&mut stream, &request).await.unwrap();
            let response: Response = frames::read_async(&mut stream).await.unwrap();
            assert_eq!(response.result, Some(json!(method)));
        }
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_caller_that_talks_garbage_is_told_and_let_go() {
        use tokio::io::AsyncWriteExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let (requests, _asked) = mpsc::channel(REQUESTS_MAX);
        tokio::spawn(serve(bind(&path).unwrap(), requests, InFlight::new()));
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(b"\0\0\0\x05hello").await.unwrap();
        let response: Response = frames::read_async(&mut stream).await.unwrap();
        assert_eq!(response.error.unwrap().kind, "badRequest");
        assert!(matches!(frames::read_async::<Response>(&mut stream).await, Err(FrameError::Closed)));
    }
}
