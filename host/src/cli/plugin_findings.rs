//! What is wrong with a plugin's description, answers, growth: the judgements of `plugin check` (pure).

use dr_watchdog_sdk::verdict::{Action, Verdict};
use serde_json::{Map, Value, json};

use crate::policy::{FailureKind, Grant, Outcome, schema};

/// Longest deadline that a plugin may recommend.
const DEADLINE_MS_MAX: u64 = 3_600_000;
/// A key that no configuration has.
pub(super) const UNKNOWN_KEY: &str = "aKeyThatNobodyKnows";
/// Most growth of resident memory over the second half of the endurance run: what an allocator keeps for itself.
const GROWTH_KIB_MAX: u64 = 512;

/// What is wrong, with what its author may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// In a sentence.
    pub(super) what: String,
    /// The remedy.
    pub(super) remedy: String,
}

/// A finding.
pub(super) fn finding(what: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { what: what.into(), remedy: remedy.into() }
}

/// What of the description is not as the header says.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn description(found: &Value) -> Result<String, Finding> {
    let wrong = |key: &str, expected: &str| {
        let what = format!("describe: {key}: found {}, expected {expected}", found[key]);
        Err(finding(what, "drw_policy.h says above `describe` what it holds"))
    };
    for key in ["name", "version"] {
        if found[key].as_str().is_none_or(str::is_empty) {
            return wrong(key, "a text in the manifest");
        }
    }
    match found["deadlineMs"].as_u64() {
        Some(1..=DEADLINE_MS_MAX) => {}
        _ => return wrong("deadlineMs", &format!("a whole number from 1 to {DEADLINE_MS_MAX}")),
    }
    if !matches!(found["detailsSchema"], Value::Null | Value::Object(_)) {
        return wrong("detailsSchema", "null or a JSON Schema");
    }
    let Some(asked) = found["capabilities"].as_array() else {
        return wrong("capabilities", "a list");
    };
    let words: Vec<&str> = Grant::ALL.into_iter().map(Grant::word).collect();
    if let Some(unknown) = asked.iter().find(|asked| asked.as_str().is_none_or(|word| !words.contains(&word)))
    {
        let what = format!("describe: capabilities: found {unknown}, expected some of {}", words.join(", "));
        return Err(finding(what, "name only what an operator can grant"));
    }
    Ok(format!(
        "{} {}",
        found["name"].as_str().unwrap_or_default(),
        found["version"].as_str().unwrap_or_default()
    ))
}

/// The configuration that a plugin is checked with: the one that was given, else the first example of its schema,
/// else an empty one.
pub(super) fn configuration(given: Option<Value>, published: &Value) -> Value {
    given.or_else(|| published["examples"].get(0).cloned()).unwrap_or_else(|| json!({}))
}

/// Whether the schema is one that helps an operator.
///
/// # Errors
/// What is wrong with it.
pub(super) fn config_schema(published: &Value, configuration: &Value) -> Result<String, Finding> {
    if let Some(problem) = schema::problem(published) {
        return Err(finding(problem, "publish a JSON Schema of [policy.config], an object"));
    }
    let examples = published["examples"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (number, example) in examples.iter().enumerate() {
        if let Err(wrong) = schema::check(published, example) {
            let what = format!("the schema refuses its own example {}: {wrong}", number + 1);
            return Err(finding(what, "correct the example or the schema"));
        }
    }
    if let Err(wrong) = schema::check(published, configuration) {
        let what = format!("the schema refuses the configuration of this check: policy.config{wrong}");
        return Err(finding(what, "give --config FILE, or an example in the schema (\"examples\": [{…}])"));
    }
    let keys = published["properties"].as_object().map_or(0, Map::len);
    Ok(format!("{keys} keys, {} examples", examples.len()))
}

/// The configuration with a key that nobody knows.
pub(super) fn with_unknown_key(configuration: &Value) -> Value {
    let mut changed = configuration.as_object().cloned().unwrap_or_default();
    changed.insert(UNKNOWN_KEY.to_owned(), json!(1));
    Value::Object(changed)
}

/// Whether a misspelt key would be told; `trial` is what `create` made of it.
///
/// # Errors
/// When neither the schema nor the plugin says a word.
pub(super) fn unknown_key(published: &Value, changed: &Value, trial: &Value) -> Result<String, Finding> {
    if schema::check(published, changed).is_err() {
        return Ok("the schema refuses it".to_owned());
    }
    if trial["accepted"] == false {
        return Ok("the plugin refuses it".to_owned());
    }
    let what = format!(
        "an unknown key (\"{UNKNOWN_KEY}\") in its configuration is accepted, so a misspelt one goes unnoticed"
    );
    Err(finding(what, "write additionalProperties: false into the schema (in Rust: deny_unknown_fields)"))
}

/// Whether the answer to one question is a verdict.
///
/// # Errors
/// Why it is none.
pub(super) fn answer(question: &str, outcome: &Outcome) -> Result<(), Finding> {
    match &outcome.failure {
        None => Ok(()),
        Some(failure) => {
            let what = format!("{question}: no verdict ({}): {}", failure.kind.word(), failure.message);
            let remedy =
                failure.hint.clone().unwrap_or_else(|| "answer every question with a verdict".to_owned());
            Err(finding(what, remedy))
        }
    }
}

/// Whether a site that sees nothing is promoted.
///
/// # Errors
/// When it is.
pub(super) fn blind(verdict: &Verdict) -> Result<String, Finding> {
    if verdict.action == Action::BeActive {
        let what = "it promotes a standby that reaches no arbiter: that site may be the one that is cut off";
        return Err(finding(what, "count what does not answer as held by the other site"));
    }
    Ok(format!("a standby that reaches nothing gets {}", verdict.action.word()))
}

/// Whether two answers to the same question are the same.
///
/// # Errors
/// When they differ.
pub(super) fn repeated(first: &Outcome, second: &Outcome) -> Result<(), Finding> {
    let key = |outcome: &Outcome| {
        let verdict = &outcome.verdict;
        format!("{} {} {}", verdict.state.word(), verdict.action.word(), verdict.payload.wait_time)
    };
    if key(first) == key(second) {
        return Ok(());
    }
    let what = format!("the same question got \"{}\", then \"{}\"", key(first).trim(), key(second).trim());
    Err(finding(
        what,
        "decide by the question and the host's answers alone, so that a replay decides the same",
    ))
}

/// Whether the plugin lived through what the host refused it.
///
/// # Errors
/// When it did not.
pub(super) fn survived(what_was_done: &str, outcome: &Outcome) -> Result<(), Finding> {
    match &outcome.failure {
        Some(failure)
            if matches!(failure.kind, FailureKind::Crash | FailureKind::Timeout | FailureKind::Verdict) =>
        {
            let what = format!("{what_was_done}: {}", failure.message);
            Err(finding(what, "give up with an error object, or answer without it"))
        }
        _ => Ok(()),
    }
}

/// What a worker uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// Resident memory.
    pub(super) resident_kib: u64,
    /// Open descriptors.
    pub(super) descriptors: u64,
    /// Threads.
    pub(super) threads: u64,
}

/// Whether the second half of many evaluations needed more than the first.
///
/// # Errors
/// What grew.
pub(super) fn growth(evaluations: u32, half: Usage, whole: Usage) -> Result<String, Finding> {
    let grown = whole.resident_kib.saturating_sub(half.resident_kib);
    let over = evaluations / 2;
    if whole.threads > half.threads {
        let what = format!("{} threads were left behind by {over} evaluations", whole.threads - half.threads);
        return Err(finding(what, "end what an evaluation starts before it answers"));
    }
    if whole.descriptors > half.descriptors {
        let what = format!(
            "{} descriptors were left open by {over} evaluations",
            whole.descriptors - half.descriptors
        );
        return Err(finding(what, "close what an evaluation opens"));
    }
    if grown > GROWTH_KIB_MAX {
        let what =
            format!("its memory grew by {grown} KiB over {over} evaluations, more than {GROWTH_KIB_MAX}");
        return Err(finding(what, "free what an evaluation allocates"));
    }
    Ok(format!("{evaluations} evaluations, {grown} KiB of growth over the second half"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Value {
        json!({"name": "x", "version": "1", "deadlineMs": 10, "detailsSchema": null, "capabilities": ["tcp"]})
    }

    #[test]
    fn a_description_is_held_to_the_header() {
        assert_eq!(description(&good()), Ok("x 1".to_owned()));
        for (key, value, says) in [
            ("name", json!(""), "name: found \"\""),
            ("version", Value::Null, "version: found null"),
            ("deadlineMs", json!(0), "from 1 to"),
            ("deadlineMs", json!("10"), "found \"10\""),
            ("detailsSchema", json!([]), "null or a JSON Schema"),
            ("capabilities", Value::Null, "a list"),
            ("capabilities", json!(["root"]), "found \"root\", expected some of ping, tcp, ssh, network"),
        ] {
            let mut changed = good();
            changed[key] = value;
            let wrong = description(&changed).unwrap_err();
            assert!(wrong.what.contains(says), "{}", wrong.what);
        }
    }

    #[test]
    fn a_schema_must_accept_its_own_examples_and_refuse_what_nobody_knows() {
        let schema = json!({"type": "object", "required": ["n"], "additionalProperties": false,
            "properties": {"n": {"type": "integer"}}, "examples": [{"n": 1}]});
        let configuration = configuration(None, &schema);
        assert_eq!(configuration, json!({"n": 1}));
        assert!(config_schema(&schema, &configuration).is_ok());
        assert!(config_schema(&schema, &json!({})).unwrap_err().remedy.contains("--config"));
        let mut wrong = schema.clone();
        wrong["examples"] = json!([{"n": "one"}]);
        assert!(config_schema(&wrong, &configuration).unwrap_err().what.contains("its own example 1: .n"));
        let changed = with_unknown_key(&configuration);
        assert!(unknown_key(&schema, &changed, &json!({"accepted": true})).is_ok());
        let open = json!({"type": "object"});
        assert!(unknown_key(&open, &changed, &json!({"accepted": false})).is_ok());
        assert!(unknown_key(&open, &changed, &json!({"accepted": true})).is_err());
    }

    #[test]
    fn growth_is_told_by_its_kind() {
        let half = Usage { resident_kib: 1_000, descriptors: 5, threads: 2 };
        assert!(growth(1_000, half, half).is_ok());
        for (whole, says) in [
            (Usage { threads: 3, ..half }, "1 threads"),
            (Usage { descriptors: 505, ..half }, "500 descriptors"),
            (Usage { resident_kib: 9_000, ..half }, "grew by 8000 KiB over 500"),
        ] {
            let wrong = growth(1_000, half, whole).unwrap_err();
            assert!(wrong.what.contains(says), "{}", wrong.what);
        }
    }
}
