//! What must be known of earlier mails after a restart, in one file beside the queue.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::damping::Damping;
use super::kind::Kind;
use super::queue::Mail;
use crate::durable_file;

/// It holds one short row per kind; what is longer is another file.
const MEMORY_BYTES_MAX: u64 = 64 << 10;

/// The memory.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Memory {
    pub(super) damping: Damping,
    /// The kind's word of the last role that was mailed.
    told_role: Option<String>,
    #[serde(skip)]
    path: PathBuf,
}

impl Memory {
    pub(super) fn file(folder: &Path) -> PathBuf {
        folder.join("memory.json")
    }

    /// Reads it. Without a readable one, some trouble is mailed about once more than needed, and that is all.
    pub(super) fn read(folder: &Path) -> Self {
        let path = Self::file(folder);
        let read = durable_file::read(&path, MEMORY_BYTES_MAX)
            .and_then(|bytes| serde_json::from_slice::<Self>(&bytes).map_err(io::Error::other));
        let memory = read.unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(%error, file = %path.display(), "what was mailed before is not known any more");
            }
            Self::default()
        });
        Self { path, ..memory }
    }

    /// Takes from a mail that waits what a crash may have kept out of the file.
    pub(super) fn remind(&mut self, mail: &Mail, interval_ms: u64) {
        let Some(kind) = Kind::from_word(&mail.message.kind) else { return };
        if mail.is_role_change {
            self.tell_role(kind);
        } else if !self.damping.is_open(kind) && !mail.is_end {
            self.damping.alarm(mail.message.time, kind, interval_ms);
        }
    }

    pub(super) fn told_role(&self) -> Option<Kind> {
        self.told_role.as_deref().and_then(Kind::from_word)
    }

    pub(super) fn tell_role(&mut self, kind: Kind) {
        self.told_role = Some(kind.about().word.to_owned());
    }

    /// Writes it. Where that fails, a restart mails about the same trouble once more; the alarms themselves are queued.
    pub(super) fn write(&self) {
        let written = serde_json::to_vec(self).map_err(io::Error::other);
        if let Err(error) = written.and_then(|bytes| durable_file::write(&self.path, &bytes)) {
            tracing::warn!(%error, file = %self.path.display(), "what has been mailed could not be written down");
        }
    }
}
