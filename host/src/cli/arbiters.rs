//! `arbiters`: what is seen at the arbiters from here.

mod check;
mod check_report;
mod edit;
mod import;
mod records;
mod table;
mod trust;

use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use dr_watchdog_core::durable::Found;
use dr_watchdog_core::evidence::Evidence;
use serde_json::{Value, json};
use toml_edit::DocumentMut;

use super::client::{self, ClientError};
use super::screen::Look;
use super::{Globals, exit, output};
use crate::config;
use crate::daemon;
use crate::daemon::state_file::StateFile;
use crate::paths::Paths;
use crate::probe::ping::Pinger;

pub(in crate::cli) use records::Record;
pub(in crate::cli) use trust::shown_by;

/// Changes the configuration file if the result loads.
pub(in crate::cli) fn change_file(
    file: &Path,
    change: impl FnOnce(&mut DocumentMut) -> Result<(), String>,
) -> Result<(), String> {
    edit::change(file, |document| change(document).map_err(edit::EditError::Value))
        .map_err(|error| config::chain(&error))
}

/// Whether a change of the configuration file would load.
pub(in crate::cli) fn edited(
    file: &Path,
    change: impl FnOnce(&mut DocumentMut) -> Result<(), String>,
) -> Result<(), String> {
    edit::edited(file, |document| change(document).map_err(edit::EditError::Value))
        .map(drop)
        .map_err(|error| config::chain(&error))
}

/// Reads a list of arbiters, CSV or JSON, for `init`.
pub(in crate::cli) fn read_records(text: &str) -> Result<Vec<Record>, Vec<String>> {
    records::read(text)
        .map_err(|wrongs| wrongs.into_iter().map(|wrong| format!("{}: {}", wrong.line, wrong.what)).collect())
}

/// Arguments of `arbiters`.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Which arbiters answer ping.
    Ping(Form),
    /// Which arbiters the other site manages, by the sessions they hold with it.
    Sessions(Form),
    /// Look at the arbiters several times, from both sites, and say which are no good ones and why.
    Check(check::Args),
    /// Show the host key of an arbiter, ask whether it is the right one, and pin it in the configuration.
    Trust(trust::Args),
    /// Add the devices of a CSV or JSON file to the configuration as arbiters.
    Import(import::Args),
}

/// How the answer is printed.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Form {
    /// Print one line of JSON; it is a valid probes file of `policy eval`.
    #[arg(long, conflicts_with = "text")]
    json: bool,
    /// Print one fact a line, for scripts.
    #[arg(long)]
    text: bool,
}

/// What is shown of an arbiter that was pinged.
const OF_PING: [&str; 5] = ["ping", "rttMs", "lastGood", "why", "oldAddress"];
/// What is shown of an arbiter that was logged in to.
const OF_SESSIONS: [&str; 6] = ["ssh", "sshError", "sessions", "managed", "absentSince", "oldAddress"];

/// Where a policy finds nothing at all, a person and a script find null: each key is there.
fn with_nulls(arbiters: &mut Value, keys: &[&str]) {
    for seen in arbiters.as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
        let Some(seen) = seen.as_object_mut() else { continue };
        for key in keys {
            seen.entry(*key).or_insert(Value::Null);
        }
    }
}

/// Everything that is known of an arbiter, as the history holds it.
pub(super) fn evidence_with_nulls(arbiters: &mut Value) {
    with_nulls(arbiters, &OF_PING);
    with_nulls(arbiters, &OF_SESSIONS);
}

/// Runs the command.
pub fn run(globals: &Globals, args: Args) -> ExitCode {
    let (wants_sessions, form) = match args {
        Args::Ping(form) => (false, form),
        Args::Sessions(form) => (true, form),
        Args::Check(args) => return check::run(globals, &args),
        Args::Trust(args) => return trust::run(globals, &args),
        Args::Import(args) => return import::run(globals, &args),
    };
    let mut report = match report(&globals.paths(), wants_sessions) {
        Ok(report) => report,
        Err(code) => return code,
    };
    if let Some(arbiters) = report.get_mut("arbiters") {
        with_nulls(arbiters, if wants_sessions { &OF_SESSIONS } else { &OF_PING });
    }
    match (form.json, form.text) {
        (true, _) => output::json(&report),
        (_, true) => facts(&report, wants_sessions).iter().for_each(|line| output::line(line)),
        (false, false) => {
            let lines = table::lines(&report, wants_sessions, Look::of_stdout().columns);
            lines.iter().for_each(|line| output::line(line));
        }
    }
    exit::code(exit::OK)
}

/// From the policy's runner, from the daemon, or by looking ourselves.
fn report(paths: &Paths, wants_sessions: bool) -> Result<Value, ExitCode> {
    let method = if wants_sessions { "arbiters.sessions" } else { "arbiters.ping" };
    let socket = client::script_socket();
    match client::ask(socket.as_deref().unwrap_or(&paths.socket), method, json!({})) {
        Ok(report) => Ok(report),
        Err(ClientError::Down(_)) if socket.is_none() => look(paths, wants_sessions),
        Err(error) => Err(output::no_answer(&error)),
    }
}

fn look(paths: &Paths, wants_sessions: bool) -> Result<Value, ExitCode> {
    let failed = |message: String, status: u8| {
        output::failed(&message);
        exit::code(status)
    };
    let (config, _) = config::load(paths).map_err(|errors| failed(errors.to_string(), exit::USAGE))?;
    let role = match StateFile::new(paths.state_file.clone()).read() {
        Found::Good(durable) => durable.role,
        Found::Absent => config.site.initial_role,
        Found::Bad(_) => dr_watchdog_sdk::Role::Standby,
    };
    let (runtime, local) = super::runtime().map_err(|error| failed(error.to_string(), exit::FAILED))?;
    local.block_on(&runtime, async {
        let pinger = Pinger::open(config.site.source_address)
            .await
            .map_err(|error| failed(config::chain(&error), exit::FORBIDDEN))?;
        let (events, _unheard) = tokio::sync::mpsc::unbounded_channel();
        let settings = daemon::settings(&config);
        let arbiters = daemon::build_arbiters(&Rc::new(config), &Arc::new(pinger), &events);
        let nothing = Evidence::default();
        let seen = daemon::evidence(&arbiters, &settings, daemon::now(), wants_sessions, &nothing).await;
        arbiters.shutdown().await;
        Ok(match wants_sessions {
            true => json!(seen.sessions_report(role)),
            false => json!(seen.ping_report(role, settings.thresholds.warning)),
        })
    })
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn facts(report: &Value, wants_sessions: bool) -> Vec<String> {
    let counts: &[&str] = match wants_sessions {
        true => &["role", "total", "reachable", "managed"],
        false => &["role", "total", "reachable", "warning"],
    };
    let mut lines: Vec<String> = counts.iter().map(|key| format!("{key} {}", word(&report[*key]))).collect();
    for (name, seen) in report["arbiters"].as_object().into_iter().flatten() {
        lines.push(match (wants_sessions, seen["ping"] == true) {
            (true, _) => {
                format!("arbiter {name} ssh {} managed {}", word(&seen["ssh"]), seen["managed"] == true)
            }
            (false, true) => format!("arbiter {name} ping true {}", word(&seen["rttMs"])),
            (false, false) => {
                let why = word(&seen["why"]);
                format!("arbiter {name} ping false {}", if why.is_empty() { "timeout" } else { &why })
            }
        });
    }
    lines
}
