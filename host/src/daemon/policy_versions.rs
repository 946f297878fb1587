//! Versions of the policy: counted by the loads that succeeded, with why a newer one does not run (pure).

use std::path::Path;

use serde_json::{Value, json};

use crate::policy::Failure;

/// What runs, and what does not.
#[derive(Debug, Default)]
pub(super) struct Versions {
    running: u64,
    /// Why the newest file is not the one that runs.
    refused: Option<String>,
}

impl Versions {
    /// A load succeeded: it runs from now on.
    pub(super) fn loaded(&mut self) {
        self.running += 1;
        self.refused = None;
    }

    /// A load failed, and what ran before goes on; the sentence that everybody is told.
    pub(super) fn refused(&mut self, running: &Path, next: &Path, failure: &Failure) -> String {
        let whose = if running == next { String::new() } else { format!("{}: ", next.display()) };
        let file = running.file_name().unwrap_or_default().to_string_lossy();
        let hint = failure.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        let sentence = format!(
            "keeps running version {} of {file} because {whose}{}{hint}",
            self.running, failure.message
        );
        self.refused = Some(sentence.clone());
        sentence
    }

    /// The number of the version that runs; 0 before the first.
    pub(super) const fn running(&self) -> u64 {
        self.running
    }

    /// What somebody who asked for a load is told.
    pub(super) fn answer(&self, policy: &str, message: Result<String, String>) -> Value {
        let is_loaded = message.is_ok();
        let message = message.unwrap_or_else(|why| why);
        json!({ "ok": is_loaded, "policy": policy, "version": self.running, "message": message })
    }

    /// Puts both into the status of the policy.
    pub(super) fn show(&self, status: &mut Value) {
        status["loadedVersion"] = json!(self.running);
        status["refused"] = json!(self.refused);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::FailureKind;

    #[test]
    fn a_version_that_is_refused_names_the_one_that_goes_on() {
        let mut versions = Versions::default();
        (0..3).for_each(|_| versions.loaded());
        let failure = Failure::new(FailureKind::Syntax, "x.lua:3: 'end' expected").with_hint("close it");
        let path = Path::new("/etc/x.lua");
        let sentence = versions.refused(path, path, &failure);
        assert_eq!(sentence, "keeps running version 3 of x.lua because x.lua:3: 'end' expected (close it)");
        let other = versions.refused(path, Path::new("/etc/y.lua"), &failure);
        assert!(other.contains("version 3 of x.lua because /etc/y.lua: x.lua:3"), "{other}");
        let mut status = json!({});
        versions.show(&mut status);
        assert_eq!((&status["loadedVersion"], status["refused"].is_string()), (&json!(3), true));
        versions.loaded();
        versions.show(&mut status);
        assert_eq!((&status["loadedVersion"], &status["refused"]), (&json!(4), &Value::Null));
    }
}
