//! Where two JSON values differ, leaf by leaf (pure).

use serde_json::{Map, Value};

/// Differences that are listed.
const DIFFERENCES_MAX: usize = 100;

/// One place at which two values differ.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Difference {
    /// The place, as `payload.details.rule`; empty at the root.
    pub(super) path: String,
    /// What stands there in the first value; null if nothing does.
    pub(super) first: Value,
    /// What stands there in the second one; null if nothing does.
    pub(super) second: Value,
}

/// Every place, at most the first hundred.
pub(super) fn differences(first: &Value, second: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", first, second, Extra::Differs, &mut found);
    found
}

/// The places at which `found` is not what `expected` says; keys that `expected` does not name may hold anything.
pub(super) fn unmet(expected: &Value, found: &Value) -> Vec<Difference> {
    let mut unmet = Vec::new();
    compare("", expected, found, Extra::IsFree, &mut unmet);
    unmet
}

/// What a key means that only the second value has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extra {
    Differs,
    IsFree,
}

fn compare(path: &str, first: &Value, second: &Value, extra: Extra, found: &mut Vec<Difference>) {
    if first == second || found.len() >= DIFFERENCES_MAX {
        return;
    }
    let none = Map::new();
    let (old, new) = match (first, second) {
        (Value::Object(old), Value::Object(new)) => (old, new),
        // What is absent is an empty object whose keys are all missing: each of them is named.
        (Value::Object(old), Value::Null) if !old.is_empty() => (old, &none),
        _ => {
            found.push(Difference { path: path.to_owned(), first: first.clone(), second: second.clone() });
            return;
        }
    };
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    for (key, value) in old {
        compare(&below(key), value, new.get(key).unwrap_or(&Value::Null), extra, found);
    }
    if extra == Extra::Differs {
        for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
            compare(&below(key), &Value::Null, value, extra, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(found: &[Difference]) -> Vec<&str> {
        found.iter().map(|found| found.path.as_str()).collect()
    }

    #[test]
    fn differences_are_listed_leaf_by_leaf() {
        let first = json!({"action": "wait", "payload": {"a": 1, "b": 2}});
        let found = differences(&first, &json!({"action": "nothing", "payload": {"a": 1, "c": [3]}}));
        assert_eq!(paths(&found), ["action", "payload.b", "payload.c"]);
        assert_eq!((&found[1].first, &found[1].second), (&json!(2), &Value::Null));
        assert!(differences(&first, &first).is_empty());
    }

    #[test]
    fn what_is_not_expected_may_be_anything() {
        let found = json!({"action": "wait", "payload": {"waitTime": "x", "details": {"n": 1}}});
        assert!(unmet(&json!({"payload": {"details": {"n": 1}}}), &found).is_empty());
        assert_eq!(paths(&unmet(&json!({"payload": {"details": {"m": 1}}}), &found)), ["payload.details.m"]);
        assert_eq!(
            paths(&unmet(&json!({"payload": {"x": {"m": 1, "n": 2}}}), &found)),
            ["payload.x.m", "payload.x.n"]
        );
    }
}
