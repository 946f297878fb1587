//! Many files at once: all of them, or none.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file that shall be written.
#[derive(Debug)]
pub(super) struct Planned {
    /// Where.
    pub(super) path: PathBuf,
    /// What.
    pub(super) text: String,
    /// 0600 for secrets, 0644 for what everybody may see.
    pub(super) mode: u32,
}

/// Writes all files beside their places, and takes them away again.
///
/// # Errors
/// When one cannot be written.
pub(super) fn tried(files: &[Planned]) -> Result<(), String> {
    let missing = missing_folders(files);
    let result = prepared(files).map(drop);
    for folder in missing {
        // One that holds something by now is somebody else's.
        let _ = fs::remove_dir(folder);
    }
    result
}

fn prepared(files: &[Planned]) -> Result<Vec<(NamedTempFile, &Path)>, String> {
    let mut ready = Vec::new();
    for file in files {
        let written = beside(file).map_err(|error| {
            format!("{} cannot be written ({error}); nothing was changed", file.path.display())
        })?;
        ready.push((written, file.path.as_path()));
    }
    Ok(ready)
}

/// Folders of these files that are not there yet, the innermost first.
fn missing_folders(files: &[Planned]) -> Vec<PathBuf> {
    let above = files.iter().flat_map(|file| file.path.ancestors().skip(1));
    let mut missing: Vec<PathBuf> = above.filter(|folder| !folder.exists()).map(Path::to_owned).collect();
    missing.sort();
    missing.dedup();
    missing.reverse();
    missing
}

/// Writes all files beside their places, makes them durable, then moves every one into its place.
///
/// # Errors
/// When one cannot be written: then nothing has changed but empty folders.
pub(super) fn all(files: &[Planned]) -> Result<(), String> {
    for (written, path) in prepared(files)? {
        written.persist(path).map_err(|error| {
            format!("{} cannot be put in its place ({}); run `init` again", path.display(), error.error)
        })?;
    }
    for file in files {
        let folder = file.path.parent().unwrap_or(Path::new("/"));
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| format!("{} cannot be made durable: {error}", folder.display()))?;
    }
    Ok(())
}

fn beside(file: &Planned) -> io::Result<NamedTempFile> {
    let folder = file.path.parent().unwrap_or(Path::new("/"));
    fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    let mut written = tempfile::Builder::new().prefix(".dr-watchdog-").tempfile_in(folder)?;
    written.write_all(file.text.as_bytes())?;
    written.as_file().set_permissions(fs::Permissions::from_mode(file.mode))?;
    written.as_file().sync_all()?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(path: PathBuf) -> Planned {
        Planned { path, text: "new".to_owned(), mode: 0o600 }
    }

    #[test]
    fn one_file_that_cannot_be_written_leaves_every_other_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let old = folder.path().join("old");
        fs::write(&old, "old").unwrap();
        let impossible = old.join("below-a-file");
        let error = all(&[planned(old.clone()), planned(impossible)]).unwrap_err();
        assert!(error.contains("nothing was changed"), "{error}");
        assert_eq!(fs::read_to_string(&old).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no rest of it lies around");
        tried(&[planned(old.clone()), planned(folder.path().join("a/b/c"))]).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a trial leaves nothing behind");
        all(&[planned(old.clone()), planned(folder.path().join("a/b"))]).unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "new");
        assert_eq!(fs::metadata(&old).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
