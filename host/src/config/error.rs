//! What is wrong with a configuration: every error at once, each with file, line, key, found value and remedy.

use std::error::Error;
use std::fmt;
use std::path::Path;

use serde::Serialize;

/// Longest piece of a configuration that is repeated in a message.
const QUOTE_CHARS_MAX: usize = 64;
/// Deepest chain of causes that is printed; a longer one is a loop.
const CAUSES_MAX: usize = 16;

/// One error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigError {
    /// The file as it was named.
    pub file: String,
    /// Line, from 1; absent where the file itself is the trouble.
    pub line: Option<usize>,
    /// Path of the key, `watchdog.failureDetection.arbiters.0.host`; empty for the file itself.
    pub key: String,
    /// What stands there.
    pub found: String,
    /// What would be right.
    pub expected: String,
    /// What may have been meant.
    pub hint: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&at(&self.file, self.line, &self.key))?;
        write!(f, "found {}; would be right: {}", self.found, self.expected)?;
        match &self.hint {
            Some(hint) => write!(f, "; did you mean {hint}?"),
            None => Ok(()),
        }
    }
}

/// The head of a message: `FILE:LINE: key: `.
pub(super) fn at(file: &str, line: Option<usize>, key: &str) -> String {
    let line = line.map(|line| format!(":{line}")).unwrap_or_default();
    let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
    format!("{file}{line}: {key}")
}

/// All that is wrong; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigErrors {
    /// In the order of the file.
    pub errors: Vec<ConfigError>,
    /// Whether the file could not be read at all.
    pub unreadable: bool,
}

impl ConfigErrors {
    /// Text that is no TOML: beyond the place nothing can be checked.
    pub(super) fn syntax(file: &str, line: usize, message: &str) -> Self {
        let error = ConfigError {
            file: file.to_owned(),
            line: Some(line),
            key: String::new(),
            found: format!("no TOML ({message})"),
            expected: "TOML; nothing else was checked".to_owned(),
            hint: None,
        };
        Self { errors: vec![error], unreadable: false }
    }

    /// A file that cannot be read.
    pub(super) fn unreadable(file: &Path, found: String, expected: String) -> Self {
        let error = ConfigError {
            file: file.display().to_string(),
            line: None,
            key: String::new(),
            found,
            expected,
            hint: None,
        };
        Self { errors: vec![error], unreadable: true }
    }
}

impl fmt::Display for ConfigErrors {
    /// One error a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl Error for ConfigErrors {}

/// A piece of the configuration as it may stand in a message: one line, not too long.
pub(super) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTE_CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().count() > QUOTE_CHARS_MAX {
        short.push('…');
    }
    format!("\"{short}\"")
}

/// An error with all its causes, in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    for _ in 0..CAUSES_MAX {
        let Some(error) = cause else { break };
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::num::ParseIntError);

    #[test]
    fn an_error_is_printed_with_its_causes() {
        let cause = "x".parse::<u8>().unwrap_err();
        assert_eq!(chain(&Outer(cause)), "outer: invalid digit found in string");
    }

    #[test]
    fn a_quoted_piece_is_one_short_line() {
        assert_eq!(quoted("a\nb"), "\"a\\nb\"");
        assert_eq!(quoted(&"x".repeat(100)).chars().count(), QUOTE_CHARS_MAX + 3);
    }
}
