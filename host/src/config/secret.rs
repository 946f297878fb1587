//! Secrets: inline, from a file, from the environment or from systemd's credentials.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::raw::{Entry, Raw};
use super::reader::{Reader, kind_of};

/// Longest secret: the largest private keys are about 13 KiB.
const SECRET_BYTES_MAX: u64 = 64 << 10;
/// Where systemd puts `LoadCredential=` files of a service.
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";
/// How a secret may be written.
const FORM: &str = "text, { file = \"…\" }, { env = \"…\" } or { credential = \"…\" }";

/// What is done about a file that every user can read.
#[derive(Clone, Copy)]
enum Readers {
    /// Nothing: its folder is closed to them.
    Trust,
    /// A warning.
    Warn,
    /// It is refused, as `ssh` refuses it: who can read it can log in at the arbiters.
    Refuse,
}

/// Reads a secret. An empty inline text is none, as in the manual's sample.
pub(super) fn secret(table: &Reader<'_>, key: &str) -> Option<SecretString> {
    // One newline at the end of a file is an editor's habit and no part of a password.
    read(table, key, false).map(|text| match text.strip_suffix('\n') {
        Some(line) => line.strip_suffix('\r').unwrap_or(line).into(),
        None => text.into(),
    })
}

/// Reads a private key: as a secret, and a text that begins with `/` is the path of its file.
pub(super) fn private_key(table: &Reader<'_>, key: &str) -> Option<SecretString> {
    read(table, key, true).map(SecretString::from)
}

fn read(table: &Reader<'_>, key: &str, is_private_key: bool) -> Option<String> {
    let from_file = |name: &str| {
        let readers = if is_private_key { Readers::Refuse } else { Readers::Warn };
        content(table, key, &table.report.resolved(name), readers)
    };
    match &table.get(key)?.value {
        Raw::Text(text) if is_private_key && text.starts_with('/') => from_file(text),
        Raw::Text(text) => {
            if !text.is_empty() {
                table.report.secret_inline(table.line_of(key), &table.path_of(key));
            }
            Some(text.clone()).filter(|text| !text.is_empty())
        }
        Raw::Table(entries) => from_table(table, key, entries, from_file),
        other => {
            table.wrong(key, kind_of(other), FORM);
            None
        }
    }
}

fn from_table(
    table: &Reader<'_>,
    key: &str,
    entries: &[Entry],
    from_file: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let [Entry { key: source, node, .. }] = entries else {
        table.wrong(key, format!("a table of {} keys", entries.len()), FORM);
        return None;
    };
    let Raw::Text(name) = &node.value else {
        table.wrong(key, format!("{source} = {}", kind_of(&node.value)), FORM);
        return None;
    };
    match source.as_str() {
        "file" => from_file(name),
        "env" => filled(table, key, table.report.around().variable(name), || {
            (format!("the variable {name}, which is not set"), format!("to set {name} for the watchdog"))
        }),
        "credential" => from_credential(table, key, name),
        other => {
            table.wrong(key, format!("a table with the key \"{other}\""), FORM);
            None
        }
    }
}

fn from_credential(table: &Reader<'_>, key: &str, name: &str) -> Option<String> {
    let is_plain = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
    if !is_plain {
        table.wrong(
            key,
            format!("the credential name \"{name}\""),
            "a name as in LoadCredential=, without a slash",
        );
        return None;
    }
    let Some(folder) = table.report.around().variable(CREDENTIALS_VARIABLE) else {
        table.wrong(
            key,
            format!("the credential \"{name}\", but {CREDENTIALS_VARIABLE} is not set"),
            format!(
                "to put `LoadCredential={name}:/path` into the unit of the watchdog, or to use {{ file = … }}"
            ),
        );
        return None;
    };
    content(table, key, &PathBuf::from(folder).join(name), Readers::Trust)
}

fn content(table: &Reader<'_>, key: &str, path: &Path, readers: Readers) -> Option<String> {
    let around = table.report.around();
    let bytes = match around.read(path, SECRET_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) => {
            table.wrong(
                key,
                format!("the file {} ({error})", path.display()),
                "a file that the watchdog can read",
            );
            return None;
        }
    };
    // Only other users: a group may have been given the file on purpose.
    if let Some(mode) = around.mode(path).filter(|mode| mode & 0o004 != 0) {
        let (file, fix) = (path.display(), format!("run `chmod o-rwx {}`", path.display()));
        match readers {
            Readers::Trust => {}
            Readers::Warn => table.warn(key, &format!("every user can read {file} (mode {mode:04o}); {fix}")),
            Readers::Refuse => {
                let found = format!("the file {file}, which every user can read (mode {mode:04o})");
                table.wrong(key, found, format!("a private key that is private: {fix}"));
            }
        }
    }
    let text = String::from_utf8(bytes).ok();
    filled(table, key, text, || {
        (
            format!("the file {}, which is empty or no UTF-8 text", path.display()),
            "a file that holds the secret".to_owned(),
        )
    })
}

fn filled(
    table: &Reader<'_>,
    key: &str,
    text: Option<String>,
    wrong: impl Fn() -> (String, String),
) -> Option<String> {
    let text = text.filter(|text| !text.trim().is_empty());
    if text.is_none() {
        let (found, expected) = wrong();
        table.wrong(key, found, expected);
    }
    text
}
