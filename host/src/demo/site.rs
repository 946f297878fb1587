//! A site of the demo: its daemon, and how the demo follows what it does.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::{Value, json};

use super::links::Machine;
use super::readiness::is_ready_within;
use crate::frames::{self, Request, Response};
use crate::paths::Paths;

/// Longest wait for an answer of a daemon: most come within milliseconds, `arbiters.sessions` after a whole look.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for the end of a daemon that was told to end.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// Lines of a daemon's log that are shown when it fails.
const LOG_LINES_SHOWN: usize = 8;

/// A site.
#[derive(Debug)]
pub struct Site {
    /// Its name.
    pub name: &'static str,
    /// Its machine.
    pub machine: Machine,
    /// Its files.
    pub paths: Paths,
    root: PathBuf,
    daemon: Option<Child>,
    history: Lines,
    steps: Lines,
}

impl Site {
    /// A site whose files lie below `folder`.
    ///
    /// # Errors
    /// When its folders cannot be made.
    pub fn create(name: &'static str, machine: Machine, folder: &Path) -> io::Result<Self> {
        let root = folder.join(name);
        let paths = Paths::below(Some(&root));
        let service = root.join("service");
        let etc = paths.config_file.parent().unwrap_or(&root);
        for each in [etc, &paths.state_dir, &paths.run_dir, &service] {
            fs::create_dir_all(each)?;
        }
        let history = Lines::of(&paths.history_file);
        let steps = Lines::of(&service.join("steps.log"));
        Ok(Self { name, machine, paths, root, daemon: None, history, steps })
    }

    /// Where its service leaves its traces.
    pub fn service(&self) -> PathBuf {
        self.root.join("service")
    }

    fn log_file(&self) -> PathBuf {
        self.root.join("daemon.log")
    }

    /// Writes the configuration and starts `run`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self, configuration: &str) -> io::Result<()> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        // It contains log-ins.
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&self.paths.config_file)?;
        file.write_all(configuration.as_bytes())?;
        let log = File::create(self.log_file())?;
        let mut command = super::myself();
        command
            .arg("--root")
            .arg(&self.root)
            .arg("run")
            .env_remove("DR_WATCHDOG_ROOT")
            .env_remove("DR_WATCHDOG_SOCKET")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        self.daemon = Some(self.machine.namespace.spawn(&mut command)?);
        Ok(())
    }

    /// Asks the daemon; `None` while it does not answer.
    pub fn ask(&self, method: &str) -> Option<Value> {
        let mut stream = UnixStream::connect(&self.paths.socket).ok()?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).ok()?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT)).ok()?;
        let request = Request { id: 1, method: method.to_owned(), params: json!({}) };
        frames::write(&mut stream, &request).ok()?;
        frames::read::<Response>(&mut stream).ok()?.result
    }

    /// History records that are new since the last call.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn new_records(&mut self) -> io::Result<Vec<Value>> {
        let lines = self.history.new_lines()?;
        lines.iter().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// Steps that were begun since the last call.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn new_steps(&mut self) -> io::Result<Vec<String>> {
        self.steps.new_lines()
    }

    /// When the service began and ended; both from the files that the steps wrote.
    pub fn served(&self) -> Served {
        let written_us = |name: &str| {
            let file = fs::metadata(self.service().join(name)).ok()?;
            Some(file.mtime() * 1_000_000 + file.mtime_nsec() / 1_000)
        };
        Served { since_us: written_us("serving"), until_us: written_us("stopped") }
    }

    /// Fails if the daemon has ended; the sentence shows the end of its log.
    ///
    /// # Errors
    /// Then.
    pub fn check_alive(&mut self) -> Result<(), String> {
        let Some(daemon) = &mut self.daemon else { return Ok(()) };
        match daemon.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!(
                "the daemon of site {} has ended ({status}); it said:\n{}",
                self.name,
                self.log_end()
            )),
            Err(error) => Err(format!("the daemon of site {} cannot be awaited: {error}", self.name)),
        }
    }

    /// The last lines of the daemon's log.
    pub fn log_end(&self) -> String {
        let log = fs::read_to_string(self.log_file()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
        shown.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
    }

    /// Ends the daemon politely, and by force if that takes too long.
    ///
    /// # Errors
    /// When it had to be forced.
    pub fn stop(&mut self) -> Result<(), String> {
        let Some(mut daemon) = self.daemon.take() else { return Ok(()) };
        let name = self.name;
        let failed = |error: io::Error| format!("the daemon of site {name} cannot be ended: {error}");
        let ended = ended_within(&daemon, END_TIMEOUT).map_err(failed)?;
        // It is awaited in any case, so that nothing of it is left.
        if !ended {
            daemon.kill().map_err(failed)?;
        }
        daemon.wait().map_err(failed)?;
        let late = || format!("the daemon of site {name} did not end within {} s", END_TIMEOUT.as_secs());
        if ended { Ok(()) } else { Err(late()) }
    }
}

/// Tells a process to end; whether it does so in time.
fn ended_within(process: &Child, span: Duration) -> io::Result<bool> {
    let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("it has no process number"))?;
    // The number is still its own: nobody else awaits it.
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    pidfd_send_signal(&handle, Signal::TERM)?;
    let begun = Instant::now();
    while let Some(left) = span.checked_sub(begun.elapsed()) {
        if is_ready_within(&handle, left)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The span in which a service ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// When it began, in microseconds since 1970; `None` = it does not run now.
    pub since_us: Option<i64>,
    /// When it last ended; `None` = never.
    pub until_us: Option<i64>,
}

/// A file that grows by lines.
#[derive(Debug)]
struct Lines {
    path: PathBuf,
    read_to: u64,
}

impl Lines {
    fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), read_to: 0 }
    }

    /// Whole lines since the last call; a file that is not there yet has none.
    fn new_lines(&mut self) -> io::Result<Vec<String>> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        file.seek(SeekFrom::Start(self.read_to))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        self.read_to += whole as u64;
        Ok(text[..whole].lines().map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_process_that_obeys_ends_in_time_and_one_that_does_not_is_found_out() {
        let start = |script: &str| {
            let mut command = std::process::Command::new("/bin/sh");
            command.args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap()
        };
        let mut obeying = start("exec sleep 1000");
        assert!(ended_within(&obeying, Duration::from_secs(60)).unwrap());
        obeying.wait().unwrap();
        let mut deaf = start("trap '' TERM; echo deaf; exec sleep 1000");
        deaf.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).unwrap();
        assert!(!ended_within(&deaf, Duration::from_millis(100)).unwrap());
        deaf.kill().unwrap();
        deaf.wait().unwrap();
    }

    #[test]
    fn only_whole_new_lines_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        let mut lines = Lines::of(&path);
        assert!(lines.new_lines().unwrap().is_empty());
        let mut file = File::create(&path).unwrap();
        file.write_all(b"one\ntwo\nthr").unwrap();
        assert_eq!(lines.new_lines().unwrap(), ["one", "two"]);
        assert!(lines.new_lines().unwrap().is_empty());
        file.write_all(b"ee\n").unwrap();
        assert_eq!(lines.new_lines().unwrap(), ["three"]);
    }
}
