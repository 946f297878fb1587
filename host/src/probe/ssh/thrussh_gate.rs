//! What the `thrussh` library asks us during a connection.

use std::sync::{Arc, Mutex, PoisonError};

use russh::keys::PublicKey;
use thrussh::client::{Handler, Session};
use thrussh::{ChannelId, ChannelMsg, ChannelOpenFailure, Error};
use thrussh_keys::{PublicKeyBase64 as _, key};

use super::host_key::{HostKeyError, Judge};

/// What was found out while the library ran.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes(Arc<Mutex<Judged>>);

#[derive(Debug, Default)]
struct Judged {
    is_done: bool,
    refused: Option<HostKeyError>,
}

impl Notes {
    /// Whether the server has shown its key.
    pub(super) fn is_key_judged(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_done
    }

    /// Why its key was refused.
    pub(super) fn refused(&self) -> Option<HostKeyError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).refused.clone()
    }

    fn note(&self, result: Result<(), HostKeyError>) {
        let mut judged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        judged.is_done = true;
        judged.refused = result.err();
    }
}

/// Judges the server's key.
#[derive(Debug)]
pub(super) struct Gate {
    judge: Judge,
    notes: Notes,
}

impl Gate {
    pub(super) const fn new(judge: Judge, notes: Notes) -> Self {
        Self { judge, notes }
    }
}

/// An error of the library or of our own within it.
#[derive(Debug, thiserror::Error)]
pub(super) enum GateError {
    #[error(transparent)]
    Library(#[from] Error),
    #[error(transparent)]
    HostKey(HostKeyError),
}

/// Does what the library does by itself.
struct Plain;

impl Handler for Plain {
    type Error = GateError;
}

impl Handler for Gate {
    type Error = GateError;

    async fn check_server_key(self, shown: &key::PublicKey) -> Result<(Self, bool), GateError> {
        // A key that only one of the two libraries can read is no key that could be pinned.
        let shown = PublicKey::from_bytes(&shown.public_key_bytes())
            .map_err(|_| GateError::Library(Error::CouldNotReadKey))?;
        let result = self.judge.check(&shown);
        self.notes.note(result.clone());
        result.map_err(GateError::HostKey)?;
        Ok((self, true))
    }

    async fn channel_close(self, channel: ChannelId, session: Session) -> Result<(Self, Session), GateError> {
        // The library ends the messages of a channel without a word, as it does when the connection breaks.
        session.send_channel_msg(channel, ChannelMsg::Close);
        let (_, session) = Plain.channel_close(channel, session).await?;
        Ok((self, session))
    }

    async fn channel_open_failure(
        self,
        channel: ChannelId,
        _reason: ChannelOpenFailure,
        _description: &str,
        _language: &str,
        session: Session,
    ) -> Result<(Self, Session), GateError> {
        // By itself the library would also put a word into a queue that nobody reads after the log-in: a session that
        // is held for a year would keep millions of them.
        let (_, session) = Plain.channel_close(channel, session).await?;
        Ok((self, session))
    }
}
