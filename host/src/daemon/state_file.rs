//! The stored state of a site: written whole, verified whole.
//!
//! Temp file, fsync, rename, fsync of the folder: after a power loss either the old state is there or the new one.
//! A file that does not verify is never guessed at, and never lost: it is copied aside before it is replaced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use dr_watchdog_core::durable::{Durable, Found};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// The version this program writes, and the newest it reads.
const VERSION: u64 = 1;
/// A state is a few hundred bytes; what is longer is not one.
const STATE_BYTES_MAX: u64 = 1 << 20;
/// Copies of unusable files that are kept.
const UNUSABLE_MAX: u32 = 9;

/// Where the state lies.
#[derive(Debug, Clone)]
pub struct StateFile {
    path: PathBuf,
}

/// Why the state could not be written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It has no JSON form: a programmer error that is reported all the same.
    #[error("the state cannot be put into JSON")]
    Json(#[source] serde_json::Error),
    /// The file system refused.
    #[error("{} could not be {doing}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What we were doing to it.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

#[derive(Serialize)]
struct Written<'a> {
    version: u64,
    checksum: String,
    state: &'a RawValue,
}

#[derive(Deserialize)]
struct Stored<'a> {
    version: Option<u64>,
    checksum: Option<String>,
    #[serde(borrow)]
    state: Option<&'a RawValue>,
}

impl StateFile {
    /// The state in this file.
    pub const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Writes the state; when this returns, it is on disk.
    ///
    /// # Errors
    /// See [`StateError`]; the old state is then still there.
    pub fn write(&self, durable: &Durable) -> Result<(), StateError> {
        let text = serde_json::to_string(durable).map_err(StateError::Json)?;
        let checksum = checksum(&text);
        let state = RawValue::from_string(text).map_err(StateError::Json)?;
        let written = Written { version: VERSION, checksum, state: &state };
        let bytes = serde_json::to_vec(&written).map_err(StateError::Json)?;
        let temporary = self.path.with_extension("tmp");
        self.write_temporary(&temporary, &bytes).inspect_err(|_| {
            // What was begun is of no use; the error that is returned says why.
            let _ = fs::remove_file(&temporary);
        })?;
        let failed = |doing| move |source| StateError::Io { path: self.path.clone(), doing, source };
        fs::rename(&temporary, &self.path).map_err(failed("replaced"))?;
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("made durable"))
    }

    fn write_temporary(&self, temporary: &Path, bytes: &[u8]) -> Result<(), StateError> {
        let failed = |doing| move |source| StateError::Io { path: temporary.to_owned(), doing, source };
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(temporary).map_err(failed("opened"))?;
        file.write_all(bytes).map_err(failed("written"))?;
        file.sync_all().map_err(failed("made durable"))
    }

    /// Reads the state.
    pub fn read(&self) -> Found {
        match self.read_text() {
            Ok(None) => Found::Absent,
            Ok(Some(text)) => match verify(&text) {
                Ok(durable) => Found::Good(Box::new(durable)),
                Err(why) => Found::Bad(format!("{}: {why}", self.path.display())),
            },
            Err(error) => Found::Bad(format!("{} cannot be read: {error}", self.path.display())),
        }
    }

    fn read_text(&self) -> io::Result<Option<String>> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut text = Vec::new();
        file.take(STATE_BYTES_MAX + 1).read_to_end(&mut text)?;
        if text.len() as u64 > STATE_BYTES_MAX {
            return Err(io::Error::other(format!("it is longer than {STATE_BYTES_MAX} bytes")));
        }
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    }

    /// Copies an unusable file aside, because the next write replaces it; where to. The original stays in place: a
    /// crash right here must not make the site look like one that has never run.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn set_aside(&self) -> io::Result<PathBuf> {
        let name = |number: u32| self.path.with_extension(format!("unusable.{number}"));
        let free = (1..UNUSABLE_MAX).map(name).find(|path| !path.exists());
        let aside = free.unwrap_or_else(|| name(UNUSABLE_MAX));
        fs::copy(&self.path, &aside)?;
        Ok(aside)
    }
}

fn checksum(text: &str) -> String {
    use std::fmt::Write as _;
    let mut hex = String::from("sha256:");
    for byte in Sha256::digest(text.as_bytes()) {
        // Writing into a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn verify(text: &str) -> Result<Durable, String> {
    // The version comes first: a later one may have another shape, and its refusal must name the version.
    let value: Value = serde_json::from_str(text).map_err(|error| {
        format!("it is no complete JSON ({error}); a write was cut off or it was damaged")
    })?;
    match value.get("version").and_then(Value::as_u64) {
        Some(VERSION) => {}
        Some(newer) if newer > VERSION => {
            return Err(format!(
                "it was written by a newer program (version {newer}; this one reads {VERSION})"
            ));
        }
        _ => return Err(format!("it has no version that is known ({VERSION})")),
    }
    let stored: Stored<'_> =
        serde_json::from_str(text).map_err(|error| format!("it has another shape: {error}"))?;
    let (Some(VERSION), Some(found), Some(state)) = (stored.version, stored.checksum, stored.state) else {
        return Err("it lacks the checksum or the state".to_owned());
    };
    if checksum(state.get()) != found {
        return Err("its checksum is wrong: it was damaged or changed by hand".to_owned());
    }
    serde_json::from_str(state.get()).map_err(|error| format!("its state is not understood: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dr_watchdog_sdk::Role;

    fn file() -> (tempfile::TempDir, StateFile) {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::new(folder.path().join("state.json"));
        (folder, file)
    }

    #[test]
    fn what_was_written_is_read() {
        let (_folder, file) = file();
        assert_eq!(file.read(), Found::Absent);
        let durable = Durable { epoch: 7, ..Durable::new(Role::Active, "boot-1") };
        file.write(&durable).unwrap();
        file.write(&durable).unwrap();
        assert_eq!(file.read(), Found::Good(Box::new(durable)));
    }

    #[test]
    fn a_file_that_was_cut_off_at_any_byte_is_bad() {
        let (_folder, file) = file();
        file.write(&Durable::new(Role::Standby, "boot-1")).unwrap();
        let whole = fs::read(&file.path).unwrap();
        for length in 0..whole.len() {
            fs::write(&file.path, &whole[..length]).unwrap();
            assert!(matches!(file.read(), Found::Bad(_)), "{length} bytes");
        }
    }

    #[test]
    fn a_changed_byte_a_newer_version_and_garbage_are_bad_and_say_why() {
        let (_folder, file) = file();
        file.write(&Durable::new(Role::Standby, "boot-1")).unwrap();
        let whole = fs::read_to_string(&file.path).unwrap();
        for (text, word) in [
            (whole.replace("\"standby\"", "\"active\""), "checksum"),
            (whole.replace("\"version\":1", "\"version\":2"), "newer program"),
            (whole.replace("\"version\":1", "\"version\":0"), "version"),
            ("\u{0}\u{0}\u{0}".to_owned(), "JSON"),
            ("{}".to_owned(), "version"),
        ] {
            fs::write(&file.path, text).unwrap();
            let Found::Bad(why) = file.read() else { panic!("it is bad") };
            assert!(why.contains(word), "{why}");
        }
    }

    #[test]
    fn an_unusable_file_is_kept_beside_the_original() {
        let (_folder, file) = file();
        fs::write(&file.path, "garbage").unwrap();
        for _ in 0..12 {
            let aside = file.set_aside().unwrap();
            assert_eq!(fs::read_to_string(aside).unwrap(), "garbage");
        }
        assert!(file.path.exists());
        assert_eq!(fs::read_dir(file.path.parent().unwrap()).unwrap().count(), 1 + UNUSABLE_MAX as usize);
    }

    #[test]
    fn a_folder_that_is_gone_is_an_error_that_names_the_file() {
        let file = StateFile::new(PathBuf::from("/nonexistent/state.json"));
        let error = file.write(&Durable::new(Role::Standby, "boot-1")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/state.tmp"), "{error}");
    }
}
