//! `api v1 config`: configuration and state as old scripts read them (the manual's Table 1).

use std::process::ExitCode;

use dr_watchdog_core::durable::Found;
use dr_watchdog_sdk::sections::{self, LastFailover, Role};
use serde_json::{Map, Value, json};

use super::client::{self, ClientError};
use super::{Globals, exit, output};
use crate::config;
use crate::daemon::state_file::StateFile;
use crate::paths::Paths;

/// Arguments of `api`.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Version 1, the manual's.
    #[command(subcommand)]
    V1(V1),
}

/// Arguments of `api v1`.
#[derive(Debug, clap::Subcommand)]
pub enum V1 {
    /// Print configuration and state as one JSON object.
    Config(ConfigArgs),
}

/// Arguments of `api v1 config`.
#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    /// All sections; the same as no option.
    #[arg(long)]
    list: bool,
    /// Only these sections, separated by commas.
    #[arg(long, value_name = "SECTIONS", value_delimiter = ',', conflicts_with = "list")]
    include: Option<Vec<String>>,
    /// Print one line of JSON.
    #[arg(long, conflicts_with = "text")]
    json: bool,
    /// Print one fact a line, for scripts without a JSON parser.
    #[arg(long)]
    text: bool,
    /// Show the arbiters' credentials; only for root.
    #[arg(long)]
    reveal: bool,
}

/// Runs the command.
pub fn run(globals: &Globals, args: Args) -> ExitCode {
    let Args::V1(V1::Config(args)) = args;
    let mut wanted = Vec::new();
    for name in args.include.iter().flatten().map(|name| name.trim()).filter(|name| !name.is_empty()) {
        match sections::canonical_name(name) {
            Some(known) => wanted.push(known),
            None => return unknown(name),
        }
    }
    if args.include.is_some() && wanted.is_empty() {
        output::failed(&format!(
            "--include names no section; the sections are {}",
            sections::NAMES.join(", ")
        ));
        return exit::code(exit::USAGE);
    }
    let all = match read(&globals.paths()) {
        Ok(all) => all,
        Err(code) => return code,
    };
    let all = match args.reveal {
        true => match revealed(&globals.paths(), all) {
            Ok(all) => all,
            Err(code) => return code,
        },
        false => all,
    };
    let picked = pick(all, &wanted);
    match (args.text, args.json) {
        (true, _) => output::flat(&picked).iter().for_each(|line| output::line(line)),
        (false, true) => output::json(&picked),
        (false, false) => output::line(&format!("{picked:#}")),
    }
    exit::code(exit::OK)
}

/// With the credentials of the configuration file; `adminPass` stays hidden, nobody needs it.
fn revealed(paths: &Paths, all: Value) -> Result<Value, ExitCode> {
    if !rustix::process::geteuid().is_root() {
        output::failed("--reveal shows passwords and private keys; only root may see them");
        return Err(exit::code(exit::USAGE));
    }
    let (config, _) = config::load(paths).map_err(|errors| {
        output::failed(&errors.to_string());
        exit::code(exit::USAGE)
    })?;
    Ok(config::with_secrets(&config, all))
}

fn unknown(name: &str) -> ExitCode {
    let nearest = dr_watchdog_sdk::nearest::nearest(name, sections::NAMES);
    let hint = nearest.map(|nearest| format!("; did you mean \"{nearest}\"?")).unwrap_or_default();
    let known = sections::NAMES.join(", ");
    output::failed(&format!("there is no section \"{name}\"{hint} (the sections are {known})"));
    exit::code(exit::USAGE)
}

/// The sections in the manual's order; those without data are absent (reading A31).
fn pick(all: Value, wanted: &[&str]) -> Value {
    let Value::Object(mut all) = all else { return all };
    let mut picked = Map::new();
    for name in sections::NAMES {
        if (wanted.is_empty() || wanted.contains(&name))
            && let Some(section) = all.remove(name)
        {
            picked.insert(name.to_owned(), section);
        }
    }
    Value::Object(picked)
}

/// From the policy's runner, from the daemon, or from the files.
fn read(paths: &Paths) -> Result<Value, ExitCode> {
    let socket = client::script_socket();
    let asked = client::ask(socket.as_deref().unwrap_or(&paths.socket), "sections", json!({}));
    match asked {
        Ok(all) => Ok(all),
        Err(ClientError::Down(_)) if socket.is_none() => from_files(paths),
        // Whoever may read the files needs no daemon that refuses him.
        Err(ClientError::Socket(..)) if socket.is_none() => from_files(paths),
        Err(error @ ClientError::Silent(..)) if socket.is_none() => {
            output::failed(&format!("{}; what follows is what it stored", config::chain(&error)));
            from_files(paths)
        }
        Err(error) => Err(output::no_answer(&error)),
    }
}

fn from_files(paths: &Paths) -> Result<Value, ExitCode> {
    let stored = StateFile::new(paths.state_file.clone()).read();
    if let (Found::Good(durable), false) = (&stored, paths.config_file.exists()) {
        // What `reset` leaves: a role and no configuration.
        return Ok(json!({"role": durable.role, "failover": durable.failover}));
    }
    let (config, _) = config::load(paths).map_err(|errors| {
        output::failed(&errors.to_string());
        exit::code(exit::USAGE)
    })?;
    let (role, failover) = match stored {
        Found::Good(durable) => (durable.role, durable.failover),
        Found::Absent => (config.site.initial_role, LastFailover::None),
        Found::Bad(why) => {
            output::failed(&format!(
                "the stored state cannot be used, so the role is shown as standby: {why}"
            ));
            (Role::Standby, LastFailover::None)
        }
    };
    let mut all = json!(config::sections(&config));
    all["role"] = json!(role);
    all["failover"] = json!(failover);
    if let Some(states) = states(paths) {
        all["states"] = states;
    }
    Ok(all)
}

/// What the last daemon said of its services; absent if none ever ran.
fn states(paths: &Paths) -> Option<Value> {
    let text = std::fs::read_to_string(&paths.states_file).ok()?;
    match serde_json::from_str(&text) {
        Ok(states) => Some(states),
        Err(error) => {
            let file = paths.states_file.display();
            output::failed(&format!("{file} is not understood ({error}); it is left out"));
            None
        }
    }
}
