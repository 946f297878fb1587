//! What a policy remembers from one evaluation to the next: one JSON value in one file.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use dr_watchdog_sdk::HostError;
use serde_json::{Value, json};

/// Bytes of the value as JSON.
pub(super) const STATE_BYTES_MAX: usize = 64 << 10;

/// The state of one policy.
#[derive(Debug, Default)]
pub(super) struct State {
    file: Option<PathBuf>,
    /// The value, once it was read or put.
    value: RefCell<Option<Value>>,
}

impl State {
    /// Kept in this file; in memory only without one.
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        Self { file, value: RefCell::default() }
    }

    /// `state.get`: the value that was put last; null before the first.
    pub(super) fn get(&self) -> Result<Value, HostError> {
        if let Some(value) = &*self.value.borrow() {
            return Ok(value.clone());
        }
        let value = match &self.file {
            Some(file) => read(file)?,
            None => Value::Null,
        };
        *self.value.borrow_mut() = Some(value.clone());
        Ok(value)
    }

    /// `state.put`: what is answered was written to the disk.
    pub(super) async fn put(&self, request: &Value) -> Result<Value, HostError> {
        let Some(value) = request.get("value") else {
            return Err(HostError::BadRequest("state.put: value: missing".to_owned()));
        };
        let text = value.to_string();
        if text.len() > STATE_BYTES_MAX {
            return Err(HostError::BadRequest(format!(
                "state.put: value: found {} bytes of JSON, expected at most {STATE_BYTES_MAX}",
                text.len()
            )));
        }
        if let Some(file) = &self.file {
            let failed = |why: String| {
                HostError::Failed(format!("state.put: {} could not be written: {why}", file.display()))
            };
            let target = file.clone();
            // On a thread of its own: a slow disk must not delay a heartbeat.
            let written = tokio::task::spawn_blocking(move || write(&target, &text)).await;
            written.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))?;
        }
        *self.value.borrow_mut() = Some(value.clone());
        Ok(json!(null))
    }
}

fn read(file: &Path) -> Result<Value, HostError> {
    let failed = |why: String| {
        HostError::Failed(format!("state.get: {}: {why}; remove the file to begin anew", file.display()))
    };
    match fs::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Value::Null),
        Err(error) => return Err(failed(error.to_string())),
        Ok(metadata) if metadata.len() > STATE_BYTES_MAX as u64 => {
            return Err(failed(format!("it has {} bytes, more than {STATE_BYTES_MAX}", metadata.len())));
        }
        Ok(_) => {}
    }
    let bytes = fs::read(file).map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))
}

/// Temporary file, then rename: a power loss leaves the old value or the new one, never half of it.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let fresh = file.with_extension("new");
    let mut options = OpenOptions::new();
    let mut opened = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    opened.write_all(text.as_bytes())?;
    opened.sync_all()?;
    fs::rename(&fresh, file)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_put_is_got_by_the_next_run_of_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy-state/x.json");
        let state = State::new(Some(file.clone()));
        assert_eq!(state.get(), Ok(Value::Null));
        assert_eq!(state.put(&json!({"value": {"n": 1}})).await, Ok(Value::Null));
        assert_eq!(state.get(), Ok(json!({"n": 1})));
        assert_eq!(State::new(Some(file)).get(), Ok(json!({"n": 1})));
        assert_eq!(fs::read_dir(folder.path().join("policy-state")).unwrap().count(), 1, "no temporary file");
    }

    #[tokio::test]
    async fn too_much_is_refused_and_the_old_value_stays() {
        let state = State::new(None);
        state.put(&json!({"value": 1})).await.unwrap();
        let error = state.put(&json!({"value": "x".repeat(STATE_BYTES_MAX)})).await.unwrap_err();
        assert!(error.to_string().contains("expected at most 65536"), "{error}");
        assert!(state.put(&json!({})).await.is_err());
        assert_eq!(state.get(), Ok(json!(1)));
    }

    #[test]
    fn a_damaged_file_is_told_and_not_guessed_at() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.json");
        fs::write(&file, "{\"n\":").unwrap();
        let error = State::new(Some(file)).get().unwrap_err();
        assert!(error.to_string().contains("remove the file"), "{error}");
    }
}
