//! A change of the configuration that is wanted at both sites and not yet made at both, as a file.

use std::collections::BTreeMap;
use std::io;

use dr_watchdog_sdk::Utc;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::durable_file;
use crate::paths::Paths;

/// A change of some dozen keys; what is longer is no such file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Path of a key to its new value.
pub type Changes = BTreeMap<String, String>;

/// The change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pending {
    /// Since when.
    pub since: Utc,
    /// Who wants it.
    pub by: String,
    /// For this site.
    pub here: Changes,
    /// For the other one.
    pub there: Changes,
    /// Why the other site does not take it, if it has said so.
    pub refused: Option<String>,
}

/// Why there is no telling.
#[derive(Debug, thiserror::Error)]
pub enum PendingError {
    /// The file cannot be used.
    #[error("{0} cannot be used")]
    File(String, #[source] io::Error),
    /// It holds something else.
    #[error("{0} holds no change of the configuration")]
    Content(String, #[source] serde_json::Error),
}

impl Pending {
    /// The change that is pending here, if there is one.
    ///
    /// # Errors
    /// See [`PendingError`].
    pub fn read(paths: &Paths) -> Result<Option<Self>, PendingError> {
        let name = || paths.pending_file.display().to_string();
        match durable_file::read(&paths.pending_file, FILE_BYTES_MAX) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map(Some).map_err(|error| PendingError::Content(name(), error))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PendingError::File(name(), error)),
        }
    }

    /// Stores the change; when this returns, it survives everything.
    ///
    /// # Errors
    /// See [`PendingError`].
    pub fn write(&self, paths: &Paths) -> Result<(), PendingError> {
        let name = || paths.pending_file.display().to_string();
        let bytes = serde_json::to_vec(self).map_err(|error| PendingError::Content(name(), error))?;
        let made = std::fs::create_dir_all(&paths.state_dir);
        made.and_then(|()| durable_file::write(&paths.pending_file, &bytes))
            .map_err(|error| PendingError::File(name(), error))
    }

    /// Nothing is pending any more.
    ///
    /// # Errors
    /// See [`PendingError`].
    pub fn remove(paths: &Paths) -> Result<(), PendingError> {
        match std::fs::remove_file(&paths.pending_file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(PendingError::File(paths.pending_file.display().to_string(), error))
            }
            _ => Ok(()),
        }
    }

    /// For `health`: values may be secret, keys are not.
    pub fn shown(&self) -> Value {
        json!({"since": self.since, "by": self.by, "keys": self.keys(), "refused": self.refused})
    }

    /// Every key that changes at either site.
    pub fn keys(&self) -> Vec<&str> {
        let mut keys: Vec<&str> = self.here.keys().chain(self.there.keys()).map(String::as_str).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pending_change_is_kept_until_it_is_removed_and_garbage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::below(Some(folder.path()));
        assert_eq!(Pending::read(&paths).unwrap(), None);
        let pair = |key: &str| Changes::from_iter([(key.to_owned(), "hush".to_owned())]);
        let pending = Pending {
            since: Utc::default(),
            by: "root".to_owned(),
            here: pair("a.b"),
            there: pair("a.c"),
            refused: None,
        };
        pending.write(&paths).unwrap();
        assert_eq!(Pending::read(&paths).unwrap(), Some(pending.clone()));
        assert_eq!(pending.shown()["keys"], json!(["a.b", "a.c"]));
        assert!(!pending.shown().to_string().contains("hush"), "a value may be a password");
        std::fs::write(&paths.pending_file, "{}").unwrap();
        let error = Pending::read(&paths).unwrap_err().to_string();
        assert!(error.contains("pending-update.json holds no change"), "{error}");
        Pending::remove(&paths).unwrap();
        Pending::remove(&paths).unwrap();
        assert_eq!(Pending::read(&paths).unwrap(), None);
    }
}
