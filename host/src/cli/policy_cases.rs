//! A file of cases for a policy: what it is asked, what it must answer (pure).
//!
//! What all cases share stands once at the top; a case names what is different, by the rules of a JSON merge patch
//! (RFC 7386): objects are merged, null removes, everything else replaces.

use dr_watchdog_sdk::nearest::nearest;
use dr_watchdog_sdk::{strict, wording};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::json_diff::{Difference, unmet};
use super::policy_probes::Probes;
use crate::policy::{FailureKind, Outcome};

/// Cases of one file.
const CASES_MAX: usize = 1_000;
/// The instant of a case that names none: a case must give the same answer tomorrow.
const NOW: &str = "2026-01-01T00:00:00+00:00";
/// What a file of cases is.
const EXPECTED: &str =
    "expected an object {\"sections\": {}, \"probes\": {}, \"cases\": [{\"name\": \"\", \"expect\": {}}]}";
/// What `expect` may name.
const VERDICT_KEYS: [&str; 4] = ["state", "action", "description", "payload"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    sections: Value,
    #[serde(default)]
    probes: Value,
    #[serde(default)]
    config: Value,
    cases: Vec<RawCase>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    name: String,
    #[serde(default)]
    sections: Value,
    #[serde(default)]
    probes: Value,
    #[serde(default)]
    config: Value,
    #[serde(default)]
    state: Value,
    #[serde(default)]
    expect: Option<Value>,
    #[serde(default)]
    says: Vec<String>,
    #[serde(default)]
    error: Option<FailureKind>,
    #[serde(default, deserialize_with = "present")]
    remembers: Option<Value>,
}

/// A key that is there with null says something; one that is absent does not.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// One question with what must come of it.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// What it shows, in a sentence.
    pub(super) name: String,
    /// The sections of the site.
    pub(super) sections: Value,
    /// What the network answers.
    pub(super) probes: Probes,
    /// What `[policy.config]` holds.
    pub(super) config: Value,
    /// What the policy remembers.
    pub(super) state: Value,
    expect: Value,
    says: Vec<String>,
    error: Option<FailureKind>,
    remembers: Option<Value>,
}

/// Reads a file of cases.
///
/// # Errors
/// The first thing in it that is wrong.
pub(super) fn parse(text: &str) -> Result<Vec<Case>, String> {
    let value = strict::parse(text.as_bytes()).map_err(|error| wording::of(&error))?;
    let raw = file(value)?;
    if raw.cases.is_empty() || raw.cases.len() > CASES_MAX {
        return Err(format!("cases: found {}, expected 1 to {CASES_MAX}", raw.cases.len()));
    }
    let shared = [raw.sections, raw.probes, raw.config];
    raw.cases.into_iter().map(|case| lower(&shared, case)).collect()
}

/// The file with its cases. What is wrong is told with the case that it stands in: a list of a hundred has no lines.
fn file(value: Value) -> Result<RawFile, String> {
    let Value::Object(mut top) = value else {
        return Err(format!("{EXPECTED}; this is {}", if value.is_array() { "a list" } else { "no object" }));
    };
    let cases = match top.remove("cases") {
        Some(Value::Array(cases)) => cases,
        Some(_) => return Err("cases: expected a list".to_owned()),
        None if top.is_empty() => return Err(format!("{EXPECTED}; there are no \"cases\"")),
        None => Vec::new(),
    };
    top.insert("cases".to_owned(), json!([]));
    let mut raw = RawFile::deserialize(Value::Object(top)).map_err(|error| wording::of(&error))?;
    for (position, case) in cases.into_iter().enumerate() {
        let name = case["name"]
            .as_str()
            .map_or_else(|| format!("cases[{position}]"), |name| format!("case \"{name}\""));
        if !case.is_object() {
            return Err(format!("{name}: expected an object with \"name\" and \"expect\""));
        }
        raw.cases
            .push(RawCase::deserialize(case).map_err(|error| format!("{name}: {}", wording::of(&error)))?);
    }
    Ok(raw)
}

fn lower([sections, probes, config]: &[Value; 3], raw: RawCase) -> Result<Case, String> {
    let wrong = |why: String| format!("case \"{}\": {why}", raw.name);
    if raw.name.is_empty() {
        return Err("a case has an empty name; say what it shows".to_owned());
    }
    if raw.expect.is_none() && raw.error.is_none() {
        return Err(wrong(
            "it expects nothing: give \"expect\" (parts of the verdict) or \"error\"".to_owned(),
        ));
    }
    let expect = raw.expect.clone().unwrap_or_else(|| json!({}));
    let keys = expect.as_object().ok_or_else(|| wrong("expect: expected an object".to_owned()))?;
    if let Some(key) = keys.keys().find(|key| !VERDICT_KEYS.contains(&key.as_str())) {
        let near = nearest(key, VERDICT_KEYS).map(|near| format!("; did you mean \"{near}\"?"));
        let hint = near.unwrap_or_else(|| format!("; it has {}", VERDICT_KEYS.join(", ")));
        return Err(wrong(format!("expect: a verdict has no key \"{key}\"{hint}")));
    }
    let mut probes = patched(patched(json!({"now": NOW}), probes), &raw.probes);
    if probes.is_null() {
        probes = json!({});
    }
    let probes = Probes::try_from(probes).map_err(|why| wrong(format!("probes: {why}")))?;
    Ok(Case {
        sections: patched(patched(json!({}), sections), &raw.sections),
        config: patched(patched(json!({}), config), &raw.config),
        probes,
        name: raw.name,
        state: raw.state,
        expect,
        says: raw.says,
        error: raw.error,
        remembers: raw.remembers,
    })
}

/// The value with a merge patch on it. A patch that is absent (null at the root) changes nothing.
fn patched(value: Value, patch: &Value) -> Value {
    if patch.is_null() { value } else { merge(value, patch) }
}

fn merge(value: Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else { return patch.clone() };
    let mut merged = match value {
        Value::Object(object) => object,
        _ => Map::new(),
    };
    for (key, change) in changes {
        if change.is_null() {
            merged.remove(key);
        } else {
            let old = merged.remove(key).unwrap_or_default();
            merged.insert(key.clone(), merge(old, change));
        }
    }
    Value::Object(merged)
}

impl Case {
    /// What is not as expected; empty if the case passed.
    pub(super) fn judge(&self, outcome: &Outcome, remembered: &Value) -> Vec<Difference> {
        let mut found = Vec::new();
        let kind = outcome.failure.as_ref().map(|failure| failure.kind);
        if kind != self.error {
            let message = outcome.failure.as_ref();
            let second = message.map_or(Value::Null, |failure| {
                json!(format!("{}: {}", failure.kind.word(), failure.message))
            });
            found.push(Difference { path: "error".to_owned(), first: json!(self.error), second });
            if outcome.failure.is_some() {
                // The verdict is the host's then, and repeats the message.
                return found;
            }
        }
        found.extend(unmet(&self.expect, &json!(outcome.verdict)));
        let hint = outcome.failure.as_ref().and_then(|failure| failure.hint.as_deref()).unwrap_or_default();
        let message = outcome.failure.as_ref().map_or("", |failure| failure.message.as_str());
        let said = format!("{}\n{message}\n{hint}", outcome.verdict.description);
        for part in self.says.iter().filter(|part| !said.contains(*part)) {
            let (path, second) = ("says".to_owned(), json!(said.trim()));
            found.push(Difference { path, first: json!(part), second });
        }
        if let Some(expected) = &self.remembers
            && expected != remembered
        {
            let (path, second) = ("remembers".to_owned(), remembered.clone());
            found.push(Difference { path, first: expected.clone(), second });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_names_only_what_is_different() {
        let cases = parse(
            r#"{"sections": {"role": "standby", "core": {"peerVip": "192.0.2.10", "scpTimeout": 1}},
                "probes": {"ping": {"192.0.2.1": true}}, "config": {"n": 1},
                "cases": [
                    {"name": "plain", "expect": {"action": "nothing"}},
                    {"name": "other", "sections": {"role": "active", "core": {"scpTimeout": null}},
                     "probes": {"situation": "waiting"}, "config": {"m": [2]}, "error": "timeout", "remembers": null}]}"#,
        )
        .unwrap();
        assert_eq!(cases[0].sections["core"]["scpTimeout"], 1);
        assert_eq!(cases[1].sections, json!({"role": "active", "core": {"peerVip": "192.0.2.10"}}));
        assert_eq!(cases[1].config, json!({"n": 1, "m": [2]}));
        assert_eq!(cases[0].probes.now.unwrap().to_string(), NOW);
        assert_eq!((cases[0].remembers.clone(), cases[1].remembers.clone()), (None, Some(Value::Null)));
    }

    #[test]
    fn what_is_wrong_in_a_file_is_named() {
        for (text, says) in [
            ("{", "EOF"),
            (r#"{"cases": []}"#, "expected 1 to 1000"),
            ("[]", "expected an object {\"sections\""),
            ("{}", "there are no \"cases\""),
            (r#"{"cases": [3]}"#, "cases[0]: expected an object"),
            (r#"{"cases": [{"expect": {}}]}"#, "cases[0]: the key \"name\" is missing"),
            (
                r#"{"cases": [{"name": "x", "expects": {}}]}"#,
                "case \"x\": unknown key \"expects\"; did you mean \"expect\"?",
            ),
            (r#"{"case": []}"#, "unknown key \"case\"; did you mean \"cases\"?"),
            (r#"{"cases": [{"name": "x"}]}"#, "case \"x\": it expects nothing"),
            (r#"{"cases": [{"name": "x", "expect": {"acton": "nothing"}}]}"#, "did you mean \"action\""),
            (
                r#"{"cases": [{"name": "x", "expect": {}, "probes": {"pings": {}}}]}"#,
                "probes: unknown key \"pings\"; did you mean \"ping\"?",
            ),
            (r#"{"cases": [{"name": "x", "error": "explosion"}]}"#, "explosion"),
        ] {
            let why = parse(text).unwrap_err();
            assert!(why.contains(says), "{text}: {why}");
        }
    }
}
