//! `ping`: echoes to any host, the way the watchdog sends them.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::client;
use super::{Globals, exit, output};
use crate::daemon::ping_all;
use crate::probe::ping::Pinger;

/// Arguments of `ping`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Addresses or names.
    #[arg(required = true, value_name = "HOST")]
    hosts: Vec<String>,
    /// How long each reply is awaited, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    timeout_ms: u64,
    /// Tries after the first one failed.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10))]
    retries: u32,
    /// Print one line of JSON: an object by host.
    #[arg(long, conflicts_with = "text")]
    json: bool,
    /// Print one fact a line, for scripts.
    #[arg(long)]
    text: bool,
}

/// Runs the command; the status is 1 if a host did not answer.
pub fn run(_globals: &Globals, args: Args) -> ExitCode {
    let answers = match answers(&args) {
        Ok(answers) => answers,
        Err(code) => return code,
    };
    let word = |host: &String| answers.get(host).cloned().unwrap_or_default();
    let is_alive = |host: &String| word(host)["ping"] == true;
    if args.json {
        output::json(&answers);
    } else {
        for host in &args.hosts {
            output::line(&line(host, &word(host), args.text));
        }
    }
    exit::code(if args.hosts.iter().all(is_alive) { exit::OK } else { exit::FAILED })
}

fn line(host: &str, answer: &Value, is_text: bool) -> String {
    let rtt = answer["rttMs"].as_f64().unwrap_or(0.0);
    let why = answer["why"].as_str().unwrap_or("timeout");
    match (answer["ping"] == true, is_text) {
        (true, true) => format!("host {host} ping true {rtt:.3}"),
        (false, true) => format!("host {host} ping false {why}"),
        (true, false) => format!("{host} answers after {rtt:.3} ms"),
        (false, false) => format!("{host} does not answer: {why}"),
    }
}

/// From the policy's runner, or with our own echoes.
fn answers(args: &Args) -> Result<Value, ExitCode> {
    if let Some(socket) = client::script_socket() {
        let params = json!({"hosts": args.hosts, "timeoutMs": args.timeout_ms, "retries": args.retries});
        return client::ask(&socket, "ping", params).map_err(|error| output::no_answer(&error));
    }
    let failed = |message: String, status: u8| {
        output::failed(&message);
        exit::code(status)
    };
    let (runtime, _) = super::runtime().map_err(|error| failed(error.to_string(), exit::FAILED))?;
    runtime.block_on(async {
        let pinger = Pinger::open(None)
            .await
            .map_err(|error| failed(crate::config::chain(&error), exit::FORBIDDEN))?;
        let timeout = Duration::from_millis(args.timeout_ms);
        Ok(json!(ping_all(&pinger, &args.hosts, timeout, args.retries).await))
    })
}
