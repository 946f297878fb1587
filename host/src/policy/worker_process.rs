//! One running worker: its process, its conversation with the watchdog.

use std::borrow::Cow;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use serde_json::Value;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::child::Group;
use super::protocol::{Answer, FromWorker, Load, ToWorker, VERSION};
use super::recorder::Recorder;
use super::wire::Wire;
use super::worker_log::{Said, capture};
use super::{Engine, Failure, FailureKind, PolicySpec, Question, locate, memory};
use crate::frames::FrameError;

/// Longest wait for the last words of a worker that has ended: they lie in the pipe already.
const LAST_WORDS_LIMIT: Duration = Duration::from_millis(200);

/// What a policy says of itself, with the layers of its wall that the system refused.
pub(super) type Loaded = (Value, Vec<String>);

/// A running worker.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) group: Group,
    wire: Wire,
    cancel: StdStream,
    /// Whether the worker waits for the answer to a host call.
    owes_answer: bool,
    /// The process that the guest is in.
    pub(super) guest: Option<i32>,
    /// What it wrote to its standard output or error, until all of it has ended.
    log: JoinHandle<Said>,
}

impl Process {
    /// The frames run over the worker's standard input, cancellations come in at its standard output: the only
    /// descriptors that a child is given without unsafe code. The worker moves both out of its guest's reach.
    pub(super) fn start(policy: &str, spec: &PolicySpec, written: &Arc<AtomicU64>) -> io::Result<Self> {
        let (ours, theirs) = StdStream::pair()?;
        let (cancel, cancelled) = StdStream::pair()?;
        let (log, stderr) = io::pipe()?;
        let mut command = Command::new(locate::executable());
        command.arg("worker").arg(format!("--memory={}", spec.memory_bytes));
        if spec.engine == Engine::Native {
            command.arg("--file").arg(&spec.path);
        }
        if let Some(uid) = spec.terms.uid {
            command.arg(format!("--uid={uid}"));
        }
        if spec.terms.has_network() {
            command.arg("--network");
        }
        for folder in &spec.terms.hidden {
            command.arg("--hide").arg(folder);
        }
        command.args(spec.terms.without.iter().map(|layer| format!("--without={}", layer.word())));
        command
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(OwnedFd::from(cancelled)))
            .stderr(Stdio::from(stderr));
        let group = Group::spawn(&mut command)?;
        drop(command);
        ours.set_nonblocking(true)?;
        cancel.set_nonblocking(true)?;
        let log = tokio::spawn(capture(
            policy.to_owned(),
            tokio::net::unix::pipe::Receiver::from_owned_fd(log.into())?,
            Arc::clone(written),
        ));
        Ok(Self {
            group,
            wire: Wire::new(UnixStream::from_std(ours)?),
            cancel,
            owes_answer: false,
            guest: None,
            log,
        })
    }

    pub(super) async fn load(&mut self, load: &Load) -> Result<Result<Loaded, Failure>, FrameError> {
        match self.wire.receive().await? {
            FromWorker::Born { pid } => {
                self.group.adopt(pid)?;
                self.guest = Some(pid);
            }
            other => return Err(unexpected(&other)),
        }
        self.wire.queue(&ToWorker::Load(Cow::Borrowed(load)))?;
        self.wire.flush().await?;
        match self.wire.receive().await? {
            FromWorker::Hello { protocol: VERSION, describe, missing } => Ok(Ok((describe, missing))),
            FromWorker::Hello { protocol, .. } => {
                let message =
                    format!("the worker speaks version {protocol}, this watchdog version {VERSION}");
                Ok(Err(Failure::new(FailureKind::Load, message)
                    .with_hint("the program was replaced while it ran; restart the watchdog")))
            }
            FromWorker::Failed(failure) => Ok(Err(failure)),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn converse(
        &mut self,
        id: u64,
        question: &Question,
        recorder: &Recorder<'_>,
    ) -> Result<Result<Value, Failure>, FrameError> {
        self.wire.queue(&ToWorker::Ask { id, context: Cow::Borrowed(&question.context) })?;
        self.wire.queue(&question.sections)?;
        self.wire.flush().await?;
        loop {
            match self.wire.receive().await? {
                FromWorker::Call { method, request } => {
                    self.owes_answer = true;
                    let answer = recorder.perform(&method, &request).await;
                    self.wire.queue(&ToWorker::Answer(Answer::of(&answer)))?;
                    self.owes_answer = false;
                    self.wire.flush().await?;
                    recorder.record(method, request, answer);
                }
                FromWorker::Verdict(verdict) => return Ok(Ok(verdict)),
                FromWorker::Failed(failure) => return Ok(Err(failure)),
                other @ (FromWorker::Born { .. } | FromWorker::Hello { .. }) => {
                    return Err(unexpected(&other));
                }
            }
        }
    }

    /// Cancels the question and drains the conversation; what the guest said at last, if it failed.
    pub(super) async fn cancelled(&mut self, id: u64) -> Result<Option<Failure>, FrameError> {
        self.cancel.write_all(&id.to_be_bytes())?;
        loop {
            if self.owes_answer {
                let over = Err(dr_watchdog_sdk::HostError::Cancelled);
                self.wire.queue(&ToWorker::Answer(Answer::of(&over)))?;
                self.owes_answer = false;
            }
            self.wire.flush().await?;
            match self.wire.receive().await? {
                FromWorker::Call { .. } => self.owes_answer = true,
                FromWorker::Verdict(_) => return Ok(None),
                FromWorker::Failed(failure) => return Ok(Some(failure)),
                other @ (FromWorker::Born { .. } | FromWorker::Hello { .. }) => {
                    return Err(unexpected(&other));
                }
            }
        }
    }

    /// Whether its last words, which have come when it has ended, say that it had no memory left.
    pub(super) async fn ran_out_of_memory(&mut self) -> bool {
        let said = timeout(LAST_WORDS_LIMIT, &mut self.log).await;
        matches!(said, Ok(Ok(Said { is_out_of_memory: true })))
    }

    /// How much of its address space is in use, in percent; none where it has no limit or has ended.
    pub(super) fn memory_percent(&self) -> Option<u64> {
        let of = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", self.guest?)).ok();
        memory::percent(&of("status")?, &of("limits")?)
    }
}

fn unexpected(message: &FromWorker) -> FrameError {
    let text = format!("the worker spoke out of turn: {message:?}");
    FrameError::Io(io::Error::new(io::ErrorKind::InvalidData, text.chars().take(200).collect::<String>()))
}
