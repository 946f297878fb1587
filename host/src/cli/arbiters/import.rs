//! `arbiters import`: a list of devices becomes arbiters of the configuration.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::edit::{AddError, EditError};
use super::records::{self, Record, Wrong};
use super::{Globals, edit, exit, output};
use crate::config::{ConfigError, Machine, Surroundings};

/// Longest list: a thousand devices with their private keys.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Arguments of `arbiters import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A CSV file with a header, or a JSON list: host, port, username, password, privateKey, kind, hostKey.
    file: PathBuf,
}

/// Runs the command.
pub(super) fn run(globals: &Globals, args: &Args) -> ExitCode {
    let place = args.file.display();
    let read = Machine.read(&args.file, FILE_BYTES_MAX).map(String::from_utf8);
    let text = match read {
        Ok(Ok(text)) => text,
        Ok(Err(_)) => return failed(&format!("{place} is no UTF-8 text"), exit::USAGE),
        Err(error) => return failed(&format!("{place} cannot be read: {error}"), exit::USAGE),
    };
    let records = match records::read(&text) {
        Ok(records) => records,
        Err(wrongs) => {
            let lines: Vec<String> =
                wrongs.iter().map(|Wrong { line, what }| format!("{place}:{line}: {what}")).collect();
            return failed(&format!("nothing was imported:\n{}", lines.join("\n")), exit::FAILED);
        }
    };
    let config_file = globals.paths().config_file;
    if let Err(error) = edit::add(&config_file, &records) {
        return failed(&refusal(&config_file, &args.file, &records, &error), exit::FAILED);
    }
    output::line(&format!(
        "{} arbiters were added to {}; `dr-watchdog arbiters trust NAME` pins the host key of each, at both sites",
        records.len(),
        config_file.display()
    ));
    exit::code(exit::OK)
}

/// Why the configuration does not take the list. What comes from the list is told at the list's own line: the lines of
/// a file that was never written would lead nowhere.
fn refusal(config_file: &Path, list: &Path, records: &[Record], refused: &AddError) -> String {
    let EditError::Refused(errors) = &refused.error else {
        return format!("{}: {}", config_file.display(), crate::config::chain(&refused.error));
    };
    let told = errors.errors.iter().map(|error| {
        let origin = refused.origin(&error.key).and_then(|(at, key)| Some((records.get(at)?, key)));
        match origin {
            Some((record, key)) => ConfigError {
                file: list.display().to_string(),
                line: Some(record.line),
                key: key.to_owned(),
                ..error.clone()
            },
            None => error.clone(),
        }
    });
    let lines: Vec<String> = told.map(|error| error.to_string()).collect();
    format!(
        "{} would not load with it, so nothing was imported:\n{}",
        config_file.display(),
        lines.join("\n")
    )
}

fn failed(message: &str, status: u8) -> ExitCode {
    output::failed(message);
    exit::code(status)
}
