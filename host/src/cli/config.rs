//! `config`: checks a configuration file.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::screen::shown;
use super::{Globals, exit};
use crate::config::arithmetic::{self, arithmetic};
use crate::config::{Config, ConfigErrors, load_file};
use crate::paths::Paths;

/// Arguments of `config`.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Check a configuration file; every error is listed at once, with its line.
    Check(Check),
}

/// Arguments of `config check`.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// The file; that of the daemon if absent.
    file: Option<PathBuf>,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(globals: &Globals, args: Args) -> ExitCode {
    let Args::Check(check) = args;
    let file = check.file.unwrap_or_else(|| Paths::below(globals.root.as_deref()).config_file);
    let outcome = outcome(&file, check.json);
    // JSON is UTF-8, whatever the locale.
    let shown = |text| if check.json { Cow::Borrowed(text) } else { shown(text) };
    anstream::print!("{}", shown(&outcome.out));
    anstream::eprint!("{}", shown(&outcome.err));
    exit::code(outcome.status)
}

/// What the command says and ends with.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    status: u8,
    out: String,
    err: String,
}

fn outcome(file: &Path, is_json: bool) -> Outcome {
    let (result, name) = (load_file(file), file.display().to_string());
    let status = match &result {
        Ok(_) => exit::OK,
        Err(errors) if errors.unreadable => exit::USAGE,
        Err(_) => exit::FAILED,
    };
    let (out, err) = match &result {
        _ if is_json => (format!("{}\n", as_json(&name, &result)), String::new()),
        Ok((config, warnings)) => (good(&name, config, warnings), String::new()),
        Err(errors) => (String::new(), format!("{errors}\n")),
    };
    Outcome { status, out, err }
}

type Loaded = Result<(Config, Vec<String>), ConfigErrors>;

fn as_json(file: &str, result: &Loaded) -> Value {
    match result {
        Ok((config, warnings)) => {
            let arithmetic = arithmetic(config);
            json!({
                "ok": true, "file": file, "errors": [], "warnings": warnings,
                "arithmetic": arithmetic.terms, "promises": arithmetic.promises,
            })
        }
        Err(errors) => json!({
            "ok": false, "file": file, "errors": errors.errors, "warnings": [],
            "arithmetic": null, "promises": null,
        }),
    }
}

fn good(file: &str, config: &Config, warnings: &[String]) -> String {
    let arbiters = config.arbiters.len();
    let mut lines = vec![format!(
        "{file}: good; site {} beside {}, {arbiters} arbiter{}, exclusion mode \"verdict\"",
        config.site.name,
        config.peer.name,
        if arbiters == 1 { "" } else { "s" },
    )];
    lines.extend(warnings.iter().map(|warning| format!("warning: {warning}")));
    lines.push("arithmetic:".to_owned());
    lines.extend(arithmetic::lines(&arithmetic(config)));
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[site]\nname = \"a\"\nindex = 0\n[peer]\nname = \"b\"\n[core]\npeerVip = \"192.0.2.20\"\n\
        [[watchdog.failureDetection.arbiters]]\nhost = \"203.0.113.1\"\nusername = \"w\"\npassword = \"x\"\n";

    fn checked(text: &str, is_json: bool) -> (String, Outcome) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        (file.path().display().to_string(), outcome(file.path(), is_json))
    }

    #[test]
    fn a_good_file_shows_its_warnings_and_the_arithmetic() {
        let (file, outcome) = checked(GOOD, false);
        assert_eq!((outcome.status, outcome.err.as_str()), (0, ""));
        let first = format!("{file}: good; site a beside b, 1 arbiter, exclusion mode \"verdict\"");
        assert_eq!(outcome.out.lines().next(), Some(first.as_str()));
        for piece in
            ["warning: ", "peer.heartbeatKey: none is set", "F                 80 s", "= 79.5 s", "no bound"]
        {
            assert!(outcome.out.contains(piece), "{piece} in {}", outcome.out);
        }
    }

    #[test]
    fn a_bad_file_lists_every_error_on_standard_error() {
        let (file, outcome) = checked(&GOOD.replace("index = 0", "index = 3\nzebra = 1"), false);
        assert_eq!((outcome.status, outcome.out.as_str()), (1, ""));
        let heads = [format!("{file}:3: site.index: "), format!("{file}:4: site.zebra: ")];
        assert_eq!(outcome.err.lines().count(), 2);
        assert!(
            outcome.err.lines().zip(&heads).all(|(line, head)| line.starts_with(head)),
            "{}",
            outcome.err
        );
    }

    #[test]
    fn json_is_one_line_for_good_and_bad_and_missing_files() {
        let read = |outcome: &Outcome| -> Value {
            assert_eq!((outcome.out.lines().count(), outcome.err.as_str()), (1, ""));
            serde_json::from_str(&outcome.out).unwrap()
        };
        let (_, good) = checked(GOOD, true);
        let answer = read(&good);
        assert_eq!((good.status, &answer["ok"]), (0, &json!(true)));
        let terms = answer["arithmetic"].as_array().unwrap();
        assert!(terms.iter().any(|term| term["name"] == "F" && term["seconds"] == 80.0));
        let (_, bad) = checked(&GOOD.replace("index = 0", "index = 3"), true);
        let answer = read(&bad);
        assert_eq!((bad.status, &answer["ok"]), (1, &json!(false)));
        assert_eq!(
            (&answer["errors"][0]["line"], &answer["errors"][0]["key"]),
            (&json!(3), &json!("site.index"))
        );
        let missing = outcome("/nonexistent/x.toml".as_ref(), true);
        assert_eq!((missing.status, &read(&missing)["ok"]), (2, &json!(false)));
    }
}
