//! A probes file: a network that answers what it was told to; what is not named did not answer.

use std::collections::BTreeMap;
use std::time::Duration;

use dr_watchdog_sdk::evidence::{ArbiterEvidence, PingAnswer, SshAnswer, SshOutcome, TcpAnswer};
use dr_watchdog_sdk::nearest::nearest;
use dr_watchdog_sdk::{Situation, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::policy::answers::{Boxed, Network};
use crate::policy::schema::explain;

/// What the network of one evaluation answers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "Value")]
pub struct Probes {
    /// The instant the question is asked for; the clock's if absent.
    pub now: Option<Utc>,
    /// Why the policy is asked; the other site is lost if absent.
    pub situation: Option<Situation>,
    /// End of the wait that is open.
    pub wait_time: Option<Utc>,
    /// What was seen at the arbiters, by name.
    pub arbiters: BTreeMap<String, ArbiterEvidence>,
    ping: BTreeMap<String, Answer<PingAnswer>>,
    tcp: BTreeMap<String, Answer<TcpAnswer>>,
    ssh: BTreeMap<String, BTreeMap<String, SshAnswer>>,
}

/// Keys of a probes file.
const KEYS: [&str; 7] = ["now", "situation", "waitTime", "arbiters", "ping", "tcp", "ssh"];
/// Keys that `arbiters ping|sessions --json` prints beside `arbiters`: read over, so that its output is a probes file.
const READ_OVER: [&str; 6] = ["time", "role", "total", "reachable", "managed", "warning"];
/// Keys of one arbiter.
const ARBITER: [&str; 10] = [
    "ping",
    "rttMs",
    "lastGood",
    "why",
    "oldAddress",
    "ssh",
    "sshError",
    "sessions",
    "managed",
    "absentSince",
];
const SESSION: [&str; 2] = ["from", "ageMs"];
const PING: [&str; 3] = ["ping", "rttMs", "why"];
const TCP: [&str; 3] = ["open", "elapsedMs", "why"];
const SSH: [&str; 5] = ["exit", "stdout", "stderr", "error", "message"];

impl TryFrom<Value> for Probes {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let known: Vec<&str> = KEYS.iter().chain(&READ_OVER).copied().collect();
        let mut top = object(value, "", &known)?;
        let mut part = |key: &str| top.remove(key).unwrap_or_default();
        Ok(Self {
            now: optional(part("now"), "now")?,
            situation: optional(part("situation"), "situation")?,
            wait_time: optional(part("waitTime"), "waitTime")?,
            arbiters: each(part("arbiters"), "arbiters", arbiter)?,
            ping: each(part("ping"), "ping", |value, path| answer(value, path, &PING))?,
            tcp: each(part("tcp"), "tcp", |value, path| answer(value, path, &TCP))?,
            ssh: each(part("ssh"), "ssh", |commands, path| {
                each(commands, path, |value, path| read(Value::Object(object(value, path, &SSH)?), path))
            })?,
        })
    }
}

/// The object that must stand there, with no key but the known ones.
fn object(value: Value, path: &str, known: &[&str]) -> Result<Map<String, Value>, String> {
    let map = any_object(value, path)?;
    let Some(key) = map.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(map) };
    let hint = match nearest(key, known.iter().copied()) {
        Some(near) => format!("; did you mean \"{near}\"?"),
        None => format!("; the keys are {}", known.join(", ")),
    };
    Err(format!("{}unknown key \"{key}\"{hint}", at(path)))
}

fn any_object(value: Value, path: &str) -> Result<Map<String, Value>, String> {
    match value {
        Value::Object(map) => Ok(map),
        other => Err(format!("{}expected an object, found {}", at(path), kind(&other))),
    }
}

/// An object whose keys are names of the file's own; absent and null are empty.
fn each<T>(
    value: Value,
    path: &str,
    read: impl Fn(Value, &str) -> Result<T, String>,
) -> Result<BTreeMap<String, T>, String> {
    if value.is_null() {
        return Ok(BTreeMap::new());
    }
    let named = any_object(value, path)?.into_iter();
    named.map(|(name, value)| read(value, &format!("{path}.{name}")).map(|read| (name, read))).collect()
}

fn arbiter(value: Value, path: &str) -> Result<ArbiterEvidence, String> {
    let mut map = object(value, path, &ARBITER)?;
    if let Some(Value::Array(sessions)) = map.get_mut("sessions") {
        for (position, session) in sessions.iter_mut().enumerate() {
            let whole = object(session.take(), &format!("{path}.sessions[{position}]"), &SESSION)?;
            *session = Value::Object(whole);
        }
    }
    read(Value::Object(map), path)
}

/// `true`, `false`, or the whole answer.
fn answer<T: DeserializeOwned + JsonSchema>(
    value: Value,
    path: &str,
    known: &[&str],
) -> Result<Answer<T>, String> {
    match value {
        Value::Bool(is_good) => Ok(Answer::Short(is_good)),
        other => read(Value::Object(object(other, path, known)?), path).map(Answer::Whole),
    }
}

fn optional<T: DeserializeOwned + JsonSchema>(value: Value, path: &str) -> Result<Option<T>, String> {
    if value.is_null() { Ok(None) } else { read(value, path).map(Some) }
}

fn read<T: DeserializeOwned + JsonSchema>(value: Value, path: &str) -> Result<T, String> {
    T::deserialize(&value).map_err(|error| {
        let why = explain::<T>(&value, &error);
        // A place below this one, or what is wrong with this one itself.
        if why.starts_with("found ") || !why.contains(": found ") {
            format!("{}{why}", at(path))
        } else {
            format!("{path}.{why}")
        }
    })
}

fn at(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}: ") }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[derive(Debug, Clone)]
enum Answer<T> {
    Short(bool),
    Whole(T),
}

/// Why what is not named did not answer.
fn timeout() -> Option<String> {
    Some("timeout".to_owned())
}

impl Network for Probes {
    fn ping<'a>(
        &'a self,
        hosts: &'a [String],
        _: Duration,
        _: u32,
    ) -> Boxed<'a, BTreeMap<String, PingAnswer>> {
        let answer = |host: &String| match self.ping.get(host) {
            Some(Answer::Short(true)) => PingAnswer { ping: true, rtt_ms: None, why: None },
            Some(Answer::Whole(answer)) => answer.clone(),
            Some(Answer::Short(false)) | None => PingAnswer { ping: false, rtt_ms: None, why: timeout() },
        };
        Box::pin(std::future::ready(hosts.iter().map(|host| (host.clone(), answer(host))).collect()))
    }

    fn ssh<'a>(&'a self, arbiter: &'a str, command: &'a str, _: Duration) -> Boxed<'a, SshAnswer> {
        let named = self.ssh.get(arbiter).and_then(|commands| commands.get(command)).cloned();
        let silent = || SshAnswer::Failed {
            error: SshOutcome::Timeout,
            message: format!("the probes name no answer of {arbiter} to \"{command}\""),
        };
        Box::pin(std::future::ready(named.unwrap_or_else(silent)))
    }

    fn tcp<'a>(&'a self, address: &'a str, _: Duration) -> Boxed<'a, TcpAnswer> {
        let answer = match self.tcp.get(address) {
            Some(Answer::Short(true)) => TcpAnswer { open: true, elapsed_ms: None, why: None },
            Some(Answer::Whole(answer)) => answer.clone(),
            Some(Answer::Short(false)) | None => TcpAnswer { open: false, elapsed_ms: None, why: timeout() },
        };
        Box::pin(std::future::ready(answer))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn what_is_named_answers_and_what_is_not_does_not() {
        let probes: Probes = serde_json::from_value(json!({
            "ping": {"192.0.2.10": true, "192.0.2.11": {"ping": true, "rttMs": 0.5}},
            "tcp": {"192.0.2.9:443": true},
            "ssh": {"203.0.113.1": {"show version": {"exit": 0, "stdout": "x", "stderr": ""}}},
            "arbiters": {"203.0.113.1": {"ping": true, "ssh": "ok", "sessions": [{"from": "192.0.2.11"}]}},
            "total": 1, "time": "2026-01-01T00:00:00+00:00",
        }))
        .unwrap();
        let hosts = ["192.0.2.10", "192.0.2.11", "192.0.2.12"].map(str::to_owned);
        let pings = probes.ping(&hosts, Duration::ZERO, 0).await;
        assert_eq!(hosts.each_ref().map(|host| pings[host].ping), [true, true, false]);
        assert!(probes.tcp("192.0.2.9:443", Duration::ZERO).await.open);
        assert!(!probes.tcp("192.0.2.9:80", Duration::ZERO).await.open);
        assert!(matches!(
            probes.ssh("203.0.113.1", "show version", Duration::ZERO).await,
            SshAnswer::Ran { exit: 0, .. }
        ));
        assert!(matches!(
            probes.ssh("203.0.113.1", "reboot", Duration::ZERO).await,
            SshAnswer::Failed { .. }
        ));
        assert!(
            serde_json::from_value::<Probes>(json!({"pings": {}})).is_err(),
            "a misspelt key is an error"
        );
        assert!(serde_json::from_value::<Probes>(json!({})).is_ok());
    }

    #[test]
    fn what_is_malformed_is_named_by_its_place() {
        for (wrong, says) in [
            (json!([]), "expected an object, found a list"),
            (json!({"arbiters": []}), "arbiters: expected an object, found a list"),
            (json!({"arbiters": {"r1": [true]}}), "arbiters.r1: expected an object, found a list"),
            (json!({"arbiters": {"r1": null}}), "arbiters.r1: expected an object, found null"),
            (
                json!({"arbiters": {"r1": {"pong": true}}}),
                "arbiters.r1: unknown key \"pong\"; did you mean \"ping\"?",
            ),
            (json!({"arbiters": {"r1": {"ping": 1}}}), "arbiters.r1.ping: found 1, expected true or false"),
            (json!({"ping": {"h": 1}}), "ping.h: expected an object, found a number"),
            (json!({"ping": {"h": {"ping": "yes"}}}), "ping.h.ping: found \"yes\", expected true or false"),
            (json!({"now": "yesterday"}), "now: "),
            (
                json!({"arbiters": {"r1": {"sessions": [["a"]]}}}),
                "arbiters.r1.sessions[0]: expected an object",
            ),
            (
                json!({"arbiters": {"r1": {"sessions": [{"form": "a"}]}}}),
                "sessions[0]: unknown key \"form\"; did you mean \"from\"?",
            ),
            (json!({"ping": {"h": []}}), "ping.h: expected an object"),
            (
                json!({"ssh": {"r1": {"c": {"exit": "x"}}}}),
                "ssh.r1.c.exit: found \"x\", expected a whole number",
            ),
            (json!({"situation": "lost"}), "situation: "),
            (json!({"zebra": 1}), "unknown key \"zebra\"; the keys are now, "),
        ] {
            let why = serde_json::from_value::<Probes>(wrong.clone()).unwrap_err().to_string();
            assert!(why.contains(says), "{wrong}: {why}");
        }
    }

    #[test]
    fn null_is_absent_everywhere() {
        let seen: Map<String, Value> = ARBITER.iter().map(|key| ((*key).to_owned(), Value::Null)).collect();
        let nulls = json!({"now": null, "situation": null, "waitTime": null, "ping": null, "tcp": null, "ssh": null,
            "arbiters": {"r1": seen, "r2": {"sessions": [{"from": "192.0.2.1", "ageMs": null}]}}});
        let probes: Probes = serde_json::from_value(nulls).unwrap();
        assert_eq!(probes.arbiters["r1"], ArbiterEvidence::default());
        let none: Probes = serde_json::from_value(json!({"arbiters": null})).unwrap();
        assert!(none.arbiters.is_empty());
    }
}
