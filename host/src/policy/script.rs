//! Runs a policy script: one process group, JSON in, one JSON object out, host calls over a socket of its own.

use std::io::{self, Read};
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::time::{Instant, sleep_until, timeout};

use super::child::{ending, killed_by};
use super::guest_text::{Secrets, one_line};
use super::recorder::{Recorder, log_line};
use super::script_output::take_apart;
use super::script_socket::Server;
use super::script_start::{self, Started, User};
use super::{Failure, FailureKind, PolicySpec, Question, pin, trust};

/// Bytes of standard output, and of standard error, that are read.
const OUTPUT_BYTES_MAX: usize = 64 << 10;
/// Bytes of one read; on the heap, so that the future of a run stays small.
const CHUNK_BYTES: usize = 8 << 10;
/// Time from SIGTERM to SIGKILL.
const TERM_GRACE: Duration = Duration::from_secs(2);
/// Log lines of one run.
const LOG_LINES_MAX: usize = 200;

/// A policy script.
#[derive(Debug)]
pub(super) struct Script {
    spec: PolicySpec,
    user: Option<User>,
    /// Holds the links `jmp-dr` and `dr-watchdog`, and the socket while the script runs.
    folder: TempDir,
    is_network_cut: bool,
    /// Parts of the wall that the system refused to the last run.
    missing: Vec<String>,
}

impl Script {
    /// Checks that it can be run at all.
    pub(super) fn load(spec: PolicySpec) -> Result<Self, Failure> {
        is_runnable(&spec.path)?;
        if let Some(expected) = &spec.terms.sha256 {
            pin::check_file(&spec.path, &spec.path, expected)?;
        }
        let user = spec.script_user.as_deref().map(User::find).transpose()?;
        let folder = script_start::folder(&spec.run_dir, user.as_ref())?;
        Ok(Self { spec, user, folder, is_network_cut: false, missing: Vec::new() })
    }

    /// Runs it without a network of its own.
    pub(super) const fn cut_network(&mut self) {
        self.is_network_cut = true;
    }

    /// Parts of the wall that the system refused to the last run.
    pub(super) fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Runs it.
    pub(super) async fn evaluate(
        &mut self,
        question: &Question,
        recorder: &Recorder<'_>,
        deadline: Instant,
        warnings: &mut Vec<String>,
    ) -> Result<Value, Failure> {
        warnings.extend(trust::check(&self.spec.path, self.spec.permissions)?);
        is_runnable(&self.spec.path)?;
        if let Some(expected) = &self.spec.terms.sha256 {
            pin::check_file(&self.spec.path, &self.spec.path, expected)?;
        }
        let secrets = self.spec.script_secrets.then_some(&question.sections_with_secrets);
        let socket = script_start::listen(self.folder.path(), self.user.as_ref())?;
        let mut started =
            script_start::start(&self.spec, self.folder.path(), self.user.as_ref(), self.is_network_cut)?;
        let server = Server::new(socket, started.group.pid(), recorder, &question.sections, secrets);
        let ran = started.run(&question.sections, &server, deadline).await;
        let mut notes = server.into_notes();
        let is_apart = notes.keeper.is_some();
        if let Some(Err(error)) = notes.keeper.take().map(|keeper| started.group.adopt_opened(keeper.process))
        {
            tracing::error!(%error, "a script's namespace cannot be watched");
        }
        let status = started.group.end().await;
        if !is_apart {
            let strays = script_start::end_strays(self.folder.path());
            if strays > 0 {
                warnings
                    .push(format!("{strays} processes had left the script's process group and were ended"));
            }
        }
        warnings.append(&mut notes.warnings);
        self.refused(recorder.policy(), notes.missing);
        if let Some(failure) = notes.failure {
            return Err(failure);
        }
        started.stdout.drain();
        started.stderr.drain();
        let ended = Ended { status, signal: notes.signal };
        let shown = secrets.map(Secrets::of).unwrap_or_default();
        self.result(recorder, ran, &ended, &started, &shown)
    }

    /// Says once what the system refuses; `health` says it as long as it does.
    fn refused(&mut self, policy: &str, missing: Vec<String>) {
        if missing != self.missing && !missing.is_empty() {
            let missing = missing.join(", ");
            tracing::warn!(
                policy,
                "this system refuses the script's wall: {missing}; the other layers stand (run the watchdog as root, or allow user namespaces)"
            );
        }
        self.missing = missing;
    }

    fn result(
        &self,
        recorder: &Recorder<'_>,
        ran: Ran,
        ended: &Ended,
        started: &Started,
        secrets: &Secrets,
    ) -> Result<Value, Failure> {
        let errors = secrets.mask(&started.stderr.text());
        log_errors(recorder.policy(), &errors);
        let name = self.spec.path.display();
        match ran {
            Ran::Ended => {}
            Ran::Late(after) => {
                let message = format!(
                    "the script {name} gave no verdict within {} ms and was ended",
                    after.as_millis()
                );
                return Err(Failure::new(FailureKind::Timeout, message)
                    .with_hint("make the script quicker, or raise policy.deadline"));
            }
            Ran::Overflowed => {
                let message =
                    format!("the script {name} printed more than {OUTPUT_BYTES_MAX} bytes and was ended");
                return Err(Failure::new(FailureKind::Verdict, message)
                    .with_hint("print one JSON object, and what is meant for people to standard error"));
            }
        }
        if !ended.status.is_some_and(|status| status.success()) {
            let last = errors.lines().rfind(|line| !line.trim().is_empty());
            let last =
                last.map(|line| format!("; its last words: {}", one_line(line.trim()))).unwrap_or_default();
            let message = format!("the script {name} {}{last}", ended.words());
            return Err(Failure::new(FailureKind::Runtime, message)
                .with_hint("a verdict counts only if the script exits with status 0"));
        }
        let printed = take_apart(&started.stdout.text()).map_err(|error| {
            let message = one_line(&secrets.mask(&format!("{name}: {error}")));
            Failure::new(FailureKind::Verdict, message).with_hint(
                "print exactly one object with state, action, description and payload to standard output",
            )
        })?;
        for line in printed.log.iter().take(LOG_LINES_MAX) {
            log_line(recorder.policy(), "info", &secrets.mask(line));
        }
        Ok(secrets.mask_verdict(printed.verdict))
    }
}

/// How the script's process ended.
struct Ended {
    status: Option<ExitStatus>,
    /// The signal that ended it, where the status cannot say so.
    signal: Option<i32>,
}

impl Ended {
    fn words(&self) -> String {
        self.signal.map_or_else(|| ending(self.status), killed_by)
    }
}

/// How a run ended.
enum Ran {
    /// The script ended by itself.
    Ended,
    /// The deadline ended it, after so long.
    Late(Duration),
    /// It printed too much.
    Overflowed,
}

impl Started {
    /// Feeds, reads and answers until the script ends, the deadline comes, or the output overflows. Nothing waits for
    /// the end of its output: a grandchild may hold the pipe open for ever.
    async fn run(&mut self, sections: &Value, server: &Server<'_>, deadline: Instant) -> Ran {
        let begun = Instant::now();
        let (stdout, stderr) = (&mut self.stdout, &mut self.stderr);
        let input = self.stdin.take();
        let talk = async {
            tokio::try_join!(
                async {
                    feed(input, sections).await;
                    Ok::<_, Overflow>(())
                },
                stdout.fill(Beyond::Fails),
                stderr.fill(Beyond::IsDropped),
                async {
                    server.serve().await;
                    Ok(())
                },
            )
        };
        tokio::pin!(talk);
        tokio::select! {
            () = self.group.exited() => return Ran::Ended,
            Err(Overflow) = &mut talk => {
                self.group.signal(Signal::KILL);
                return Ran::Overflowed;
            }
            () = sleep_until(deadline) => {}
        }
        let after = begun.elapsed();
        if !server.ask_to_end() {
            self.group.signal(Signal::TERM);
        }
        let obeys = async {
            tokio::select! {
                () = self.group.exited() => {}
                // A handler that prints as it ends must not block on a full pipe.
                _ = &mut talk => self.group.exited().await,
            }
        };
        // Whether it obeyed or not: what is left of the group is killed next.
        let _ = timeout(TERM_GRACE, obeys).await;
        Ran::Late(after)
    }
}

/// The limit of a script's output was reached.
#[derive(Debug)]
pub(super) struct Overflow;

/// What becomes of output beyond the limit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beyond {
    /// The run ends.
    Fails,
    /// It is read, so that the script does not block, and forgotten.
    IsDropped,
}

/// One output of a script.
#[derive(Debug)]
pub(super) struct Output {
    pipe: Receiver,
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Output {
    /// The output behind this pipe.
    pub(super) fn new(pipe: io::PipeReader) -> io::Result<Self> {
        Ok(Self { pipe: Receiver::from_owned_fd(pipe.into())?, bytes: Vec::new(), is_cut: false })
    }

    async fn fill(&mut self, beyond: Beyond) -> Result<(), Overflow> {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(count @ 1..) = self.pipe.read(&mut chunk).await {
            self.keep(&chunk[..count]);
            if self.is_cut && beyond == Beyond::Fails {
                return Err(Overflow);
            }
        }
        Ok(())
    }

    /// Takes what already lies in the pipe.
    fn drain(&mut self) {
        let mut chunk = vec![0; CHUNK_BYTES];
        while !self.is_cut
            && let Ok(count @ 1..) = self.pipe.try_read(&mut chunk)
        {
            self.keep(&chunk[..count]);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = OUTPUT_BYTES_MAX - self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.is_cut |= bytes.len() > room;
    }

    fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.bytes).into_owned();
        if self.is_cut {
            text.push_str("\n(cut here: more than 64 KiB)\n");
        }
        text
    }
}

/// Writes the sections. A script that does not read them is no error.
async fn feed(input: Option<Sender>, sections: &Value) {
    let Some(mut input) = input else { return };
    let mut text = sections.to_string();
    text.push('\n');
    let _ = input.write_all(text.as_bytes()).await;
}

fn log_errors(policy: &str, errors: &str) {
    for line in errors.lines().filter(|line| !line.trim().is_empty()).take(LOG_LINES_MAX) {
        let level = if line.starts_with("ERROR:") { "error" } else { "warn" };
        log_line(policy, level, line);
    }
}

/// What a file may begin with so that the kernel runs it. Anything else would be handed to a shell by the C library.
const RUNNABLE: [&[u8]; 2] = [b"#!", b"\x7fELF"];

fn is_runnable(path: &Path) -> Result<(), Failure> {
    let shown = path.display();
    if !trust::is_executable(path) {
        let message = format!("the policy {shown} is neither .lua nor .so, and nobody may execute it");
        return Err(Failure::new(FailureKind::Load, message)
            .with_hint(format!("if it is a script, run `chmod a+x {shown}`")));
    }
    let mut begins = Vec::new();
    // One that may be executed and not read is left to the kernel.
    if let Ok(file) = std::fs::File::open(path)
        && file.take(4).read_to_end(&mut begins).is_ok()
        && !RUNNABLE.iter().any(|magic| begins.starts_with(magic))
    {
        let message = format!("the policy {shown} is neither a script nor a program");
        return Err(Failure::new(FailureKind::Load, message)
            .with_hint("the first line of a script names its interpreter, such as #!/bin/sh"));
    }
    Ok(())
}
