//! Makes what a guest says fit for log, mail and terminal (pure).

use serde_json::Value;

/// Characters of one line.
const LINE_CHARS_MAX: usize = 2_000;
/// Shorter than this, a secret is a word that may stand anywhere.
const SECRET_CHARS_MIN: usize = 4;
/// What stands in a secret's place.
const MASK: &str = "***";

/// One line, not endless, without control characters.
pub(super) fn one_line(text: &str) -> String {
    let harmless = |found: char| if found.is_control() { ' ' } else { found };
    text.trim_end().chars().take(LINE_CHARS_MAX).map(harmless).collect()
}

/// The secrets that a guest was shown. Only an old script is shown any: it logs in by itself.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// Longest first, so that one that holds another is found whole.
    texts: Vec<String>,
}

impl Secrets {
    /// The credentials of the arbiters in these sections.
    pub(super) fn of(sections: &Value) -> Self {
        let arbiters = sections.pointer("/watchdog/failureDetection/arbiters").and_then(Value::as_array);
        let values = arbiters.into_iter().flatten();
        let values = values.flat_map(|arbiter| ["password", "privateKey"].map(|key| arbiter[key].as_str()));
        // A key is logged line by line.
        let mut texts: Vec<String> = values
            .flatten()
            .flat_map(str::lines)
            .filter(|text| text.chars().count() >= SECRET_CHARS_MIN && !text.starts_with("-----"))
            .map(str::to_owned)
            .collect();
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Self { texts }
    }

    /// The text without them.
    pub(super) fn mask(&self, text: &str) -> String {
        self.texts.iter().fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
    }

    /// A verdict whose words for people hold none of them.
    pub(super) fn mask_verdict(&self, mut verdict: Value) -> Value {
        if !self.texts.is_empty() {
            for place in ["/description", "/payload/details"] {
                if let Some(part) = verdict.pointer_mut(place) {
                    self.mask_texts(part);
                }
            }
        }
        verdict
    }

    fn mask_texts(&self, value: &mut Value) {
        match value {
            Value::String(text) if self.texts.iter().any(|secret| text.contains(secret)) => {
                *text = self.mask(text)
            }
            Value::Array(list) => list.iter_mut().for_each(|value| self.mask_texts(value)),
            Value::Object(object) => object.values_mut().for_each(|value| self.mask_texts(value)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secrets() -> Secrets {
        Secrets::of(&json!({"watchdog": {"failureDetection": {"arbiters": [
            {"password": "hunter2", "privateKey": ""},
            {"password": "***", "privateKey": "-----BEGIN KEY-----\nAAAAbbbb\n-----END KEY-----"},
            {"password": "hunter2 and more"}, {"password": "abc"}]}}}))
    }

    #[test]
    fn a_secret_is_not_repeated_and_a_word_is_no_secret() {
        let secrets = secrets();
        assert_eq!(secrets.mask("+ sshpass -p hunter2 and more ssh u@h"), "+ sshpass -p *** ssh u@h");
        assert_eq!(secrets.mask("hunter2, hunter2; AAAAbbbb; abc"), "***, ***; ***; abc");
        assert_eq!(secrets.mask("-----BEGIN KEY-----"), "-----BEGIN KEY-----");
        assert_eq!(Secrets::default().mask("hunter2"), "hunter2");
        assert_eq!(Secrets::of(&Value::Null).mask("x"), "x");
    }

    #[test]
    fn the_words_of_a_verdict_hold_no_secret_and_its_decision_is_left_alone() {
        let verdict = json!({"action": "hunter2", "description": "as hunter2",
            "payload": {"details": {"tried": ["hunter2", 3, {"with": "hunter2"}]}}});
        let masked = secrets().mask_verdict(verdict);
        assert_eq!(
            masked,
            json!({"action": "hunter2", "description": "as ***",
            "payload": {"details": {"tried": ["***", 3, {"with": "***"}]}}})
        );
    }

    #[test]
    fn a_line_is_one_line_without_control_characters() {
        assert_eq!(one_line("a\u{1b}[31mred\u{7}\rb\n"), "a [31mred  b");
        assert_eq!(one_line(&"x".repeat(3_000)).len(), LINE_CHARS_MAX);
    }
}
