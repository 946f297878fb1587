//! What a guest may read: every folder but the watchdog's own, by Landlock.
//!
//! Landlock knows only what is allowed, so what is not hidden is listed: beside each folder on the way to a hidden
//! one, everything else. What is made later beside a hidden folder is closed too, which is the safe side.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

/// The newest rights that are asked for; an older kernel takes what it knows.
const NEWEST: ABI = ABI::V6;
/// Entries beside hidden folders that are listed; more stay closed.
const ENTRIES_MAX: usize = 4_096;
/// What may be written to although nothing else may.
const NOWHERE: &str = "/dev/null";

/// Closes the file system but for reading what is not hidden. Signals and the abstract sockets of others are closed
/// with it and, without a grant, TCP.
pub(super) fn close(hidden: &[PathBuf], has_network: bool) -> Result<(), String> {
    match restrict(hidden, has_network) {
        Ok(RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced) => Ok(()),
        Ok(RulesetStatus::NotEnforced) => Err("this kernel has no Landlock".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn restrict(hidden: &[PathBuf], has_network: bool) -> Result<RulesetStatus, RulesetError> {
    let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(NEWEST))?;
    if !has_network {
        ruleset = ruleset.handle_access(AccessNet::from_all(NEWEST))?;
    }
    let status = ruleset
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(open(hidden, &list), read))?
        .add_rules(path_beneath_rules([NOWHERE], AccessFs::ReadFile | AccessFs::WriteFile))?
        .restrict_self()?;
    Ok(status.ruleset)
}

/// Lets this process, with all that it starts, signal nobody but themselves, and reach everything else as before.
pub(super) fn scope_signals() -> Result<(), String> {
    let scoped = || {
        let ruleset =
            Ruleset::default().set_compatibility(CompatLevel::HardRequirement).scope(Scope::Signal)?;
        // Root needs no promise about privileges; sudo would not work after one.
        ruleset.create()?.no_new_privs(!rustix::process::geteuid().is_root()).restrict_self()
    };
    scoped().map(|_| ()).map_err(|error: RulesetError| error.to_string())
}

/// A folder that cannot be listed has nothing that the guest could read.
fn list(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).take(ENTRIES_MAX).collect())
        .unwrap_or_default()
}

/// What lies beside the hidden folders, and beside the folders on the way to them.
fn open(hidden: &[PathBuf], list: &dyn Fn(&Path) -> Vec<PathBuf>) -> Vec<PathBuf> {
    let hidden: Vec<PathBuf> =
        hidden.iter().map(|folder| folder.canonicalize().unwrap_or_else(|_| folder.clone())).collect();
    let root = Path::new("/");
    if hidden.is_empty() {
        return vec![root.to_owned()];
    }
    let is_hidden = |path: &Path| hidden.iter().any(|folder| path.starts_with(folder));
    let leads_to_hidden = |path: &Path| hidden.iter().any(|folder| folder.starts_with(path));
    let ways: BTreeSet<&Path> = hidden.iter().flat_map(|folder| folder.ancestors().skip(1)).collect();
    let beside = ways.into_iter().filter(|way| !is_hidden(way)).flat_map(list);
    beside.filter(|path| !leads_to_hidden(path)).take(ENTRIES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(folder: &Path) -> Vec<PathBuf> {
        let names: &[&str] = match folder.to_str() {
            Some("/") => &["bin", "etc", "var"],
            Some("/etc") => &["dr-watchdog", "hosts"],
            Some("/var") => &["lib"],
            Some("/var/lib") => &["dr-watchdog", "dr-watchdog-other"],
            other => panic!("{other:?} is no way to a hidden folder"),
        };
        names.iter().map(|name| folder.join(name)).collect()
    }

    #[test]
    fn everything_beside_the_hidden_folders_is_open_and_nothing_in_them() {
        let hidden = ["/etc/dr-watchdog", "/var/lib/dr-watchdog"].map(PathBuf::from);
        let shown = open(&hidden, &tree);
        assert_eq!(shown, ["/bin", "/etc/hosts", "/var/lib/dr-watchdog-other"].map(PathBuf::from));
    }

    #[test]
    fn what_lies_in_a_hidden_folder_needs_no_list_of_its_own() {
        let hidden = ["/etc", "/etc/dr-watchdog/deep"].map(PathBuf::from);
        assert_eq!(open(&hidden, &tree), ["/bin", "/var"].map(PathBuf::from));
        assert_eq!(open(&[], &tree), [PathBuf::from("/")]);
    }
}
