//! The policy file of the demo: where it comes from, where it lies.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The arbitration rules in Lua, as shipped.
const LUA: &str = include_str!("../../../scripts/arbitration.lua");
/// The arbitration rules for `/bin/sh`, as shipped.
const SCRIPT: &str = include_str!("../../../scripts/legacy/arbitration.sh");

/// Which policy the demo shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The arbitration plugin.
    Default,
    /// The arbitration rules in Lua.
    Lua,
    /// The arbitration rules as a shell script.
    Script,
    /// The user's own.
    File(PathBuf),
}

impl std::str::FromStr for Choice {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "default" => Self::Default,
            "lua" => Self::Lua,
            "script" => Self::Script,
            path => Self::File(PathBuf::from(path)),
        })
    }
}

impl std::fmt::Display for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Lua => f.write_str("lua"),
            Self::Script => f.write_str("script"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// A policy that lies where both daemons may run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its absolute path; `None` is the plugin beside the binary, which a daemon finds by itself.
    pub path: Option<PathBuf>,
    /// What people should know of it.
    pub note: String,
}

/// Puts the policy where a root daemon trusts it: into `folder`, unless it already lies in such a place. `plugin` is
/// the arbitration plugin that a daemon finds by itself.
///
/// # Errors
/// When there is no such file, or it cannot be copied.
pub fn place(choice: &Choice, plugin: &Path, folder: &Path) -> io::Result<Placed> {
    fs::create_dir_all(folder)?;
    match choice {
        Choice::Default => {
            let placed = place_file(plugin, folder)?;
            // A copy has to be named; the plugin itself is where every daemon looks for it.
            let path = placed.path.filter(|path| path.starts_with(folder));
            Ok(Placed { path, note: format!("the arbitration plugin, {}", placed.note) })
        }
        Choice::Lua => write(&folder.join("arbitration.lua"), LUA, "the shipped scripts/arbitration.lua"),
        Choice::Script => {
            write(&folder.join("arbitration.sh"), SCRIPT, "the shipped scripts/legacy/arbitration.sh")
        }
        Choice::File(path) => place_file(&fs::canonicalize(path)?, folder),
    }
}

fn write(path: &Path, text: &str, note: &str) -> io::Result<Placed> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(Placed { path: Some(path.to_owned()), note: note.to_owned() })
}

fn place_file(path: &Path, folder: &Path) -> io::Result<Placed> {
    if !path.is_file() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("{} is no file", path.display())));
    }
    let Some(loose) = loose_component(path)? else {
        return Ok(Placed { path: Some(path.to_owned()), note: path.display().to_string() });
    };
    let name = path.file_name().unwrap_or(path.as_os_str());
    let copy = folder.join(name);
    fs::copy(path, &copy)?;
    // A script must stay executable; nobody else needs to write.
    let mode = fs::metadata(path)?.permissions().mode() & 0o755;
    fs::set_permissions(&copy, fs::Permissions::from_mode(mode | 0o400))?;
    let note = format!("a copy of {}, because others may change {}", path.display(), loose.display());
    Ok(Placed { path: Some(copy), note })
}

/// The first component of the path that somebody else than root or this user may change: a root daemon would not
/// run what lies behind it.
fn loose_component(path: &Path) -> io::Result<Option<PathBuf>> {
    let user = nix::unistd::geteuid().as_raw();
    for component in path.ancestors() {
        let status = fs::metadata(component)?;
        let is_ours = status.uid() == 0 || status.uid() == user;
        let is_sticky = status.is_dir() && status.mode() & 0o1000 != 0;
        let is_writable = status.mode() & 0o022 != 0 && !is_sticky;
        if !is_ours || is_writable {
            return Ok(Some(component.to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn policy(folder: &Path, mode: u32) -> PathBuf {
        let path = folder.join("own.lua");
        fs::write(&path, "return {}").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_policy_that_nobody_else_may_change_stays_where_it_is() {
        let (source, target) = (folder(), folder());
        let path = policy(source.path(), 0o755);
        assert_eq!(
            place(&Choice::File(path.clone()), Path::new(""), target.path()).unwrap().path,
            Some(path)
        );
    }

    #[test]
    fn a_policy_in_a_group_writable_clone_is_copied_and_the_note_says_why() {
        let (source, target) = (folder(), folder());
        let path = policy(source.path(), 0o775);
        let placed = place(&Choice::File(path.clone()), Path::new(""), target.path()).unwrap();
        let copy = placed.path.unwrap();
        assert_eq!(copy, target.path().join("own.lua"));
        assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o755);
        assert!(placed.note.contains(&format!("others may change {}", path.display())), "{}", placed.note);

        let path = policy(source.path(), 0o755);
        fs::set_permissions(source.path(), fs::Permissions::from_mode(0o775)).unwrap();
        let placed = place(&Choice::File(path), Path::new(""), target.path()).unwrap();
        assert!(placed.note.ends_with(&source.path().display().to_string()), "{}", placed.note);
    }

    #[test]
    fn the_plugin_stays_unnamed_where_the_daemons_find_it_and_a_copy_is_named() {
        let (source, target) = (folder(), folder());
        let plugin = policy(source.path(), 0o644);
        let placed = place(&Choice::Default, &plugin, target.path()).unwrap();
        assert_eq!(placed.path, None);
        assert!(placed.note.contains(&plugin.display().to_string()), "{}", placed.note);
        let plugin = policy(source.path(), 0o666);
        let placed = place(&Choice::Default, &plugin, target.path()).unwrap();
        assert_eq!(placed.path, Some(target.path().join("own.lua")));
    }

    #[test]
    fn a_missing_policy_is_named() {
        let target = folder();
        assert!(
            place(&Choice::File(PathBuf::from("/nonexistent.lua")), Path::new(""), target.path()).is_err()
        );
        let error = place(&Choice::File(target.path().to_owned()), Path::new(""), target.path()).unwrap_err();
        assert!(error.to_string().contains("is no file"), "{error}");
    }

    #[test]
    fn the_shipped_policies_are_written_for_their_engines() {
        let target = folder();
        for (choice, ending) in [("lua", "lua"), ("script", "sh")] {
            let path = place(&choice.parse().unwrap(), Path::new(""), target.path()).unwrap().path.unwrap();
            assert_eq!(path.extension().unwrap(), ending);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
        }
        assert_eq!("x/own.so".parse::<Choice>().unwrap(), Choice::File(PathBuf::from("x/own.so")));
    }
}
