//! The control socket: requests of the command line, answered by the run loop.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::frames::{self, FrameError, Request, Response, ResponseError};

/// Callers at once. For one more the one goes that has been silent longest; if none is, it is told that we are busy.
const CONNECTIONS_MAX: usize = 32;
/// Requests that wait for the run loop.
pub const REQUESTS_MAX: usize = 64;
/// A caller that says nothing for so long is let go, so that it cannot keep others out.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// How long a caller may take to read that we are busy.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);
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

/// Callers who have asked nothing, or whose last question is answered, in the order in which they became so.
#[derive(Debug, Clone, Default)]
struct Idle(Rc<RefCell<BTreeMap<u64, Rc<Notify>>>>);

impl Idle {
    /// From now on this caller may be let go for another one, until the place is dropped.
    fn enter(&self, leave: &Rc<Notify>) -> IdlePlace {
        let mut places = self.0.borrow_mut();
        let place = places.last_key_value().map_or(0, |(last, _)| last + 1);
        places.insert(place, Rc::clone(leave));
        IdlePlace { idle: self.clone(), place }
    }

    /// Lets the one go that has been idle longest; whether there was one.
    fn dismiss_oldest(&self) -> bool {
        let oldest = self.0.borrow_mut().pop_first();
        oldest.inspect(|(_, leave)| leave.notify_one()).is_some()
    }
}

struct IdlePlace {
    idle: Idle,
    place: u64,
}

impl Drop for IdlePlace {
    fn drop(&mut self) {
        self.idle.0.borrow_mut().remove(&self.place);
    }
}

/// Takes callers until the daemon ends. Must run on the thread of a `LocalSet`.
pub async fn serve(listener: UnixListener, requests: mpsc::Sender<Asked>, in_flight: InFlight) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let idle = Idle::default();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a caller of the control socket could not be taken");
                // Out of descriptors, most likely: trying again at once would only turn in a circle.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let place = match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => place,
            // Who only holds the line makes room for who wants something. The place comes as soon as it has gone.
            Err(_) if idle.dismiss_oldest() => match Arc::clone(&places).acquire_owned().await {
                Ok(place) => place,
                // The semaphore is never closed.
                Err(_) => return,
            },
            Err(_) => {
                tokio::task::spawn_local(refuse(stream));
                continue;
            }
        };
        let caller = Caller { requests: requests.clone(), _place: place, in_flight: in_flight.clone() };
        tokio::task::spawn_local(caller.converse(stream, idle.clone()));
    }
}

/// Every place is taken by a question that is being answered.
async fn refuse(mut stream: UnixStream) {
    let message = format!("the watchdog is busy with {CONNECTIONS_MAX} questions; ask again");
    let error = ResponseError { kind: "busy".to_owned(), message };
    let answer = Response { id: 0, result: None, error: Some(error) };
    // Who does not take the answer goes without.
    let _ = tokio::time::timeout(BUSY_TIMEOUT, frames::write_async(&mut stream, &answer)).await;
}

struct Caller {
    requests: mpsc::Sender<Asked>,
    _place: OwnedSemaphorePermit,
    in_flight: InFlight,
}

impl Caller {
    async fn converse(self, mut stream: UnixStream, idle: Idle) {
        let leave = Rc::new(Notify::new());
        loop {
            let waiting = idle.enter(&leave);
            let read = tokio::select! {
                biased;
                read = tokio::time::timeout(SILENCE_MAX, frames::read_async::<Request>(&mut stream)) => read,
                () = leave.notified() => return,
            };
            drop(waiting);
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
            let Ok(_flying) = self.in_flight.0.acquire().await else { return };
            if self.requests.send((request, reply)).await.is_err() {
                return;
            }
            let Ok(response) = answer.await else { return };
            if frames::write_async(&mut stream, &response).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A socket with nobody behind it who answers, until the questions are read from the receiver.
    fn listening(folder: &Path) -> (std::path::PathBuf, mpsc::Receiver<Asked>) {
        let path = folder.join("control.sock");
        let (requests, asked) = mpsc::channel(REQUESTS_MAX);
        tokio::task::spawn_local(serve(bind(&path).unwrap(), requests, InFlight::new()));
        (path, asked)
    }

    async fn ask(stream: &mut UnixStream, method: &str) {
        let request = Request { id: 1, method: method.to_owned(), params: json!({}) };
        frames::write_async(stream, &request).await.unwrap();
    }

    #[tokio::test(flavor = "local")]
    async fn callers_who_are_silent_make_room_the_longest_silent_first() {
        let folder = tempfile::tempdir().unwrap();
        let (path, mut asked) = listening(folder.path());
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS_MAX + 10 {
            silent.push(UnixStream::connect(&path).await.unwrap());
        }
        let mut stream = UnixStream::connect(&path).await.unwrap();
        ask(&mut stream, "health").await;
        let (request, reply) = asked.recv().await.unwrap();
        reply.send(Response { id: request.id, result: Some(json!(1)), error: None }).unwrap();
        assert!(frames::read_async::<Response>(&mut stream).await.unwrap().result.is_some());
        assert!(frames::read_async::<Response>(&mut silent[0]).await.is_err(), "the first has gone");
        let last = silent.last_mut().unwrap();
        ask(last, "health").await;
        assert_eq!(asked.recv().await.unwrap().0.method, "health", "the last is still there");
    }

    #[tokio::test(flavor = "local")]
    async fn where_every_caller_waits_for_an_answer_the_next_is_told_that_we_are_busy() {
        let folder = tempfile::tempdir().unwrap();
        let (path, mut asked) = listening(folder.path());
        let (mut asking, mut waiting) = (Vec::new(), Vec::new());
        for _ in 0..CONNECTIONS_MAX {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            ask(&mut stream, "health").await;
            asking.push(stream);
            waiting.push(asked.recv().await.unwrap());
        }
        let mut stream = UnixStream::connect(&path).await.unwrap();
        let told: Response = frames::read_async(&mut stream).await.unwrap();
        assert_eq!(told.error.unwrap().kind, "busy");
    }

    #[tokio::test(flavor = "local")]
    async fn a_stale_socket_is_replaced_and_requests_are_answered_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let (requests, mut asked) = mpsc::channel(REQUESTS_MAX);
        tokio::task::spawn_local(serve(bind(&path).unwrap(), requests, InFlight::new()));
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

    #[tokio::test(flavor = "local")]
    async fn a_caller_that_talks_garbage_is_told_and_let_go() {
        use tokio::io::AsyncWriteExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let (requests, _asked) = mpsc::channel(REQUESTS_MAX);
        tokio::task::spawn_local(serve(bind(&path).unwrap(), requests, InFlight::new()));
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(b"\0\0\0\x05hello").await.unwrap();
        let response: Response = frames::read_async(&mut stream).await.unwrap();
        assert_eq!(response.error.unwrap().kind, "badRequest");
        assert!(matches!(frames::read_async::<Response>(&mut stream).await, Err(FrameError::Closed)));
    }
}
