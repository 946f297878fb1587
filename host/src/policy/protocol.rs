//! What the host says to its worker, with what it answers.
//!
//! An `ask` frame is followed by one more frame with nothing but the sections: the worker parses them only if the
//! policy looks at them.

use std::borrow::Cow;
use std::path::PathBuf;

use dr_watchdog_sdk::{Context, HostError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Engine, Failure};

/// Version of these messages. Both ends are the same program; a difference means that its file was replaced while
/// the old one still runs.
pub const VERSION: u32 = 1;
/// Bytes of one message on the cancel channel: the number of the question, big-endian.
pub const CANCEL_BYTES: usize = 8;

/// From the host to the worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ToWorker<'a> {
    /// The first message.
    Load(Cow<'a, Load>),
    /// A question; the sections follow in a frame of their own.
    #[serde(rename_all = "camelCase")]
    Ask {
        /// Number of the question.
        id: u64,
        /// Who is asked, why, until when.
        context: Cow<'a, Context>,
    },
    /// The answer to a host call.
    Answer(Answer<'a>),
}

/// Which policy the worker loads, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Load {
    /// [`VERSION`].
    pub protocol: u32,
    /// What runs it.
    pub engine: Engine,
    /// Its file.
    pub path: PathBuf,
    /// Its text, for Lua: the worker need not be able to read the file.
    pub source: Option<String>,
    /// Sum that its file must have, for a plugin; a Lua policy's is checked before it is sent.
    #[serde(default)]
    pub sha256: Option<String>,
    /// `[policy.config]`.
    pub config: Value,
    /// Most memory of the guest.
    pub memory_bytes: u64,
    /// Longest time to load.
    pub deadline_ms: u64,
    /// What is tried on a plugin before its instance is made; only the command `plugin` does.
    #[serde(default)]
    pub trial: Option<Trial>,
}

/// What is tried on a plugin beside its use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trial {
    /// It only says what it is: no configuration is needed, no instance is made.
    Describe,
    /// Instances are made of a text as it is, past the schema, and ended again.
    Create {
        /// What the plugin is given.
        config: String,
        /// How often.
        times: u32,
    },
}

/// The answer to a host call: a value, or an error by kind and text.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer<'a> {
    /// What was asked for, as text: the worker hands it on as it came, or reads it straight into Lua.
    Value(Cow<'a, RawValue>),
    /// Why there is none.
    Error {
        /// [`HostError::kind`].
        kind: Cow<'a, str>,
        /// [`HostError::message`].
        message: Cow<'a, str>,
    },
}

impl<'a> Answer<'a> {
    /// The answer as it crosses.
    pub fn of(answer: &'a Result<Value, HostError>) -> Self {
        match answer.as_ref().map(serde_json::value::to_raw_value) {
            Ok(Ok(text)) => Self::Value(Cow::Owned(text)),
            Ok(Err(error)) => Self::Error { kind: "failed".into(), message: error.to_string().into() },
            Err(error) => Self::Error { kind: error.kind().into(), message: error.message().into() },
        }
    }

    /// The answer as it was.
    ///
    /// # Errors
    /// The error that crossed.
    pub fn into_result(self) -> Result<String, HostError> {
        match self {
            Self::Value(value) => Ok(Box::<str>::from(value.into_owned()).into()),
            Self::Error { kind, message } => Err(HostError::from_kind(&kind, message)),
        }
    }
}

/// From the worker to the host.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FromWorker {
    /// The first message: the process that the guest will be in. It waits for its [`Load`].
    Born {
        /// Its number, as the watchdog sees it.
        pid: i32,
    },
    /// The policy is loaded.
    Hello {
        /// [`VERSION`].
        protocol: u32,
        /// What the policy says of itself.
        describe: Value,
        /// Layers of the wall that this system refused.
        #[serde(default)]
        missing: Vec<String>,
    },
    /// A host call; the worker waits for its answer.
    Call {
        /// Name of the call.
        method: String,
        /// With what.
        request: Value,
    },
    /// The raw verdict.
    Verdict(Value),
    /// The policy was not loaded, or gave no verdict.
    Failed(Failure),
}
