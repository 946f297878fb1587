//! The verdict: what a policy answers (the manual's Table 2).
//!
//! A verdict is a request. Nothing here decides whether it is granted; that is the core's work.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::nearest::nearest;
use crate::sections::Role;
use crate::utc::Utc;

/// The role a verdict speaks for; it must equal the role of the site (reading A21).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum VerdictState {
    /// The site is active.
    Active,
    /// The site is standby.
    Standby,
}

impl VerdictState {
    /// The two words, in the manual's order.
    pub const WORDS: [&'static str; 2] = ["active", "standby"];

    /// The word as JSON has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Standby => "standby",
        }
    }
}

impl From<Role> for VerdictState {
    /// A standalone site runs no detection; should it be asked all the same, it is nobody's active.
    fn from(role: Role) -> Self {
        match role {
            Role::Active => Self::Active,
            Role::Standby | Role::Standalone => Self::Standby,
        }
    }
}

/// What the policy wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Change the role to active.
    BeActive,
    /// Change the role to standby.
    BeStandby,
    /// Do not change the role.
    Nothing,
    /// Stay in the current role until `payload.waitTime`.
    Wait,
}

impl Action {
    /// The four words, in the manual's order.
    pub const WORDS: [&'static str; 4] = ["beActive", "beStandby", "nothing", "wait"];

    /// The word as JSON has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::BeActive => "beActive",
            Self::BeStandby => "beStandby",
            Self::Nothing => "nothing",
            Self::Wait => "wait",
        }
    }
}

/// What goes with the action.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct Payload {
    /// The end of the wait, a UTC instant; empty unless the action is `wait`.
    pub wait_time: String,
    /// Whatever helps to understand the verdict later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Map<String, Value>>,
}

/// A policy's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(
    deny_unknown_fields,
    extend("if" = {"properties": {"action": {"const": "wait"}}}),
    extend("then" = {"properties": {"payload": {"properties": {"waitTime": {
        "pattern": r"^\s*\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?([+-]00:00|[Zz])\s*$"
    }}}}})
)]
pub struct Verdict {
    /// The current role of the site, as the policy understood it.
    pub state: VerdictState,
    /// What the policy wants done.
    pub action: Action,
    /// One sentence on why; it is what an operator reads in the mail. May be empty.
    pub description: String,
    /// The end of a wait, and details.
    pub payload: Payload,
}

impl Verdict {
    /// A verdict without details.
    pub fn new(state: VerdictState, action: Action, description: impl Into<String>) -> Self {
        Self { state, action, description: description.into(), payload: Payload::default() }
    }

    /// "Do not change the role".
    pub fn nothing(state: VerdictState, description: impl Into<String>) -> Self {
        Self::new(state, Action::Nothing, description)
    }

    /// "Stay as you are until this instant".
    pub fn wait(state: VerdictState, until: Utc, description: impl Into<String>) -> Self {
        let mut verdict = Self::new(state, Action::Wait, description);
        verdict.payload.wait_time = until.to_string();
        verdict
    }

    /// The same verdict with these details.
    #[must_use]
    pub fn with_details(mut self, details: Map<String, Value>) -> Self {
        self.payload.details = Some(details);
        self
    }

    /// The instant a `wait` verdict ends; `None` for every other action.
    pub fn wait_until(&self) -> Option<Utc> {
        (self.action == Action::Wait).then(|| Utc::parse(&self.payload.wait_time).ok()).flatten()
    }

    /// Checks a JSON value against every rule of the contract.
    ///
    /// `unknown` says what to do with a key that the contract does not have: a Lua policy or a plugin made a mistake
    /// that the author wants to hear of; a twenty-year-old script may have printed it all its life.
    ///
    /// # Errors
    /// The first rule that is broken, with the field, what stood there and what would be right.
    pub fn check(value: &Value, unknown: UnknownKeys) -> Result<(Self, Vec<VerdictError>), VerdictError> {
        let mut warnings = Vec::new();
        match Self::read(value, unknown, &mut warnings) {
            Ok(verdict) => Ok((verdict, warnings)),
            Err(error) => Err(misspelt(warnings, &error).unwrap_or(error)),
        }
    }

    fn read(
        value: &Value,
        unknown: UnknownKeys,
        warnings: &mut Vec<VerdictError>,
    ) -> Result<Self, VerdictError> {
        let object = value.as_object().ok_or_else(|| {
            VerdictError::new("verdict", value, "an object with the keys state, action, description, payload")
        })?;
        known_keys(object, "", &["state", "action", "description", "payload"], unknown, warnings)?;
        let state = match word(object, "state", &VerdictState::WORDS)? {
            "active" => VerdictState::Active,
            _ => VerdictState::Standby,
        };
        let action = match word(object, "action", &Action::WORDS)? {
            "beActive" => Action::BeActive,
            "beStandby" => Action::BeStandby,
            "wait" => Action::Wait,
            _ => Action::Nothing,
        };
        let description = text(object, "description", "description", "a text, which may be empty")?;
        let payload = Payload::check(object.get("payload"), action, unknown, warnings)?;
        Ok(Self { state, action, description, payload })
    }
}

impl Payload {
    fn check(
        value: Option<&Value>,
        action: Action,
        unknown: UnknownKeys,
        warnings: &mut Vec<VerdictError>,
    ) -> Result<Self, VerdictError> {
        let Some(Value::Object(payload)) = value else {
            return Err(VerdictError::of("payload", value, "an object with the key waitTime"));
        };
        known_keys(payload, "payload.", &["waitTime", "details"], unknown, warnings)?;
        let wait_time =
            text(payload, "waitTime", "payload.waitTime", "a text, empty unless the action is wait")?;
        if action == Action::Wait && Utc::parse(&wait_time).is_err() {
            return Err(VerdictError::of(
                "payload.waitTime",
                payload.get("waitTime"),
                "a UTC instant such as 2026-01-01T00:00:00+00:00, because the action is wait",
            ));
        }
        let details = match payload.get("details") {
            None | Some(Value::Null) => None,
            Some(Value::Object(details)) => Some(details.clone()),
            found => return Err(VerdictError::of("payload.details", found, "an object, or no such key")),
        };
        Ok(Self { wait_time, details })
    }
}

/// What an unknown key in a verdict is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownKeys {
    /// An error (Lua policies, compiled plugins).
    Refuse,
    /// A warning beside the verdict (scripts).
    Warn,
}

/// A rule of the contract that a verdict breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictError {
    /// The field, as a path from the verdict.
    pub field: String,
    /// What stood there, shortened.
    pub found: String,
    /// What would be right.
    pub expected: String,
    /// The key that was probably meant.
    pub nearest: Option<String>,
}

/// Characters of a wrong value that a message repeats.
const FOUND_CHARS_MAX: usize = 60;

impl VerdictError {
    fn new(field: &str, found: &Value, expected: &str) -> Self {
        let text = match found {
            Value::Object(_) => "an object".to_owned(),
            Value::Array(_) => "an array".to_owned(),
            other => other.to_string(),
        };
        let mut found: String = text.chars().take(FOUND_CHARS_MAX).collect();
        if found.len() < text.len() {
            found.push('…');
        }
        Self { field: field.to_owned(), found, expected: expected.to_owned(), nearest: None }
    }

    fn of(field: &str, found: Option<&Value>, expected: &str) -> Self {
        match found {
            Some(found) => Self::new(field, found, expected),
            None => Self {
                field: field.to_owned(),
                found: "nothing".to_owned(),
                expected: expected.to_owned(),
                nearest: None,
            },
        }
    }
}

impl fmt::Display for VerdictError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: found {}, expected {}", self.field, self.found, self.expected)?;
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean \"{nearest}\"?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for VerdictError {}

/// The unknown key, forgiven so far, that was meant for the one that is missing.
fn misspelt(unknown: Vec<VerdictError>, missing: &VerdictError) -> Option<VerdictError> {
    let key = missing.field.rsplit('.').next()?;
    unknown.into_iter().find(|unknown| missing.found == "nothing" && unknown.nearest.as_deref() == Some(key))
}

fn known_keys(
    object: &Map<String, Value>,
    prefix: &str,
    known: &[&str],
    unknown: UnknownKeys,
    warnings: &mut Vec<VerdictError>,
) -> Result<(), VerdictError> {
    for (key, value) in object {
        if known.contains(&key.as_str()) {
            continue;
        }
        let expected = format!("only the keys {}", known.join(", "));
        let mut error = VerdictError::new(&format!("{prefix}{key}"), value, &expected);
        error.nearest = nearest(key, known.iter().copied()).map(str::to_owned);
        match unknown {
            UnknownKeys::Refuse => return Err(error),
            UnknownKeys::Warn => warnings.push(error),
        }
    }
    Ok(())
}

fn text(object: &Map<String, Value>, key: &str, field: &str, expected: &str) -> Result<String, VerdictError> {
    match object.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        found => Err(VerdictError::of(field, found, expected)),
    }
}

fn word<'a>(object: &'a Map<String, Value>, key: &str, words: &[&str]) -> Result<&'a str, VerdictError> {
    let expected = || format!("one of {}", words.join(", "));
    match object.get(key) {
        Some(Value::String(found)) if words.contains(&found.as_str()) => Ok(found),
        Some(Value::String(found)) => {
            let mut error = VerdictError::new(key, &Value::String(found.clone()), &expected());
            error.nearest = nearest(found, words.iter().copied()).map(str::to_owned);
            Err(error)
        }
        found => Err(VerdictError::of(key, found, &expected())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn right() -> Value {
        json!({"state": "standby", "action": "nothing", "description": "", "payload": {"waitTime": ""}})
    }

    fn with(path: &str, value: Value) -> Value {
        let mut verdict = right();
        *verdict.pointer_mut(path).unwrap() = value;
        verdict
    }

    #[test]
    fn a_verdict_of_each_action_is_read_and_written_the_same() {
        for action in Action::WORDS {
            for state in VerdictState::WORDS {
                let wait_time = if action == "wait" { "2026-01-01T00:00:00+00:00" } else { "" };
                let value = json!({"state": state, "action": action, "description": "why",
                    "payload": {"waitTime": wait_time, "details": {"n": 1}}});
                let (verdict, warnings) = Verdict::check(&value, UnknownKeys::Refuse).unwrap();
                assert!(warnings.is_empty());
                assert_eq!(verdict.state.word(), state);
                assert_eq!(verdict.action.word(), action);
                assert_eq!(serde_json::to_value(&verdict).unwrap(), value);
            }
        }
    }

    #[test]
    fn every_broken_rule_names_the_field_and_what_would_be_right() {
        let cases = [
            (json!(3), "verdict"),
            (json!(null), "verdict"),
            (with("/state", json!("")), "state"),
            (with("/state", json!("Active")), "state"),
            (with("/state", json!(null)), "state"),
            (with("/action", json!("promote")), "action"),
            (with("/action", json!("")), "action"),
            (with("/description", json!(null)), "description"),
            (with("/payload", json!("")), "payload"),
            (with("/payload", json!({})), "payload.waitTime"),
            (with("/payload/waitTime", json!(null)), "payload.waitTime"),
            (with("/payload", json!({"waitTime": "", "details": ""})), "payload.details"),
            (with("/payload", json!({"waitTime": "", "details": []})), "payload.details"),
            (with("/action", json!("wait")), "payload.waitTime"),
            (json!({"action": "nothing", "description": "", "payload": {"waitTime": ""}}), "state"),
        ];
        for (value, field) in cases {
            let error = Verdict::check(&value, UnknownKeys::Warn).unwrap_err();
            assert_eq!(error.field, field, "{value}");
            assert!(!error.expected.is_empty());
        }
    }

    #[test]
    fn a_misspelt_key_is_refused_from_lua_and_plugins_and_warned_of_from_scripts() {
        let mut value = right();
        value["desciption"] = json!("x");
        let error = Verdict::check(&value, UnknownKeys::Refuse).unwrap_err();
        assert_eq!(error.nearest.as_deref(), Some("description"));
        assert!(error.to_string().ends_with("did you mean \"description\"?"), "{error}");
        let (_, warnings) = Verdict::check(&value, UnknownKeys::Warn).unwrap();
        assert_eq!(warnings.len(), 1);
    }

    #[test]
    fn a_wrong_word_is_answered_with_the_nearest_right_one() {
        let error = Verdict::check(&with("/action", json!("beactive")), UnknownKeys::Warn).unwrap_err();
        assert_eq!(error.nearest.as_deref(), Some("beActive"));
    }
}
