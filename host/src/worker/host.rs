//! The host as a guest in the worker sees it: frames to the watchdog, answered one at a time.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dr_watchdog_sdk::host::method;
use dr_watchdog_sdk::{Context, Host, HostError, Level, wording};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Canceller;
use crate::frames::{self, FrameError};
use crate::policy::answers::section_name;
use crate::policy::protocol::{FromWorker, ToWorker};

/// Room for one read: a question of ordinary size in one system call.
const READ_BYTES: usize = 64 << 10;

/// The connection to the watchdog.
#[derive(Debug)]
pub(super) struct Connection {
    reader: RefCell<BufReader<UnixStream>>,
}

impl Connection {
    /// Over this socket.
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { reader: RefCell::new(BufReader::with_capacity(READ_BYTES, stream)) }
    }

    /// The next frame.
    pub(super) fn receive<T: DeserializeOwned>(&self) -> Result<T, FrameError> {
        frames::read(&mut *self.reader.borrow_mut())
    }

    /// The next frame, unread.
    pub(super) fn receive_bytes(&self) -> Result<Vec<u8>, FrameError> {
        frames::read_bytes(&mut *self.reader.borrow_mut())
    }

    /// Sends a frame.
    pub(super) fn send(&self, message: &FromWorker) -> Result<(), FrameError> {
        let bytes = frames::encode(message)?;
        self.reader.borrow_mut().get_mut().write_all(&bytes)?;
        Ok(())
    }
}

/// What the thread that waits for cancellations knows.
#[derive(Default)]
pub(super) struct Cancellations {
    /// Highest question that was cancelled.
    cancelled: AtomicU64,
    /// The question under way, with what stops it.
    current: Mutex<Option<(u64, Option<Canceller>)>>,
}

impl Cancellations {
    /// A question begins.
    pub(super) fn begin(&self, id: u64, canceller: Option<Canceller>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some((id, canceller));
    }

    /// It is answered; no canceller is called from here on.
    pub(super) fn end(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The watchdog no longer wants an answer to this question.
    pub(super) fn cancel(&self, id: u64) {
        self.cancelled.fetch_max(id, Ordering::SeqCst);
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((asked, Some(canceller))) = &*current
            && *asked == id
        {
            canceller();
        }
    }

    fn is_cancelled(&self, id: u64) -> bool {
        self.cancelled.load(Ordering::SeqCst) >= id
    }
}

/// The host during one question.
pub(super) struct Asked<'a> {
    connection: &'a Connection,
    cancellations: Arc<Cancellations>,
    id: u64,
    now: String,
    deadline: Instant,
    /// The sections as they came; parsed when they are asked for.
    sections: Vec<u8>,
    /// Set when the conversation is beyond repair: the worker ends after this question.
    broken: Cell<bool>,
}

impl<'a> Asked<'a> {
    /// One question.
    pub(super) fn new(
        connection: &'a Connection,
        cancellations: Arc<Cancellations>,
        id: u64,
        context: &Context,
        sections: Vec<u8>,
    ) -> Self {
        let deadline = Instant::now() + Duration::from_millis(context.deadline_ms);
        let now = context.now.to_string();
        Self { connection, cancellations, id, now, deadline, sections, broken: Cell::new(false) }
    }

    /// Whether the conversation with the watchdog is beyond repair.
    pub(super) const fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// The named sections as text, cut out of the text that came; all of them where none is named.
    fn config(&self, request: &Value) -> Result<String, HostError> {
        let unreadable = |error: &dyn std::error::Error| {
            HostError::Failed(format!("the sections are not understood: {error}"))
        };
        let all = str::from_utf8(&self.sections).map_err(|error| unreadable(&error))?;
        let wanted = match request.get("sections") {
            None => Vec::new(),
            Some(wanted) => Vec::<String>::deserialize(wanted).map_err(|error| {
                HostError::BadRequest(format!("config: sections: {}", wording::of(&error)))
            })?,
        };
        if wanted.is_empty() {
            return Ok(all.to_owned());
        }
        let all: BTreeMap<&str, &RawValue> = serde_json::from_str(all).map_err(|error| unreadable(&error))?;
        let mut picked = BTreeMap::new();
        for name in &wanted {
            let known = section_name(name)?;
            picked.extend(all.get(known).map(|section| (known, *section)));
        }
        serde_json::to_string(&picked).map_err(|error| unreadable(&error))
    }

    fn ask(&self, name: &str, request: &Value) -> Result<String, HostError> {
        if self.is_cancelled() {
            return Err(HostError::Cancelled);
        }
        let call = FromWorker::Call { method: name.to_owned(), request: request.clone() };
        let answer = self.connection.send(&call).and_then(|()| self.connection.receive::<ToWorker<'_>>());
        match answer {
            Ok(ToWorker::Answer(answer)) => answer.into_result(),
            // A request too long to send leaves the conversation whole.
            Err(FrameError::TooLong(bytes)) => {
                Err(HostError::BadRequest(format!("{name}: a request of {bytes} bytes is too long")))
            }
            Ok(_) | Err(_) => {
                self.broken.set(true);
                Err(HostError::Failed("the watchdog is gone".to_owned()))
            }
        }
    }
}

impl Host for Asked<'_> {
    fn call(&self, name: &str, request: &Value) -> Result<Value, HostError> {
        serde_json::from_str(&self.call_text(name, request)?)
            .map_err(|error| HostError::Failed(format!("{name}: the answer is not understood: {error}")))
    }

    fn call_text(&self, name: &str, request: &Value) -> Result<String, HostError> {
        match name {
            method::CONFIG => self.config(request),
            method::NOW => Ok(json!(self.now).to_string()),
            method::REMAINING_MS => Ok(self.remaining_ms().to_string()),
            _ => self.ask(name, request),
        }
    }

    fn log(&self, level: Level, text: &str) {
        // A log line that is lost because the evaluation is over concerns nobody.
        let _ = self.ask(method::LOG, &json!({ "level": level.word(), "text": text }));
    }

    fn remaining_ms(&self) -> u64 {
        u64::try_from(self.deadline.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(u64::MAX)
    }

    fn is_cancelled(&self) -> bool {
        self.cancellations.is_cancelled(self.id) || self.deadline <= Instant::now()
    }
}
