//! A probes file: a network that answers what it was told to; what is not named did not answer.

use std::collections::BTreeMap;
use std::time::Duration;

use dr_watchdog_sdk::evidence::{ArbiterEvidence, PingAnswer, SshAnswer, SshOutcome, TcpAnswer};
use dr_watchdog_sdk::{Situation, Utc};
use serde::Deserialize;
use serde_json::Value;

use crate::policy::answers::{Boxed, Network};

/// What the network of one evaluation answers. `total`, `time` and the like, which `arbiters ping --json` prints
/// beside `arbiters`, are read over: its output is a valid probes file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Probes {
    /// The instant the question is asked for; the clock's if absent.
    pub now: Option<Utc>,
    /// Why the policy is asked; the other site is lost if absent.
    pub situation: Option<Situation>,
    /// End of the wait that is open.
    pub wait_time: Option<Utc>,
    /// What was seen at the arbiters, by name.
    pub arbiters: BTreeMap<String, ArbiterEvidence>,
    ping: BTreeMap<String, Ping>,
    tcp: BTreeMap<String, Tcp>,
    ssh: BTreeMap<String, BTreeMap<String, SshAnswer>>,
    #[serde(rename = "time")]
    _time: Option<Value>,
    #[serde(rename = "role")]
    _role: Option<Value>,
    #[serde(rename = "total")]
    _total: Option<Value>,
    #[serde(rename = "reachable")]
    _reachable: Option<Value>,
    #[serde(rename = "managed")]
    _managed: Option<Value>,
    #[serde(rename = "warning")]
    _warning: Option<Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Ping {
    Short(bool),
    Whole(PingAnswer),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Tcp {
    Short(bool),
    Whole(TcpAnswer),
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
            Some(Ping::Short(true)) => PingAnswer { ping: true, rtt_ms: None, why: None },
            Some(Ping::Whole(answer)) => answer.clone(),
            Some(Ping::Short(false)) | None => PingAnswer { ping: false, rtt_ms: None, why: timeout() },
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
            Some(Tcp::Short(true)) => TcpAnswer { open: true, elapsed_ms: None, why: None },
            Some(Tcp::Whole(answer)) => answer.clone(),
            Some(Tcp::Short(false)) | None => TcpAnswer { open: false, elapsed_ms: None, why: timeout() },
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
}
