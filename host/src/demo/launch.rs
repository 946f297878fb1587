//! The process outside: prepares a folder, starts the demo in namespaces of its own, cleans up, sums up.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;
use rustix::fs::StatVfsMountFlags;
use tempfile::TempDir;

use super::policy_file::{self, Choice, Placed};
use super::readiness::is_ready_within;
use super::summary::Outcome;
use super::{ground, inside};

/// Longest path of the folder: a socket's path has at most 107 bytes, and those of the sites lie below it.
const FOLDER_BYTES_MAX: usize = 60;

/// Longest wait for a signal while nothing is wrong; the wait is then begun again.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// How long the demo may take to end after it was told to: two daemons that have to be forced, and then some.
const END_TIMEOUT: Duration = Duration::from_secs(15);

/// How the demo is wanted.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Which policy.
    pub policy: Choice,
    /// The arbitration plugin that a daemon finds by itself; asked for only if it is the policy.
    pub plugin: PathBuf,
    /// Whether events are written as JSON.
    pub is_json: bool,
    /// Whether the folder is kept.
    pub is_kept: bool,
}

/// How the demo ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The failover went as promised, and nothing is left behind.
    Good,
    /// It did not.
    Bad,
    /// There is no such policy, or no folder for it; why.
    Unusable(String),
    /// The machine forbids namespaces.
    Forbidden,
}

/// Runs the demo. Must be called before there is a second thread.
pub fn run(wish: &Wish) -> End {
    match prepared(wish) {
        Ok((folder, policy)) => in_folder(wish, folder, &policy),
        Err(error) => End::Unusable(error.to_string()),
    }
}

fn prepared(wish: &Wish) -> io::Result<(TempDir, Placed)> {
    let folder = tempfile::Builder::new().prefix("dr-watchdog-demo-").tempdir_in(base()?)?;
    // A policy may run as another user, who must be able to reach it; what is secret has its own mode.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let policies = folder.path().join("policy");
    let placed = policy_file::place(&wish.policy, &wish.plugin, &policies)
        .map_err(|error| io::Error::new(error.kind(), format!("the policy {}: {error}", wish.policy)))?;
    Ok((folder, placed))
}

/// Where the folder may lie: programs must be allowed to run there, and the path must be short.
fn base() -> io::Result<PathBuf> {
    let candidates = [std::env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")];
    let is_fit = |path: &PathBuf| {
        let may_run =
            rustix::fs::statvfs(path).is_ok_and(|fs| !fs.f_flag.contains(StatVfsMountFlags::NOEXEC));
        may_run && path.as_os_str().len() <= FOLDER_BYTES_MAX
    };
    candidates.into_iter().find(is_fit).ok_or_else(|| {
        io::Error::other(format!(
            "no folder for temporary files is fit: it must not be mounted noexec and its path must have at most {FOLDER_BYTES_MAX} bytes; set TMPDIR"
        ))
    })
}

fn in_folder(wish: &Wish, folder: TempDir, policy: &Placed) -> End {
    let outcome = match start(wish, folder.path(), policy) {
        Ok(()) => inside::outcome(folder.path())
            .unwrap_or_else(|| Outcome::failed("the demo was ended before its end".to_owned(), false)),
        Err(error) => {
            let failure = format!("namespaces of its own: {error}");
            Outcome::failed(failure, ground::is_forbidden(&error))
        }
    };
    let (kept, is_clean) = clean_up(wish, folder);
    let is_ok = outcome.is_ok() && is_clean;
    if let Some(failure) = &outcome.failure {
        say(&format!("demo: {failure}"));
    }
    if outcome.is_forbidden {
        say("demo: this machine forbids what the demo needs (user, mount, pid and network namespaces):");
        for line in ground::advice() {
            say(&format!("  - {line}"));
        }
    }
    sum_up(wish, &outcome, is_ok, kept.as_deref());
    match () {
        () if is_ok => End::Good,
        () if outcome.is_forbidden => End::Forbidden,
        () => End::Bad,
    }
}

/// Starts the demo inside and waits for its end. Signals that would end this process end the demo politely.
fn start(wish: &Wish, folder: &Path, policy: &Placed) -> io::Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGCHLD] {
        signals.add(signal);
    }
    signals.thread_block()?;
    let received = SignalFd::new(&signals)?;
    ground::enter()?;
    let mut command = super::myself();
    command.arg("demo-inside").arg("--folder").arg(folder);
    if let Some(path) = &policy.path {
        command.arg("--policy").arg(path);
    }
    command.arg("--note").arg(&policy.note).stdin(Stdio::piped());
    if wish.is_json {
        command.arg("--json");
    }
    if wish.is_kept {
        command.arg("--keep");
    }
    let child = command.spawn()?;
    wait(child, &received)
}

fn wait(mut child: Child, received: &SignalFd) -> io::Result<()> {
    // As long as it is open the demo goes on.
    let mut life = child.stdin.take();
    loop {
        let patience = if life.is_some() { PATIENCE } else { END_TIMEOUT };
        let is_told = is_ready_within(received, patience)?;
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        if !is_told {
            if life.is_none() {
                // It was told to end and did not. The kernel ends everything inside with it.
                child.kill()?;
            }
            continue;
        }
        let Some(signal) = received.read_signal()? else { continue };
        if i32::try_from(signal.ssi_signo) != Ok(Signal::SIGCHLD as i32) && life.take().is_none() {
            // Told twice: no more politeness.
            child.kill()?;
        }
    }
}

/// Removes the folder, or keeps it; says whether what should be gone is gone.
fn clean_up(wish: &Wish, folder: TempDir) -> (Option<String>, bool) {
    if wish.is_kept {
        return (Some(folder.keep().display().to_string()), true);
    }
    let path = folder.path().to_owned();
    match folder.close() {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            say(&format!("demo: {} could not be removed: {error}; remove it by hand", path.display()));
            (None, false)
        }
        _ => (None, true),
    }
}

fn sum_up(wish: &Wish, outcome: &Outcome, is_ok: bool, kept: Option<&str>) {
    let policy = wish.policy.to_string();
    let written = if wish.is_json {
        writeln!(io::stdout().lock(), "{}", outcome.json(is_ok, &policy, kept))
    } else {
        write_for_people(&outcome.lines(is_ok, &policy, kept), is_ok)
    };
    if let Err(error) = written {
        say(&format!("demo: the summary could not be written: {error}"));
    }
}

fn write_for_people(lines: &[String], is_ok: bool) -> io::Result<()> {
    let (style, title) = if is_ok {
        (AnsiColor::Green.on_default().bold(), "The failover went as promised.")
    } else {
        (AnsiColor::Red.on_default().bold(), "The failover did not go as promised.")
    };
    let bold = Style::new().bold();
    let mut out = anstream::stdout().lock();
    writeln!(out, "\n{style}{title}{style:#}")?;
    for line in lines {
        writeln!(out, "  {bold}{line}{bold:#}")?;
    }
    out.flush()
}

/// Tells the user of a failure.
fn say(text: &str) {
    // Nobody is left to tell if this fails too.
    let _ = writeln!(io::stderr(), "{text}");
}
