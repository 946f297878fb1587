//! A folder of a test's own, deleted with it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder that only its owner may enter; a failing test keeps it if `DR_WATCHDOG_KEEP` is set.
#[derive(Debug)]
pub struct Scratch {
    folder: Option<TempDir>,
    path: PathBuf,
}

impl Scratch {
    /// A new folder below the system's temporary one.
    pub fn new(prefix: &str) -> Self {
        let folder = tempfile::Builder::new().prefix(&format!("drw-{prefix}-")).tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        Self { folder: Some(folder), path }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a name in it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file, with its folders.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Writes a file that may be executed.
    pub fn executable(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.write(name, content);
        set_mode(&path, 0o755);
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("DR_WATCHDOG_KEEP").is_some() {
            eprintln!("kept: {}", self.path.display());
            let _ = self.folder.take().map(TempDir::keep);
        }
    }
}

/// Sets the permissions of a file.
pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
