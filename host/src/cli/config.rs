//! `config`: checks a configuration file.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

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
    let result = load_file(&file);
    let status = match &result {
        Ok(_) => exit::OK,
        Err(errors) if errors.unreadable => exit::USAGE,
        Err(_) => exit::FAILED,
    };
    if check.json {
        anstream::println!("{}", as_json(&file.display().to_string(), &result));
    } else {
        match &result {
            Ok((config, warnings)) => {
                anstream::print!("{}", good(&file.display().to_string(), config, warnings))
            }
            Err(errors) => anstream::eprintln!("{errors}"),
        }
    }
    exit::code(status)
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
