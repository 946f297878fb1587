//! A policy file that answers for the simulated sites.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use dr_watchdog_core::effect::Ask;
use dr_watchdog_sdk::evidence::{PingAnswer, SshAnswer, TcpAnswer};
use dr_watchdog_sdk::host::method;
use dr_watchdog_sdk::{Context, HostError, Situation, Verdict};
use dr_watchdog_sim::policy::{Policy, Site};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;
use tokio::time::Instant;

use super::policy;
use super::policy_probes::Probes;
use crate::policy::answers::{Boxed, Network};
use crate::policy::{Answers, HostCalls, Question, Runner};

/// Addresses of the simulated sites.
const SITES: [&str; 2] = ["192.0.2.10", "192.0.2.20"];

/// A loaded policy, with what it asked for in vain.
pub(super) struct Guest {
    runtime: Runtime,
    local: LocalSet,
    runner: Runner,
    world: Value,
    probes: Probes,
    deadline: Duration,
    /// Evaluations that gave no verdict.
    pub(super) failures: u64,
    /// Why the last of them failed.
    pub(super) last_failure: Option<String>,
    /// The first thing that it asked for and that is not simulated.
    pub(super) missing: Option<String>,
    /// Sockets of scripts; removed at the end.
    _folder: tempfile::TempDir,
}

/// A policy of a run; the worker behind it outlives the run.
#[derive(Clone)]
pub(super) struct Shared(pub(super) Rc<RefCell<Guest>>);

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl Shared {
    /// Loads a policy; `world` answers what it asks beyond the other site and the arbiters.
    pub(super) fn load(file: &Path, world: &Value) -> Result<Self, String> {
        let folder =
            tempfile::tempdir().map_err(|error| format!("no temporary folder could be made: {error}"))?;
        let probes: Probes =
            serde_json::from_value(world.clone()).map_err(|error| format!("--world: {error}"))?;
        let spec = policy::spec(file, folder.path()).map_err(|failure| failure.message)?;
        let deadline = spec.deadline;
        let (runtime, local) =
            super::runtime().map_err(|error| format!("no runtime could be made: {error}"))?;
        let mut runner = local.block_on(&runtime, Runner::load(spec)).map_err(|failure| failure.message)?;
        runner.cut_network();
        Ok(Self(Rc::new(RefCell::new(Guest {
            runtime,
            local,
            runner,
            world: world.clone(),
            probes,
            deadline,
            failures: 0,
            last_failure: None,
            missing: None,
            _folder: folder,
        }))))
    }
}

impl Policy for Shared {
    fn decide(&mut self, site: &Site, ask: &Ask) -> Result<Verdict, String> {
        self.0.borrow_mut().decide(site, ask)
    }
}

impl Guest {
    fn decide(&mut self, site: &Site, ask: &Ask) -> Result<Verdict, String> {
        let sections = sections(site, ask);
        let context = Context {
            role: site.role,
            situation: ask.situation,
            wait_time: ask.wait_time,
            previous: ask.previous.clone(),
            deadline_ms: u64::try_from(self.deadline.as_millis()).unwrap_or(u64::MAX),
            now: ask.evidence.time,
        };
        let question =
            Question { context, sections_with_secrets: sections.clone(), sections: sections.clone() };
        let network = Simulated { ask, peer: SITES[1 - site.index], probes: &self.probes };
        let missing = RefCell::new(None);
        let calls = Checked {
            answers: Answers {
                sections,
                evidence: ask.evidence.clone(),
                role: site.role,
                warning: site.thresholds.warning,
                now: ask.evidence.time,
                deadline: Instant::now() + self.deadline,
                network: &network,
            },
            known: &network,
            world: &self.world,
            missing: &missing,
        };
        let evaluated = self.runner.evaluate(question, &calls);
        let outcome = self.local.block_on(&self.runtime, evaluated);
        if self.missing.is_none() {
            self.missing = missing.into_inner();
        }
        match outcome.failure {
            None => Ok(outcome.verdict),
            Some(failure) => {
                self.failures += 1;
                self.last_failure = Some(failure.message.clone());
                Err(failure.message)
            }
        }
    }
}

/// The sections of a simulated site, as `api v1 config --list` prints them.
fn sections(site: &Site, ask: &Ask) -> Value {
    let arbiters: Vec<_> = ask
        .evidence
        .arbiters
        .keys()
        .map(|name| json!({"host": name, "port": 22, "username": "watchdog"}))
        .collect();
    let (own, peer) = (SITES[site.index], SITES[1 - site.index]);
    json!({
        "role": site.role,
        "failover": site.failover,
        "core": {"peerVip": peer, "peerLoadBalancerNodes": peer, "peerBusinessLogicNodes": "", "peerDeviceMgtIps": "", "adminPass": "***"},
        "watchdog": {"failureDetection": {
            "isCustom": true,
            "threshold": site.thresholds,
            "waitDuration": format!("{}s", site.wait_duration_s),
            "arbiters": arbiters,
        }},
        "states": {"heartbeat": {"progress": "done", "service": {
            "booting": false, "automaticFailover": true, "now": ask.evidence.time,
            "situation": ask.situation, "waitTime": ask.wait_time, "vip": own,
        }}},
    })
}

/// The network of one question: the other site as its heartbeat found it, the arbiters as they were seen.
struct Simulated<'a> {
    ask: &'a Ask,
    peer: &'static str,
    probes: &'a Probes,
}

impl Simulated<'_> {
    fn ping_known(&self, host: &str) -> Option<PingAnswer> {
        let of = |ping: bool| PingAnswer {
            ping,
            rtt_ms: ping.then_some(0.8),
            why: (!ping).then(|| "timeout".to_owned()),
        };
        if host == self.peer {
            return Some(of(self.ask.situation == Situation::BothStandby));
        }
        self.ask.evidence.arbiters.get(host).map(|seen| of(seen.ping == Some(true)))
    }
}

impl Network for Simulated<'_> {
    fn ping<'a>(
        &'a self,
        hosts: &'a [String],
        timeout: Duration,
        retries: u32,
    ) -> Boxed<'a, BTreeMap<String, PingAnswer>> {
        Box::pin(async move {
            let mut answers = self.probes.ping(hosts, timeout, retries).await;
            for host in hosts {
                if let Some(known) = self.ping_known(host) {
                    answers.insert(host.clone(), known);
                }
            }
            answers
        })
    }

    fn ssh<'a>(&'a self, arbiter: &'a str, command: &'a str, timeout: Duration) -> Boxed<'a, SshAnswer> {
        self.probes.ssh(arbiter, command, timeout)
    }

    fn tcp<'a>(&'a self, address: &'a str, timeout: Duration) -> Boxed<'a, TcpAnswer> {
        self.probes.tcp(address, timeout)
    }
}

/// Refuses what nobody has said the answer to: a default would be a guess about the world.
struct Checked<'a> {
    answers: Answers<'a>,
    known: &'a Simulated<'a>,
    world: &'a Value,
    missing: &'a RefCell<Option<String>>,
}

impl Checked<'_> {
    fn unknown(&self, name: &str, request: &Value) -> Option<String> {
        let text = |key: &str| request.get(key).and_then(Value::as_str).unwrap_or_default();
        let is_named =
            |kind: &str, key: &str| self.world.get(kind).is_some_and(|named| named.get(key).is_some());
        match name {
            method::PING => {
                let hosts = request.get("hosts").and_then(Value::as_array).into_iter().flatten();
                let mut hosts = hosts.filter_map(Value::as_str);
                let host =
                    hosts.find(|host| self.known.ping_known(host).is_none() && !is_named("ping", host))?;
                Some(format!("ping of {host}"))
            }
            method::TCP if !is_named("tcp", text("address")) => Some(format!("tcp to {}", text("address"))),
            method::SSH => {
                let named = self.world.get("ssh").and_then(|named| named.get(text("arbiter")));
                let is_named = named.is_some_and(|commands| commands.get(text("command")).is_some());
                (!is_named).then(|| format!("\"{}\" at {}", text("command"), text("arbiter")))
            }
            _ => None,
        }
    }
}

impl HostCalls for Checked<'_> {
    fn call<'a>(
        &'a self,
        name: &'a str,
        request: &'a Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, HostError>> + 'a>> {
        match self.unknown(name, request) {
            None => self.answers.call(name, request),
            Some(what) => {
                let text = format!("not simulated: {what}; give its answer in --world FILE");
                self.missing.borrow_mut().get_or_insert_with(|| text.clone());
                Box::pin(std::future::ready(Err(HostError::Unsupported(text))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use dr_watchdog_core::evidence::Evidence;
    use dr_watchdog_sdk::Role;

    use super::*;

    #[test]
    fn what_the_world_file_does_not_name_is_not_simulated() {
        let ask = Ask {
            id: 1,
            situation: Situation::PeerLost,
            wait_time: None,
            previous: None,
            evidence: Evidence::default().completed(&["r0".to_owned()], &Default::default()),
        };
        let world = json!({"ping": {"198.51.100.1": true}, "tcp": {"198.51.100.2:443": true}});
        let probes: Probes = serde_json::from_value(world.clone()).unwrap();
        let network = Simulated { ask: &ask, peer: SITES[1], probes: &probes };
        let missing = RefCell::new(None);
        let answers = Answers {
            sections: json!({}),
            evidence: ask.evidence.clone(),
            role: Role::Standby,
            warning: dr_watchdog_sdk::threshold::Threshold::HALF,
            now: Default::default(),
            deadline: Instant::now() + Duration::from_secs(1),
            network: &network,
        };
        let checked = Checked { answers, known: &network, world: &world, missing: &missing };
        for (name, request, is_known) in [
            ("ping", json!({"hosts": ["r0", "192.0.2.20", "198.51.100.1"]}), true),
            ("ping", json!({"hosts": ["198.51.100.3"]}), false),
            ("tcp", json!({"address": "198.51.100.2:443"}), true),
            ("tcp", json!({"address": "198.51.100.2:80"}), false),
            ("ssh", json!({"arbiter": "r0", "command": "show version"}), false),
            ("arbiters.ping", json!({}), true),
        ] {
            assert_eq!(checked.unknown(name, &request).is_none(), is_known, "{name} {request}");
        }
    }
}
