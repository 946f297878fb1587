//! What commands print, where a reader may go away at any time.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json as object};

use super::client::ClientError;
use super::exit;
use super::screen::{Look, shown};

/// What this run of the program has printed. Whoever asks for JSON gets a line of it on every path; that is seen to
/// here, because no command knows of the errors of all others.
static PRINTED: Mutex<Printed> = Mutex::new(Printed { wants_json: false, has_json: false, failure: None });

struct Printed {
    wants_json: bool,
    has_json: bool,
    /// The first failure; those after it follow from it.
    failure: Option<String>,
}

fn printed() -> MutexGuard<'static, Printed> {
    // Nothing in here is half done when a thread panics.
    PRINTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the command was asked for JSON.
pub fn begin(wants_json: bool) {
    printed().wants_json = wants_json;
}

/// A command that was asked for JSON, failed, and printed none: the failure is its line of JSON.
pub fn end() {
    let failure = {
        let mut printed = printed();
        if printed.wants_json && !printed.has_json { printed.failure.take() } else { None }
    };
    if let Some(message) = failure {
        json(&object!({"ok": false, "error": {"message": message}}));
    }
}

/// Prints a text and a newline. A closed pipe (`| head`) is the reader's choice and no failure.
pub fn line(content: &str) {
    text(&format!("{content}\n"));
}

fn text(content: &str) {
    raw(&shown(content));
}

fn raw(content: &str) {
    let mut out = anstream::stdout().lock();
    if let Err(error) = write!(out, "{content}").and_then(|()| out.flush())
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        failed(&format!("standard output cannot be written: {error}"));
    }
}

/// Prints one JSON value on one line.
pub fn json(value: &Value) {
    printed().has_json = true;
    // As it is: JSON is UTF-8, whatever the locale.
    raw(&format!("{value}\n"));
}

/// Shows a picture where the one before stood. Without a terminal the pictures follow each other.
pub fn picture(lines: &[String], look: Look) {
    let Some(rows) = look.rows else {
        lines.iter().for_each(|each| line(each));
        line("");
        return;
    };
    // Line by line over the old picture, so that nothing flickers; what is left of it is cleared.
    control("\u{1b}[H");
    let shown = if lines.len() > rows { rows.saturating_sub(2) } else { lines.len() };
    for (number, each) in lines[..shown].iter().enumerate() {
        control("\u{1b}[K");
        if number + 1 == lines.len() {
            text(each);
        } else {
            line(each);
        }
    }
    if shown < lines.len() {
        control("\u{1b}[K");
        text(&format!("({} more lines; make the terminal larger)", lines.len() - shown));
    }
    control("\u{1b}[K\u{1b}[J");
}

/// Moves the cursor, also where colours are switched off.
fn control(escape: &str) {
    let mut out = io::stdout().lock();
    // The text that follows reports a terminal that is gone.
    let _ = out.write_all(escape.as_bytes()).and_then(|()| out.flush());
}

/// Remembers what went wrong and has been said.
pub fn noted(message: &str) {
    printed().failure.get_or_insert_with(|| message.to_owned());
}

/// Says what went wrong.
pub fn failed(message: &str) {
    noted(message);
    let mut err = anstream::stderr().lock();
    // Nobody is left to be told.
    let _ = writeln!(err, "dr-watchdog: {}", shown(message));
}

/// Says what went wrong with the daemon; the status that goes with it.
pub fn no_answer(error: &ClientError) -> ExitCode {
    exit::code(unanswered(error))
}

/// The same, with the status as a number.
pub fn unanswered(error: &ClientError) -> u8 {
    failed(&crate::config::chain(error));
    match error {
        ClientError::Refused(_) => exit::FAILED,
        ClientError::Down(_) | ClientError::Silent(..) | ClientError::Socket(..) | ClientError::Broken(_) => {
            exit::USAGE
        }
    }
}

/// Flattens a JSON value into `path value` lines, for scripts without a JSON parser.
pub fn flat(value: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    flatten(value, String::new(), &mut lines);
    lines
}

fn flatten(value: &Value, path: String, lines: &mut Vec<String>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(object) => object.iter().for_each(|(key, value)| flatten(value, below(key), lines)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, value)| flatten(value, below(&i.to_string()), lines));
        }
        Value::Null => lines.push(format!("{path} ")),
        // A newline in a value would look like another fact.
        Value::String(text) => lines.push(format!("{path} {}", text.replace(['\n', '\r'], " "))),
        other => lines.push(format!("{path} {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_flattened_to_one_fact_a_line() {
        let value = object!({"role": "active", "a": {"b": [{"c": 0.5}, null], "d": "x\ny"}});
        assert_eq!(flat(&value), ["role active", "a.b.0.c 0.5", "a.b.1 ", "a.d x y"]);
    }
}
