//! Policies from the host's side: which one, how it is run, how its answer is checked.
//!
//! Architecture invariant: no policy code runs in this process.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use dr_watchdog_sdk::verdict::Verdict;
use dr_watchdog_sdk::{Context, HostError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub mod answers;
pub mod backoff;
mod check;
mod child;
mod guest_text;
mod kin;
mod locate;
pub(crate) mod memory;
pub mod pin;
pub mod protocol;
mod recorder;
pub mod runner;
pub mod schema;
mod script;
mod script_output;
pub mod script_socket;
mod script_start;
mod source;
mod state;
mod strays;
pub mod terms;
mod trust;
mod wire;
mod worker;
mod worker_log;
mod worker_process;

pub use answers::{Answers, Network};
pub use locate::{executable, find_default_plugin, use_executable};
pub use runner::{Runner, Status};
pub use script_start::MEMORY_BYTES as SCRIPT_MEMORY_BYTES;
pub use terms::{Grant, Terms};

/// What runs a policy; its file's ending decides (design 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Engine {
    /// `.lua`, in the worker.
    Lua,
    /// `.so`, in the worker.
    Native,
    /// Anything else that is executable, as a subprocess.
    Script,
}

/// The engine of a policy file: its ending decides.
pub fn engine_of(path: &Path) -> Engine {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("lua") => Engine::Lua,
        Some("so") => Engine::Native,
        _ => Engine::Script,
    }
}

impl Engine {
    /// The word as JSON has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Lua => "lua",
            Self::Native => "native",
            Self::Script => "script",
        }
    }
}

/// What happens when the permissions of a policy's file or folder are loose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permissions {
    /// It does not run (a root daemon).
    Refuse,
    /// It runs, with a warning (`policy eval`, `policy check`, `demo`).
    Warn,
}

/// One policy, and how it may run.
#[derive(Debug, Clone)]
pub struct PolicySpec {
    /// Its file, absolute.
    pub path: PathBuf,
    /// What runs it.
    pub engine: Engine,
    /// `[policy.config]`, handed to the policy.
    pub config: Value,
    /// Longest evaluation, host calls included.
    pub deadline: Duration,
    /// Most memory of the guest, in bytes.
    pub memory_bytes: u64,
    /// What loose permissions do.
    pub permissions: Permissions,
    /// Environment of a script beyond the allow-list, `[policy.script] env`.
    pub script_env: Vec<(String, String)>,
    /// User of a script, `[policy.script] user`.
    pub script_user: Option<String>,
    /// Whether a script sees the arbiters' credentials, `[policy.script] secrets`.
    pub script_secrets: bool,
    /// Folder for the sockets of running scripts.
    pub run_dir: PathBuf,
    /// What it is granted, pinned to, and kept.
    pub terms: Terms,
}

/// One question to a policy.
#[derive(Debug, Clone)]
pub struct Question {
    /// Who is asked, why, until when.
    pub context: Context,
    /// All sections, secrets as `***`.
    pub sections: Value,
    /// All sections with the arbiters' credentials: only for a script that logs in by itself.
    pub sections_with_secrets: Value,
}

/// How an evaluation ended. It always carries a legal verdict: `nothing` where the policy failed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What ran the policy.
    pub engine: Engine,
    /// Name of the policy.
    pub policy: String,
    /// Its answer.
    pub verdict: Verdict,
    /// Why there was none of its own.
    pub failure: Option<Failure>,
    /// Time from the question to the answer.
    pub elapsed: Duration,
    /// Every host call with its answer, in order; what a replay needs.
    pub calls: Vec<CallRecord>,
    /// Unknown keys of a script, loose permissions and the like.
    pub warnings: Vec<String>,
}

/// A host call and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    /// Name of the call.
    pub method: String,
    /// What was asked.
    pub request: Value,
    /// What was answered; null if it was an error.
    #[serde(default)]
    pub answer: Value,
    /// The error, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Why a policy gave no verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The named reason.
    pub kind: FailureKind,
    /// What happened, in a sentence, with the call chain for Lua.
    pub message: String,
    /// Line in the policy's source, where there is one.
    #[serde(default)]
    pub line: Option<u32>,
    /// What the operator may do.
    #[serde(default)]
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with a sentence.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), line: None, hint: None }
    }

    /// The same, with what the operator may do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, with the line of the policy's source.
    #[must_use]
    pub const fn at_line(mut self, line: Option<u32>) -> Self {
        self.line = line;
        self
    }
}

/// The named reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FailureKind {
    /// The file cannot be loaded at all.
    Load,
    /// It is not valid source.
    Syntax,
    /// It raised an error, or a script exited with a status other than 0.
    Runtime,
    /// It did not answer by the deadline.
    Timeout,
    /// It used more memory than it may.
    Memory,
    /// Its process died.
    Crash,
    /// Its answer breaks a rule of the contract.
    Verdict,
    /// It asked for what it was not granted, or its file may not be trusted.
    Denied,
}

impl FailureKind {
    /// The word as JSON has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Syntax => "syntax",
            Self::Runtime => "runtime",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::Crash => "crash",
            Self::Verdict => "verdict",
            Self::Denied => "denied",
        }
    }
}

/// Answers a policy's host calls.
pub trait HostCalls {
    /// Performs one call.
    fn call<'a>(
        &'a self,
        method: &'a str,
        request: &'a Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, HostError>> + 'a>>;
}
