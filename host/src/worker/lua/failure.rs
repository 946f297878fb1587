//! Turns an error of the Lua machine into a named failure with its line, with its call chain.

use dr_watchdog_sdk::HostError;
use mlua::Error;

use crate::policy::{Failure, FailureKind};

/// Lines of a call chain that are shown.
const CHAIN_LINES_MAX: usize = 20;
/// Characters of one line of it.
const LINE_CHARS_MAX: usize = 400;

/// An error that ends in this failure kind, whatever Lua makes of it on its way out.
pub(super) fn load(message: String) -> Error {
    Error::external(Failure::new(FailureKind::Load, message))
}

/// What a policy returned is no verdict.
pub(super) fn verdict(message: String) -> Error {
    Error::external(Failure::new(FailureKind::Verdict, message))
}

/// A host call that was not answered.
pub(super) fn host(error: HostError) -> Error {
    let kind = match error {
        HostError::Denied(_) => FailureKind::Denied,
        HostError::Cancelled => FailureKind::Timeout,
        HostError::Unsupported(_) | HostError::BadRequest(_) | HostError::Failed(_) => {
            return Error::runtime(error);
        }
    };
    Error::external(Failure::new(kind, error.to_string()))
}

/// Explains the errors of one policy.
pub(super) struct Explain<'a> {
    name: &'a str,
}

impl<'a> Explain<'a> {
    /// Of the policy with this file name.
    pub(super) const fn new(name: &'a str) -> Self {
        Self { name }
    }

    /// What went wrong.
    pub(super) fn failure(&self, error: &Error) -> Failure {
        let (root, chain) = take_apart(error);
        let text = self.text(root, chain);
        let line = self.line(&text);
        if let Some(own) = root.downcast_ref::<Failure>() {
            let mut own = own.clone();
            if chain.is_some() {
                own.message = text;
            }
            return own.at_line(line);
        }
        let (kind, hint) = match root {
            Error::SyntaxError { .. } => (FailureKind::Syntax, None),
            Error::MemoryError(_) => {
                (FailureKind::Memory, Some("keep less at a time, or raise policy.memory"))
            }
            // Inside a callback a memory error arrives as its text.
            _ if text.starts_with("not enough memory") => {
                (FailureKind::Memory, Some("keep less at a time, or raise policy.memory"))
            }
            _ => (FailureKind::Runtime, None),
        };
        let failure = Failure::new(kind, text).at_line(line);
        match hint.map(str::to_owned).or_else(|| self.hint(&failure)) {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }

    /// It was stopped at its deadline.
    pub(super) fn timeout(&self, error: &Error) -> Failure {
        let (root, chain) = take_apart(error);
        let text = self.text(root, chain);
        let line = self.line(&text);
        Failure::new(FailureKind::Timeout, format!("the policy gave no verdict by its deadline; {text}"))
            .at_line(line)
            .with_hint("is there a loop without an end? Otherwise raise policy.deadline")
    }

    fn text(&self, root: &Error, chain: Option<&str>) -> String {
        let own = match root {
            Error::SyntaxError { message, .. }
            | Error::RuntimeError(message)
            | Error::MemoryError(message) => said(message),
            other => other.to_string(),
        };
        let whole = match chain.filter(|_| !own.contains("stack traceback:")) {
            Some(chain) => format!("{own}\n{chain}"),
            None => own,
        };
        let mut lines: Vec<String> = Vec::new();
        for line in whole.lines().take(CHAIN_LINES_MAX) {
            // The machine's own frames tell an author nothing.
            if line.trim() == "[C]: in ?" {
                continue;
            }
            lines.push(line.chars().take(LINE_CHARS_MAX).collect());
        }
        lines.join("\n")
    }

    /// The first line number behind the policy's name.
    fn line(&self, text: &str) -> Option<u32> {
        // Lua shows only the end of a long name.
        let from = self.name.char_indices().rev().nth(30).map_or(0, |(index, _)| index);
        let name = &self.name[from..];
        text.match_indices(name).find_map(|(at, _)| {
            let rest = text[at + name.len()..].strip_prefix(':')?;
            let digits = rest.split(|found: char| !found.is_ascii_digit()).next()?;
            digits.parse().ok()
        })
    }

    fn hint(&self, failure: &Failure) -> Option<String> {
        let first = failure.message.lines().next()?;
        if let Some(near) = first.split("did you mean ").nth(1) {
            return Some(format!("did you mean {near}"));
        }
        let removed =
            ["load", "loadfile", "dofile", "require", "collectgarbage", "os", "io", "debug", "package"];
        let named = removed.into_iter().find(|name| first.contains(&format!("(global '{name}')")))?;
        Some(format!("\"{named}\" is not part of a policy's sandbox; the host calls are in the table dr"))
    }
}

/// The message of an error. One that is no text has only an address, which tells nobody anything.
fn said(message: &str) -> String {
    let kinds = ["table", "function", "thread", "userdata"];
    let first = message.lines().next().unwrap_or_default();
    if ["nil", "true", "false"].contains(&first) {
        let rest = &message[first.len()..];
        return format!(
            "the policy raised {first} as its error; raise a text, as in error(\"no arbiters\"){rest}"
        );
    }
    let raised = kinds.into_iter().find(|kind| {
        let address = first.strip_prefix(kind).and_then(|rest| rest.strip_prefix(": 0x"));
        address.is_some_and(|address| address.bytes().all(|byte| byte.is_ascii_hexdigit()))
    });
    match raised {
        Some(kind) => {
            let rest = &message[first.len()..];
            format!(
                "the policy raised a {kind} as its error; raise a text, as in error(\"no arbiters\"){rest}"
            )
        }
        None => message.to_owned(),
    }
}

/// The error at the bottom, with the innermost call chain above it.
fn take_apart(error: &Error) -> (&Error, Option<&str>) {
    let (mut root, mut chain) = (error, None);
    loop {
        match root {
            Error::CallbackError { traceback, cause } => {
                chain = Some(traceback.as_str());
                root = cause;
            }
            Error::WithContext { cause, .. } => root = cause,
            _ => return (root, chain),
        }
    }
}
