//! A watchdog of one site: started, asked, broken.

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use dr_watchdog::cli::client;
use dr_watchdog::paths::Paths;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::namespace::Namespace;
use crate::{program, wait};

/// Longest start: until the control socket answers.
pub const START_LIMIT: Duration = Duration::from_secs(30);
/// Longest polite end.
pub const STOP_LIMIT: Duration = Duration::from_secs(20);

/// A site's watchdog; it is killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    site: String,
    root: PathBuf,
    paths: Paths,
    namespace: Option<String>,
    may_have_pid_namespaces: bool,
    child: Option<Child>,
}

/// Refuses pid namespaces to all that comes after it, as a container may; only a user namespace of its own can be told so.
const NO_PID_NAMESPACES: &str = "echo 0 >/proc/sys/user/max_pid_namespaces && exec \"$0\" \"$@\"";

impl Daemon {
    /// A watchdog that is not yet started, with this configuration below `root`.
    pub fn new(site: &str, root: &Path, namespace: Option<&Namespace>, configuration: &str) -> Self {
        let namespace = namespace.map(|namespace| namespace.name().to_owned());
        let paths = Paths::below(Some(root));
        let (site, root) = (site.to_owned(), root.to_owned());
        let daemon = Self { site, root, paths, namespace, may_have_pid_namespaces: true, child: None };
        daemon.configure(configuration);
        daemon
    }

    /// Replaces the configuration file; a running watchdog hears of it by [`Daemon::reload`].
    pub fn configure(&self, configuration: &str) {
        fs::create_dir_all(self.paths.config_file.parent().unwrap()).unwrap();
        fs::write(&self.paths.config_file, configuration).unwrap();
        // It may hold secrets, and a watchdog that runs as root may refuse what others can read.
        crate::scratch::set_mode(&self.paths.config_file, 0o600);
    }

    /// Its files.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Its `--root`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn log_file(&self) -> PathBuf {
        self.root.join("log")
    }

    /// Starts the program and does not wait for it.
    pub fn launch(&mut self) {
        assert!(self.child.is_none(), "site {} runs already", self.site);
        let log = OpenOptions::new().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = self.command(&["run"]);
        command.env("RUST_BACKTRACE", "1");
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        self.child = Some(command.spawn().unwrap());
    }

    /// From its next start on, the system refuses it pid namespaces.
    pub fn refuse_pid_namespaces(&mut self) {
        let name = self.namespace.as_deref().expect("a watchdog in a network namespace");
        // In a user namespace it is root over no network: it may ping because everybody may.
        let everybody = ["netns", "exec", name, "sysctl", "-qw", "net.ipv4.ping_group_range=0 2147483647"];
        program::system("ip", &everybody);
        self.may_have_pid_namespaces = false;
    }

    /// A command of the program at this site.
    pub fn command(&self, arguments: &[&str]) -> std::process::Command {
        let twin = program::twin();
        let mut command = match &self.namespace {
            Some(name) => {
                let mut command = program::clean(&crate::needs::program("ip"));
                command.args(["netns", "exec", name]);
                if !self.may_have_pid_namespaces {
                    let unshare = crate::needs::program("unshare");
                    command.arg(unshare).args(["-Ur", "/bin/sh", "-c", NO_PID_NAMESPACES]);
                }
                command.arg(twin);
                command
            }
            None => program::clean(&twin),
        };
        command.arg("--root").arg(&self.root).args(arguments);
        command
    }

    /// Runs a command of the program at this site to its end.
    pub fn run(&self, arguments: &[&str]) -> program::Run {
        program::run(&mut self.command(arguments))
    }

    /// Starts it and waits until it answers.
    pub fn start(&mut self) {
        self.launch();
        self.wait("the control socket answers", START_LIMIT, |daemon| {
            if let Some(status) = daemon.has_ended() {
                panic!("site {} has ended with {status}\n{}", daemon.site, daemon.log());
            }
            daemon.try_health().map(|_| ())
        });
    }

    /// The process, which must run.
    pub fn pid(&self) -> Pid {
        let child = self.child.as_ref().unwrap_or_else(|| panic!("site {} does not run", self.site));
        Pid::from_raw(i32::try_from(child.id()).unwrap())
    }

    /// How the program ended, if it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().unwrap())
    }

    /// Waits for its end.
    pub fn ended(&mut self, limit: Duration) -> ExitStatus {
        let ended = wait::poll(limit, || self.has_ended().ok_or_else(|| "it still runs".to_owned()));
        let status = ended.unwrap_or_else(|why| panic!("{why} after {limit:?}\n{}", self.dump()));
        self.child = None;
        status
    }

    fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Ends it politely (SIGTERM).
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.ended(STOP_LIMIT)
    }

    /// Kills it (SIGKILL): nothing of it runs on but what it started.
    pub fn kill_9(&mut self) {
        self.signal(Signal::SIGKILL);
        self.ended(STOP_LIMIT);
    }

    /// Freezes it (SIGSTOP).
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Tells it to read its configuration again (SIGHUP).
    pub fn reload(&self) {
        self.signal(Signal::SIGHUP);
    }

    /// What `health` answers, if it does.
    ///
    /// # Errors
    /// Why it does not.
    pub fn try_health(&self) -> Result<Value, String> {
        client::ask(&self.paths.socket, "health", json!({})).map_err(|error| error.to_string())
    }

    /// What `health` answers.
    #[track_caller]
    pub fn health(&self) -> Value {
        self.try_health().unwrap_or_else(|why| panic!("site {}: {why}\n{}", self.site, self.dump()))
    }

    /// `role` and `phase` of `health`, as one text: `active/active`, `standby/standby`, `active/demoting` …
    pub fn standing(&self) -> Result<String, String> {
        let health = self.try_health()?;
        let word = |key: &str| health[key].as_str().unwrap_or("?").to_owned();
        Ok(format!("{}/{}", word("role"), word("phase")))
    }

    /// Every record of the history.
    pub fn history(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.paths.history_file).unwrap_or_default();
        // The last line may be in the middle of being written.
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The decisions of the history.
    pub fn decisions(&self) -> Vec<Value> {
        self.history().into_iter().filter(|record| record["kind"] == "decision").collect()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Waits for something about it.
    ///
    /// # Panics
    /// When it does not come.
    #[track_caller]
    pub fn wait<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut check: impl FnMut(&mut Self) -> Result<T, String>,
    ) -> T {
        match wait::poll(limit, || check(self)) {
            Ok(value) => value,
            Err(why) => {
                let site = &self.site;
                panic!("site {site}: waited {limit:?} until {what}; at the end: {why}\n{}", self.dump())
            }
        }
    }

    /// Waits until it stands so; see [`Daemon::standing`].
    #[track_caller]
    pub fn wait_standing(&mut self, wanted: &str, limit: Duration) {
        self.wait(&format!("it is {wanted}"), limit, |daemon| {
            let found = daemon.standing()?;
            wait::holds(found == wanted, || format!("it is {found}"))
        });
    }

    /// Waits until so many decisions were recorded after the first `seen` of them, and returns those.
    #[track_caller]
    pub fn wait_decisions(&mut self, seen: usize, count: usize, limit: Duration) -> Vec<Value> {
        self.wait(&format!("{count} more decisions are in the history"), limit, |daemon| {
            let decisions = daemon.decisions();
            let new = decisions.get(seen..).unwrap_or_default();
            if new.len() >= count { Ok(new.to_vec()) } else { Err(format!("there are {}", new.len())) }
        })
    }

    /// Everything there is to see of it.
    pub fn dump(&self) -> String {
        let shortened = |record: &Value| {
            let mut record = record.clone();
            if let Some(object) = record.as_object_mut() {
                object.retain(|key, _| key != "sections" && key != "context" && key != "calls");
            }
            record.to_string()
        };
        let history: Vec<String> = self.history().iter().map(shortened).collect();
        let health = self.try_health().map_or_else(|why| why, |health| health.to_string());
        format!(
            "---- site {}\nhealth: {health}\nhistory:\n{}\nlog:\n{}",
            self.site,
            history.join("\n"),
            self.log()
        )
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Either fails only where it has ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
