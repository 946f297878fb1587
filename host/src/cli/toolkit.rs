//! `toolkit`: the tools of the manual.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use dr_watchdog_sdk::hours::Hours;
use serde_json::{Value, json};

use super::client;
use super::pair::site::{Site as _, There};
use super::wait::pause;
use super::{Globals, exit, output};

/// How long the other site has to say by heartbeat that it has the switch too, and how often we look.
const AGREEMENT_LIMIT: Duration = Duration::from_secs(3);
const AGREEMENT_LOOK: Duration = Duration::from_millis(50);

/// Arguments of `toolkit`.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// The watchdog itself.
    #[command(subcommand)]
    Watchdog(Watchdog),
    /// The configuration of both sites.
    #[command(subcommand)]
    Config(super::update::ConfigArgs),
}

/// Arguments of `toolkit watchdog`.
#[derive(Debug, clap::Subcommand)]
pub enum Watchdog {
    /// Show or change the switch of automatic failover.
    Status(StatusArgs),
}

/// Arguments of `toolkit watchdog status`.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Enable automatic failover.
    #[arg(long, conflicts_with = "disable_automatic_failover")]
    enable_automatic_failover: bool,
    /// Disable automatic failover for 30m, 8h or 8 (hours); 0 = until it is enabled.
    #[arg(long, value_name = "DURATION")]
    disable_automatic_failover: Option<String>,
    /// Why, for whoever asks `health` later.
    #[arg(long, value_name = "TEXT", requires = "disable_automatic_failover")]
    reason: Option<String>,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(globals: &Globals, args: Args) -> ExitCode {
    let args = match args {
        Args::Watchdog(Watchdog::Status(args)) => args,
        Args::Config(args) => return super::update::run(globals, args),
    };
    let socket = globals.paths().socket;
    let params = match change(&args) {
        Ok(params) => params,
        Err(message) => {
            output::failed(&message);
            return exit::code(exit::USAGE);
        }
    };
    let asked = match params {
        None => None,
        Some(params) => match client::ask(&socket, "automaticFailover", params.clone()) {
            Ok(_) => agreed_soon(&socket).or_else(|| ask_other_site(globals, params)),
            Err(error) => return output::no_answer(&error),
        },
    };
    let peer = crate::config::load(&globals.paths()).map(|(config, _)| config.peer.name).ok();
    match client::ask(&socket, "health", json!({})) {
        Ok(health) => show(&health, &agreement(&health, peer.as_deref(), asked), args.json),
        Err(error) => output::no_answer(&error),
    }
}

/// The other site hears of the switch with the next heartbeat, which is sent at once.
fn agreed_soon(socket: &Path) -> Option<Result<(), String>> {
    let began = Instant::now();
    loop {
        let health = client::ask(socket, "health", json!({})).ok()?;
        let failover = &health["automaticFailover"];
        if failover["agreed"] == true {
            return Some(Ok(()));
        }
        if failover["agreed"].is_null() || began.elapsed() > AGREEMENT_LIMIT {
            return None;
        }
        pause(AGREEMENT_LOOK);
    }
}

/// The same switch at the other site over SSH; `None` where it cannot be commanded at all, else why it did not take it.
fn ask_other_site(globals: &Globals, mut params: Value) -> Option<Result<(), String>> {
    let (config, _) = crate::config::load(&globals.paths()).ok()?;
    config.peer.identity.as_ref()?;
    if let Some(disable) = params.get_mut("disable") {
        disable["by"] =
            json!(format!("{} at site {}", disable["by"].as_str().unwrap_or("?"), config.site.name));
    }
    let there = match There::new(&config) {
        Ok(there) => there,
        Err(why) => return Some(Err(why)),
    };
    Some(there.ask("automaticFailover", params).map(drop).map_err(|error| error.to_string()))
}

/// Whether the other site has the same switch: by its answer now, else by what its heartbeats say.
fn agreement(health: &Value, peer: Option<&str>, asked: Option<Result<(), String>>) -> Value {
    let heard = health["automaticFailover"]["agreed"].as_bool();
    let (agreed, why) = match asked {
        Some(Ok(())) => (Some(true), String::new()),
        Some(Err(why)) => (Some(false), why),
        None => (heard, "it is not heard".to_owned()),
    };
    let why = if agreed == Some(false) { why } else { String::new() };
    json!({"agreed": agreed, "why": why, "site": peer, "pending": heard == Some(false)})
}

fn change(args: &StatusArgs) -> Result<Option<Value>, String> {
    if args.enable_automatic_failover {
        return Ok(Some(json!({"enable": true})));
    }
    let Some(duration) = &args.disable_automatic_failover else { return Ok(None) };
    let hours = Hours::parse(duration).map_err(|error| format!("--disable-automatic-failover: {error}"))?;
    let reason = args.reason.clone().unwrap_or_else(|| "no reason was given".to_owned());
    Ok(Some(json!({"disable": {"seconds": hours.seconds(), "reason": reason, "by": author()}})))
}

/// Who typed this: the user behind sudo, else the user.
pub(super) fn author() -> String {
    let from = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    from("SUDO_USER").or_else(|| from("USER")).unwrap_or_else(|| {
        let uid = nix::unistd::Uid::current();
        nix::unistd::User::from_uid(uid).ok().flatten().map_or_else(|| format!("uid {uid}"), |user| user.name)
    })
}

fn show(health: &Value, agreement: &Value, is_json: bool) -> ExitCode {
    let failover = &health["automaticFailover"];
    if is_json {
        output::json(&json!({
            "site": health["site"], "role": health["role"], "daemon": health["daemon"],
            "automaticFailover": failover, "otherSite": agreement,
        }));
        return exit::code(exit::OK);
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    output::line(&format!(
        "site {} is {}; its watchdog runs (pid {})",
        text(&health["site"]),
        text(&health["role"]),
        health["daemon"]["pid"]
    ));
    let line = if failover["enabled"] == true {
        "automatic failover is enabled".to_owned()
    } else {
        let until =
            failover["until"].as_str().map_or("until it is enabled".to_owned(), |t| format!("until {t}"));
        format!(
            "automatic failover is disabled {until} by {}: {}",
            text(&failover["by"]),
            text(&failover["reason"])
        )
    };
    output::line(&line);
    let other = agreement["site"].as_str().unwrap_or("of the other side");
    output::line(&match agreement["agreed"].as_bool() {
        Some(true) => format!("site {other} agrees with the operator's switch"),
        Some(false) => format!(
            "site {other} has not agreed ({}); {}",
            text(&agreement["why"]),
            if agreement["pending"] == true {
                "pending: it takes the switch as soon as the sites hear each other, and nothing is to be done"
            } else {
                "repeat the command when it can be reached"
            }
        ),
        None => format!("site {other} is not heard, so it is not known whether it agrees"),
    });
    exit::code(exit::OK)
}
