//! Finds the verdict in what a script printed (pure).
//!
//! Exactly one JSON object is the verdict, wherever it stands and however many lines it takes; every other line is
//! log, because twenty-year-old scripts print what they do.

use dr_watchdog_sdk::strict;
use serde_json::{Deserializer, Value};

/// What some editors and languages put before UTF-8.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A script's standard output, taken apart.
#[derive(Debug, PartialEq)]
pub(super) struct Printed {
    /// The one JSON object.
    pub(super) verdict: Value,
    /// All other lines.
    pub(super) log: Vec<String>,
}

/// Why there is no verdict in it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PrintedError {
    /// No JSON object.
    #[error("the script printed no JSON object{}", said(.0))]
    None(Vec<String>),
    /// None, because of what stands before it.
    #[error(
        "the script printed a byte order mark (U+FEFF) before its verdict, which makes that no JSON object; print it without one (editors call it \"UTF-8 without BOM\")"
    )]
    Marked,
    /// More than one.
    #[error("the script printed {0} JSON objects; exactly one is the verdict")]
    Many(usize),
    /// One that can be read in two ways.
    #[error("the script printed an object that can be read in two ways: {0}")]
    Ambiguous(String),
}

fn said(lines: &[String]) -> String {
    match lines.last() {
        Some(last) => format!("; its last line was: {last}"),
        None => ", nor anything else".to_owned(),
    }
}

/// Takes the output apart.
pub(super) fn take_apart(stdout: &str) -> Result<Printed, PrintedError> {
    let mut objects = Vec::new();
    let mut log = Vec::new();
    let mut rest = stdout;
    while !rest.is_empty() {
        if rest.trim_start_matches([' ', '\t']).starts_with('{')
            && let Some(length) = leading_object(rest)
        {
            objects.push(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        let (line, next) = rest.split_once('\n').unwrap_or((rest, ""));
        let line = line.trim_end();
        if !line.trim().is_empty() {
            log.push(line.to_owned());
        }
        rest = next;
    }
    match objects.as_slice() {
        [] if log.iter().any(|line| line.trim_start().starts_with(BYTE_ORDER_MARK)) => {
            Err(PrintedError::Marked)
        }
        [] => Err(PrintedError::None(log)),
        [text] => match strict::parse(text.as_bytes()) {
            Ok(verdict) => Ok(Printed { verdict, log }),
            Err(error) => Err(PrintedError::Ambiguous(error.to_string())),
        },
        several => Err(PrintedError::Many(several.len())),
    }
}

/// How long the object is that the text begins with.
fn leading_object(text: &str) -> Option<usize> {
    let mut values = Deserializer::from_str(text).into_iter::<Value>();
    match values.next() {
        Some(Ok(Value::Object(_))) => Some(values.byte_offset()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_object_among_log_lines_is_the_verdict_on_one_line_or_many() {
        for text in [
            "{\"a\": 1}",
            "hello\n{\"a\": 1}\n",
            "  {\"a\":\n 1}  \nbye",
            "{broken\n{\"a\": 1}\n",
            "[1, 2]\n\"text\"\n12\n{\"a\": 1}\r\n",
        ] {
            assert_eq!(take_apart(text).unwrap().verdict, json!({"a": 1}), "{text}");
        }
        assert_eq!(take_apart("one\n{\"a\": 1}\ntwo\n\n").unwrap().log, ["one", "two"]);
    }

    #[test]
    fn two_objects_are_an_error_even_on_one_line() {
        for text in ["{}\n{}", "{}{}", "{} {\"a\": 1}", "x\n{\"a\": {}}\ny\n{}"] {
            assert_eq!(take_apart(text), Err(PrintedError::Many(2)), "{text}");
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_no_verdict_because_it_may_promote_a_site() {
        let error =
            take_apart("{\"action\": \"nothing\", \"action\": \"beActive\"}").unwrap_err().to_string();
        assert!(error.contains("\"action\" stands twice"), "{error}");
    }

    #[test]
    fn no_object_is_an_error_that_shows_the_last_line() {
        assert_eq!(
            take_apart("").unwrap_err().to_string(),
            "the script printed no JSON object, nor anything else"
        );
        let error = take_apart("arbiters: 3\n{\"state\": \"act").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the script printed no JSON object; its last line was: {\"state\": \"act"
        );
    }

    #[test]
    fn a_byte_order_mark_before_the_verdict_is_named() {
        for text in ["\u{feff}{\"a\": 1}", "hello\n \u{feff}{\n\"a\": 1}\n"] {
            assert_eq!(take_apart(text), Err(PrintedError::Marked), "{text}");
        }
    }

    #[test]
    fn hostile_nesting_is_read_in_reasonable_time() {
        let begun = std::time::Instant::now();
        assert!(take_apart(&"{\"a\":[1,\n".repeat(7_000)).is_err());
        // Under a second on a free machine; hours if it were exponential, and tests share two cores.
        assert!(begun.elapsed().as_secs() < 120);
    }
}
