//! The host calls: what a policy may ask while it thinks.
//!
//! The names and shapes are the same in every language. A network failure is a value in the answer; a
//! [`HostError`] is a mistake of the caller, a missing grant, or the end of the evaluation.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::evidence::{PingAnswer, PingReport, SessionsReport, SshAnswer, TcpAnswer};
use crate::sections::Sections;

/// Names of the host calls.
pub mod method {
    /// `{"sections": ["role", …]}` (none: all) → the sections.
    pub const CONFIG: &str = "config";
    /// `{}` → [`crate::evidence::PingReport`].
    pub const ARBITERS_PING: &str = "arbiters.ping";
    /// `{}` → [`crate::evidence::SessionsReport`].
    pub const ARBITERS_SESSIONS: &str = "arbiters.sessions";
    /// `{"hosts": […], "timeoutMs"?, "retries"?}` → host → [`crate::evidence::PingAnswer`].
    pub const PING: &str = "ping";
    /// `{"arbiter", "command", "timeoutMs"?}` → [`crate::evidence::SshAnswer`].
    pub const SSH: &str = "ssh";
    /// `{"address": "host:port", "timeoutMs"?}` → [`crate::evidence::TcpAnswer`].
    pub const TCP: &str = "tcp";
    /// `{"level", "text", "fields"?}` → null.
    pub const LOG: &str = "log";
    /// `{}` → the instant of the evaluation, as text.
    pub const NOW: &str = "now";
    /// `{}` → milliseconds left.
    pub const REMAINING_MS: &str = "remaining_ms";
    /// `{}` → what `state.put` was given last; null before the first.
    pub const STATE_GET: &str = "state.get";
    /// `{"value"}` → null. Kept over restarts; at most 64 KiB of JSON.
    pub const STATE_PUT: &str = "state.put";
    /// All of them.
    pub const ALL: [&str; 11] = [
        CONFIG,
        ARBITERS_PING,
        ARBITERS_SESSIONS,
        PING,
        SSH,
        TCP,
        LOG,
        NOW,
        REMAINING_MS,
        STATE_GET,
        STATE_PUT,
    ];
}

/// Levels of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// For the author.
    Debug,
    /// For the curious.
    Info,
    /// For the operator, tomorrow.
    Warn,
    /// For the operator, now.
    Error,
}

impl Level {
    /// The word as JSON has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// The number that crosses the C ABI.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The inverse of [`Level::code`]; an unknown number is `Info`.
    pub const fn from_code(code: i32) -> Self {
        match code {
            0 => Self::Debug,
            2 => Self::Warn,
            3 => Self::Error,
            _ => Self::Info,
        }
    }
}

/// Why a host call was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostError {
    /// The evaluation was cancelled or its time is over.
    Cancelled,
    /// The policy has no grant for this call; the text names the configuration line that gives it.
    Denied(String),
    /// This host does not know the call.
    Unsupported(String),
    /// The request is wrong; the text says what would be right.
    BadRequest(String),
    /// The host failed; the text says how.
    Failed(String),
}

impl HostError {
    /// The kind as JSON has it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Denied(_) => "denied",
            Self::Unsupported(_) => "unsupported",
            Self::BadRequest(_) => "badRequest",
            Self::Failed(_) => "failed",
        }
    }

    /// The inverse of [`HostError::kind`]; an unknown kind is `Failed`.
    pub fn from_kind(kind: &str, message: impl Into<String>) -> Self {
        match kind {
            "cancelled" => Self::Cancelled,
            "denied" => Self::Denied(message.into()),
            "unsupported" => Self::Unsupported(message.into()),
            "badRequest" => Self::BadRequest(message.into()),
            _ => Self::Failed(message.into()),
        }
    }

    /// The text behind the kind.
    pub fn message(&self) -> &str {
        match self {
            Self::Cancelled => "the evaluation is over",
            Self::Denied(text) | Self::Unsupported(text) | Self::BadRequest(text) | Self::Failed(text) => {
                text
            }
        }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for HostError {}

/// The host, as a policy sees it during one evaluation.
pub trait Host {
    /// Performs a host call by name.
    ///
    /// # Errors
    /// See [`HostError`]; network failures are not among them.
    fn call(&self, method: &str, request: &Value) -> Result<Value, HostError>;

    /// The same, with the answer as JSON text: what crosses a process or the ABI as text is then read only once.
    ///
    /// # Errors
    /// See [`Host::call`].
    fn call_text(&self, method: &str, request: &Value) -> Result<String, HostError> {
        self.call(method, request).map(|answer| answer.to_string())
    }

    /// Writes a log line under the policy's name.
    fn log(&self, level: Level, text: &str);

    /// Milliseconds until the deadline.
    fn remaining_ms(&self) -> u64;

    /// Whether the host no longer wants an answer.
    fn is_cancelled(&self) -> bool;
}

/// The host calls with their types.
impl dyn Host + '_ {
    /// The sections of these names; all of them for an empty list.
    ///
    /// # Errors
    /// See [`HostError`].
    pub fn config(&self, sections: &[&str]) -> Result<Sections, HostError> {
        self.typed(method::CONFIG, &json!({ "sections": sections }))
    }

    /// Which arbiters answer ping.
    ///
    /// # Errors
    /// See [`HostError`].
    pub fn arbiters_ping(&self) -> Result<PingReport, HostError> {
        self.typed(method::ARBITERS_PING, &json!({}))
    }

    /// Which arbiters the other site manages.
    ///
    /// # Errors
    /// See [`HostError`].
    pub fn arbiters_sessions(&self) -> Result<SessionsReport, HostError> {
        self.typed(method::ARBITERS_SESSIONS, &json!({}))
    }

    /// Pings hosts of your own choice.
    ///
    /// # Errors
    /// See [`HostError`].
    pub fn ping(&self, hosts: &[&str]) -> Result<BTreeMap<String, PingAnswer>, HostError> {
        self.typed(method::PING, &json!({ "hosts": hosts }))
    }

    /// Runs a command at an arbiter.
    ///
    /// # Errors
    /// See [`HostError`].
    pub fn ssh(&self, arbiter: &str, command: &str) -> Result<SshAnswer, HostError> {
        self.typed(method::SSH, &json!({ "arbiter": arbiter, "command": command }))
    }

    /// Tries a TCP connection to `host:port`.
    ///
    /// # Errors
    /// See [`HostError`].
    pub fn tcp(&self, address: &str) -> Result<TcpAnswer, HostError> {
        self.typed(method::TCP, &json!({ "address": address }))
    }

    /// What this policy put last; null before the first time.
    ///
    /// # Errors
    /// See [`HostError`].
    pub fn state_get(&self) -> Result<Value, HostError> {
        self.call(method::STATE_GET, &json!({}))
    }

    /// Remembers a value over evaluations and restarts; at most 64 KiB of JSON.
    ///
    /// # Errors
    /// See [`HostError`].
    pub fn state_put(&self, value: &Value) -> Result<(), HostError> {
        self.call(method::STATE_PUT, &json!({ "value": value })).map(|_| ())
    }

    fn typed<T: DeserializeOwned>(&self, method: &str, request: &Value) -> Result<T, HostError> {
        let answer = self.call_text(method, request)?;
        serde_json::from_str(&answer).map_err(|error| {
            HostError::Failed(format!("the host's answer to {method} is not understood: {error}"))
        })
    }
}
