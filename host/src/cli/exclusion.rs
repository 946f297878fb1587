//! `exclusion`: what only an operator can know about the other site.

use std::process::ExitCode;

use serde_json::json;

use super::client;
use super::{Globals, exit, output};
use crate::config;

/// Arguments of `exclusion`.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Vouch that the other site is off: it neither serves nor takes over. Ends with its first signed message.
    PeerIsOff(PeerIsOff),
}

/// Arguments of `exclusion peer-is-off`.
#[derive(Debug, clap::Args)]
pub struct PeerIsOff {
    /// The other site's name, typed by somebody who has made sure.
    #[arg(long, value_name = "SITE", required = true)]
    confirm: String,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(globals: &Globals, args: Args) -> ExitCode {
    let Args::PeerIsOff(args) = args;
    let paths = globals.paths();
    let config = match config::load(&paths) {
        Ok((config, _)) => config,
        Err(errors) => {
            output::failed(&errors.to_string());
            return exit::code(exit::USAGE);
        }
    };
    let peer = &config.peer.name;
    if args.confirm != *peer {
        output::failed(&format!(
            "the other site is called {peer}, not {}; nothing was changed",
            args.confirm
        ));
        return exit::code(exit::USAGE);
    }
    if let Err(error) = client::ask(&paths.socket, "operator", json!({"command": "peerIsOff"})) {
        return output::no_answer(&error);
    }
    if args.json {
        output::json(&json!({"ok": true, "peer": peer, "peerIsOff": true}));
    } else {
        output::line(&format!(
            "you have vouched that site {peer} is off: `manualFailover -a` works here now without its word. If it is not off, both sites may serve. This ends with its first signed message"
        ));
    }
    exit::code(exit::OK)
}
