//! A network namespace that single threads enter.

use std::fs::File;
use std::io;
use std::process::{Child, Command};

use nix::sched::{CloneFlags, setns, unshare};
use rustix::thread::clear_ambient_capability_set;

/// One network namespace. It lives as long as this value or a process in it.
#[derive(Debug)]
pub struct Namespace {
    file: File,
}

impl Namespace {
    /// A new, empty one. Only a thread enters it, so the rest of the process stays where it is.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn create() -> io::Result<Self> {
        let file = on_own_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        })?;
        Ok(Self { file })
    }

    /// Runs a function inside. What it opens stays there.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or what the function returns.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        on_own_thread(|| {
            setns(&self.file, CloneFlags::CLONE_NEWNET)?;
            work()
        })
    }

    /// Starts a process inside, without the capabilities that an ordinary user's demo holds to build the network:
    /// the daemons of the demo shall be able to do what they can elsewhere, no more.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        self.run(|| {
            clear_ambient_capability_set()?;
            command.spawn()
        })
    }

    /// The open namespace, for moving links into it.
    pub const fn file(&self) -> &File {
        &self.file
    }
}

/// A thread that enters a namespace never comes back from it, so each entry has its own.
fn on_own_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("namespace".to_owned()).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
