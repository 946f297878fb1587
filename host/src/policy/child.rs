//! A child process with its whole group: watched, signalled, ended.
//!
//! A child is watched through its pidfd and reaped only after its group was killed, so that a signal never reaches a
//! stranger that was given the same number.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use tokio::io::unix::AsyncFd;

/// How long a killed process may take to be gone. One that is stuck in the kernel is left to it.
const REAP_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a namespace's processes may take to be gone, and their leader to see it.
const GUEST_TIMEOUT: Duration = Duration::from_millis(500);

/// A child that leads a process group of its own.
#[derive(Debug)]
pub(super) struct Group {
    child: Child,
    pid: Pid,
    pidfd: AsyncFd<OwnedFd>,
    status: Option<ExitStatus>,
    /// The first process of a pid namespace: its end is the end of everything in there.
    guest: Option<AsyncFd<OwnedFd>>,
}

impl Group {
    /// Starts the command as leader of a new group.
    pub(super) fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut child = command.process_group(0).spawn()?;
        let watched = i32::try_from(child.id())
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("the child has no process id"))
            .and_then(|pid| Ok((pid, watch(pidfd_open(pid, PidfdFlags::empty())?)?)));
        match watched {
            Ok((pid, pidfd)) => Ok(Self { child, pid, pidfd, status: None, guest: None }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// Counts the leader's child `pid` among the group whatever it does: it is the first process of a pid namespace,
    /// and its end is the end of everything in there.
    pub(super) fn adopt(&mut self, pid: i32) -> io::Result<()> {
        let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("the guest has no process id"))?;
        if pid != self.pid {
            self.adopt_opened(pidfd_open(pid, PidfdFlags::empty())?)?;
        }
        Ok(())
    }

    /// The same, for one that was opened while it was known to live.
    pub(super) fn adopt_opened(&mut self, guest: OwnedFd) -> io::Result<()> {
        self.guest = Some(watch(guest)?);
        Ok(())
    }

    /// The leader's process id, which is the group's.
    pub(super) const fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until the leader has ended; it stays unreaped until [`Group::end`].
    pub(super) async fn exited(&self) {
        // The descriptor fails only where the runtime is shutting down; then nobody waits any more.
        let _ = self.pidfd.readable().await;
    }

    /// Whether the leader has ended, asked of the kernel and not of the runtime, which may not have looked yet.
    pub(super) fn has_ended(&self) -> bool {
        self.status.is_some() || self.poll(Duration::ZERO)
    }

    fn poll(&self, limit: Duration) -> bool {
        let limit = rustix::event::Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        };
        let mut wait = [rustix::event::PollFd::new(self.pidfd.get_ref(), rustix::event::PollFlags::IN)];
        matches!(rustix::event::poll(&mut wait, Some(&limit)), Ok(1..))
    }

    /// Signals the whole group. A group that has ended already needs no signal.
    pub(super) fn signal(&self, signal: Signal) {
        self.signal_guest(signal);
        if self.status.is_none()
            && let Err(error) = kill_process_group(self.pid, signal)
            && error != rustix::io::Errno::SRCH
        {
            tracing::error!(pid = self.pid.as_raw_nonzero().get(), %error, "a policy's processes could not be signalled");
        }
    }

    fn signal_guest(&self, signal: Signal) {
        if let Some(guest) = &self.guest {
            // One that has ended needs no signal, and there is no other error.
            let _ = pidfd_send_signal(guest.get_ref(), signal);
        }
    }

    /// Kills whatever is left of the group; how the leader ended, unless the kernel holds it.
    pub(super) async fn end(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            if let Some(guest) = &self.guest {
                // The leader is given the time to reap it: nobody else may be there who does.
                self.signal_guest(Signal::KILL);
                let gone = async { tokio::join!(guest.readable(), self.exited()) };
                let _ = tokio::time::timeout(GUEST_TIMEOUT, gone).await;
            }
            self.signal(Signal::KILL);
            if tokio::time::timeout(REAP_TIMEOUT, self.exited()).await.is_ok() {
                self.reap();
            }
        }
        self.status
    }

    fn reap(&mut self) {
        match self.child.try_wait() {
            Ok(status) => self.status = status,
            Err(error) => tracing::error!(%error, "a policy's process could not be reaped"),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.status.is_some() {
            return;
        }
        self.signal(Signal::KILL);
        if !self.poll(REAP_TIMEOUT) {
            tracing::error!(
                pid = self.pid.as_raw_nonzero().get(),
                "a policy's process did not end when it was killed"
            );
        }
        self.reap();
    }
}

#[expect(
    deprecated,
    reason = "unsound only for types that change or lie about their descriptor; OwnedFd does neither"
)]
fn watch(pidfd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(pidfd)
}

/// How a process ended, for people.
pub(super) fn ending(status: Option<ExitStatus>) -> String {
    let Some(status) = status else { return "did not end although it was killed".to_owned() };
    match (status.signal(), status.code()) {
        (Some(number), _) => killed_by(number),
        (None, Some(code)) => format!("exited with status {code}"),
        (None, None) => format!("ended: {status}"),
    }
}

/// That a signal ended it, for people.
pub(super) fn killed_by(number: i32) -> String {
    match nix::sys::signal::Signal::try_from(number) {
        Ok(signal) => format!("was killed by {}", signal.as_str()),
        Err(_) => format!("was killed by signal {number}"),
    }
}
