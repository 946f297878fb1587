//! What the rings need of the machine; a missing part fails loudly, with the command that brings it.

use std::path::PathBuf;

/// The folders in which system programs lie, whatever PATH says.
const SYSTEM_FOLDERS: [&str; 6] =
    ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"];

/// The absolute path of a system program.
///
/// # Panics
/// When the machine lacks it.
pub fn program(name: &str) -> PathBuf {
    let found =
        SYSTEM_FOLDERS.iter().map(|folder| PathBuf::from(folder).join(name)).find(|path| path.exists());
    found
        .unwrap_or_else(|| panic!("this machine has no `{name}`; `./tests/run` installs what the tests need"))
}

/// Demands root: network namespaces, mounts and other users need it.
///
/// # Panics
/// When this process is not root.
pub fn root() {
    assert!(nix::unistd::geteuid().is_root(), "this ring lays network namespaces and must run as root");
}
