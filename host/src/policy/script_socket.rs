//! Answers a running script's host calls over a Unix socket.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use dr_watchdog_sdk::HostError;
use dr_watchdog_sdk::host::method;
use rustix::process::{Pid, getpgid};
use serde::Deserialize;
use serde_json::Value;
use tokio::net::{UnixListener, UnixStream};

use super::answers::pick;
use super::recorder::Recorder;
use super::{Failure, FailureKind};
use crate::frames::{self, Request, Response, ResponseError};

/// Connections served at once; one more is closed unanswered.
const CONNECTIONS_MAX: usize = 32;
/// What `api v1 config` asks for.
const SECTIONS: &str = "sections";
/// Names the socket to the script and to every command it runs.
pub const SOCKET_VARIABLE: &str = "DR_WATCHDOG_SOCKET";
/// How the launcher says that it could not run the script.
pub const LAUNCH_FAILED: &str = "launch.failed";
/// How the launcher says what it could not do for the script.
pub const LAUNCH_WARNING: &str = "launch.warning";

/// Answers one run's host calls.
pub(super) struct Server<'a> {
    listener: UnixListener,
    group: Pid,
    recorder: &'a Recorder<'a>,
    sections: &'a Value,
    /// Shown inside the script's own process group only.
    secrets: Option<&'a Value>,
    notes: RefCell<Notes>,
}

#[derive(Default)]
struct Notes {
    failure: Option<Failure>,
    warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SectionsRequest {
    #[serde(default, alias = "sections")]
    include: Vec<String>,
}

impl<'a> Server<'a> {
    /// Serves the run of this process group.
    pub(super) fn new(
        listener: UnixListener,
        group: Pid,
        recorder: &'a Recorder<'a>,
        sections: &'a Value,
        secrets: Option<&'a Value>,
    ) -> Self {
        Self { listener, group, recorder, sections, secrets, notes: RefCell::default() }
    }

    /// Why the launcher could not run the script.
    pub(super) fn take_failure(&self) -> Option<Failure> {
        self.notes.borrow_mut().failure.take()
    }

    /// What the launcher could not do for it.
    pub(super) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.notes.borrow_mut().warnings)
    }

    /// Serves until it is dropped; a script may have several calls under way.
    pub(super) async fn serve(&self) {
        let mut active: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
        poll_fn(|context| {
            while let Poll::Ready(accepted) = self.listener.poll_accept(context) {
                match accepted {
                    Ok((stream, _)) if active.len() < CONNECTIONS_MAX => {
                        active.push(Box::pin(self.converse(stream)));
                    }
                    Ok(_) => {
                        tracing::warn!("a policy script has more than {CONNECTIONS_MAX} host calls under way")
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a policy script's host call could not be accepted");
                        break;
                    }
                }
            }
            active.retain_mut(|conversation| conversation.as_mut().poll(context).is_pending());
            Poll::<()>::Pending
        })
        .await;
    }

    async fn converse(&self, mut stream: UnixStream) {
        let peer = stream.peer_cred().ok().and_then(|peer| peer.pid()).and_then(Pid::from_raw);
        // A caller that hangs up or talks nonsense has lost its own answer, nothing else.
        while let Ok(request) = frames::read_async::<Request>(&mut stream).await {
            let id = request.id;
            let response = match self.answer(peer, request).await {
                Ok(result) => Response { id, result: Some(result), error: None },
                Err(error) => {
                    let error = ResponseError { kind: error.kind().to_owned(), message: error.to_string() };
                    Response { id, result: None, error: Some(error) }
                }
            };
            if frames::write_async(&mut stream, &response).await.is_err() {
                return;
            }
        }
    }

    async fn answer(&self, peer: Option<Pid>, request: Request) -> Result<Value, HostError> {
        let Request { method: name, mut params, .. } = request;
        if params.is_null() {
            params = Value::Object(serde_json::Map::new());
        }
        match name.as_str() {
            SECTIONS | method::CONFIG => {
                let wanted = SectionsRequest::deserialize(&params)
                    .map_err(|error| HostError::BadRequest(format!("{name}: {error}")))?;
                pick(self.visible(peer), &wanted.include)
            }
            LAUNCH_FAILED | LAUNCH_WARNING if peer == Some(self.group) => self.note(&name, &params),
            _ => {
                let answer = self.recorder.perform(&name, &params).await;
                self.recorder.record(name, params, answer.clone());
                answer
            }
        }
    }

    /// Old scripts log in by themselves, so the script's own process group sees the credentials; who else finds the
    /// socket does not.
    fn visible(&self, peer: Option<Pid>) -> &Value {
        let is_inside = peer.is_some_and(|pid| getpgid(Some(pid)) == Ok(self.group));
        self.secrets.filter(|_| is_inside).unwrap_or(self.sections)
    }

    fn note(&self, name: &str, params: &Value) -> Result<Value, HostError> {
        let text = |key: &str| params.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut notes = self.notes.borrow_mut();
        if name == LAUNCH_FAILED {
            notes.failure = Some(Failure::new(FailureKind::Load, text("message")).with_hint(text("hint")));
        } else {
            notes.warnings.push(text("message"));
        }
        Ok(Value::Null)
    }
}
