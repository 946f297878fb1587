//! `ask` (hidden): one question to the daemon of this root, for the other site, which asks over SSH.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::client::{self, ClientError};
use super::{Globals, exit, output};

/// Arguments of the hidden `ask` command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is asked.
    method: String,
    /// With what, as JSON.
    #[arg(default_value = "{}")]
    params: String,
}

/// Runs the command: whatever comes of it is said in one line of JSON.
pub fn run(globals: &Globals, args: &Args) -> ExitCode {
    let params: Value = match serde_json::from_str(&args.params) {
        Ok(params) => params,
        Err(error) => {
            output::failed(&format!("the parameters are no JSON: {error}"));
            return exit::code(exit::USAGE);
        }
    };
    let version = env!("CARGO_PKG_VERSION");
    let answer = match client::ask(&globals.paths().socket, &args.method, params) {
        Ok(result) => json!({"version": version, "result": result}),
        Err(error) => {
            let kind = match &error {
                ClientError::Down(_) => "down",
                ClientError::Refused(refused) => refused.kind.as_str(),
                ClientError::Silent(..) | ClientError::Socket(..) | ClientError::Broken(_) => "failed",
            };
            json!({"version": version, "error": {"kind": kind, "message": crate::config::chain(&error)}})
        }
    };
    output::json(&answer);
    exit::code(exit::OK)
}
