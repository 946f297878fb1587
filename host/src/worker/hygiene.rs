//! Process hygiene: what the worker and a script's launcher give up before any guest code runs.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use nix::mount::{MsFlags, mount};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, configure_capability_in_ambient_set,
    remove_capability_from_bounding_set, set_capabilities,
};

/// Open files of a guest.
const FILES_MAX: u64 = 256;
/// What a script as root does without: nothing that reads files or talks over the network needs it.
const NOT_FOR_SCRIPTS: CapabilitySet = CapabilitySet::SYS_ADMIN
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::SYS_BOOT)
    .union(CapabilitySet::SYS_MODULE)
    .union(CapabilitySet::SYS_RAWIO)
    .union(CapabilitySet::SYS_TIME)
    .union(CapabilitySet::SYS_RESOURCE)
    .union(CapabilitySet::MAC_ADMIN)
    .union(CapabilitySet::MAC_OVERRIDE)
    .union(CapabilitySet::BPF)
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::CHECKPOINT_RESTORE);
/// Address space beside the guest's own memory: what a thread's stack and its allocator reserve, never touch.
const RESERVED_BYTES: u64 = 192 << 20;
/// Where the worker's own descriptors are moved to, beyond the three standard ones.
const FIRST_OWN_DESCRIPTOR: RawFd = 3;

/// What could not be given up.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub(super) struct HygieneError {
    what: &'static str,
    why: io::Error,
}

fn gave_up<T>(what: &'static str, result: Result<T, impl Into<io::Error>>) -> Result<T, HygieneError> {
    result.map_err(|why| HygieneError { what, why: why.into() })
}

/// No process outlives the watchdog that started it; none gains privileges by running a program; none leaves its
/// memory in a file.
pub(super) fn shed() -> Result<(), HygieneError> {
    follow()?;
    forbid_new_privileges()?;
    limit_remains()
}

/// No program that this process runs gives it more privileges than it has.
pub(super) fn forbid_new_privileges() -> Result<(), HygieneError> {
    gave_up("no_new_privs", prctl::set_no_new_privs())
}

/// What it leaves of itself, and what it holds open.
pub(super) fn limit_remains() -> Result<(), HygieneError> {
    gave_up("the limit of core files", setrlimit(Resource::RLIMIT_CORE, 0, 0))?;
    gave_up("the limit of open files", setrlimit(Resource::RLIMIT_NOFILE, FILES_MAX, FILES_MAX))
}

/// Dies with whoever started this process. The kernel forgets it whenever the process becomes somebody else.
pub(super) fn follow() -> Result<(), HygieneError> {
    gave_up("the parent-death signal", prctl::set_pdeathsig(Signal::SIGKILL))
}

/// Becomes this user, for good, with no group and no privilege of the old one.
pub(super) fn become_user(uid: u32) -> Result<(), HygieneError> {
    let (user, group) = (nix::unistd::Uid::from_raw(uid), nix::unistd::Gid::from_raw(uid));
    gave_up("the groups", nix::unistd::setgroups(&[]))?;
    gave_up("the guest's group", nix::unistd::setresgid(group, group, group))?;
    gave_up("the guest's user", nix::unistd::setresuid(user, user, user))
}

/// Lets the inner half of the worker mount although it is started as nobody. Only inside a user namespace.
pub(super) fn pass_on_mounting() -> Result<(), HygieneError> {
    let what = "the right to mount";
    let mut own = gave_up(what, capabilities(None))?;
    own.inheritable |= CapabilitySet::SYS_ADMIN;
    gave_up(what, set_capabilities(None, own))?;
    gave_up(what, configure_capability_in_ambient_set(CapabilitySet::SYS_ADMIN, true))
}

/// A list of processes in which this process finds none but its own.
pub(super) fn mount_processes() -> Result<(), HygieneError> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    gave_up("a list of processes of its own", mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>))
}

/// Gives up every privilege that is left. Without any there is nothing to give up.
pub(super) fn drop_privileges() -> Result<(), HygieneError> {
    let none = CapabilitySet::empty();
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    gave_up("the privileges", set_capabilities(None, none))
}

/// A guest starts no more than a few processes or threads. Only for a user that is nobody else.
pub(super) fn limit_processes(most: u64) -> Result<(), HygieneError> {
    gave_up("the limit of processes", setrlimit(Resource::RLIMIT_NPROC, most, most))
}

/// Limits what one process may write to in memory. Address space that is only reserved costs nothing and is free: some
/// interpreters reserve gigabytes of it.
pub(super) fn limit_data(memory_bytes: u64) -> Result<(), HygieneError> {
    let limit = memory_bytes.saturating_add(RESERVED_BYTES);
    gave_up("the limit of memory", setrlimit(Resource::RLIMIT_DATA, limit, limit))
}

/// Leaves root its files and its network, and takes its power over the kernel and over other processes from whatever
/// program this one becomes.
pub(super) fn bound_root() -> Result<(), HygieneError> {
    for capability in NOT_FOR_SCRIPTS.iter() {
        match remove_capability_from_bounding_set(capability) {
            // A kernel that is older than the privilege.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(error) => return gave_up("the privileges", Err(error)),
        }
    }
    Ok(())
}

/// A machine that runs out of memory ends this process before any other.
pub(super) fn sacrifice() {
    // A system without this file chooses by size.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
}

/// Keeps nobody's standard streams open, so that they end with who uses them.
pub(super) fn let_go_of_standard_streams() -> io::Result<()> {
    let nothing = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    rustix::stdio::dup2_stderr(&nothing)?;
    Ok(())
}

/// A guest fills no disk.
pub(super) fn limit_files() -> Result<(), HygieneError> {
    gave_up("the limit of file sizes", setrlimit(Resource::RLIMIT_FSIZE, 0, 0))
}

/// Names the process: started through `/proc/self/exe` it would be called "exe".
pub(super) fn name() -> Result<(), HygieneError> {
    gave_up("the process name", prctl::set_name(c"dr-worker"))
}

/// Nobody of the same user may look into this process.
pub(super) fn hide() -> Result<(), HygieneError> {
    gave_up("PR_SET_DUMPABLE", prctl::set_dumpable(false))
}

/// Limits the address space to what is mapped now and `memory_bytes` more.
pub(super) fn limit_memory(memory_bytes: u64) -> Result<(), HygieneError> {
    let status = gave_up("the size of this process", std::fs::read_to_string("/proc/self/status"))?;
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let mapped_kib: u64 = size.and_then(|size| size.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
    let mapped = mapped_kib << 10;
    let limit = mapped.saturating_add(RESERVED_BYTES).saturating_add(memory_bytes);
    gave_up("the limit of memory", setrlimit(Resource::RLIMIT_AS, limit, limit))
}

/// Closes every descriptor but the standard ones and `kept`: whatever the watchdog itself was started with.
pub(super) fn close_others(kept: &[RawFd]) -> Result<(), HygieneError> {
    let open = gave_up("the list of open descriptors", std::fs::read_dir("/proc/self/fd"))?;
    let open: Vec<RawFd> =
        open.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for descriptor in open {
        if descriptor >= FIRST_OWN_DESCRIPTOR && !kept.contains(&descriptor) {
            // The one that listed the folder is closed already; that is the only error there can be.
            let _ = nix::unistd::close(descriptor);
        }
    }
    Ok(())
}

/// Takes the frames from standard input and the cancellations from standard output, then gives the guest harmless
/// ones: it reads nothing, and what it prints is log.
pub(super) fn take_channels(file: Option<RawFd>) -> Result<(OwnedFd, OwnedFd), HygieneError> {
    let take = |from: &dyn AsFd| rustix::io::fcntl_dupfd_cloexec(from.as_fd(), FIRST_OWN_DESCRIPTOR);
    let frames = gave_up("the frames", take(&io::stdin()))?;
    let cancel = gave_up("the cancellations", take(&io::stdout()))?;
    let nothing = gave_up("/dev/null", std::fs::File::open("/dev/null"))?;
    gave_up("standard input", rustix::stdio::dup2_stdin(&nothing))?;
    gave_up("standard output", rustix::stdio::dup2_stdout(io::stderr()))?;
    drop(nothing);
    let mut kept = vec![frames.as_raw_fd(), cancel.as_raw_fd()];
    kept.extend(file);
    close_others(&kept)?;
    Ok((frames, cancel))
}
