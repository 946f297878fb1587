//! LuaCATS types of everything a Lua policy sees, made from the same Rust types as the JSON Schemas.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

use crate::evidence::{PingAnswer, PingReport, SessionsReport, SshAnswer, TcpAnswer};
use crate::{Context, Sections, Verdict};

/// Name of the file that editors read.
pub const FILE_NAME: &str = "dr.lua";
/// What a type's name begins with.
const PREFIX: &str = "drw.";
/// Nesting of a type that is written out; the contract's is 3.
const DEPTH_MAX: usize = 16;
/// Types whose generated name says nothing, with one that does.
const RENAMED: [(&str, &str); 1] = [("ServiceState2", "HeartbeatState")];

const HEAD: &str = r#"---@meta
-- Types of dr-watchdog's Lua policies, for editors that read LuaCATS (lua-language-server).
-- Written by `dr-watchdog policy types DIR`; do not edit. A policy does not load this file.

---What the file of a policy returns.
---@class drw.Policy
---@field evaluate fun(ctx: drw.Context): drw.Verdict Answers one question.
---@field version? string Shown by `policy check` and `health`.

---Options of `dr.ping`.
---@class drw.PingOptions
---@field timeoutMs? integer How long an answer is awaited; default 1000.
---@field retries? integer Tries after the first; default 0, at most 10.

---Options of `dr.tcp` and `dr.ssh`.
---@class drw.CallOptions
---@field timeoutMs? integer Longest time; default 1000 for tcp, 5000 for ssh.

"#;

const HOST: &str = r#"---The host: everything a policy may ask.
---@class drw.Dr
---@field config drw.Sections The sections, read-only; one without data is nil, a key that does not exist is an error.
---@field policy drw.Own The policy's own part of the configuration.
---@field arbiters drw.Arbiters
---@field state drw.State
---@field verdict drw.Verdicts
dr = {}

---@class drw.Own
---@field config table What `[policy.config]` holds.

---What was seen at the arbiters before the policy was asked: it costs nothing.
---@class drw.Arbiters
dr.arbiters = {}

---Which arbiters answer ping.
---@return drw.PingReport
function dr.arbiters.ping() end

---Which arbiters could be logged in to, and which of them the other site manages.
---@return drw.SessionsReport
function dr.arbiters.sessions() end

---Pings hosts of your own choice, all at once; needs the grant "ping".
---@param hosts string[] At most 64.
---@param opts? drw.PingOptions
---@return table<string, drw.PingAnswer> answers By host; a network failure is an answer.
function dr.ping(hosts, opts) end

---Tries a TCP connection; needs the grant "tcp".
---@param address string host:port
---@param opts? drw.CallOptions
---@return drw.TcpAnswer
function dr.tcp(address, opts) end

---Runs a command at an arbiter; needs the grant "ssh".
---@param arbiter string Its name, as `dr.arbiters` has it.
---@param command string
---@param opts? drw.CallOptions
---@return drw.SshAnswer
function dr.ssh(arbiter, command, opts) end

---A value of the policy's own, kept over restarts; at most 64 KiB of JSON.
---@class drw.State
dr.state = {}

---What was put last; nil before the first time.
---@return any
function dr.state.get() end

---@param value any Tables, texts, numbers, booleans, nil.
function dr.state.put(value) end

---Writes a log line under the policy's name; at most 200 in one evaluation.
---@param level "debug"|"info"|"warn"|"error"
---@param text string
---@param fields? table
function dr.log(level, text, fields) end

---The instant the question is asked for.
---@return drw.Utc
function dr.now() end

---Milliseconds until the deadline.
---@return integer
function dr.remaining_ms() end

---The instant so many seconds later. Instants compare as texts.
---@param instant drw.Utc
---@param seconds integer From 0.
---@return drw.Utc
function dr.after(instant, seconds) end

---Seconds of a duration as the configuration writes it ("8h", "30m"); nil is for ever ("0").
---@param text string
---@return integer?
function dr.duration(text) end

---Builds verdicts with the right `state`.
---@class drw.Verdicts
dr.verdict = {}

---@param description string Why, in one sentence.
---@param details? table
---@return drw.Verdict
function dr.verdict.beActive(description, details) end

---@param description string Why, in one sentence.
---@param details? table
---@return drw.Verdict
function dr.verdict.beStandby(description, details) end

---@param description string Why, in one sentence.
---@param details? table
---@return drw.Verdict
function dr.verdict.nothing(description, details) end

---@param until_time drw.Utc End of the wait.
---@param description string Why, in one sentence.
---@param details? table
---@return drw.Verdict
function dr.verdict.wait(until_time, description, details) end
"#;

/// The text of the file.
pub fn types() -> String {
    let mut known = BTreeMap::new();
    collect::<Context>("Context", &mut known);
    collect::<Sections>("Sections", &mut known);
    collect::<Verdict>("Verdict", &mut known);
    collect::<PingReport>("PingReport", &mut known);
    collect::<SessionsReport>("SessionsReport", &mut known);
    collect::<PingAnswer>("PingAnswer", &mut known);
    collect::<TcpAnswer>("TcpAnswer", &mut known);
    collect::<SshAnswer>("SshAnswer", &mut known);
    let mut text = HEAD.to_owned();
    for (name, schema) in &known {
        text.push_str(&definition(name, schema));
        text.push('\n');
    }
    text.push_str(HOST);
    text
}

/// Takes a type with everything it is made of, as the host writes it.
fn collect<T: JsonSchema>(name: &str, known: &mut BTreeMap<String, Value>) {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut root: Value = Schema::to_value(generator.into_root_schema_for::<T>());
    let parts = root.as_object_mut().and_then(|root| root.remove("$defs"));
    for (part, schema) in parts.as_ref().and_then(Value::as_object).into_iter().flatten() {
        known.insert(renamed(part), schema.clone());
    }
    known.insert(name.to_owned(), root);
}

fn renamed(name: &str) -> String {
    let found = RENAMED.iter().find(|(generated, _)| *generated == name);
    found.map_or(name, |(_, better)| better).to_owned()
}

fn definition(name: &str, schema: &Value) -> String {
    let mut text = String::new();
    if let Some(sentence) = sentence(schema) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "---{sentence}");
    }
    let fields = fields(schema);
    if !fields.is_empty() {
        let _ = writeln!(text, "---@class {PREFIX}{name}");
        for (key, field) in &fields {
            let mark = if field.is_optional { "?" } else { "" };
            let why = sentence(field.schema).map(|sentence| format!(" {sentence}")).unwrap_or_default();
            let _ = writeln!(text, "---@field {key}{mark} {}{why}", word(field.schema, 0));
        }
        return text;
    }
    match schema.get("oneOf").and_then(Value::as_array) {
        Some(choices) => {
            let _ = writeln!(text, "---@alias {PREFIX}{name}");
            for choice in choices {
                let why = sentence(choice).map(|sentence| format!(" # {sentence}")).unwrap_or_default();
                let _ = writeln!(text, "---| {}{why}", choice["const"]);
            }
        }
        None => {
            let _ = writeln!(text, "---@alias {PREFIX}{name} {}", word(schema, 0));
        }
    }
    text
}

struct Field<'a> {
    schema: &'a Value,
    is_optional: bool,
}

/// The keys of an object. Where a value is one of several objects, each key that not all of them have is optional.
fn fields(schema: &Value) -> Vec<(&str, Field<'_>)> {
    let variants = match schema.get("anyOf").and_then(Value::as_array) {
        Some(choices) => choices.iter().collect(),
        None => vec![schema],
    };
    let object = |variant: &'_ Value| variant.get("properties").and_then(Value::as_object).map(Map::len);
    if variants.iter().any(|variant| object(variant).is_none()) {
        return Vec::new();
    }
    let mut fields: Vec<(&str, Field<'_>)> = Vec::new();
    for variant in &variants {
        let required: BTreeSet<&str> =
            variant["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (key, schema) in variant["properties"].as_object().into_iter().flatten() {
            if fields.iter().all(|(known, _)| known != key) {
                let is_optional =
                    variants.len() > 1 || !required.contains(key.as_str()) || is_nullable(schema);
                fields.push((key, Field { schema, is_optional }));
            }
        }
    }
    fields
}

fn is_nullable(schema: &Value) -> bool {
    let is_null = |kind: &Value| *kind == "null";
    schema["type"].as_array().is_some_and(|kinds| kinds.iter().any(is_null))
        || schema["anyOf"]
            .as_array()
            .is_some_and(|choices| choices.iter().any(|choice| choice["type"] == "null"))
}

/// The type as LuaCATS writes it. That it may be nil is said at the field.
fn word(schema: &Value, depth: usize) -> String {
    if depth > DEPTH_MAX {
        return "any".to_owned();
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        return format!("{PREFIX}{}", renamed(name));
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let present = choices.iter().filter(|choice| choice["type"] != "null");
        return present.map(|choice| word(choice, depth + 1)).collect::<Vec<_>>().join("|");
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        kind => kind.as_str(),
    };
    match kind {
        Some("string") => "string".to_owned(),
        Some("integer") => "integer".to_owned(),
        Some("number") => "number".to_owned(),
        Some("boolean") => "boolean".to_owned(),
        Some("array") => format!("{}[]", word(&schema["items"], depth + 1)),
        Some("object") if schema["additionalProperties"].is_object() => {
            format!("table<string, {}>", word(&schema["additionalProperties"], depth + 1))
        }
        Some("object") => "table".to_owned(),
        _ => "any".to_owned(),
    }
}

/// The first paragraph of a description, without the marks of Rust's documentation, without what refers to papers
/// that the author of a policy does not have.
fn sentence(schema: &Value) -> Option<String> {
    let text = schema.get("description")?.as_str()?.split("\n\n").next()?;
    let mut text = text.replace('\n', " ").replace("[`", "`").replace("`]", "`");
    for reference in [" (reading ", " (domain "] {
        while let Some(from) = text.find(reference)
            && let Some(length) = text[from..].find(')')
        {
            text.replace_range(from..=from + length, "");
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_say_what_is_optional_and_what_a_word_may_be() {
        let text = types();
        for line in [
            "---@class drw.Context",
            "---@field waitTime? drw.Utc End of the wait that is open.",
            "---@field role drw.Role The role of this site.",
            "---| \"active\" # It serves.",
            "---@field arbiters drw.Arbiter[] The arbiters.",
            "---@field arbiters table<string, drw.ArbiterEvidence> By name.",
            "---@field heartbeat? drw.HeartbeatState",
            "---@field exit? integer Its exit status.",
            "---@field details? table Whatever helps to understand the verdict later.",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains("ServiceState2") && !text.contains("(reading"), "{text}");
        let is_vague = |line: &&str| line.starts_with("---@field") && line.contains(" any");
        assert_eq!(text.lines().find(is_vague), None);
    }

    #[test]
    fn every_type_that_is_named_is_defined() {
        let text = types();
        for (at, _) in text.match_indices(PREFIX) {
            let is_name = |found: char| found.is_alphanumeric() || found == '.';
            let name: String = text[at..].chars().take_while(|found| is_name(*found)).collect();
            let defined = ["class", "alias"].iter().any(|word| text.contains(&format!("---@{word} {name}")));
            assert!(defined, "{name} is not defined");
        }
    }
}
