//! Whether a policy's file may be trusted: who could have written it.
//!
//! Checked at each start, for the file and every folder above it, as it was named and as its links resolve: whoever
//! may write one of them decides which site serves.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Failure, FailureKind, Permissions};

/// Write bits of group and others.
const LOOSE_BITS: u32 = 0o022;
/// In a sticky folder only a file's owner may replace it.
const STICKY_BIT: u32 = 0o1000;

/// The loose permissions of a policy's file.
///
/// # Errors
/// When the file is missing or no regular file; when its permissions are loose and `permissions` refuses that.
pub(super) fn check(path: &Path, permissions: Permissions) -> Result<Vec<String>, Failure> {
    let unreadable = |error: &io::Error| {
        let message = format!("the policy {} cannot be read: {error}", path.display());
        Failure::new(FailureKind::Load, message)
            .with_hint("correct watchdog.failureDetection.script, or put the file there")
    };
    if !path.is_absolute() {
        let message = format!("the policy \"{}\" is no absolute path", path.display());
        return Err(Failure::new(FailureKind::Load, message).with_hint("write the path from / on"));
    }
    let resolved = path.canonicalize().map_err(|error| unreadable(&error))?;
    let metadata = resolved.metadata().map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        let message = format!("the policy {} is not a file", path.display());
        return Err(Failure::new(FailureKind::Load, message).with_hint("name the policy's file itself"));
    }
    let mut components: BTreeSet<PathBuf> = resolved.ancestors().map(Path::to_owned).collect();
    components.extend(path.ancestors().skip(1).map(Path::to_owned));
    let mut loose = Vec::new();
    for component in components {
        let metadata = component.metadata().map_err(|error| unreadable(&error))?;
        loose.extend(looseness(&component, metadata.mode(), metadata.uid(), metadata.is_dir()));
    }
    match permissions {
        Permissions::Warn => Ok(loose),
        Permissions::Refuse if loose.is_empty() => Ok(loose),
        Permissions::Refuse => {
            let message = format!("the policy {} may not be trusted: {}", path.display(), loose.join("; "));
            Err(Failure::new(FailureKind::Denied, message)
                .with_hint("whoever may write a policy or a folder above it decides which site serves"))
        }
    }
}

fn looseness(path: &Path, mode: u32, owner: u32, is_folder: bool) -> Option<String> {
    let shown = path.display();
    let bits = mode & 0o7777;
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        let name = user_name(owner);
        return Some(format!(
            "{shown} (mode {bits:04o}) belongs to {name}, who is neither root nor the watchdog's user; run `chown root {shown}`"
        ));
    }
    if bits & LOOSE_BITS == 0 || (is_folder && bits & STICKY_BIT != 0) {
        return None;
    }
    let (who, fix) = match (bits & 0o020 != 0, bits & 0o002 != 0) {
        (true, true) => ("its group and by others", "go-w"),
        (true, false) => ("its group", "g-w"),
        _ => ("others", "o-w"),
    };
    let name = user_name(owner);
    Some(format!(
        "{shown} (mode {bits:04o}, owner {name}) may be written by {who}; run `chmod {fix} {shown}`"
    ))
}

fn user_name(uid: u32) -> String {
    match nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)) {
        Ok(Some(user)) => user.name,
        _ => format!("user {uid}"),
    }
}

/// Whether somebody may execute the file.
pub(super) fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_group_or_others_may_write_is_refused_with_the_command_that_fixes_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("policies");
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("x.lua");
        std::fs::write(&file, "").unwrap();
        chmod(&file, 0o644);
        chmod(&folder, 0o755);
        assert_eq!(check(&file, Permissions::Refuse), Ok(vec![]));
        for (mode, fix) in [(0o664, "g-w"), (0o646, "o-w"), (0o666, "go-w")] {
            chmod(&file, mode);
            let failure = check(&file, Permissions::Refuse).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Denied);
            let wanted = format!("chmod {fix} {}", file.display());
            assert!(failure.message.contains(&wanted), "{failure}");
            assert_eq!(check(&file, Permissions::Warn).unwrap().len(), 1);
        }
        chmod(&file, 0o644);
        chmod(&folder, 0o777);
        assert!(check(&file, Permissions::Refuse).unwrap_err().message.contains("chmod go-w"));
        chmod(&folder, 0o1777);
        assert_eq!(check(&file, Permissions::Refuse), Ok(vec![]), "a sticky folder is no danger");
    }

    #[test]
    fn the_folder_a_link_leads_through_is_checked_too() {
        let dir = tempfile::tempdir().unwrap();
        let (real, loose) = (dir.path().join("real"), dir.path().join("loose"));
        for folder in [&real, &loose] {
            std::fs::create_dir(folder).unwrap();
            chmod(folder, 0o755);
        }
        std::fs::write(real.join("x.lua"), "").unwrap();
        std::os::unix::fs::symlink(real.join("x.lua"), loose.join("x.lua")).unwrap();
        assert!(check(&loose.join("x.lua"), Permissions::Refuse).is_ok());
        chmod(&loose, 0o775);
        assert!(check(&loose.join("x.lua"), Permissions::Refuse).is_err());
    }

    #[test]
    fn what_is_missing_relative_or_a_folder_is_a_load_failure() {
        for path in ["/nonexistent/x.lua", "x.lua", "/"] {
            let failure = check(Path::new(path), Permissions::Warn).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Load, "{failure}");
        }
    }
}
