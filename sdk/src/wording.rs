//! What serde says of a wrong value, in words that need no knowledge of Rust (pure).

use serde_json::error::Category;

use crate::nearest::nearest;

/// The message of a reader of JSON, for people. Where the text is no JSON at all, line and column are named.
pub fn of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if error.classify() != Category::Data {
        return format!("this is no JSON: {text}");
    }
    // The position of a value that was read before is no position in a file.
    let text = text.split(" at line ").next().unwrap_or(&text);
    plain(text).unwrap_or_else(|| text.to_owned())
}

fn plain(text: &str) -> Option<String> {
    if let Some(rest) = ["invalid type: ", "invalid value: ", "invalid length "]
        .iter()
        .find_map(|start| text.strip_prefix(start))
    {
        let (found, expected) = rest.rsplit_once(", expected ")?;
        return Some(format!("found {}, expected {}", self::found(found), self::expected(expected)));
    }
    if let Some(key) = text.strip_prefix("missing field ") {
        return Some(format!("the key {} is missing", quoted(key)));
    }
    if let Some(key) = text.strip_prefix("duplicate field ") {
        return Some(format!("the key {} stands twice", quoted(key)));
    }
    for (start, what) in [("unknown field ", "unknown key"), ("unknown variant ", "unknown word")] {
        let Some(rest) = text.strip_prefix(start) else { continue };
        let (found, known) = rest.split_once(", ").unwrap_or((rest, ""));
        let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        let hint = match nearest(found.trim_matches('`'), known.iter().copied()) {
            Some(near) => format!("; did you mean \"{near}\"?"),
            None if known.is_empty() => "; there is none".to_owned(),
            None => format!("; known are {}", known.join(", ")),
        };
        return Some(format!("{what} {}{hint}", quoted(found)));
    }
    text.starts_with("data did not match any variant")
        .then(|| "this is none of the forms that it may have".to_owned())
}

fn quoted(word: &str) -> String {
    format!("\"{}\"", word.trim_matches('`'))
}

fn found(text: &str) -> String {
    match text {
        "unit value" | "null" | "Option value" => "null".to_owned(),
        "map" => "an object".to_owned(),
        "sequence" => "a list".to_owned(),
        other => match other.split_once(" `") {
            // integer `1`, boolean `true`, floating point `1.5`
            Some((_, value)) => value.trim_end_matches('`').to_owned(),
            None => other.strip_prefix("string ").unwrap_or(other).to_owned(),
        },
    }
}

fn expected(text: &str) -> String {
    let word = match text {
        "a map" => "an object",
        "a sequence" => "a list",
        "a string" | "string" => "a text",
        "a boolean" => "true or false",
        "f32" | "f64" => "a number",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0",
        "unit" | "null" => "null",
        other if other.starts_with("struct ") || other.starts_with("internally tagged enum ") => "an object",
        other if other.starts_with("enum ") => "a word",
        other => other,
    };
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Core {
        name: String,
        #[serde(default)]
        count: u32,
        #[serde(default)]
        list: Vec<String>,
        #[serde(default)]
        map: BTreeMap<String, bool>,
        #[serde(default)]
        word: Option<Word>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    enum Word {
        Yes,
        No,
    }

    #[test]
    fn what_is_wrong_is_told_without_a_word_of_rust() {
        for (value, says) in [
            (json!(1), "found 1, expected an object"),
            (json!("x"), "found \"x\", expected an object"),
            (json!(null), "found null, expected an object"),
            (json!({}), "the key \"name\" is missing"),
            (json!({"name": 1}), "found 1, expected a text"),
            (json!({"name": "x", "count": -1}), "found -1, expected a whole number from 0"),
            (json!({"name": "x", "count": 1.5}), "found 1.5, expected a whole number from 0"),
            (json!({"name": "x", "list": {}}), "found an object, expected a list"),
            (json!({"name": "x", "map": []}), "found a list, expected an object"),
            (json!({"name": "x", "map": {"a": 0}}), "found 0, expected true or false"),
            (json!({"name": "x", "cuont": 1}), "unknown key \"cuont\"; did you mean \"count\"?"),
            (
                json!({"name": "x", "zebra": 1}),
                "unknown key \"zebra\"; known are name, count, list, map, word",
            ),
            (json!({"name": "x", "word": "yess"}), "unknown word \"yess\"; did you mean \"yes\"?"),
        ] {
            let error = serde_json::from_value::<Core>(value.clone()).unwrap_err();
            assert_eq!(of(&error), says, "{value}");
        }
        let error = serde_json::from_str::<Value>("{\"a\": 1").unwrap_err();
        assert!(
            of(&error).starts_with("this is no JSON: EOF while parsing an object at line 1"),
            "{}",
            of(&error)
        );
        let twice = serde_json::from_str::<Core>("{\"name\": \"a\", \"name\": \"b\"}").unwrap_err();
        assert_eq!(of(&twice), "the key \"name\" stands twice");
        assert!(
            matches!(serde_json::from_str("\"yes\""), Ok(Word::Yes))
                && matches!(serde_json::from_str("\"no\""), Ok(Word::No))
        );
    }
}
