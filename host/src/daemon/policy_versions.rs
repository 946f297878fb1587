//! Versions of the policy: counted by the loads that succeeded, with why a newer one does not run (pure).

use std::path::Path;

use serde_json::{Value, json};

use crate::policy::{Engine, Failure};

/// What runs, and what does not.
#[derive(Debug, Default)]
pub(super) struct Versions {
    running: u64,
    /// Why the newest file is not the one that runs.
    refused: Option<String>,
}

/// Whether a loaded policy goes on when its file changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// It does, until it is loaded again.
    AsLoaded,
    /// It has no versions: the file is read at each run.
    NotAtAll,
}

impl Kept {
    /// Of a policy that this engine runs.
    pub(super) fn of(engine: Engine) -> Self {
        if engine == Engine::Script { Self::NotAtAll } else { Self::AsLoaded }
    }
}

impl Versions {
    /// A load succeeded: it runs from now on.
    pub(super) fn loaded(&mut self) {
        self.running += 1;
        self.refused = None;
    }

    /// What somebody is told whose load succeeded.
    pub(super) fn runs(&self, policy: &str, kept: Kept) -> String {
        match kept {
            Kept::AsLoaded => format!("version {} of {policy} runs", self.running),
            Kept::NotAtAll => format!("{policy} can be run; a script is read again at each run"),
        }
    }

    /// A load failed, and what ran before goes on; the sentence that everybody is told.
    pub(super) fn refused(&mut self, running: &Path, kept: Kept, next: &Path, failure: &Failure) -> String {
        let file = running.file_name().unwrap_or_default().to_string_lossy();
        let hint = failure.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        let why = format!("{}{hint}", failure.message);
        let sentence = match (kept, running == next) {
            (Kept::AsLoaded, true) => {
                format!("keeps running version {} of {file} because {why}", self.running)
            }
            (Kept::AsLoaded, false) => {
                format!("keeps running version {} of {file} because {}: {why}", self.running, next.display())
            }
            (Kept::NotAtAll, true) => {
                format!("{file} is a script, read again at each run: no earlier version is kept, and {why}")
            }
            (Kept::NotAtAll, false) => format!("is still {file} because {}: {why}", next.display()),
        };
        self.refused = Some(sentence.clone());
        sentence
    }

    /// A script ran to its end: what was wrong with its file is over, without a load.
    pub(super) fn mended(&mut self, kept: Kept) {
        if kept == Kept::NotAtAll {
            self.refused = None;
        }
    }

    /// The number of the version that runs; 0 before the first, none where there are no versions.
    fn number(&self, kept: Kept) -> Option<u64> {
        (kept == Kept::AsLoaded).then_some(self.running)
    }

    /// What somebody who asked for a load is told.
    pub(super) fn answer(&self, policy: &str, kept: Kept, message: Result<String, String>) -> Value {
        let is_loaded = message.is_ok();
        let message = message.unwrap_or_else(|why| why);
        json!({ "ok": is_loaded, "policy": policy, "version": self.number(kept), "message": message })
    }

    /// Puts both into the status of the policy.
    pub(super) fn show(&self, status: &mut Value, kept: Kept) {
        status["loadedVersion"] = json!(self.number(kept));
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
        let (path, kept) = (Path::new("/etc/x.lua"), Kept::of(Engine::Lua));
        let sentence = versions.refused(path, kept, path, &failure);
        assert_eq!(sentence, "keeps running version 3 of x.lua because x.lua:3: 'end' expected (close it)");
        let other = versions.refused(path, kept, Path::new("/etc/y.lua"), &failure);
        assert!(other.contains("version 3 of x.lua because /etc/y.lua: x.lua:3"), "{other}");
        let mut status = json!({});
        versions.show(&mut status, kept);
        assert_eq!((&status["loadedVersion"], status["refused"].is_string()), (&json!(3), true));
        versions.mended(kept);
        versions.show(&mut status, kept);
        assert!(status["refused"].is_string(), "that it answers is no news of its newest file");
        versions.loaded();
        versions.show(&mut status, kept);
        assert_eq!((&status["loadedVersion"], &status["refused"]), (&json!(4), &Value::Null));
        assert_eq!(versions.runs("x.lua", kept), "version 4 of x.lua runs");
    }

    #[test]
    fn a_script_has_no_versions_and_none_is_claimed() {
        let mut versions = Versions::default();
        versions.loaded();
        let (path, kept) = (Path::new("/etc/decide"), Kept::of(Engine::Script));
        assert_eq!(
            versions.answer("decide", kept, Ok(versions.runs("decide", kept)))["version"],
            Value::Null
        );
        let failure = Failure::new(FailureKind::Load, "nobody may execute it");
        let sentence = versions.refused(path, kept, path, &failure);
        assert!(sentence.contains("no earlier version is kept, and nobody may execute it"), "{sentence}");
        let sentence = versions.refused(path, kept, Path::new("/etc/other"), &failure);
        assert_eq!(sentence, "is still decide because /etc/other: nobody may execute it");
        let mut status = json!({});
        versions.mended(kept);
        versions.show(&mut status, kept);
        assert_eq!((&status["loadedVersion"], &status["refused"]), (&Value::Null, &Value::Null));
    }
}
