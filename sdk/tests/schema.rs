//! The JSON Schemas in `schema/` are what the types say. `DRW_UPDATE=1 cargo test --test schema` writes them anew.
#![allow(clippy::unwrap_used, reason = "what a test calls is outside of what the lint exempts")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dr_watchdog_sdk::evidence::{PingAnswer, PingReport, SessionsReport, SshAnswer, TcpAnswer};
use dr_watchdog_sdk::testing::{cases, context};
use dr_watchdog_sdk::verdict::{Action, VerdictState};
use dr_watchdog_sdk::{Context, Role, Sections, Situation, Verdict};
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;
use serde_json::Value;

/// The answers of the host calls that bring evidence, by the name of the call.
#[derive(Debug, Serialize, JsonSchema)]
struct Evidence {
    /// Which arbiters answer ping.
    #[serde(rename = "arbiters.ping")]
    arbiters_ping: PingReport,
    /// Which arbiters the other site manages.
    #[serde(rename = "arbiters.sessions")]
    arbiters_sessions: SessionsReport,
    /// By host.
    ping: BTreeMap<String, PingAnswer>,
    /// What a command at an arbiter did.
    ssh: SshAnswer,
    /// Whether a TCP connection was made.
    tcp: TcpAnswer,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schema")
}

fn schemas() -> [(&'static str, Schema); 4] {
    [
        ("sections", schema_for!(Sections)),
        ("verdict", schema_for!(Verdict)),
        ("context", schema_for!(Context)),
        ("evidence", schema_for!(Evidence)),
    ]
}

#[test]
fn the_files_are_what_the_types_say() {
    let is_update = std::env::var_os("DRW_UPDATE").is_some();
    for (name, schema) in schemas() {
        let path = folder().join(format!("{name}.schema.json"));
        let expected = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
        if is_update {
            std::fs::write(&path, &expected).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == expected, "{} is stale: run DRW_UPDATE=1 cargo test --test schema", path.display());
    }
}

/// The keys that an object schema knows, with references followed one step.
fn keys(schema: &Value) -> Vec<&str> {
    let object = schema["properties"].as_object();
    object.map(|object| object.keys().map(String::as_str).collect()).unwrap_or_default()
}

#[test]
fn every_key_that_is_written_stands_in_its_schema() {
    let case = cases::sample(1).remove(0);
    let host = case.host();
    let documents = [
        ("sections", serde_json::to_value(&case.sections).unwrap()),
        ("context", serde_json::to_value(context(Role::Standby, Situation::PeerLost)).unwrap()),
        ("verdict", serde_json::to_value(Verdict::nothing(VerdictState::Active, "")).unwrap()),
    ];
    let schemas: BTreeMap<&str, Value> =
        schemas().into_iter().map(|(name, schema)| (name, schema.to_value())).collect();
    for (name, document) in documents {
        let known = keys(&schemas[name]);
        for key in document.as_object().unwrap().keys() {
            assert!(known.contains(&key.as_str()), "{name}.{key}");
        }
    }
    let report = serde_json::to_value(host.ping_report()).unwrap();
    let known = keys(&schemas["evidence"]["$defs"]["PingReport"]);
    assert!(report.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{known:?}");
}

#[test]
fn the_verdicts_schema_has_the_rules_that_a_schema_can_have() {
    let schema = schema_for!(Verdict).to_value();
    assert_eq!(schema["required"], serde_json::json!(["state", "action", "description", "payload"]));
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["$defs"]["Payload"]["additionalProperties"], false);
    assert_eq!(schema["$defs"]["Payload"]["required"], serde_json::json!(["waitTime"]));
    assert_eq!(schema["if"]["properties"]["action"]["const"], Action::Wait.word());
    let words = schema["$defs"]["Action"].to_string();
    assert!(Action::WORDS.iter().all(|word| words.contains(&format!("\"{word}\""))), "{words}");
}
