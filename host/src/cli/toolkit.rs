//! `toolkit`: the tools of the manual.

use std::process::ExitCode;

use dr_watchdog_sdk::hours::Hours;
use serde_json::{Value, json};

use super::client;
use super::{Globals, exit, output};

/// Arguments of `toolkit`.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// The watchdog itself.
    #[command(subcommand)]
    Watchdog(Watchdog),
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
    let Args::Watchdog(Watchdog::Status(args)) = args;
    let socket = globals.paths().socket;
    let params = match change(&args) {
        Ok(params) => params,
        Err(message) => {
            output::failed(&message);
            return exit::code(exit::USAGE);
        }
    };
    if let Some(params) = params
        && let Err(error) = client::ask(&socket, "automaticFailover", params)
    {
        return output::no_answer(&error);
    }
    match client::ask(&socket, "health", json!({})) {
        Ok(health) => show(&health, args.json),
        Err(error) => output::no_answer(&error),
    }
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
fn author() -> String {
    let from = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    from("SUDO_USER").or_else(|| from("USER")).unwrap_or_else(|| {
        let uid = nix::unistd::Uid::current();
        nix::unistd::User::from_uid(uid).ok().flatten().map_or_else(|| format!("uid {uid}"), |user| user.name)
    })
}

fn show(health: &Value, is_json: bool) -> ExitCode {
    let failover = &health["automaticFailover"];
    if is_json {
        output::json(&json!({
            "site": health["site"], "role": health["role"], "daemon": health["daemon"],
            "automaticFailover": failover,
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
    exit::code(exit::OK)
}
