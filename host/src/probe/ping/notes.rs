//! What was reported about outstanding echoes, kept until each ends.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::socket;

/// An outstanding echo: whom it is for, and its sequence number.
pub(super) type Echo = (IpAddr, u16);

/// What was reported about the outstanding echoes.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes(Arc<Mutex<HashMap<Echo, Option<String>>>>);

impl Notes {
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<Echo, Option<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for the time of an echo; it is given back however the echo ends.
    pub(super) fn take_place(&self, to: IpAddr, sequence: u16) -> Note<'_> {
        self.lock().insert((to, sequence), None);
        Note { notes: self, of: (to, sequence) }
    }

    pub(super) fn write(&self, reported: socket::Reported) {
        if let Some(note) = self.lock().get_mut(&(reported.to, reported.sequence)) {
            *note = Some(reported.what);
        }
    }
}

pub(super) struct Note<'a> {
    notes: &'a Notes,
    of: Echo,
}

impl Note<'_> {
    pub(super) fn said(&self) -> Option<String> {
        self.notes.lock().get(&self.of).cloned().flatten()
    }
}

impl Drop for Note<'_> {
    fn drop(&mut self) {
        self.notes.lock().remove(&self.of);
    }
}
