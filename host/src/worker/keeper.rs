//! The keeper of a script: its parent, which sheds what no script may have, watches its limits and reaps its children.
//!
//! In a pid namespace of the script's own the keeper is the first process. Nothing in there can signal it, and with its
//! end the kernel ends everything in there: what daemonises, ignores TERM or multiplies goes with it.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, User, initgroups, setgid, setuid};
use serde_json::json;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

use super::hygiene::{self, HygieneError};
use super::launch::tell;
use super::{census, files};
use crate::policy::script_socket::{
    LAUNCH_BORN, LAUNCH_ENDED, LAUNCH_FAILED, LAUNCH_MISSING, LAUNCH_WARNING,
};

/// Processes that a script may have at once.
const PROCESSES_MAX: usize = 256;
/// Time from one count of the processes to the next: in it a machine makes a few hundred processes, or fills some 50 MB.
const COUNT_INTERVAL: Duration = Duration::from_millis(10);
/// Everything that this process may signal.
const ALL: Pid = Pid::from_raw(-1);
/// The keeper must come to its turn beside a script that multiplies.
const KEEPER_PRIORITY: i32 = -20;
/// Whatever the watchdog itself was started with, a script does not come before the services of the machine.
const SCRIPT_PRIORITY: i32 = 5;
/// Ended children that are reaped at a time: of a script that multiplies they come faster than they can be taken, and the
/// count must not wait for them.
const REAPED_MAX: usize = 64;
/// Added to a signal's number, as shells do, where a status must say that a signal ended the script.
const SIGNAL_STATUS: i32 = 128;
/// Where a pid namespace is told its last number.
const LAST_NUMBER: &str = "/proc/sys/kernel/ns_last_pid";

/// What is to be run, and how.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) script: PathBuf,
    pub(super) user: Option<OsString>,
    /// Memory of all its processes together.
    pub(super) memory_bytes: Option<u64>,
    /// Whether its processes are to be among the machine's.
    pub(super) is_among_others: bool,
    /// Whether this is the first process of a pid namespace.
    pub(super) is_apart: bool,
    /// Where its processes' numbers begin.
    pub(super) number: u32,
}

/// Why a script was ended before its end.
#[derive(Debug, PartialEq, Eq)]
enum Breach {
    Processes,
    Memory(u64),
}

/// Runs the script; the status that tells how it ended.
pub(super) fn keep(order: &Order) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(format!("the keeper has no runtime: {error}"), "see the system's log"),
    };
    runtime.block_on(run(order))
}

async fn run(order: &Order) -> ExitCode {
    // Their handlers stand before there is a script: a signal that comes early must not end the keeper.
    let signals = signal(SignalKind::terminate()).and_then(|term| Ok((term, signal(SignalKind::child())?)));
    let (mut term, mut child) = match signals {
        Ok(signals) => signals,
        Err(error) => return failed(format!("the keeper hears no signals: {error}"), "see the system's log"),
    };
    if order.is_apart {
        // First of all: before this the watchdog takes nothing from it.
        tell(LAUNCH_BORN, &json!({}));
    }
    let has_list = order.is_apart && list_processes();
    if let Err(why) = prepare(order) {
        return failed(why, "run `policy check` for more");
    }
    let script = match start(order) {
        Ok(script) => script,
        Err(code) => return code,
    };
    let mut ticks = tokio::time::interval(COUNT_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let reaped = reap(script);
        if let Some(status) = reaped.script {
            return ended(order, has_list, script, status);
        }
        tokio::select! {
            biased;
            _ = ticks.tick(), if has_list => {
                if let Some(breach) = look(order, script) {
                    // Killed before it is told: what multiplies does not wait for an answer.
                    let _ = kill(ALL, Signal::SIGKILL);
                    return breached(order, &breach);
                }
            }
            _ = heard(&mut term) => {
                // Outside of a namespace the signal went to the whole group already.
                if order.is_apart {
                    let _ = kill(ALL, Signal::SIGTERM);
                }
            }
            _ = heard(&mut child) => {}
            () = tokio::task::yield_now(), if reaped.are_more => {}
        }
    }
}

/// The next of these signals. The stream ends only with the runtime.
async fn heard(signals: &mut Signals) {
    if signals.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}

/// A list of processes that shows those of the namespace. Whether there is one.
fn list_processes() -> bool {
    let mounted = hygiene::mount_processes();
    if let Err(error) = &mounted {
        let missing = format!("a limit of its processes together ({error})");
        tell(LAUNCH_MISSING, &json!({ "missing": missing }));
    }
    mounted.is_ok()
}

fn prepare(order: &Order) -> Result<(), String> {
    let said = |error: HygieneError| error.to_string();
    if order.is_apart {
        // Scripts keep their number in lock files. In every namespace the same ones would be given out, and a script
        // would take the lock that a killed one left for the lock of a living process: itself.
        let _ = std::fs::write(LAST_NUMBER, order.number.to_string());
    } else if let Err(error) = files::scope_signals() {
        let missing = format!("a limit of whom it may signal ({error})");
        tell(LAUNCH_MISSING, &json!({ "missing": missing }));
    }
    // One that is lower already stays so.
    let _ = rustix::process::getpriority_process(None)
        .and_then(|found| rustix::process::setpriority_process(None, found.max(SCRIPT_PRIORITY)));
    let is_roots = rustix::process::geteuid().is_root();
    if let Some(user) = &order.user {
        switch(user)?;
    }
    hygiene::follow().map_err(said)?;
    hygiene::limit_remains().map_err(said)?;
    // Before it hides: then its own files are root's.
    hygiene::sacrifice();
    hygiene::hide().map_err(said)?;
    if let Some(bytes) = order.memory_bytes {
        hygiene::limit_data(bytes).map_err(said)?;
    }
    if order.is_among_others && is_roots {
        // A script that needs sudo is run so.
        return Ok(());
    }
    hygiene::forbid_new_privileges().map_err(said)?;
    if rustix::process::geteuid().is_root() {
        // A root without the right to do this, as in some containers, has little of that power.
        if let Err(error) = hygiene::bound_root() {
            let missing = format!("a root without power over the kernel ({error})");
            tell(LAUNCH_MISSING, &json!({ "missing": missing }));
        }
        return Ok(());
    }
    hygiene::drop_privileges().map_err(said)?;
    // Of a user of the machine's the processes of others would count.
    if order.is_apart && !is_roots {
        hygiene::limit_processes(PROCESSES_MAX as u64).map_err(said)?;
    }
    Ok(())
}

fn switch(name: &OsStr) -> Result<(), String> {
    let failed =
        |error: Errno| format!("the script's user \"{}\" could not be taken on: {error}", name.display());
    let user =
        User::from_name(&name.to_string_lossy()).map_err(failed)?.ok_or_else(|| failed(Errno::ENOENT))?;
    if rustix::process::geteuid().as_raw() == user.uid.as_raw() {
        return Ok(());
    }
    let name = CString::new(name.as_bytes()).map_err(|_| failed(Errno::EINVAL))?;
    initgroups(&name, user.gid)
        .and_then(|()| setgid(user.gid))
        .and_then(|()| setuid(user.uid))
        .map_err(failed)
}

/// Starts the script. Inside a namespace it leads a process group of its own, so that `kill 0` reaches nobody else.
fn start(order: &Order) -> Result<Pid, ExitCode> {
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o077));
    let mut command = Command::new(&order.script);
    if order.is_apart {
        command.process_group(0);
    }
    let started = command.spawn();
    drop(command);
    match started {
        Ok(child) => {
            // The output ends with the script, whoever keeps it. A keeper of no privileges keeps its place in the queue.
            let _ = hygiene::let_go_of_standard_streams();
            let _ = rustix::process::setpriority_process(None, KEEPER_PRIORITY);
            Ok(Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX)))
        }
        Err(error) => {
            let hint = match error.raw_os_error() {
                Some(missing) if missing == Errno::ENOENT as i32 => {
                    "is the interpreter of its first line installed?"
                }
                _ => "may the script's user execute it, and enter every folder above it?",
            };
            Err(failed(format!("the script {} could not be run: {error}", order.script.display()), hint))
        }
    }
}

/// What was reaped.
struct Reaped {
    /// How the script ended, once it has.
    script: Option<WaitStatus>,
    /// Whether others may have ended too.
    are_more: bool,
}

/// Reaps what has ended, up to a limit.
fn reap(script: Pid) -> Reaped {
    let mut reaped = Reaped { script: None, are_more: true };
    for _ in 0..REAPED_MAX {
        match waitpid(ALL, Some(WaitPidFlag::WNOHANG)) {
            Ok(status @ (WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..))) => {
                if pid == script {
                    reaped.script = Some(status);
                }
            }
            Err(Errno::EINTR) => {}
            // Nobody has ended, or nobody is left.
            _ => return Reaped { are_more: false, ..reaped },
        }
    }
    reaped
}

fn look(order: &Order, script: Pid) -> Option<Breach> {
    let count = census::count(script.as_raw().unsigned_abs(), PROCESSES_MAX).ok()?;
    if count.processes > PROCESSES_MAX {
        return Some(Breach::Processes);
    }
    order.memory_bytes.filter(|limit| count.memory_bytes > *limit).map(|_| Breach::Memory(count.memory_bytes))
}

fn breached(order: &Order, breach: &Breach) -> ExitCode {
    let script = order.script.display();
    let (kind, message, hint) = match breach {
        Breach::Processes => (
            "runtime",
            format!("the script {script} ran more than {PROCESSES_MAX} processes at once and was ended"),
            "does it call itself, or start something in a loop without waiting?",
        ),
        Breach::Memory(found) => (
            "memory",
            format!(
                "the script {script} used {} MiB of memory and was ended; {} MiB are allowed",
                found >> 20,
                order.memory_bytes.unwrap_or_default() >> 20
            ),
            "make it need less, or raise policy.script.memory",
        ),
    };
    tell(LAUNCH_FAILED, &json!({ "kind": kind, "message": message, "hint": hint }));
    ExitCode::FAILURE
}

fn ended(order: &Order, has_list: bool, script: Pid, status: WaitStatus) -> ExitCode {
    let left = has_list.then(|| census::count(script.as_raw().unsigned_abs(), PROCESSES_MAX).ok()).flatten();
    if let Some(strays) = left.map(|left| left.strays).filter(|strays| *strays > 0) {
        let message = format!("{strays} processes had left the script's process group and were ended");
        tell(LAUNCH_WARNING, &json!({ "message": message }));
    }
    let code = match status {
        WaitStatus::Signaled(_, signal, _) => {
            if order.is_apart {
                // The first process of a namespace cannot end itself by a signal.
                tell(LAUNCH_ENDED, &json!({ "signal": signal as i32 }));
            } else {
                let _ = nix::sys::signal::raise(signal);
            }
            SIGNAL_STATUS + signal as i32
        }
        WaitStatus::Exited(_, code) => code,
        _ => SIGNAL_STATUS,
    };
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

fn failed(message: String, hint: &str) -> ExitCode {
    tell(LAUNCH_FAILED, &json!({ "message": message, "hint": hint }));
    ExitCode::FAILURE
}
