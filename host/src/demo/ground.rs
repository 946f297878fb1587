//! The ground the demo stands on: namespaces of its own, as root or as an ordinary user.

use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};
use rustix::thread::{CapabilitySet, capabilities, configure_capability_in_ambient_set, set_capabilities};

/// What the demo needs to build its network and nothing of the daemons gets.
const BUILDER: [CapabilitySet; 2] = [CapabilitySet::SYS_ADMIN, CapabilitySet::NET_ADMIN];

/// Leaves the machine's namespaces: what is started next is the first process of a new pid namespace, and when it
/// ends the kernel ends everything that it started. Must be called before there is a second thread.
///
/// # Errors
/// When the kernel forbids it.
pub fn enter() -> io::Result<()> {
    let own = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID;
    if geteuid().is_root() {
        match unshare(own) {
            // Root of a container may still be allowed a user namespace.
            Err(Errno::EPERM) => {}
            other => return Ok(other?),
        }
    }
    // The maps name the ids outside; inside the process has none until they are written.
    let (user, group) = (geteuid(), getegid());
    unshare(own | CloneFlags::CLONE_NEWUSER)?;
    // Without this the kernel does not accept a group map from an ordinary user.
    std::fs::write("/proc/self/setgroups", "deny")?;
    // Everybody keeps his own number, so that files belong inside to whom they belong outside.
    std::fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
    keep_builder()
}

/// Keeps the builder's capabilities over the next start of a program, which takes them from whoever is not root.
fn keep_builder() -> io::Result<()> {
    let mut sets = capabilities(None)?;
    for capability in BUILDER {
        sets.inheritable |= capability;
    }
    set_capabilities(None, sets)?;
    for capability in BUILDER {
        configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}

/// Completes the ground from inside: no mount reaches the machine, and /proc shows the own processes. Where a
/// container hides parts of /proc the kernel allows no new one; then the old one is as good for the demo.
///
/// # Errors
/// When the kernel forbids it.
pub fn settle() -> io::Result<()> {
    let nothing: Option<&str> = None;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    match mount(Some("proc"), "/proc", Some("proc"), plain, nothing) {
        Err(error) if error != Errno::EPERM => Err(error.into()),
        _ => Ok(()),
    }
}

/// Whether this failure means that the machine forbids namespaces.
pub fn is_forbidden(error: &io::Error) -> bool {
    let forbidding = [Errno::EPERM, Errno::EACCES, Errno::ENOSPC, Errno::EUSERS, Errno::ENOSYS, Errno::EROFS];
    error.raw_os_error().is_some_and(|number| forbidding.contains(&Errno::from_raw(number)))
}

/// Settings of kernels and distributions that forbid user namespaces: the value that does, and the one that does not.
const SETTINGS: [(&str, &str, &str); 3] = [
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("user.max_user_namespaces", "0", "10000"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
];

/// What a container needs.
const CONTAINER: &str = "in a container, start it with --privileged, or with --cap-add SYS_ADMIN \
    --cap-add NET_ADMIN and a seccomp profile that allows unshare and mount";

/// What the operator may do where namespaces are forbidden, one thing a line.
pub fn advice() -> Vec<String> {
    advice_for(geteuid().is_root(), Path::new("/.dockerenv").exists(), |setting| {
        std::fs::read_to_string(format!("/proc/sys/{}", setting.replace('.', "/"))).ok()
    })
}

fn advice_for(is_root: bool, is_container: bool, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut lines = Vec::new();
    for (setting, forbids, allows) in SETTINGS {
        if read(setting).is_some_and(|value| value.trim() == forbids) {
            lines.push(format!("{setting} is {forbids}; allow it with: sysctl -w {setting}={allows}"));
        }
    }
    if is_container || is_root {
        lines.push(CONTAINER.to_owned());
    }
    if !is_root {
        lines.push("or run the demo as root: sudo dr-watchdog demo".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_the_setting_that_forbids_and_the_command_that_allows() {
        let apparmor = advice_for(false, false, |setting| {
            Some(if setting.contains("apparmor") { "1\n" } else { "1000\n" }.to_owned())
        });
        assert!(
            apparmor[0].contains("sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
            "{apparmor:?}"
        );
        assert!(apparmor[1].contains("as root"), "{apparmor:?}");
        assert_eq!(apparmor.len(), 2);
        let debian = advice_for(false, false, |setting| setting.contains("clone").then(|| "0\n".to_owned()));
        assert!(debian[0].contains("sysctl -w kernel.unprivileged_userns_clone=1"), "{debian:?}");
        let none_left =
            advice_for(false, true, |setting| setting.starts_with("user.").then(|| "0".to_owned()));
        assert!(none_left[0].contains("sysctl -w user.max_user_namespaces="), "{none_left:?}");
        assert!(none_left[1].contains("container"), "{none_left:?}");
        assert!(advice_for(true, false, |_| None)[0].contains("--cap-add SYS_ADMIN"));
    }

    #[test]
    fn only_a_refusal_of_the_kernel_is_forbidden() {
        assert!(is_forbidden(&Errno::EPERM.into()));
        assert!(!is_forbidden(&Errno::ENOENT.into()));
        assert!(!is_forbidden(&io::Error::other("x")));
    }
}
