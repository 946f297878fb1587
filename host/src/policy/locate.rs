//! Where this program's own files lie: the executable that becomes a worker, the default plugin.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{Failure, FailureKind};

/// File name of the default policy.
const DEFAULT_PLUGIN: &str = "libdr_watchdog_arbitration.so";
/// Names a folder that is searched for the default plugin before all others.
const PLUGIN_DIR_VARIABLE: &str = "DR_WATCHDOG_PLUGIN_DIR";
/// Names the executable that becomes a worker, for programs that are not dr-watchdog themselves.
const EXECUTABLE_VARIABLE: &str = "DR_WATCHDOG_EXECUTABLE";

static EXECUTABLE: OnceLock<PathBuf> = OnceLock::new();

/// Makes `path` the executable that becomes a worker. Only a program that is not dr-watchdog itself needs this; the
/// first call wins.
pub fn use_executable(path: PathBuf) {
    EXECUTABLE.get_or_init(|| path);
}

/// The executable that becomes a worker: this very program, even after its file was replaced by an upgrade.
pub fn executable() -> PathBuf {
    let named = || std::env::var_os(EXECUTABLE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    EXECUTABLE.get().cloned().or_else(named).unwrap_or_else(|| PathBuf::from("/proc/self/exe"))
}

/// The executable's file, for a link that another program follows: there `/proc/self/exe` would be that program.
pub(super) fn executable_file() -> Result<PathBuf, std::io::Error> {
    let path = executable();
    if path != Path::new("/proc/self/exe") {
        return Ok(path);
    }
    let found = std::fs::read_link(&path)?;
    // The kernel marks a replaced file so; its successor lies at the same path.
    let text = found.to_string_lossy();
    Ok(text.strip_suffix(" (deleted)").map_or_else(|| found.clone(), PathBuf::from))
}

/// The default policy's plugin.
///
/// # Errors
/// When it is in none of the places where it may be; the message lists them.
pub fn find_default_plugin() -> Result<PathBuf, Failure> {
    let named = std::env::var_os(PLUGIN_DIR_VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let beside = executable_file().ok().and_then(|file| file.parent().map(Path::to_owned));
    search(&folders(named, beside.as_deref()))
}

fn folders(named: Option<PathBuf>, beside: Option<&Path>) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = named.into_iter().collect();
    if let Some(beside) = beside {
        folders.push(beside.to_owned());
        folders.push(beside.join("../lib/dr-watchdog"));
        // Where cargo leaves it for the tests.
        folders.push(beside.join("deps"));
    }
    folders
}

fn search(folders: &[PathBuf]) -> Result<PathBuf, Failure> {
    let found = folders.iter().map(|folder| folder.join(DEFAULT_PLUGIN)).find(|path| path.is_file());
    if let Some(path) = found {
        return Ok(path.canonicalize().unwrap_or(path));
    }
    let looked: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    let message =
        format!("the default policy {DEFAULT_PLUGIN} was not found; looked in {}", looked.join(", "));
    let hint =
        format!("install it in one of these folders, or set {PLUGIN_DIR_VARIABLE} to the folder it is in");
    Err(Failure::new(FailureKind::Load, message).with_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugin_is_found_beside_the_binary_and_its_absence_lists_every_place() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        let places = folders(Some(dir.path().join("named")), Some(&bin));
        let failure = search(&places).unwrap_err();
        for place in ["named", "bin", "lib/dr-watchdog", "deps"] {
            assert!(failure.message.contains(place), "{failure}");
        }
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::write(bin.join(DEFAULT_PLUGIN), "").unwrap();
        assert!(search(&places).unwrap().ends_with("bin/libdr_watchdog_arbitration.so"));
    }
}
