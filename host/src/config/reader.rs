//! A table of the configuration, read key by key: a wrong value is reported and read as absent.

use std::net::IpAddr;
use std::time::Duration;

use dr_watchdog_sdk::nearest::nearest;

use super::error::quoted;
use super::raw::{Entry, Node, Raw};
use super::report::Report;
use super::values;

/// The keys of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    /// Those that are read.
    pub(super) known: &'static [&'static str],
    /// Those that belong here and do nothing yet: they are refused, because an operator would rely on them.
    pub(super) later: &'static [&'static str],
}

impl Keys {
    pub(super) const fn new(known: &'static [&'static str]) -> Self {
        Self { known, later: &[] }
    }
}

/// A table with its place.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) report: &'a Report<'a>,
    path: String,
    line: usize,
    entries: &'a [Entry],
    is_written: bool,
}

impl<'a> Reader<'a> {
    /// The whole file; its unknown keys are reported.
    pub(super) fn root(report: &'a Report<'a>, node: &'a Node, keys: Keys) -> Self {
        Self::open(report, node, String::new(), keys)
    }

    fn open(report: &'a Report<'a>, node: &'a Node, path: String, keys: Keys) -> Self {
        let Raw::Table(entries) = &node.value else {
            report.error(node.line, &path, described(node), "a table".to_owned(), None);
            return Self { report, path, line: node.line, entries: &[], is_written: true };
        };
        let reader = Self { report, path, line: node.line, entries, is_written: true };
        reader.check_keys(keys);
        reader
    }

    fn check_keys(&self, keys: Keys) {
        for entry in self.entries {
            let key = entry.key.as_str();
            if keys.known.contains(&key) {
                continue;
            }
            let path = self.path_of(key);
            if keys.later.contains(&key) {
                let found = "a key that does nothing in this version".to_owned();
                self.report.error(
                    entry.line,
                    &path,
                    found,
                    "to leave it out: not in this version".to_owned(),
                    None,
                );
                continue;
            }
            let hint = nearest(key, keys.known.iter().copied()).map(str::to_owned);
            let expected = format!("one of {}", keys.known.join(", "));
            self.report.error(entry.line, &path, format!("the unknown key {}", quoted(key)), expected, hint);
        }
    }

    /// Whether the table stands in the file.
    pub(super) const fn is_written(&self) -> bool {
        self.is_written
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The line of a key, or of the table where the key is not written.
    pub(super) fn line_of(&self, key: &str) -> usize {
        self.entries.iter().find(|entry| entry.key == key).map_or(self.line, |entry| entry.line)
    }

    /// Reports a wrong value.
    pub(super) fn wrong(&self, key: &str, found: impl Into<String>, expected: impl Into<String>) {
        self.report.error(self.line_of(key), &self.path_of(key), found.into(), expected.into(), None);
    }

    pub(super) fn warn(&self, key: &str, text: &str) {
        self.report.warn(self.line_of(key), &self.path_of(key), text);
    }

    /// Reports a missing key.
    pub(super) fn missing(&self, key: &str, example: &str) {
        let place =
            if self.path.is_empty() { "at the top".to_owned() } else { format!("under [{}]", self.path) };
        self.wrong(key, "no such key", format!("to add `{key} = {example}` {place}"));
    }

    /// A table below this one; an empty one where it is not written.
    pub(super) fn table(&self, key: &str, keys: Keys) -> Self {
        match self.get(key) {
            Some(node) => Self::open(self.report, node, self.path_of(key), keys),
            None => Self {
                report: self.report,
                path: self.path_of(key),
                line: self.line,
                entries: &[],
                is_written: false,
            },
        }
    }

    /// The tables of a list; none where it is not written.
    pub(super) fn tables(&self, key: &str, keys: Keys) -> Vec<Self> {
        let path = self.path_of(key);
        match self.get(key).map(|node| (node, &node.value)) {
            None => Vec::new(),
            Some((_, Raw::List(each))) => {
                let open = |(index, node)| Self::open(self.report, node, format!("{path}.{index}"), keys);
                each.iter().enumerate().map(open).collect()
            }
            Some((node, _)) => {
                self.wrong(key, described(node), format!("tables, each headed by [[{path}]]"));
                Vec::new()
            }
        }
    }

    /// A value that `read` understands; anything else is reported.
    pub(super) fn value<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl Fn(&'a Raw) -> Option<T>,
    ) -> Option<T> {
        let node = self.get(key)?;
        let value = read(&node.value);
        if value.is_none() {
            let expected = match values::number_in_quotes(&node.value) {
                Some(number) => format!("{expected}; if {number} is meant, write it without quotes"),
                None => expected.to_owned(),
            };
            self.wrong(key, described(node), expected);
        }
        value
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.value(key, "text in quotes", |raw| match raw {
            Raw::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// Text that is not blank.
    pub(super) fn filled_text(&self, key: &str) -> Option<&'a str> {
        let text = self.text(key)?.trim();
        if text.is_empty() {
            self.wrong(key, "empty text", "text that is not empty");
        }
        (!text.is_empty()).then_some(text)
    }

    /// Text that must be there; `example` is what the message offers.
    pub(super) fn required_text(&self, key: &str, example: &str) -> &'a str {
        if self.get(key).is_none() {
            self.missing(key, example);
        }
        self.filled_text(key).unwrap_or_default()
    }

    pub(super) fn is_true(&self, key: &str) -> Option<bool> {
        self.value(key, "true or false, without quotes", |raw| match raw {
            Raw::Bool(is_true) => Some(*is_true),
            _ => None,
        })
    }

    /// A whole number within bounds.
    pub(super) fn whole<T: TryFrom<i64>>(&self, key: &str, min: i64, max: i64) -> Option<T> {
        self.value(key, &format!("a whole number from {min} to {max}"), |raw| match raw {
            Raw::Integer(number) if (min..=max).contains(number) => T::try_from(*number).ok(),
            _ => None,
        })
    }

    pub(super) fn span(&self, key: &str) -> Option<Duration> {
        self.value(key, values::SPAN_FORM, |raw| values::span(raw, false))
    }

    /// An IP address. Names are refused where a look-up that fails would look like a lost site.
    pub(super) fn address(&self, key: &str) -> Option<IpAddr> {
        let text = self.text(key)?.trim();
        if text.is_empty() {
            return None;
        }
        let address = text.parse().ok();
        if address.is_none() {
            self.wrong(key, quoted(text), ADDRESS_FORM);
        }
        address
    }

    /// Texts: a list, or one text with commas as the manual writes it (reading A38).
    pub(super) fn texts(&self, key: &str) -> Vec<String> {
        let texts = self.value(key, "a list of texts, or one text with commas", |raw| match raw {
            Raw::Text(text) => Some(text.split(',').collect()),
            Raw::List(list) => list
                .iter()
                .map(|node| match &node.value {
                    Raw::Text(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect::<Option<Vec<_>>>(),
            _ => None,
        });
        let trimmed = texts.into_iter().flatten().map(str::trim);
        trimmed.filter(|text| !text.is_empty()).map(str::to_owned).collect()
    }

    /// IP addresses, in the forms of [`Self::texts`].
    pub(super) fn addresses(&self, key: &str) -> Vec<String> {
        let texts = self.texts(key);
        for text in texts.iter().filter(|text| text.parse::<IpAddr>().is_err()) {
            self.wrong(key, quoted(text), ADDRESS_FORM);
        }
        texts
    }
}

const ADDRESS_FORM: &str =
    "an IP address such as 192.0.2.10 (no name: a failed look-up would look like a lost site)";

/// A value as it may stand in a message.
pub(super) fn described(node: &Node) -> String {
    match &node.value {
        Raw::Text(text) => quoted(text),
        Raw::Integer(number) => number.to_string(),
        Raw::Float(number) => number.to_string(),
        Raw::Bool(is_true) => is_true.to_string(),
        Raw::Date(date) => format!("the date {date}"),
        Raw::List(list) => format!("a list of {}", list.len()),
        Raw::Table(_) => "a table".to_owned(),
    }
}

/// What a value is, without the value: for secrets.
pub(super) const fn kind_of(raw: &Raw) -> &'static str {
    match raw {
        Raw::Text(_) => "text",
        Raw::Integer(_) | Raw::Float(_) => "a number",
        Raw::Bool(_) => "true or false",
        Raw::Date(_) => "a date",
        Raw::List(_) => "a list",
        Raw::Table(_) => "a table",
    }
}
