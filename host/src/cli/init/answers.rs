//! Answers by key, from a TOML file in which every error is found at once; pure.

use std::collections::BTreeMap;

use toml_edit::{Document, Item, Value};

use super::questions::{self, Fallback, QUESTIONS, Question};
use dr_watchdog_sdk::nearest::nearest;

/// Answers by key.
pub(super) type Answers = BTreeMap<String, String>;

/// Reads an answers file; what it leaves out gets its default.
///
/// # Errors
/// Everything that is wrong, each in a line with its place.
pub(super) fn read(file: &str, text: &str, given: &Answers) -> Result<Answers, Vec<String>> {
    let document = Document::parse(text.to_owned()).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        vec![format!("{file}:{line}: it is no TOML: {}", error.message().replace('\n', " "))]
    })?;
    let mut written = Vec::new();
    let mut wrongs = Vec::new();
    flatten(document.as_item(), "", text, &mut written, &mut wrongs);
    let mut raw = given.clone();
    for (key, value, line) in written {
        if !QUESTIONS.iter().any(|question| question.key == key) {
            let hint = nearest(&key, QUESTIONS.iter().map(|question| question.key));
            let hint = hint.map_or_else(
                || "; `init --questions` prints all of them".to_owned(),
                |near| format!("; did you mean {near}?"),
            );
            wrongs.push((line, format!("{key}: there is no such question{hint}")));
            continue;
        }
        match find(&key).check(&value) {
            Ok(value) => drop(raw.insert(key, value)),
            Err(why) => wrongs.push((line, format!("{key} = \"{value}\": {why}"))),
        }
    }
    let named: Vec<String> = wrongs.iter().map(|(_, what)| what.clone()).collect();
    for question in &QUESTIONS {
        if raw.contains_key(question.key) {
            continue;
        }
        let is_wrong_already = named.iter().any(|what| what.starts_with(&format!("{} = ", question.key)));
        match question.default(&raw) {
            Some(value) => drop(raw.insert(question.key.to_owned(), value)),
            None if is_wrong_already || question.waits_for(&raw) => {}
            None => wrongs.push((0, format!("{} is missing: {}", question.key, question.text))),
        }
    }
    wrongs.extend(questions::contradictions(&raw).into_iter().map(|what| (0, what)));
    wrongs.sort_by_key(|(line, _)| *line);
    if wrongs.is_empty() {
        return Ok(raw);
    }
    let place = |line: usize| if line == 0 { file.to_owned() } else { format!("{file}:{line}") };
    Err(wrongs.into_iter().map(|(line, what)| format!("{}: {what}", place(line))).collect())
}

/// Every question as an answers file, each with its reason; what has a default is a comment with it.
pub(super) fn template() -> Vec<String> {
    let mut lines = Vec::new();
    for question in &QUESTIONS {
        lines.push(format!("# {}: {}", question.text, question.why));
        lines.push(match question.default {
            Fallback::None => format!("{} = \"\"", question.key),
            Fallback::Is(value) => format!("# {} = \"{value}\"", question.key),
            Fallback::Same(other) => format!("# {} = the same as {other}", question.key),
        });
    }
    lines
}

fn find(key: &str) -> &'static Question {
    // The caller has looked the key up; the first question is never reached.
    QUESTIONS.iter().find(|question| question.key == key).unwrap_or(&QUESTIONS[0])
}

fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).map_or(1, |before| before.matches('\n').count() + 1)
}

type Written = Vec<(String, String, usize)>;

fn flatten(item: &Item, path: &str, text: &str, written: &mut Written, wrongs: &mut Vec<(usize, String)>) {
    for (key, child) in item.as_table_like().into_iter().flat_map(|table| table.iter()) {
        let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        if child.as_table_like().is_some() {
            flatten(child, &path, text, written, wrongs);
            continue;
        }
        let line = child.span().map_or(1, |span| line_of(text, span.start));
        match child.as_value().and_then(plain) {
            Some(value) => written.push((path, value, line)),
            None => wrongs.push((line, format!("{path}: expected text, a number or a list of texts"))),
        }
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.value().clone()),
        Value::Integer(number) => Some(number.value().to_string()),
        Value::Float(number) => Some(number.value().to_string()),
        Value::Boolean(is) => Some(is.value().to_string()),
        Value::Array(list) => {
            let all: Option<Vec<String>> = list.iter().map(|each| each.as_str().map(str::to_owned)).collect();
            all.map(|all| all.join(", "))
        }
        Value::Datetime(_) | Value::InlineTable(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const GOOD: &str = "[site]\nname = \"a\"\nvip = \"192.0.2.10\"\nnodes = [\"192.0.2.11\"]\n\
        [peer]\nname = \"b\"\nvip = \"198.51.100.10\"\nhostKey = \"\"\n[notification]\nemail = \"admin@example.com\"\n\
        [arbiters]\nfile = \"arbiters.csv\"\n";

    const GOOD_ALONE: &str = "site.name = \"a\"\nsite.vip = \"192.0.2.10\"\npeer.name = \"b\"\n\
        peer.vip = \"198.51.100.10\"\npeer.hostKey = \"\"\nnotification.email = \"admin@example.com\"\n\
        arbiters.file = \"arbiters.csv\"\n";

    #[test]
    fn what_is_left_out_gets_its_default_and_lists_may_be_written_as_lists() {
        let answers = read("f", GOOD, &Answers::new()).unwrap();
        assert_eq!(answers["site.nodes"], "192.0.2.11");
        assert_eq!(answers["peer.nodes"], "198.51.100.10", "the VIP, where nothing else is said");
        assert_eq!((answers["ssh.user"].as_str(), answers["heartbeat.port"].as_str()), ("root", "7805"));
    }

    #[test]
    fn the_template_with_its_defaults_written_out_is_an_answers_file() {
        let filled = |line: &String| match line.as_str() {
            "site.name = \"\"" => "site.name = \"a\"".to_owned(),
            "site.vip = \"\"" => "site.vip = \"192.0.2.10\"".to_owned(),
            "peer.name = \"\"" => "peer.name = \"b\"".to_owned(),
            "peer.vip = \"\"" => "peer.vip = \"198.51.100.10\"".to_owned(),
            "notification.email = \"\"" => "notification.email = \"admin@example.com\"".to_owned(),
            "# arbiters.file = \"\"" => "arbiters.file = \"arbiters.csv\"".to_owned(),
            "peer.hostKey = \"\"" => "peer.hostKey = \"\"".to_owned(),
            default if default.ends_with('"') => default.trim_start_matches("# ").to_owned(),
            other => other.to_owned(),
        };
        let text: Vec<String> = template().iter().map(filled).collect();
        let written = read("f", &text.join("\n"), &Answers::new()).unwrap();
        assert_eq!(written, read("f", GOOD_ALONE, &Answers::new()).unwrap());
    }

    #[test]
    fn five_errors_are_five_lines_with_their_places() {
        let bad = GOOD
            .replace("\"192.0.2.10\"", "\"192.0.2.300\"")
            .replace("admin@example.com", "nobody")
            .replace("name = \"b\"", "name = \"a\"")
            .replace("hostKey", "hostKye")
            .replace("file = \"arbiters.csv\"", "");
        let wrongs = read("f", &bad, &Answers::new()).unwrap_err();
        assert_eq!(wrongs.len(), 5, "{wrongs:#?}");
        let all = wrongs.join("\n");
        for part in [
            "f:3: site.vip",
            "f:10: notification.email",
            "peer.hostKye",
            "did you mean peer.hostKey",
            "arbiters.file",
            "two names",
        ] {
            assert!(all.contains(part), "{part}\n{all}");
        }
    }
}
