//! Ends what left a script's process group: whoever carries the mark of its run in the environment.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Searches at the most. What is found is killed before the next search, so only a process that forks faster than we
/// look needs more than two.
const SEARCHES_MAX: usize = 10;
/// How long the end of a killed process is awaited; only one that hangs in the kernel takes longer than an instant.
const END_LIMIT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// The kernel's list of processes.
const PROCESSES: &str = "/proc";

/// Kills every process whose environment was begun with `name=value`, a pair that no other run has; how many they were.
/// A group is left with one call (`setsid`), while the environment goes on from parent to child unless it is replaced on
/// purpose.
pub(super) fn end(name: &str, value: &OsStr) -> usize {
    let mark = [name.as_bytes(), b"=", value.as_bytes()].concat();
    let mut ended = 0;
    for _ in 0..SEARCHES_MAX {
        let found = search(&mark);
        if found == 0 {
            return ended;
        }
        ended += found;
    }
    tracing::error!(ended, "a policy script's processes multiply faster than they can be ended");
    ended
}

/// One search; how many were killed.
fn search(mark: &[u8]) -> usize {
    let Ok(entries) = std::fs::read_dir(PROCESSES) else { return 0 };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| kill_marked(*pid, mark)).count()
}

fn kill_marked(pid: i32, mark: &[u8]) -> bool {
    let Some(pid) = Pid::from_raw(pid).filter(|pid| *pid != rustix::process::getpid()) else { return false };
    // Opened before it is looked at, so that the signal reaches the one that was looked at. What has ended, or belongs to
    // somebody whom we may not signal, is none of ours.
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    let folder = Path::new(PROCESSES).join(pid.as_raw_nonzero().to_string());
    let Ok(environment) = std::fs::read(folder.join("environ")) else { return false };
    let is_marked = environment.split(|byte| *byte == 0).any(|pair| pair == mark);
    if !is_marked || pidfd_send_signal(&process, Signal::KILL).is_err() {
        return false;
    }
    // A process that is dying still shows its environment: the next search must not take it for another one.
    let mut wait = [PollFd::new(&process, PollFlags::IN)];
    if !matches!(poll(&mut wait, Some(&END_LIMIT)), Ok(1..)) {
        tracing::warn!(
            pid = pid.as_raw_nonzero().get(),
            "a policy script's process was killed and has not ended yet"
        );
    }
    true
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_marked_process_is_ended_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let start =
            |value: &OsStr| Command::new("/bin/sleep").arg("1000").env("STRAY_TEST", value).spawn().unwrap();
        let other_value = folder.path().join("other");
        let (mut ours, mut other) = (start(folder.path().as_os_str()), start(other_value.as_os_str()));
        // The environment is the child's own as soon as the program runs, which spawn waits for.
        assert_eq!(end("STRAY_TEST", folder.path().as_os_str()), 1);
        assert!(!ours.wait().unwrap().success());
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(end("STRAY_TEST", folder.path().as_os_str()), 0);
    }
}
