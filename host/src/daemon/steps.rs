//! The steps of a role change: a program each, with a deadline, in a process group of its own.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

use crate::config::model::Step;

/// Bytes of a step's output that are kept for the report; a step that fails says why in its last lines.
const OUTPUT_BYTES_MAX: usize = 4 << 10;

/// A step that ended.
#[derive(Debug)]
pub struct StepEnd {
    /// Which plan.
    pub plan: u64,
    /// Which step of it.
    pub step: usize,
    /// How.
    pub result: Result<(), String>,
    /// How long it ran.
    pub elapsed: Duration,
}

/// Runs one step at a time.
#[derive(Debug)]
pub struct Steps {
    launcher: Vec<OsString>,
    ends: mpsc::UnboundedSender<StepEnd>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    plan: u64,
    cancel: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Steps {
    /// Steps that are run by `launcher` and whose ends are reported here. At most one step runs, so at most one
    /// report waits.
    pub const fn new(launcher: Vec<OsString>, ends: mpsc::UnboundedSender<StepEnd>) -> Self {
        Self { launcher, ends, running: None }
    }

    /// Starts a step. `environment` tells it what it is part of.
    pub fn start(&mut self, plan: u64, index: usize, step: &Step, environment: Vec<(String, String)>) {
        let (cancel, cancelled) = oneshot::channel();
        let (ends, step, launcher) = (self.ends.clone(), step.clone(), self.launcher.clone());
        let task = tokio::spawn(async move {
            let begun = Instant::now();
            let result = run(&launcher, &step, environment, cancelled).await;
            // The receiver is gone only when the daemon ends.
            let _ = ends.send(StepEnd { plan, step: index, result, elapsed: begun.elapsed() });
        });
        self.running = Some(Running { plan, cancel, task });
    }

    /// Ends the running step of this plan and waits until its group is gone: the next plan must not run beside it.
    pub async fn cancel(&mut self, plan: u64) {
        match self.running.take() {
            Some(running) if running.plan == plan => {
                // An error means that the step has ended by itself.
                let _ = running.cancel.send(());
                if let Err(error) = running.task.await {
                    tracing::error!(%error, "the task of a cancelled step failed");
                }
            }
            other => self.running = other,
        }
    }
}

async fn run(
    launcher: &[OsString],
    step: &Step,
    environment: Vec<(String, String)>,
    cancelled: oneshot::Receiver<()>,
) -> Result<(), String> {
    let words = launcher.iter().cloned().chain(step.command.iter().map(OsString::from));
    let words: Vec<OsString> = words.collect();
    let (program, arguments) = words.split_first().ok_or("it has no command")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child =
        command.spawn().map_err(|error| format!("{} could not be started: {error}", program.display()))?;
    let group = Group { leader: child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw) };
    let output = (child.stdout.take(), child.stderr.take());
    let end = tokio::select! {
        end = finish(&mut child, output) => end,
        () = tokio::time::sleep(step.deadline) => Err(format!("it ran longer than {}", seconds(step.deadline))),
        _ = cancelled => Err("it was cancelled".to_owned()),
    };
    // What a step leaves behind must not outlive it, unless it left the group.
    drop(group);
    if let Err(error) = child.wait().await {
        tracing::warn!(step = step.name, %error, "the end of the step could not be awaited");
    }
    end
}

/// The process group of a step, ended in any case: also when this daemon is told to end in the middle of a step, and its
/// tasks are dropped. The launcher alone would be killed then, and could no longer end the step.
struct Group {
    leader: Option<Pid>,
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(leader) = self.leader else { return };
        match killpg(leader, Signal::SIGKILL) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
            Err(error) => tracing::warn!(%error, "a step's process group could not be ended"),
        }
    }
}

/// How a step is launched: by this program's hidden `step` command, which ends the step with its children should
/// the daemon be killed. Without it a step that outlived its daemon would run beside the plan that the next daemon
/// resumes.
pub fn launcher() -> Vec<OsString> {
    let pid = std::process::id().to_string();
    ["/proc/self/exe", "step", "--daemon", &pid, "--"].map(OsString::from).to_vec()
}

type Output = (Option<tokio::process::ChildStdout>, Option<tokio::process::ChildStderr>);

async fn finish(child: &mut Child, (stdout, stderr): Output) -> Result<(), String> {
    let mut tail = Vec::new();
    let (status, ()) = tokio::join!(child.wait(), async {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        tokio::join!(keep_tail(stdout, &mut out), keep_tail(stderr, &mut err));
        tail = if err.is_empty() { out } else { err };
    });
    let status = status.map_err(|error| format!("its end could not be awaited: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&tail);
    let said = text.trim();
    let said = if said.is_empty() { "it said nothing".to_owned() } else { format!("it said: {said}") };
    Err(format!("{status}; {said}"))
}

/// Reads to the end and keeps the last bytes.
async fn keep_tail(from: Option<impl AsyncRead + Unpin>, tail: &mut Vec<u8>) {
    let Some(mut from) = from else { return };
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        tail.extend_from_slice(&buffer[..count]);
        let excess = tail.len().saturating_sub(OUTPUT_BYTES_MAX);
        tail.drain(..excess);
    }
}

fn seconds(span: Duration) -> String {
    format!("{} s", span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::OnFailure;

    fn step(script: &str, deadline_ms: u64) -> Step {
        Step {
            name: "test".to_owned(),
            command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            deadline: Duration::from_millis(deadline_ms),
            idempotent: true,
            on_failure: OnFailure::Stop,
        }
    }

    async fn end_of(script: &str, deadline_ms: u64) -> Result<(), String> {
        let (ends, mut reports) = mpsc::unbounded_channel();
        let mut steps = Steps::new(Vec::new(), ends);
        steps.start(7, 2, &step(script, deadline_ms), vec![("A".to_owned(), "b".to_owned())]);
        let end = reports.recv().await.unwrap();
        assert_eq!((end.plan, end.step), (7, 2));
        end.result
    }

    #[tokio::test]
    async fn a_step_succeeds_by_its_exit_status_alone() {
        assert_eq!(end_of("echo noise; test $A = b", 10_000).await, Ok(()));
        let why = end_of("echo broken >&2; exit 3", 10_000).await.unwrap_err();
        assert!(why.contains("3") && why.contains("broken"), "{why}");
    }

    #[tokio::test]
    async fn a_step_that_runs_too_long_is_ended_with_its_children() {
        let why = end_of("sleep 1000 & sleep 1000", 50).await.unwrap_err();
        assert_eq!(why, "it ran longer than 0.05 s");
    }

    #[tokio::test]
    async fn a_program_that_is_missing_is_named() {
        let mut missing = step("", 1_000);
        missing.command = vec!["/nonexistent/program".to_owned()];
        let (_cancel, cancelled) = oneshot::channel();
        let why = run(&[], &missing, Vec::new(), cancelled).await.unwrap_err();
        assert!(why.contains("/nonexistent/program"), "{why}");
    }

    #[tokio::test]
    async fn a_cancelled_step_is_gone_when_cancel_returns() {
        let (ends, mut reports) = mpsc::unbounded_channel();
        let mut steps = Steps::new(Vec::new(), ends);
        steps.start(1, 0, &step("sleep 1000", 1_000_000), Vec::new());
        steps.cancel(1).await;
        assert!(reports.recv().await.unwrap().result.is_err());
    }
}
