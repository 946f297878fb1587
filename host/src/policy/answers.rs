//! Answers a policy's host calls, from this evaluation's evidence where it can.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use dr_watchdog_core::evidence::Evidence;
use dr_watchdog_sdk::evidence::{PingAnswer, SshAnswer, TcpAnswer};
use dr_watchdog_sdk::host::method;
use dr_watchdog_sdk::nearest::nearest;
use dr_watchdog_sdk::sections::{self, Role};
use dr_watchdog_sdk::threshold::Threshold;
use dr_watchdog_sdk::{HostError, Utc, wording};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::HostCalls;

/// Hosts of one `ping` call.
pub const PING_HOSTS_MAX: usize = 64;
/// Retries of one `ping` call.
pub const PING_RETRIES_MAX: u32 = 10;
/// Longest timeout of one network call; the deadline of the evaluation shortens it further.
const TIMEOUT_MS_MAX: u64 = 60_000;
/// Timeout of `ping` and `tcp` where the caller names none.
const PROBE_TIMEOUT_MS: u64 = 1_000;
/// Timeout of `ssh` where the caller names none: a log-in takes up to a second.
const SSH_TIMEOUT_MS: u64 = 5_000;
/// Bytes of one `ssh` command.
const COMMAND_BYTES_MAX: usize = 4 << 10;

/// A future that stays on this thread.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// The network behind the host calls: real packets, or a recording. A failure is a value.
pub trait Network {
    /// Pings every host at once; every one of them is in the answer.
    fn ping<'a>(
        &'a self,
        hosts: &'a [String],
        timeout: Duration,
        retries: u32,
    ) -> Boxed<'a, BTreeMap<String, PingAnswer>>;

    /// Runs a command at an arbiter.
    fn ssh<'a>(&'a self, arbiter: &'a str, command: &'a str, timeout: Duration) -> Boxed<'a, SshAnswer>;

    /// Tries a connection to `host:port`.
    fn tcp<'a>(&'a self, address: &'a str, timeout: Duration) -> Boxed<'a, TcpAnswer>;
}

/// Everything the host calls of one evaluation are answered from.
pub struct Answers<'a> {
    /// All sections, secrets as `***`.
    pub sections: Value,
    /// What was seen at the arbiters.
    pub evidence: Evidence,
    /// The role of this site.
    pub role: Role,
    /// `threshold.warning`.
    pub warning: Threshold,
    /// The instant the question is asked for.
    pub now: Utc,
    /// When the evaluation ends.
    pub deadline: Instant,
    /// For what is not evidence.
    pub network: &'a dyn Network,
}

impl fmt::Debug for Answers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("role", &self.role).field("now", &self.now).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigRequest {
    #[serde(default)]
    sections: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PingRequest {
    hosts: Vec<String>,
    timeout_ms: Option<u64>,
    retries: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SshRequest {
    arbiter: String,
    command: String,
    timeout_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct TcpRequest {
    address: String,
    timeout_ms: Option<u64>,
}

impl HostCalls for Answers<'_> {
    fn call<'a>(
        &'a self,
        name: &'a str,
        request: &'a Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, HostError>> + 'a>> {
        Box::pin(self.answer(name, request))
    }
}

impl Answers<'_> {
    async fn answer(&self, name: &str, request: &Value) -> Result<Value, HostError> {
        match name {
            method::CONFIG => {
                let wanted: ConfigRequest = read(name, request)?;
                pick(&self.sections, &wanted.sections)
            }
            method::ARBITERS_PING => {
                let _: Nothing = read(name, request)?;
                value(&self.evidence.ping_report(self.role, self.warning))
            }
            method::ARBITERS_SESSIONS => {
                let _: Nothing = read(name, request)?;
                value(&self.evidence.sessions_report(self.role))
            }
            method::PING => self.ping(&read(name, request)?).await,
            method::SSH => self.ssh(&read(name, request)?).await,
            method::TCP => self.tcp(&read(name, request)?).await,
            method::NOW => Ok(json!(self.now)),
            method::REMAINING_MS => Ok(json!(self.remaining().as_millis() as u64)),
            other => {
                let hint = nearest(other, method::ALL).map(|near| format!("; did you mean \"{near}\"?"));
                let hint = hint.unwrap_or_else(|| format!("; it answers {}", method::ALL.join(", ")));
                Err(HostError::Unsupported(format!("this host does not know the call \"{other}\"{hint}")))
            }
        }
    }

    async fn ping(&self, request: &PingRequest) -> Result<Value, HostError> {
        let retries = request.retries.unwrap_or(0);
        if request.hosts.len() > PING_HOSTS_MAX {
            let found = request.hosts.len();
            return Err(HostError::BadRequest(format!(
                "ping: hosts: found {found}, expected at most {PING_HOSTS_MAX}"
            )));
        }
        if retries > PING_RETRIES_MAX {
            return Err(HostError::BadRequest(format!(
                "ping: retries: found {retries}, expected at most {PING_RETRIES_MAX}"
            )));
        }
        let timeout = self.timeout(method::PING, request.timeout_ms, PROBE_TIMEOUT_MS)?;
        value(&self.network.ping(&request.hosts, timeout, retries).await)
    }

    async fn ssh(&self, request: &SshRequest) -> Result<Value, HostError> {
        if !self.evidence.arbiters.contains_key(&request.arbiter) {
            let names = self.evidence.arbiters.keys().map(String::as_str);
            let hint = nearest(&request.arbiter, names).map(|near| format!("; did you mean \"{near}\"?"));
            let hint = hint
                .unwrap_or_else(|| "; arbiters are named by watchdog.failureDetection.arbiters".to_owned());
            return Err(HostError::BadRequest(format!(
                "ssh: there is no arbiter \"{}\"{hint}",
                request.arbiter
            )));
        }
        if request.command.is_empty() || request.command.len() > COMMAND_BYTES_MAX {
            return Err(HostError::BadRequest(format!(
                "ssh: command: found {} bytes, expected 1 to {COMMAND_BYTES_MAX}",
                request.command.len()
            )));
        }
        let timeout = self.timeout(method::SSH, request.timeout_ms, SSH_TIMEOUT_MS)?;
        value(&self.network.ssh(&request.arbiter, &request.command, timeout).await)
    }

    async fn tcp(&self, request: &TcpRequest) -> Result<Value, HostError> {
        let port = request.address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none() {
            let found = &request.address;
            return Err(HostError::BadRequest(format!(
                "tcp: address: found \"{found}\", expected host:port"
            )));
        }
        let timeout = self.timeout(method::TCP, request.timeout_ms, PROBE_TIMEOUT_MS)?;
        value(&self.network.tcp(&request.address, timeout).await)
    }

    fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn timeout(&self, name: &str, asked_ms: Option<u64>, default_ms: u64) -> Result<Duration, HostError> {
        let ms = asked_ms.unwrap_or(default_ms);
        if ms == 0 || ms > TIMEOUT_MS_MAX {
            let text = format!("{name}: timeoutMs: found {ms}, expected 1 to {TIMEOUT_MS_MAX}");
            return Err(HostError::BadRequest(text));
        }
        let remaining = self.remaining();
        if remaining.is_zero() {
            return Err(HostError::Cancelled);
        }
        Ok(Duration::from_millis(ms).min(remaining))
    }
}

/// The named sections; all of them for an empty list. A known section without data is left out.
///
/// # Errors
/// When a name is no section's.
pub fn pick(all: &Value, wanted: &[String]) -> Result<Value, HostError> {
    if wanted.is_empty() {
        return Ok(all.clone());
    }
    let mut picked = Map::new();
    for name in wanted {
        let known = section_name(name)?;
        if let Some(section) = all.get(known) {
            picked.insert(known.to_owned(), section.clone());
        }
    }
    Ok(Value::Object(picked))
}

/// The section that a policy means by a name.
///
/// # Errors
/// When it is no section's.
pub fn section_name(name: &str) -> Result<&'static str, HostError> {
    sections::canonical_name(name).ok_or_else(|| {
        let hint = nearest(name, sections::NAMES).map(|near| format!("; did you mean \"{near}\"?"));
        let hint = hint.unwrap_or_else(|| format!("; there are {}", sections::NAMES.join(", ")));
        HostError::BadRequest(format!("there is no section \"{name}\"{hint}"))
    })
}

fn read<T: DeserializeOwned>(name: &str, request: &Value) -> Result<T, HostError> {
    T::deserialize(request).map_err(|error| HostError::BadRequest(format!("{name}: {}", wording::of(&error))))
}

fn value(answer: &impl serde::Serialize) -> Result<Value, HostError> {
    serde_json::to_value(answer).map_err(|error| HostError::Failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Silent;

    impl Network for Silent {
        fn ping<'a>(
            &'a self,
            hosts: &'a [String],
            _: Duration,
            _: u32,
        ) -> Boxed<'a, BTreeMap<String, PingAnswer>> {
            let silent = PingAnswer { ping: false, rtt_ms: None, why: Some("timeout".to_owned()) };
            let answers = hosts.iter().map(|host| (host.clone(), silent.clone())).collect();
            Box::pin(std::future::ready(answers))
        }
        fn ssh<'a>(&'a self, _: &'a str, _: &'a str, _: Duration) -> Boxed<'a, SshAnswer> {
            let answer = SshAnswer::Ran { exit: 0, stdout: "up".to_owned(), stderr: String::new() };
            Box::pin(std::future::ready(answer))
        }
        fn tcp<'a>(&'a self, _: &'a str, timeout: Duration) -> Boxed<'a, TcpAnswer> {
            let answer = TcpAnswer { open: false, elapsed_ms: Some(timeout.as_secs_f64() * 1e3), why: None };
            Box::pin(std::future::ready(answer))
        }
    }

    fn answers() -> Answers<'static> {
        let names = ["203.0.113.1".to_owned()];
        Answers {
            sections: json!({"role": "standby", "core": {"peerVip": "192.0.2.10"}}),
            evidence: Evidence::default().completed(&names, &Default::default()),
            role: Role::Standby,
            warning: Threshold::SEVEN_TENTHS,
            now: Utc::default(),
            deadline: Instant::now() + Duration::from_secs(5),
            network: &Silent,
        }
    }

    #[tokio::test]
    async fn every_call_is_answered_in_the_shape_of_the_contract() {
        let answers = answers();
        let ask = async |name: &str, request: Value| answers.call(name, &request).await.unwrap();
        assert_eq!(
            ask("config", json!({"sections": ["core", "mysql"]})).await,
            json!({"core": {"peerVip": "192.0.2.10"}})
        );
        assert_eq!(ask("arbiters.ping", json!({})).await["warning"], true);
        assert_eq!(ask("arbiters.sessions", json!({})).await["arbiters"]["203.0.113.1"]["ssh"], "timeout");
        assert_eq!(ask("ping", json!({"hosts": ["192.0.2.1"]})).await["192.0.2.1"]["ping"], false);
        assert_eq!(ask("ssh", json!({"arbiter": "203.0.113.1", "command": "x"})).await["stdout"], "up");
        let tcp = ask("tcp", json!({"address": "192.0.2.1:22", "timeoutMs": 60_000})).await;
        assert!(tcp["elapsedMs"].as_f64().unwrap() <= 5_000.0, "the deadline shortens a timeout");
        assert_eq!(ask("now", json!({})).await, "1970-01-01T00:00:00+00:00");
    }

    #[tokio::test]
    async fn a_wrong_request_says_what_would_be_right() {
        let answers = answers();
        for (name, request, says) in [
            ("config", json!({"sections": ["rolle"]}), "did you mean \"role\""),
            ("ping", json!({"host": "x"}), "hosts"),
            ("ping", json!({"hosts": vec!["x"; 65]}), "at most 64"),
            ("ssh", json!({"arbiter": "203.0.113.2", "command": "x"}), "did you mean \"203.0.113.1\""),
            ("tcp", json!({"address": "192.0.2.1"}), "host:port"),
            ("tcp", json!({"address": "192.0.2.1:1", "timeoutMs": 0}), "expected 1 to"),
            ("arbiters.pings", json!({}), "did you mean \"arbiters.ping\""),
        ] {
            let error = answers.call(name, &request).await.unwrap_err();
            assert!(error.to_string().contains(says), "{name} {request}: {error}");
        }
    }
}
