//! Checks a policy's configuration by the JSON Schema that the policy publishes (pure).
//!
//! It knows the words that the SDK's schemas are made of. A word it does not know forbids nothing here: the plugin's
//! own `create` has the last word anyway.

use std::fmt;

use dr_watchdog_sdk::nearest::nearest;
use dr_watchdog_sdk::wording;
use schemars::{JsonSchema, schema_for};
use serde_json::{Map, Value, json};

/// Nesting of schema and value that is followed; deeper is a loop of references.
const DEPTH_MAX: usize = 64;
/// Characters of a found value that a message repeats.
const FOUND_CHARS_MAX: usize = 80;
/// What is found where a key is missing.
const NOTHING: &str = "nothing";

/// Where a value breaks its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The place, as `.key[3].other`; empty at the root.
    pub path: String,
    /// What stands there.
    pub found: String,
    /// What would be right.
    pub expected: String,
    /// The known key that an unknown one resembles.
    pub nearest: Option<String>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: found {}, expected {}", self.path, self.found, self.expected)
    }
}

/// Checks a value.
///
/// # Errors
/// The first place where it breaks the schema.
pub fn check(schema: &Value, value: &Value) -> Result<(), Mismatch> {
    let empty = json!({});
    let value = if value.is_null() { &empty } else { value };
    Checker { root: schema }.check(schema, value, "", 0)
}

/// Why a value is not what a type of the contract is read from: its place, what stands there, what would be right. Where
/// the type's schema finds nothing, what its reader says.
pub fn explain<T: JsonSchema>(value: &Value, error: &serde_json::Error) -> String {
    let Err(wrong) = check(&schema_for!(T).to_value(), value) else { return wording::of(error) };
    let place = wrong.path.trim_start_matches('.');
    let place = if place.is_empty() { String::new() } else { format!("{place}: ") };
    // These are JSON; a configuration has tables.
    let expected = wrong.expected.replace("a table", "an object");
    let near = wrong.nearest.map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default();
    format!("{place}found {}, expected {expected}{near}", wrong.found)
}

/// Why a schema is none that a policy may publish, if it is not.
pub fn problem(schema: &Value) -> Option<String> {
    let Value::Object(object) = schema else {
        return Some(format!("configSchema: found {}, expected an object", shown(schema)));
    };
    match object.get("properties") {
        None | Some(Value::Object(_)) => {}
        Some(other) => {
            return Some(format!("configSchema.properties: found {}, expected an object", shown(other)));
        }
    }
    let kind = object.get("type").filter(|kind| **kind != json!("object"))?;
    Some(format!("configSchema.type: found {}, expected \"object\", which [policy.config] is", shown(kind)))
}

struct Checker<'a> {
    root: &'a Value,
}

impl Checker<'_> {
    fn check(&self, schema: &Value, value: &Value, path: &str, depth: usize) -> Result<(), Mismatch> {
        let Value::Object(words) = schema else {
            return if *schema == json!(false) { Err(wrong(path, value, "nothing here")) } else { Ok(()) };
        };
        if depth > DEPTH_MAX {
            return Err(wrong(path, value, format!("at most {DEPTH_MAX} levels")));
        }
        if let Some(target) =
            words.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix('#'))
            && let Some(target) = self.root.pointer(target)
        {
            self.check(target, value, path, depth + 1)?;
        }
        self.choices(words, value, path, depth)?;
        kind(words, value, path)?;
        listed(words, value, path)?;
        bounds(words, value, path)?;
        match value {
            Value::Object(object) => self.object(words, object, path, depth),
            Value::Array(list) => match words.get("items") {
                Some(items) => list
                    .iter()
                    .enumerate()
                    .try_for_each(|(at, item)| self.check(items, item, &format!("{path}[{at}]"), depth + 1)),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn choices(
        &self,
        words: &Map<String, Value>,
        value: &Value,
        path: &str,
        depth: usize,
    ) -> Result<(), Mismatch> {
        let list = |word: &str| words.get(word).and_then(Value::as_array);
        for schema in list("allOf").into_iter().flatten() {
            self.check(schema, value, path, depth + 1)?;
        }
        for word in ["anyOf", "oneOf"] {
            let Some(choices) = list(word) else { continue };
            let outcomes: Vec<_> =
                choices.iter().map(|schema| self.check(schema, value, path, depth + 1)).collect();
            if outcomes.iter().any(Result::is_ok) {
                continue;
            }
            // The mismatch that got furthest is the one the author meant; of what is not there nothing was meant.
            let meant =
                |wrong: &Mismatch| (wrong.found != NOTHING, wrong.path.len(), wrong.expected != NOTHING);
            let furthest = outcomes.into_iter().filter_map(Result::err).max_by_key(meant);
            return furthest.map_or(Ok(()), Err);
        }
        Ok(())
    }

    fn object(
        &self,
        words: &Map<String, Value>,
        object: &Map<String, Value>,
        path: &str,
        depth: usize,
    ) -> Result<(), Mismatch> {
        let none = Map::new();
        let properties = words.get("properties").and_then(Value::as_object).unwrap_or(&none);
        for (key, value) in object {
            let place = format!("{path}.{key}");
            match (properties.get(key), words.get("additionalProperties")) {
                (Some(schema), _) => self.check(schema, value, &place, depth + 1)?,
                (None, None | Some(Value::Bool(true))) => {}
                (None, Some(Value::Bool(false))) => {
                    let known: Vec<&str> = properties.keys().map(String::as_str).collect();
                    let near = nearest(key, known.iter().copied()).map(str::to_owned);
                    let expected = if known.is_empty() {
                        "no key at all".to_owned()
                    } else {
                        format!("one of {}", known.join(", "))
                    };
                    let found = format!("the unknown key \"{key}\"");
                    return Err(Mismatch { path: path.to_owned(), found, expected, nearest: near });
                }
                (None, Some(schema)) => self.check(schema, value, &place, depth + 1)?,
            }
        }
        let required = words.get("required").and_then(Value::as_array).into_iter().flatten();
        for key in required.filter_map(Value::as_str) {
            if !object.contains_key(key) {
                let expected = properties.get(key).and_then(|schema| schema.get("type"));
                let expected = expected.map_or_else(|| "a value".to_owned(), kinds);
                let path = format!("{path}.{key}");
                return Err(Mismatch { path, found: NOTHING.to_owned(), expected, nearest: None });
            }
        }
        Ok(())
    }
}

fn kind(words: &Map<String, Value>, value: &Value, path: &str) -> Result<(), Mismatch> {
    let Some(wanted) = words.get("type") else { return Ok(()) };
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        _ => true,
    };
    let fits = match wanted {
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(is),
        _ => true,
    };
    if fits { Ok(()) } else { Err(wrong(path, value, kinds(wanted))) }
}

fn kinds(wanted: &Value) -> String {
    let word = |name: &str| {
        match name {
            "null" => "nothing",
            "boolean" => "true or false",
            "object" => "a table",
            "array" => "a list",
            "number" => "a number",
            "string" => "a text",
            "integer" => "a whole number",
            other => return other.to_owned(),
        }
        .to_owned()
    };
    match wanted {
        Value::String(name) => word(name),
        Value::Array(names) => {
            names.iter().filter_map(Value::as_str).map(word).collect::<Vec<_>>().join(" or ")
        }
        other => other.to_string(),
    }
}

fn listed(words: &Map<String, Value>, value: &Value, path: &str) -> Result<(), Mismatch> {
    if let Some(only) = words.get("const")
        && only != value
    {
        return Err(wrong(path, value, only.to_string()));
    }
    let Some(allowed) = words.get("enum").and_then(Value::as_array) else { return Ok(()) };
    if allowed.contains(value) {
        return Ok(());
    }
    let texts = allowed.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
    Err(wrong(path, value, format!("one of {texts}")))
}

fn bounds(words: &Map<String, Value>, value: &Value, path: &str) -> Result<(), Mismatch> {
    let (found, unit, names) = match value {
        Value::Number(number) => (number.as_f64(), "", ["minimum", "maximum"]),
        Value::String(text) => (Some(text.chars().count() as f64), " characters", ["minLength", "maxLength"]),
        Value::Array(list) => (Some(list.len() as f64), " entries", ["minItems", "maxItems"]),
        _ => return Ok(()),
    };
    let limit = |name: &str| words.get(name).and_then(|limit| Some((limit, limit.as_f64()?)));
    let Some(found) = found else { return Ok(()) };
    if let Some((least, number)) = limit(names[0])
        && found < number
    {
        return Err(wrong(path, value, format!("at least {least}{unit}")));
    }
    if let Some((most, number)) = limit(names[1])
        && found > number
    {
        return Err(wrong(path, value, format!("at most {most}{unit}")));
    }
    if !value.is_number() {
        return Ok(());
    }
    if let Some((least, number)) = limit("exclusiveMinimum")
        && found <= number
    {
        return Err(wrong(path, value, format!("more than {least}")));
    }
    match limit("exclusiveMaximum") {
        Some((most, number)) if found >= number => Err(wrong(path, value, format!("less than {most}"))),
        _ => Ok(()),
    }
}

fn shown(value: &Value) -> String {
    value.to_string().chars().take(FOUND_CHARS_MAX).collect()
}

fn wrong(path: &str, value: &Value, expected: impl Into<String>) -> Mismatch {
    Mismatch { path: path.to_owned(), found: shown(value), expected: expected.into(), nearest: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object", "additionalProperties": false, "required": ["quorum"],
            "properties": {
                "quorum": {"type": "integer", "minimum": 1, "maximum": 9},
                "mode": {"$ref": "#/$defs/Mode"},
                "name": {"type": ["string", "null"], "minLength": 2, "maxLength": 4},
                "weights": {"type": "object", "additionalProperties": {"type": "number", "exclusiveMinimum": 0}},
                "hosts": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                "either": {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"x": {"const": 1}}}]},
            },
            "$defs": {"Mode": {"enum": ["a", "b"]}},
        })
    }

    #[test]
    fn what_fits_the_schema_is_taken() {
        for value in [
            json!({"quorum": 1}),
            json!({"quorum": 9.0, "mode": "b", "name": null, "weights": {"h": 0.5}, "hosts": ["x"], "either": {"x": 1}}),
            json!({"quorum": 2, "either": null, "name": "four"}),
        ] {
            assert_eq!(check(&schema(), &value), Ok(()), "{value}");
        }
        assert_eq!(check(&json!({}), &Value::Null), Ok(()), "no configuration is an empty one");
    }

    #[test]
    fn what_does_not_is_told_with_its_place_and_what_would_be_right() {
        for (value, says) in [
            (Value::Null, ".quorum: found nothing, expected a whole number"),
            (json!({"quorum": "3"}), ".quorum: found \"3\", expected a whole number"),
            (json!({"quorum": 0}), ".quorum: found 0, expected at least 1"),
            (json!({"quorum": 10}), "expected at most 9"),
            (json!({"quorum": 1.5}), "expected a whole number"),
            (json!({"quorum": 1, "mode": "c"}), ".mode: found \"c\", expected one of \"a\", \"b\""),
            (json!({"quorum": 1, "name": 3}), "expected a text or nothing"),
            (json!({"quorum": 1, "name": "x"}), "expected at least 2 characters"),
            (json!({"quorum": 1, "name": "fiver"}), "expected at most 4 characters"),
            (json!({"quorum": 1, "weights": {"h": 0}}), ".weights.h: found 0, expected more than 0"),
            (json!({"quorum": 1, "hosts": ["x", 2]}), ".hosts[1]: found 2, expected a text"),
            (json!({"quorum": 1, "hosts": []}), "expected at least 1 entries"),
            (json!({"quorum": 1, "either": {"x": 2}}), ".either.x: found 2, expected 1"),
            (json!({"quorom": 1}), "the unknown key \"quorom\""),
            (json!([]), "expected a table"),
        ] {
            let wrong = check(&schema(), &value).unwrap_err();
            assert!(wrong.to_string().contains(says), "{value}: {wrong}");
        }
        assert_eq!(check(&schema(), &json!({"quorom": 1})).unwrap_err().nearest.as_deref(), Some("quorum"));
        let endless = json!({"$ref": "#"});
        assert!(check(&endless, &json!(1)).is_err());
        assert!(problem(&json!([])).is_some() && problem(&json!({"type": "string"})).is_some());
        assert_eq!(problem(&schema()), None);
    }
}
