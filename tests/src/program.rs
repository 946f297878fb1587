//! The built program: where it lies in the repository, one run of it with a limit.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;

use crate::wait;

/// Longest run of a command that a test does not limit itself.
const RUN_LIMIT: Duration = Duration::from_secs(60);

/// The folder in which cargo put the binaries: the one of this executable, or its parent for a test.
pub fn target_folder() -> PathBuf {
    let executable = std::env::current_exe().unwrap();
    let folder = executable.parent().unwrap();
    if folder.ends_with("deps") { folder.parent().unwrap().to_owned() } else { folder.to_owned() }
}

fn built(name: &str) -> PathBuf {
    let path = target_folder().join(name);
    assert!(path.exists(), "{} is not built; run the rings with `cargo test --workspace`", path.display());
    path
}

/// The program under test.
///
/// # Panics
/// When it is not built, or would find a plugin of an earlier build beside itself: cargo puts the plugin there only
/// with `cargo build`, and the program looks there first.
pub fn twin() -> PathBuf {
    let beside = target_folder().join("libdr_watchdog_arbitration.so");
    let is_stale = || std::fs::read(&beside).unwrap() != std::fs::read(arbitration_plugin()).unwrap();
    static IS_CURRENT: OnceLock<()> = OnceLock::new();
    IS_CURRENT.get_or_init(|| {
        assert!(
            !beside.exists() || !is_stale(),
            "{} is of an earlier build; run `cargo build`",
            beside.display()
        );
    });
    built("dr-watchdog-twin")
}

/// The decision table's program.
pub fn table() -> PathBuf {
    built("dr-watchdog-table")
}

/// The default policy, as cargo builds it beside the rings.
pub fn arbitration_plugin() -> PathBuf {
    built("deps/libdr_watchdog_arbitration.so")
}

/// The shipped plugin that asks a witness, as `cargo build` leaves it.
pub fn witness_plugin() -> PathBuf {
    built("libdr_watchdog_witness.so")
}

/// The repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A file of the repository.
pub fn in_repository(path: &str) -> PathBuf {
    repository().join(path)
}

/// A command of the program under test with a clean environment: only PATH, so that no variable of the person who
/// runs the tests changes what is tested.
pub fn command(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = clean(&twin());
    command.args(arguments);
    command
}

/// A program with a clean environment.
pub fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
    command
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Run {
    /// Exit status.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
    line: String,
}

/// Runs a command to its end.
///
/// # Panics
/// When it cannot be started, or runs longer than a minute.
pub fn run(command: &mut Command) -> Run {
    run_within(command, RUN_LIMIT, b"")
}

/// Runs a command to its end, with this standard input. It gets a process group of its own, which is ended with it.
///
/// # Panics
/// When it cannot be started, or runs longer than the limit.
pub fn run_within(command: &mut Command, limit: Duration, input: &[u8]) -> Run {
    let line = format!("{command:?}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{line} cannot be started: {error}"));
    let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input closes the pipe, which is its right.
        let _ = stdin.write_all(input);
    }
    let ended = wait::poll(limit, || child.try_wait().unwrap().ok_or_else(|| "it still runs".to_owned()));
    if ended.is_err() {
        end_group(&mut child);
    }
    let (stdout, stderr) = (text(stdout), text(stderr));
    match ended {
        Ok(status) => Run { status, stdout, stderr, line },
        Err(_) => panic!("{line} ran longer than {limit:?}\nstdout: {stdout}\nstderr: {stderr}"),
    }
}

fn end_group(child: &mut Child) {
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap());
    // The group may have ended in this very moment.
    let _ = killpg(group, Signal::SIGKILL);
    child.wait().unwrap();
}

fn collect(from: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut from) = from {
            from.read_to_end(&mut bytes).unwrap();
        }
        bytes
    })
}

fn text(collected: JoinHandle<Vec<u8>>) -> String {
    String::from_utf8_lossy(&collected.join().unwrap()).into_owned()
}

impl Run {
    /// The exit status as a number; a signal is a failure of the test.
    pub fn code(&self) -> i32 {
        let signal = || panic!("ended by signal {:?}\n{}", self.status.signal(), self.all());
        self.status.code().unwrap_or_else(signal)
    }

    /// Everything there is to see of the run.
    pub fn all(&self) -> String {
        format!("{}\n{}\nstdout: {}\nstderr: {}", self.line, self.status, self.stdout, self.stderr)
    }

    /// Demands this exit status.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{}", self.all());
        self
    }

    /// Demands that both streams together say all of this.
    #[track_caller]
    pub fn says(self, parts: &[&str]) -> Self {
        let said = format!("{}{}", self.stdout, self.stderr);
        for part in parts {
            assert!(said.contains(part), "\"{part}\" is not said\n{}", self.all());
        }
        self
    }

    /// The last line of standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        let last =
            self.stdout.lines().last().unwrap_or_else(|| panic!("nothing was printed\n{}", self.all()));
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}\n{}", self.all()))
    }

    /// Demands that the program neither panicked nor was ended by a signal.
    #[track_caller]
    pub fn is_orderly(self) -> Self {
        self.code();
        assert!(!self.stderr.contains("panicked at"), "{}", self.all());
        self
    }
}

/// Runs a system program to its end and demands success.
///
/// # Panics
/// When it fails.
pub fn system(name: &str, arguments: &[&str]) -> String {
    system_with(name, arguments, b"")
}

/// The same, with standard input.
///
/// # Panics
/// When it fails.
pub fn system_with(name: &str, arguments: &[&str], input: &[u8]) -> String {
    let mut command = clean(&crate::needs::program(name));
    run_within(command.args(arguments), RUN_LIMIT, input).expect(0).stdout
}
