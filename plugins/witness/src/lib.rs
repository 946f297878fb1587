//! A policy for sites with few arbiters: it also asks a witness, an HTTP endpoint at a third place.
//!
//! The witness watches both sites and answers, for the one that asks, `{"otherServes": false, "ageS": 4}`: whether it
//! sees the other one serve, and how old that is. It has no vote of its own: it can keep a standby from taking over, and
//! it can keep an active site that lost its arbiters from standing down; it never makes a site active.

mod answer;
mod http;
mod rules;

use std::net::SocketAddr;
use std::time::Duration;

use dr_watchdog_sdk::evidence::{ArbiterEvidence, SshOutcome};
use dr_watchdog_sdk::{Context, Host, Level, Policy, PolicyError, Role, Verdict, drw_export};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use rules::{Facts, Rule, Witness};

/// What is left of the time for the verdict itself.
const RESERVE_MS: u64 = 200;

/// What `[policy.config]` holds.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("examples" = [{ "url": "http://198.51.100.7:8080/sites/a" }]))]
pub struct Config {
    /// Where the witness answers for this site, such as `http://198.51.100.7:8080/sites/a`. An address, not a name:
    /// name servers fail together with lines.
    pub url: String,
    /// Longest wait for its answer, in milliseconds.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
    /// Oldest sight of the other site that still counts, in seconds.
    #[serde(default = "max_age_s")]
    pub max_age_s: u64,
}

const fn timeout_ms() -> u64 {
    2_000
}

const fn max_age_s() -> u64 {
    30
}

/// The policy.
#[derive(Debug)]
pub struct WitnessPolicy {
    config: Config,
    address: SocketAddr,
    path: String,
}

impl Policy for WitnessPolicy {
    const NAME: &'static str = "witness";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const VENDOR: &'static str = "dr-watchdog";
    const CONTACT: &'static str = "the documentation of dr-watchdog";
    const LICENSE: &'static str = env!("CARGO_PKG_LICENSE");

    type Config = Config;

    fn create(config: Config) -> Result<Self, PolicyError> {
        let (address, path) = answer::target(&config.url).map_err(|message| PolicyError {
            message,
            field: Some("url".to_owned()),
            hint: Some("write it as http://ADDRESS:PORT/PATH".to_owned()),
        })?;
        Ok(Self { config, address, path })
    }

    fn evaluate(&self, context: &Context, host: &dyn Host) -> Result<Verdict, PolicyError> {
        let detection = host.config(&["watchdog"])?.watchdog.unwrap_or_default().failure_detection;
        let witness = self.ask(host);
        let seen: Vec<ArbiterEvidence> = if context.role == Role::Standby {
            host.arbiters_sessions()?.arbiters.into_values().collect()
        } else {
            host.arbiters_ping()?.arbiters.into_values().collect()
        };
        let count = |is_counted: fn(&ArbiterEvidence) -> bool| {
            seen.iter().filter(|arbiter| is_counted(arbiter)).count() as u64
        };
        let facts = Facts {
            role: context.role,
            situation: context.situation,
            total: seen.len() as u64,
            pinged: count(|arbiter| arbiter.ping == Some(true)),
            managed: count(|arbiter| arbiter.ssh == Some(SshOutcome::Ok) && arbiter.managed == Some(true)),
            unreachable: count(|arbiter| arbiter.ssh != Some(SshOutcome::Ok)),
            failover: detection.threshold.failover,
            max_age_s: self.config.max_age_s,
            witness,
        };
        Ok(verdict(&facts, rules::decide(&facts)))
    }

    fn details_schema() -> Option<Value> {
        Some(json!({
            "type": "object",
            "properties": {
                "rule": {"type": "string"},
                "witness": {"type": "string"},
                "shares": {"type": "object"},
                "problem": {"type": "string"},
            },
        }))
    }

    fn wanted_capabilities() -> &'static [&'static str] {
        &["network"]
    }
}

drw_export!(WitnessPolicy);

impl WitnessPolicy {
    /// What the witness says. That it says nothing is a fact like any other.
    fn ask(&self, host: &dyn Host) -> Witness {
        let left_ms = host.remaining_ms().saturating_sub(RESERVE_MS);
        let limit = Duration::from_millis(self.config.timeout_ms.min(left_ms));
        let answered = http::get(self.address, &self.path, limit).and_then(|text| answer::read(&text));
        answered.unwrap_or_else(|why| {
            host.log(Level::Warn, &format!("the witness {} gave no answer: {why}", self.config.url));
            Witness::Silent(why)
        })
    }
}

fn verdict(facts: &Facts, rule: &Rule) -> Verdict {
    let mut details = Map::new();
    details.insert("rule".to_owned(), json!(rule.name));
    details.insert("witness".to_owned(), json!(facts.witness.to_string()));
    let share = |count: u64| format!("{count}/{}", facts.total);
    let shares = match facts.role {
        Role::Standby => json!({"managed": share(facts.managed), "unreachable": share(facts.unreachable)}),
        _ => json!({"pinged": share(facts.pinged)}),
    };
    details.insert("shares".to_owned(), shares);
    if rule.is_problem {
        details.insert("problem".to_owned(), json!(rule.sentence));
    }
    Verdict::new(facts.role.into(), rule.action, rule.sentence.to_owned()).with_details(details)
}
