//! The daemon of a root as a process: by systemd where it runs the unit, else detached.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::{Value, json};

use super::Globals;
use super::client::{self, ClientError};
use super::wait::pause;
use crate::paths::Paths;

/// The unit of the daemon.
pub(super) const UNIT: &str = "dr-watchdog.service";
/// Where units lie, the operator's first.
pub(super) const UNIT_FOLDERS: [&str; 3] =
    ["/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"];
/// The unit as it is installed; the program's own path takes the place of the mark.
const UNIT_TEXT: &str = include_str!("../../systemd/dr-watchdog.service");
const UNIT_PROGRAM_MARK: &str = "@PROGRAM@";
/// There exactly when systemd is the running init.
const SYSTEMD_RUNS: &str = "/run/systemd/system";
/// How long the daemon may take to end: a step's group is killed at once, nothing else is waited for.
const END_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may take until it answers: it loads a policy and binds its sockets.
const ANSWER_MAX: Duration = Duration::from_secs(30);
const ANSWER_INTERVAL: Duration = Duration::from_millis(100);
/// A log of a detached daemon that is longer than this at a start is put aside; one older one is kept.
const LOG_BYTES_MAX: u64 = 8 << 20;
/// Lines of the log that are shown when a start fails.
const LOG_LINES_SHOWN: usize = 12;

/// How the daemon was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Started {
    /// It ran already.
    RanAlready(i64),
    /// By systemd.
    BySystemd(i64),
    /// As a process of its own; its log lies there.
    Detached(i64, PathBuf),
}

impl Started {
    /// Its pid.
    pub(super) const fn pid(&self) -> i64 {
        match self {
            Self::RanAlready(pid) | Self::BySystemd(pid) | Self::Detached(pid, _) => *pid,
        }
    }

    /// What happened, for people.
    pub(super) fn words(&self) -> String {
        match self {
            Self::RanAlready(pid) => format!("its watchdog runs already (pid {pid})"),
            Self::BySystemd(pid) => format!("its watchdog was started by systemd as {UNIT} (pid {pid})"),
            Self::Detached(pid, log) => {
                format!("its watchdog was started (pid {pid}); its log is {}", log.display())
            }
        }
    }
}

/// The pid of the daemon that answers on this root, if one does.
pub(super) fn running(paths: &Paths) -> Result<Option<i64>, String> {
    match client::ask(&paths.socket, "progress", json!({})) {
        Ok(answer) => Ok(Some(answer.get("pid").and_then(Value::as_i64).unwrap_or(0))),
        Err(ClientError::Down(_)) => Ok(None),
        Err(error) => Err(crate::config::chain(&error)),
    }
}

/// Starts the daemon and waits until it answers.
pub(super) fn start(globals: &Globals) -> Result<Started, String> {
    let paths = globals.paths();
    if let Some(pid) = running(&paths)? {
        return Ok(Started::RanAlready(pid));
    }
    if is_systemds(globals) {
        install_unit()?;
        systemctl(&["enable", "--now", UNIT])?;
        let pid = await_answer(&paths, None, || "see `journalctl -u dr-watchdog`".to_owned())?;
        return Ok(Started::BySystemd(pid));
    }
    let log = paths.state_dir.join("daemon.log");
    let mut child = detach(globals, &paths, &log)
        .map_err(|error| format!("the watchdog cannot be started as a process of its own: {error}"))?;
    let pid = await_answer(&paths, Some(&mut child), || tail(&log))?;
    Ok(Started::Detached(pid, log))
}

/// Whether systemd is to run the daemon of this root: only that of the whole machine.
fn is_systemds(globals: &Globals) -> bool {
    let is_whole_machine = globals.root.as_deref().is_none_or(|root| root == Path::new("/"));
    is_whole_machine && Path::new(SYSTEMD_RUNS).is_dir()
}

fn has_unit() -> bool {
    UNIT_FOLDERS.iter().any(|folder| Path::new(folder).join(UNIT).exists())
}

/// A unit that is there is the operator's or the package's, and stays.
fn install_unit() -> Result<(), String> {
    if has_unit() {
        return Ok(());
    }
    let program =
        std::env::current_exe().map_err(|error| format!("this program's path is not known: {error}"))?;
    let file = Path::new(UNIT_FOLDERS[0]).join(UNIT);
    let text = UNIT_TEXT.replace(UNIT_PROGRAM_MARK, &program.display().to_string());
    fs::write(&file, text).map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
    systemctl(&["daemon-reload"])
}

/// After the daemon ended: systemd shall not start it at the next boot.
pub(super) fn disable(globals: &Globals) -> Result<(), String> {
    if is_systemds(globals) && has_unit() { systemctl(&["disable", "--now", UNIT]) } else { Ok(()) }
}

fn systemctl(words: &[&str]) -> Result<(), String> {
    let line = format!("systemctl {}", words.join(" "));
    let run = Command::new("systemctl").args(words).stdin(Stdio::null()).output();
    let output = run.map_err(|error| format!("{line} cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{line} failed ({}): {}; see `journalctl -u dr-watchdog`", output.status, said.trim()))
}

/// A process that outlives the terminal: a session of its own, nothing of the terminal open.
fn detach(globals: &Globals, paths: &Paths, log: &Path) -> io::Result<Child> {
    fs::create_dir_all(&paths.state_dir)?;
    if fs::metadata(log).is_ok_and(|about| about.len() > LOG_BYTES_MAX) {
        fs::rename(log, log.with_extension("log.1"))?;
    }
    let log: File = OpenOptions::new().create(true).append(true).mode(0o600).open(log)?;
    let mut command = Command::new(std::env::current_exe()?);
    if let Some(root) = &globals.root {
        command.arg("--root").arg(fs::canonicalize(root)?);
    }
    command.args(["run", "--detached"]).current_dir("/").stdin(Stdio::null());
    command.stdout(log.try_clone()?).stderr(log).spawn()
}

fn await_answer(
    paths: &Paths,
    mut child: Option<&mut Child>,
    explain: impl Fn() -> String,
) -> Result<i64, String> {
    let begun = Instant::now();
    loop {
        if let Some(pid) = running(paths)? {
            return Ok(pid);
        }
        let ended = child.as_mut().and_then(|child| child.try_wait().ok().flatten());
        if let Some(status) = ended {
            return Err(format!("the watchdog ended at once ({status}):\n{}", explain()));
        }
        if begun.elapsed() >= ANSWER_MAX {
            let waited_s = ANSWER_MAX.as_secs();
            return Err(format!("the watchdog does not answer after {waited_s} s:\n{}", explain()));
        }
        pause(ANSWER_INTERVAL);
    }
}

fn tail(log: &Path) -> String {
    let text =
        fs::read_to_string(log).unwrap_or_else(|error| format!("{} cannot be read: {error}", log.display()));
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}

/// Ends the daemon and waits until it is gone.
pub(super) fn end(paths: &Paths) -> Result<i64, String> {
    let answer =
        client::ask(&paths.socket, "stop", json!({})).map_err(|error| crate::config::chain(&error))?;
    let pid = answer.get("pid").and_then(Value::as_i64).unwrap_or(0);
    if has_ended(pid) {
        return Ok(pid);
    }
    Err(format!(
        "the daemon (pid {pid}) was asked to end and still runs after {} s; look at its log",
        END_TIMEOUT.as_secs()
    ))
}

/// Waits on the process itself, not on its files: it has ended when the kernel says so.
fn has_ended(pid: i64) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return true };
    // It may have ended before it could be opened.
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return true };
    let limit = Timespec { tv_sec: i64::try_from(END_TIMEOUT.as_secs()).unwrap_or(i64::MAX), tv_nsec: 0 };
    matches!(poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit)), Ok(1..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_says_when_it_is_ready_is_watched_and_stays_stopped_when_told() {
        for line in [
            "Type=notify",
            "WatchdogSec=60",
            "Restart=on-failure",
            "NoNewPrivileges=yes",
            "ExecStart=@PROGRAM@ run",
        ] {
            assert!(UNIT_TEXT.lines().any(|found| found == line), "{line}");
        }
        assert_eq!(UNIT_TEXT.matches(UNIT_PROGRAM_MARK).count(), 1);
    }

    #[test]
    fn a_root_of_its_own_is_no_business_of_systemd() {
        let globals = Globals { root: Some("/nonexistent/root".into()) };
        assert!(!is_systemds(&globals));
    }
}
