//! The outer half of the worker: it makes the namespaces a guest lives in, starts the inner half there, tells its end.
//!
//! A process enters a new pid namespace only by being born in it, so two processes are needed. What this system
//! forbids is listed, and the guest runs without that layer: the remaining ones still stand.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{UsageWho, getrusage};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use super::serve::{self, Inside};
use super::{Args, hygiene};
use crate::frames::{self, FrameError};
use crate::policy::memory::MEASURED;
use crate::policy::protocol::FromWorker;

/// Longest plugin that is copied for its guest.
const FILE_BYTES_MAX: u64 = 512 << 20;
/// The user a guest seems to be in a user namespace of its own.
const NOBODY: u32 = 65_534;
/// First of the user ids that guests get, one for each worker: far above what any user table gives out.
const GUEST_UID_FIRST: u32 = 0x6472_0000;
/// Guests' user ids repeat after so many workers.
const GUEST_UIDS: u32 = 1 << 16;
/// Mounts that are made read-only; more are no ordinary machine.
const MOUNTS_MAX: usize = 4_096;

/// Raises the outer wall, runs the guest behind it, ends as it ended.
pub(super) fn enter(args: &Args) -> ExitCode {
    if let Err(error) = hygiene::name().and_then(|()| hygiene::shed()) {
        eprintln!("the worker could not give up what a policy must not have: {error}");
        return ExitCode::FAILURE;
    }
    // A file that cannot be read is opened once more by its path inside, where the failure finds its way out.
    let file = args.file.as_deref().and_then(|path| copy(path).ok());
    let user = guest_user(args.uid);
    let ground = Ground::make(args, user);
    // New privileges inside a user namespace make the kernel forget it.
    if let Err(error) = hygiene::follow() {
        eprintln!("the worker could not be tied to its watchdog: {error}");
        return ExitCode::FAILURE;
    }
    let inside = Inside {
        file: file.as_ref().map(AsRawFd::as_raw_fd),
        uid: user.filter(|_| !ground.has_user_namespace),
        is_alone: ground.has_user_namespace || user.is_some(),
        has_mounts: ground.has_mounts && ground.has_pid_namespace,
        has_network: args.network,
        hidden: args.hide.clone(),
        without: args.without.clone(),
        missing: ground.missing.clone(),
    };
    if !ground.has_pid_namespace {
        return match announce(std::process::id()) {
            Ok(()) => serve::serve(inside),
            Err(_) => ExitCode::FAILURE,
        };
    }
    match start(&inside, file.as_ref()) {
        Ok(status) => {
            if !status.success() {
                measure(args.memory);
            }
            mirror(status)
        }
        Err(error) => {
            eprintln!("the inner half of the worker could not be started: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The guest's file as sealed memory: readable for the guest whoever owns the file and its folders, and the same
/// bytes from the check of its sum to the last page that is loaded.
fn copy(path: &Path) -> io::Result<OwnedFd> {
    let mut from = File::open(path)?;
    let metadata = from.metadata()?;
    if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let memory = memfd_create("policy", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut to = File::from(memory);
    io::copy(&mut from, &mut to)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&to, seals)?;
    Ok(to.into())
}

/// The user id that root gives the guest. None where this process cannot become another user: an ordinary user's, or
/// one in a user namespace that holds no other.
fn guest_user(wanted: Option<u32>) -> Option<u32> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let own = GUEST_UID_FIRST + std::process::id() % GUEST_UIDS;
    [wanted.unwrap_or(own), NOBODY].into_iter().find(|uid| is_mapped(&map, *uid))
}

fn is_mapped(map: &str, uid: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(|number| number.parse::<u64>().unwrap_or(0));
        let (first, _, count) = (numbers.next(), numbers.next(), numbers.next());
        first.zip(count).is_some_and(|(first, count)| (first..first + count).contains(&u64::from(uid)))
    })
}

/// What was made for the guest to live in.
struct Ground {
    has_pid_namespace: bool,
    has_user_namespace: bool,
    has_mounts: bool,
    /// What this system refused, in words.
    missing: Vec<String>,
}

impl Ground {
    fn make(args: &Args, user: Option<u32>) -> Self {
        let mut ground = Self {
            has_pid_namespace: false,
            has_user_namespace: false,
            has_mounts: false,
            missing: Vec::new(),
        };
        if user.is_none() {
            match own_users() {
                Ok(()) => ground.has_user_namespace = true,
                Err(error) => ground.misses("a user of its own", &error),
            }
        }
        let mut wanted = vec![
            (CloneFlags::CLONE_NEWPID, "a pid namespace of its own"),
            (CloneFlags::CLONE_NEWNS, "a view of the file system of its own"),
            (CloneFlags::CLONE_NEWIPC, "shared memory of its own"),
            (CloneFlags::CLONE_NEWUTS, "a host name of its own"),
        ];
        if !args.network {
            wanted.push((CloneFlags::CLONE_NEWNET, "an empty network"));
        }
        for (namespace, what) in wanted {
            match unshare(namespace) {
                Ok(()) if namespace == CloneFlags::CLONE_NEWPID => ground.has_pid_namespace = true,
                Ok(()) if namespace == CloneFlags::CLONE_NEWNS => ground.mount(&args.hide),
                Ok(()) => {}
                Err(error) => ground.misses(what, &error),
            }
        }
        if ground.has_user_namespace
            && ground.has_mounts
            && let Err(error) = hygiene::pass_on_mounting()
        {
            ground.misses("a list of processes of its own", &error);
        }
        ground
    }

    fn misses(&mut self, what: &str, error: &dyn std::error::Error) {
        self.missing.push(format!("{what} ({error})"));
    }

    /// A file system that the guest cannot write to, with nothing of ours in it.
    fn mount(&mut self, hidden: &[PathBuf]) {
        let none = None::<&str>;
        if let Err(error) = mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none) {
            return self.misses("mounts of its own", &error);
        }
        self.has_mounts = true;
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for folder in hidden.iter().filter(|folder| folder.is_dir()) {
            let closed = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            if let Err(error) = mount(Some("none"), folder, Some("tmpfs"), closed, Some("size=4k,mode=0")) {
                self.misses(&format!("a closed {}", folder.display()), &error);
            }
        }
        for line in mounts.lines().take(MOUNTS_MAX) {
            if let Some((at, flags)) = mounted(line)
                && let Err(error) = mount(none, &at, none, flags, none)
                && at == Path::new("/")
            {
                self.misses("a file system that it cannot write to", &error);
            }
        }
    }
}

/// A user namespace in which this process is nobody for the rest of the machine.
fn own_users() -> io::Result<()> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER)?;
    let maps = [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{NOBODY} {uid} 1")),
        ("gid_map", format!("{NOBODY} {gid} 1")),
    ];
    for (file, map) in maps {
        std::fs::write(Path::new("/proc/self").join(file), map)?;
    }
    Ok(())
}

/// Where a line of `mountinfo` is mounted, and the flags that make it read-only and change nothing else.
fn mounted(line: &str) -> Option<(PathBuf, MsFlags)> {
    let mut fields = line.split(' ').skip(4);
    let (at, options) = (fields.next()?, fields.next()?);
    // Blanks and the like are written as three octal digits.
    let mut path = Vec::new();
    let mut bytes = at.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' {
            let digits: Vec<u8> = bytes.by_ref().take(3).collect();
            path.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 8).ok()?);
        } else {
            path.push(byte);
        }
    }
    let mut flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    for option in options.split(',') {
        flags |= match option {
            "nosuid" => MsFlags::MS_NOSUID,
            "nodev" => MsFlags::MS_NODEV,
            "noexec" => MsFlags::MS_NOEXEC,
            "noatime" => MsFlags::MS_NOATIME,
            "nodiratime" => MsFlags::MS_NODIRATIME,
            "relatime" => MsFlags::MS_RELATIME,
            _ => MsFlags::empty(),
        };
    }
    Some((PathBuf::from(OsString::from_vec(path)), flags))
}

/// Tells the watchdog which process the guest will be in. Nobody else writes before that process is told to load.
fn announce(pid: u32) -> Result<(), FrameError> {
    let frames = io::stdin().as_fd().try_clone_to_owned()?;
    let pid = i32::try_from(pid).unwrap_or(i32::MAX);
    frames::write(&mut UnixStream::from(frames), &FromWorker::Born { pid })
}

/// Starts the inner half, and lets go of everything that is its.
fn start(inside: &Inside, file: Option<&OwnedFd>) -> io::Result<ExitStatus> {
    if let Some(file) = file {
        rustix::io::fcntl_setfd(file, rustix::io::FdFlags::empty())?;
    }
    let mut command = Command::new("/proc/self/exe");
    command.arg("worker").args(inside.arguments()).env_clear();
    let mut child = command.spawn()?;
    drop(command);
    announce(child.id()).map_err(io::Error::other)?;
    // The watchdog must see its connection close when the inner half ends.
    let nothing = File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    child.wait()
}

/// Says of a guest that did not end well how much memory it had used, if that is more than it may: what it dies of then
/// has many names.
fn measure(memory_bytes: Option<u64>) {
    // This process is the same program without a guest in it.
    let most = |who| getrusage(who).map_or(0, |usage| usage.max_rss());
    let used = most(UsageWho::RUSAGE_CHILDREN).saturating_sub(most(UsageWho::RUSAGE_SELF));
    let used_bytes = u64::try_from(used).unwrap_or(0) << 10;
    if memory_bytes.is_some_and(|allowed| used_bytes > allowed) {
        eprintln!("{MEASURED}: {} MiB at the most", used_bytes >> 20);
    }
}

/// Ends like the inner half, so that the watchdog sees how the guest ended.
pub(super) fn mirror(status: ExitStatus) -> ExitCode {
    if let Some(signal) = status.signal().and_then(|number| nix::sys::signal::Signal::try_from(number).ok()) {
        // The first may reach a handler of the runtime, which then takes itself away.
        for _ in 0..2 {
            let _ = nix::sys::signal::raise(signal);
        }
    }
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_id_is_taken_only_where_the_namespace_holds_it() {
        let whole = "         0          0 4294967295\n";
        assert!(is_mapped(whole, GUEST_UID_FIRST) && is_mapped(whole, NOBODY));
        let container = "0 100000 65536\n";
        assert!(!is_mapped(container, GUEST_UID_FIRST) && is_mapped(container, NOBODY));
        assert!(!is_mapped("0 1000 1\n", NOBODY) && !is_mapped("", 0));
    }

    #[test]
    fn a_mount_is_made_read_only_with_all_that_it_forbids_already() {
        let line = "28 27 0:25 / /mnt/a\\040b ro,nosuid,nodev,relatime - tmpfs none ro,size=4k";
        let (at, flags) = mounted(line).unwrap();
        assert_eq!(at, Path::new("/mnt/a b"));
        assert!(
            flags.contains(MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_BIND)
        );
        assert!(!flags.contains(MsFlags::MS_NOEXEC));
        assert_eq!(mounted("28 27"), None);
    }

    #[test]
    fn the_copy_of_a_plugin_cannot_be_changed_any_more() {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.so");
        std::fs::write(&path, "whole").unwrap();
        let copied = copy(&path).unwrap();
        std::fs::write(&path, "other").unwrap();
        let shown = format!("/proc/self/fd/{}", copied.as_raw_fd());
        assert_eq!(std::fs::read_to_string(&shown).unwrap(), "whole");
        let opened = std::fs::OpenOptions::new().write(true).open(&shown);
        assert!(opened.and_then(|mut file| file.write_all(b"x")).is_err());
        assert!(copy(folder.path()).is_err());
    }
}
