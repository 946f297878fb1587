//! What was seen at the arbiters: the answers of `arbiters.ping` and `arbiters.sessions`.
//!
//! A network failure is a value here, never an error: an arbiter that did not answer is evidence too.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sections::Role;
use crate::utc::Utc;

/// How an SSH look at an arbiter ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SshOutcome {
    /// Logged in, asked, understood the answer.
    Ok,
    /// The name did not resolve.
    Dns,
    /// No TCP connection.
    Unreachable,
    /// The SSH handshake failed.
    Handshake,
    /// The host key is not the pinned one.
    Hostkey,
    /// The log-in was refused.
    Auth,
    /// The command could not be run, or failed.
    Exec,
    /// The answer was not understood.
    Parse,
    /// No answer by the deadline.
    Timeout,
}

impl SshOutcome {
    /// The word as JSON has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Dns => "dns",
            Self::Unreachable => "unreachable",
            Self::Handshake => "handshake",
            Self::Hostkey => "hostkey",
            Self::Auth => "auth",
            Self::Exec => "exec",
            Self::Parse => "parse",
            Self::Timeout => "timeout",
        }
    }
}

/// One established TCP session between the arbiter's SSH port and somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Address of the other end.
    pub from: String,
    /// Milliseconds since the arbiter last received something on it, or since a count of that was last seen to move;
    /// null where the device shows neither.
    #[serde(default)]
    pub age_ms: Option<u64>,
}

/// Everything seen at one arbiter. `arbiters.ping` fills the first five fields, `arbiters.sessions` the others.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ArbiterEvidence {
    /// Whether it answered ping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ping: Option<bool>,
    /// Round-trip time of the ping in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// When it last answered ping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_good: Option<Utc>,
    /// Why it did not answer ping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The address at which it was asked last, where no name server told the present one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_address: Option<String>,
    /// How the SSH look ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh: Option<SshOutcome>,
    /// What went wrong with the SSH look, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh_error: Option<String>,
    /// Established sessions at its SSH port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<Vec<Session>>,
    /// Whether one of them is a fresh one of the other site. The host works this out, so that every policy in
    /// every language counts the same arbiters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed: Option<bool>,
    /// Since when no session of the other site has been seen there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent_since: Option<Utc>,
}

/// The answer of `arbiters.ping`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PingReport {
    /// When the evidence was complete.
    pub time: Utc,
    /// The role of this site.
    pub role: Role,
    /// Configured arbiters.
    pub total: u64,
    /// Arbiters that answered ping.
    pub reachable: u64,
    /// Whether the share of them is below `threshold.warning`.
    pub warning: bool,
    /// By name.
    pub arbiters: BTreeMap<String, ArbiterEvidence>,
}

/// The answer of `arbiters.sessions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionsReport {
    /// When the evidence was complete.
    pub time: Utc,
    /// The role of this site.
    pub role: Role,
    /// Configured arbiters.
    pub total: u64,
    /// Arbiters whose SSH look succeeded.
    pub reachable: u64,
    /// Arbiters that the other site manages.
    pub managed: u64,
    /// By name.
    pub arbiters: BTreeMap<String, ArbiterEvidence>,
}

/// The answer of `ping` for one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PingAnswer {
    /// Whether it answered.
    pub ping: bool,
    /// Round-trip time in milliseconds.
    #[serde(default)]
    pub rtt_ms: Option<f64>,
    /// Why it did not answer.
    #[serde(default)]
    pub why: Option<String>,
}

/// The answer of `ssh`: either what the command did, or why it did not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SshAnswer {
    /// The command ran.
    Ran {
        /// Its exit status.
        exit: i32,
        /// Its output.
        stdout: String,
        /// Its error output.
        stderr: String,
    },
    /// It did not.
    Failed {
        /// Which step failed.
        error: SshOutcome,
        /// In a sentence.
        #[serde(default)]
        message: String,
    },
}

/// The answer of `tcp`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TcpAnswer {
    /// Whether a connection was made.
    pub open: bool,
    /// How long it took, in milliseconds.
    #[serde(default)]
    pub elapsed_ms: Option<f64>,
    /// Why none was made.
    #[serde(default)]
    pub why: Option<String>,
}
