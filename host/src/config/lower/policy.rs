//! `[policy]` with the tables below it, lowered.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Map, Number, Value};

use super::{Node, Raw};
use crate::config::defaults;
use crate::config::error::quoted;
use crate::config::model::Policy;
use crate::config::reader::{Keys, Reader, described};
use crate::config::values;
use crate::policy::pin::SHA256_DIGITS;
use crate::policy::terms::Layer;
use crate::policy::{Grant, SCRIPT_MEMORY_BYTES, Terms};

const POLICY: Keys = Keys::new(&["deadline", "memory", "config", "script", "sandbox", "grants", "sha256"]);
const SANDBOX: Keys = Keys::new(&["uid", "seccomp", "landlock"]);
const SCRIPT: Keys = Keys::new(&["user", "env", "secrets", "memory", "processes"]);
/// Least memory of a guest: below it no interpreter starts.
const MEMORY_BYTES_MIN: u64 = 4 << 20;
/// Most memory of a guest.
const MEMORY_BYTES_MAX: u64 = 64 << 30;
/// Highest user id; the one above it means "nobody was named".
const UID_MAX: i64 = u32::MAX as i64 - 1;
/// Most variables for a script.
const VARIABLES_MAX: usize = 256;

pub(super) fn policy(root: &Reader<'_>, custom: Option<PathBuf>) -> Policy {
    let table = root.table("policy", POLICY);
    let memory = memory(&table);
    let script = table.table("script", SCRIPT);
    let mut terms = terms(&table);
    terms.script_memory_bytes = self::memory(&script).or(Some(SCRIPT_MEMORY_BYTES));
    terms.is_script_among_others = match script.text("processes").map(str::trim) {
        None | Some("own") => false,
        Some("machine") => true,
        Some(other) => {
            script.wrong("processes", quoted(other), "\"own\" or \"machine\"");
            false
        }
    };
    Policy {
        custom,
        deadline: table.span("deadline").unwrap_or(defaults::POLICY_DEADLINE),
        memory_bytes: memory.unwrap_or(defaults::POLICY_MEMORY_BYTES),
        config: config(&table),
        terms,
        script_user: script.text("user").map(str::trim).filter(|user| !user.is_empty()).map(str::to_owned),
        script_env: environment(&script),
        script_secrets: script.is_true("secrets").unwrap_or(true),
    }
}

fn memory(table: &Reader<'_>) -> Option<u64> {
    let memory = table.value("memory", values::SIZE_FORM, values::size);
    if let Some(bytes) = memory.filter(|bytes| !(MEMORY_BYTES_MIN..=MEMORY_BYTES_MAX).contains(bytes)) {
        table.wrong("memory", format!("{bytes} bytes"), "from 4MiB to 64GiB");
    }
    memory
}

fn terms(table: &Reader<'_>) -> Terms {
    let sha256 = table.text("sha256").map(str::trim).map(str::to_ascii_lowercase);
    if let Some(sum) = &sha256
        && (sum.len() != SHA256_DIGITS || !sum.bytes().all(|digit| digit.is_ascii_hexdigit()))
    {
        table.wrong("sha256", quoted(sum), "the 64 digits that `sha256sum FILE` prints");
    }
    let sandbox = table.table("sandbox", SANDBOX);
    let uid = sandbox.whole("uid", 1, UID_MAX);
    let without =
        Layer::ALL.into_iter().filter(|layer| sandbox.is_true(layer.word()) == Some(false)).collect();
    Terms { grants: grants(table), sha256, uid, without, ..Terms::default() }
}

fn grants(table: &Reader<'_>) -> Option<BTreeSet<Grant>> {
    let node = table.get("grants")?;
    let expected = "a list of \"ping\", \"tcp\", \"ssh\", \"network\"";
    let Raw::List(list) = &node.value else {
        table.wrong("grants", described(node), expected);
        return None;
    };
    let mut grants = BTreeSet::new();
    for entry in list {
        let grant = if let Raw::Text(word) = &entry.value { Grant::from_word(word) } else { None };
        match grant {
            Some(grant) => {
                grants.insert(grant);
            }
            None => table.wrong("grants", described(entry), expected),
        }
    }
    Some(grants)
}

/// `[policy.config]` goes to the policy as it is; null where there is none.
fn config(table: &Reader<'_>) -> Value {
    match table.get("config") {
        None => Value::Null,
        Some(node @ Node { value: Raw::Table(_), .. }) => json(&node.value),
        Some(node) => {
            table.wrong("config", described(node), "a table [policy.config]");
            Value::Null
        }
    }
}

fn json(raw: &Raw) -> Value {
    match raw {
        Raw::Text(text) | Raw::Date(text) => Value::String(text.clone()),
        Raw::Integer(number) => Value::Number((*number).into()),
        // JSON has neither infinity nor "no number".
        Raw::Float(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
        Raw::Bool(is_true) => Value::Bool(*is_true),
        Raw::List(list) => Value::Array(list.iter().map(|node| json(&node.value)).collect()),
        Raw::Table(entries) => {
            let pairs = entries.iter().map(|entry| (entry.key.clone(), json(&entry.node.value)));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
    }
}

fn environment(script: &Reader<'_>) -> Vec<(String, String)> {
    let Some(node) = script.get("env") else { return Vec::new() };
    let Raw::Table(entries) = &node.value else {
        script.wrong("env", described(node), "a table of texts: env = { NAME = \"value\" }");
        return Vec::new();
    };
    if entries.len() > VARIABLES_MAX {
        script.wrong("env", format!("{} variables", entries.len()), format!("at most {VARIABLES_MAX}"));
        return Vec::new();
    }
    let mut variables = Vec::new();
    for entry in entries {
        let is_name = !entry.key.is_empty() && !entry.key.contains(['=', '\0']);
        match &entry.node.value {
            Raw::Text(value) if is_name && !value.contains('\0') => {
                variables.push((entry.key.clone(), value.clone()))
            }
            _ => {
                let found = format!("{} = {}", quoted(&entry.key), described(&entry.node));
                script.wrong("env", found, "a name without = and a value in quotes");
            }
        }
    }
    variables
}
