//! One network namespace: made, entered, and deleted with everything that still runs in it.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{needs, program, wait};

/// Longest wait until what was killed is gone.
const END_LIMIT: Duration = Duration::from_secs(10);

static LAST: AtomicU32 = AtomicU32::new(0);

/// A network namespace with its loopback up.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// A new one; `what` says what it stands for. The name is unique on this machine.
    pub fn new(what: &str) -> Self {
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let namespace = Self { name: format!("drw{}-{number}-{what}", std::process::id()) };
        program::system("ip", &["netns", "add", &namespace.name]);
        namespace.ip("link set lo up");
        namespace
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` on it with these blank-separated arguments.
    pub fn ip(&self, arguments: &str) -> String {
        let mut all = vec!["-n", self.name.as_str()];
        all.extend(arguments.split_whitespace());
        program::system("ip", &all)
    }

    /// A command of a program inside it. The process that starts becomes the program: its pid is the program's.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = program::clean(&needs::program("ip"));
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// A thread inside it; only that thread goes in, and it ends in there.
    ///
    /// # Panics
    /// When the namespace is gone.
    pub fn thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let entrance = File::open(format!("/run/netns/{}", self.name)).unwrap();
        std::thread::spawn(move || {
            setns(entrance, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        })
    }

    /// Loads nftables rules.
    pub fn nft(&self, rules: &str) {
        let mut command = self.command(&needs::program("nft"));
        program::run_within(command.args(["-f", "-"]), END_LIMIT, rules.as_bytes()).expect(0);
    }

    fn pids(&self) -> Vec<Pid> {
        let listed = program::system("ip", &["netns", "pids", &self.name]);
        listed.lines().filter_map(|line| line.trim().parse().ok()).map(Pid::from_raw).collect()
    }
}

impl Drop for Namespace {
    /// Everything inside was started by the test or by what the test started.
    fn drop(&mut self) {
        let ended = wait::poll(END_LIMIT, || {
            let pids = self.pids();
            for pid in &pids {
                // It may have ended since it was listed.
                let _ = kill(*pid, Signal::SIGKILL);
            }
            wait::holds(pids.is_empty(), || format!("{pids:?} still run"))
        });
        if let Err(why) = ended {
            eprintln!("namespace {}: {why}", self.name);
        }
        program::system("ip", &["netns", "del", &self.name]);
    }
}
