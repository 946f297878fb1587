//! Answers a running script's host calls over a Unix socket.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::Poll;

use dr_watchdog_sdk::HostError;
use dr_watchdog_sdk::host::method;
use dr_watchdog_sdk::wording;
use rustix::process::{Pid, PidfdFlags, Signal, getpgid, pidfd_open, pidfd_send_signal};
use serde::Deserialize;
use serde_json::Value;
use tokio::net::{UnixListener, UnixStream};

use super::answers::pick;
use super::recorder::Recorder;
use super::{Failure, FailureKind, kin};
use crate::frames::{self, Request, Response, ResponseError};

/// Connections served at once; one more is closed unanswered.
const CONNECTIONS_MAX: usize = 32;
/// What `api v1 config` asks for.
const SECTIONS: &str = "sections";
/// Names the socket to the script and to every command it runs.
pub const SOCKET_VARIABLE: &str = "DR_WATCHDOG_SOCKET";
/// How the launcher says that it could not run the script.
pub const LAUNCH_FAILED: &str = "launch.failed";
/// How the launcher says what it could not do for the script in this run.
pub const LAUNCH_WARNING: &str = "launch.warning";
/// How the launcher says which part of the wall this system refuses.
pub const LAUNCH_MISSING: &str = "launch.missing";
/// How the first process of the script's pid namespace says that it is there.
pub const LAUNCH_BORN: &str = "launch.born";
/// How it says which signal ended the script.
pub const LAUNCH_ENDED: &str = "launch.ended";

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

/// What the launcher told about one run.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Why the script was not run, or was ended.
    pub(super) failure: Option<Failure>,
    /// What could not be done for it.
    pub(super) warnings: Vec<String>,
    /// Parts of its wall that the system refuses.
    pub(super) missing: Vec<String>,
    /// The first process of its pid namespace.
    pub(super) keeper: Option<Keeper>,
    /// The signal that ended it.
    pub(super) signal: Option<i32>,
}

/// The first process of a script's pid namespace.
#[derive(Debug)]
pub(super) struct Keeper {
    pid: Pid,
    /// Opened while it was known to live.
    pub(super) process: OwnedFd,
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

    /// What the launcher told, when the run is over.
    pub(super) fn into_notes(self) -> Notes {
        self.notes.into_inner()
    }

    /// Asks the script to end, through the first process of its namespace; whether it has one.
    pub(super) fn ask_to_end(&self) -> bool {
        let notes = self.notes.borrow();
        // One that has ended needs no signal, and there is no other error.
        notes.keeper.as_ref().map(|keeper| pidfd_send_signal(&keeper.process, Signal::TERM)).is_some()
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
                    .map_err(|error| HostError::BadRequest(format!("{name}: {}", wording::of(&error))))?;
                pick(self.visible(peer), &wanted.include)
            }
            LAUNCH_BORN => self.meet(peer),
            LAUNCH_FAILED | LAUNCH_WARNING | LAUNCH_MISSING | LAUNCH_ENDED if self.is_launcher(peer) => {
                self.note(&name, &params)
            }
            _ => {
                let answer = self.recorder.perform(&name, &params).await;
                self.recorder.record(name, params, answer.clone());
                answer
            }
        }
    }

    /// Old scripts log in by themselves, so what runs in the script's own namespace, or without one in its process
    /// group, sees the credentials; who else finds the socket does not.
    fn visible(&self, peer: Option<Pid>) -> &Value {
        let notes = self.notes.borrow();
        let is_inside = peer.is_some_and(|pid| match &notes.keeper {
            Some(keeper) => kin::descends(pid, keeper.pid),
            None => getpgid(Some(pid)) == Ok(self.group),
        });
        self.secrets.filter(|_| is_inside).unwrap_or(self.sections)
    }

    /// The launcher leads the group; the keeper, its child, is met before there is a script.
    fn is_launcher(&self, peer: Option<Pid>) -> bool {
        let keeper = self.notes.borrow().keeper.as_ref().map(|keeper| keeper.pid);
        peer.is_some() && (peer == Some(self.group) || peer == keeper)
    }

    /// The first to come from the launcher's group is its keeper: the script, which is in another group then, does not
    /// run yet. A launcher that keeps the script itself has said so before.
    fn meet(&self, peer: Option<Pid>) -> Result<Value, HostError> {
        let mut notes = self.notes.borrow_mut();
        let is_expected = notes.keeper.is_none() && notes.missing.is_empty();
        let stranger = || HostError::Denied("the script has its keeper already".to_owned());
        let pid = peer.filter(|pid| is_expected && *pid != self.group).ok_or_else(stranger)?;
        let process =
            pidfd_open(pid, PidfdFlags::empty()).map_err(|error| HostError::Failed(error.to_string()))?;
        if getpgid(Some(pid)) != Ok(self.group) {
            return Err(stranger());
        }
        notes.keeper = Some(Keeper { pid, process });
        Ok(Value::Null)
    }

    fn note(&self, name: &str, params: &Value) -> Result<Value, HostError> {
        let text = |key: &str| params.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut notes = self.notes.borrow_mut();
        match name {
            LAUNCH_FAILED => {
                let kind = params.get("kind").and_then(|kind| FailureKind::deserialize(kind).ok());
                let failure = Failure::new(kind.unwrap_or(FailureKind::Load), text("message"));
                notes.failure = Some(failure.with_hint(text("hint")));
            }
            LAUNCH_MISSING => notes.missing.push(text("missing")),
            LAUNCH_ENDED => {
                notes.signal =
                    params.get("signal").and_then(Value::as_i64).and_then(|number| number.try_into().ok());
            }
            _ => notes.warnings.push(text("message")),
        }
        Ok(Value::Null)
    }
}
