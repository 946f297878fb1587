//! `arbiters trust`: shows the host key of an arbiter and pins it once somebody says that it is the right one.

use std::io::{IsTerminal as _, Write as _};
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;

use super::{Globals, edit, exit, output};
use crate::config::{self, Config, model};
use crate::probe::ssh::host_key::HostKeyError;
use crate::probe::ssh::{Adapter, Destination, SshError, known_hosts};

/// How long the arbiter may take to show its key.
const SHOW_TIMEOUT: Duration = Duration::from_secs(20);

/// Arguments of `arbiters trust`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The arbiter: its host, or host:port where the host occurs twice.
    name: String,
    /// Pin without asking if the arbiter shows exactly this key, as its own console prints it.
    #[arg(long, value_name = "SHA256:…")]
    fingerprint: Option<String>,
}

/// A key as it was shown.
pub(in crate::cli) struct Shown {
    pub(in crate::cli) kind: String,
    pub(in crate::cli) fingerprint: String,
}

/// Runs the command.
pub(super) fn run(globals: &Globals, args: &Args) -> ExitCode {
    let file = globals.paths().config_file;
    let config = match config::load_file(&file) {
        Ok((config, _)) => config,
        Err(errors) => return failed(&errors.to_string(), exit::USAGE),
    };
    let Some((position, arbiter)) =
        config.arbiters.iter().enumerate().find(|(_, arbiter)| arbiter.name == args.name)
    else {
        let names: Vec<&str> = config.arbiters.iter().map(|arbiter| arbiter.name.as_str()).collect();
        let message = format!("there is no arbiter \"{}\"; the arbiters are {}", args.name, names.join(", "));
        return failed(&message, exit::USAGE);
    };
    let shown = match shown(&config, arbiter) {
        Ok(shown) => shown,
        Err(error) => return failed(&format!("{} shows no host key: {error}", arbiter.name), exit::FAILED),
    };
    let Shown { kind, fingerprint } = &shown;
    output::line(&format!("{} port {} shows the host key {kind} {fingerprint}", arbiter.host, arbiter.port));
    if let Err(why) = not_revoked(&config, arbiter, fingerprint) {
        return failed(&format!("ALARM: {why}; nothing was pinned"), exit::FAILED);
    }
    if arbiter.host_key.contains(fingerprint) {
        output::line("that is the pinned one; nothing is to be done");
        return exit::code(exit::OK);
    }
    if !arbiter.host_key.is_empty() {
        output::line(&format!(
            "ALARM: pinned is {}. Either the device was replaced or somebody stands between",
            arbiter.host_key.join(" or ")
        ));
    }
    if !is_confirmed(args, fingerprint) {
        let message = format!(
            "nothing was pinned; to pin it by hand write hostKey = \"{fingerprint}\" for this arbiter in {}",
            file.display()
        );
        return failed(&message, exit::FAILED);
    }
    match edit::pin(&file, position, fingerprint) {
        Ok(()) => {
            output::line(&format!("pinned in {}; the other site needs the same", file.display()));
            exit::code(exit::OK)
        }
        Err(error) => failed(&format!("{}: {}", file.display(), config::chain(&error)), exit::FAILED),
    }
}

fn failed(message: &str, status: u8) -> ExitCode {
    output::failed(message);
    exit::code(status)
}

/// A revoked key is one that others may have by now, so nobody's word makes it the right one.
fn not_revoked(config: &Config, arbiter: &model::Arbiter, fingerprint: &str) -> Result<(), String> {
    let files = &config.ssh.known_hosts;
    match known_hosts::revocation(files, &arbiter.host, arbiter.port, fingerprint) {
        Ok(None) => Ok(()),
        Ok(Some(known)) => Err(format!(
            "{} revokes this key, so whoever shows it may be anybody. Give the device a new key; if the mark is wrong, \
             remove it there",
            known.place()
        )),
        Err(error) => Err(format!("whether this key is revoked is not known: {error}")),
    }
}

/// Whether somebody says that the key is the device's own.
fn is_confirmed(args: &Args, fingerprint: &str) -> bool {
    if let Some(expected) = &args.fingerprint {
        let is_expected = expected.trim_end_matches('=') == fingerprint;
        if !is_expected {
            output::failed(&format!("expected was {expected}"));
        }
        return is_expected;
    }
    if !std::io::stdin().is_terminal() {
        output::failed("nobody can be asked here; give the expected key with --fingerprint");
        return false;
    }
    let mut answer = String::new();
    let mut out = std::io::stdout();
    // Without a question on the screen no answer can be right, and an empty one is a no.
    let asked = write!(out, "Compare it with the device's own console. Is it the same? Write yes: ");
    let is_asked = asked.and_then(|()| out.flush()).is_ok();
    is_asked && std::io::stdin().read_line(&mut answer).is_ok() && answer.trim() == "yes"
}

fn shown(config: &Config, arbiter: &model::Arbiter) -> Result<Shown, String> {
    shown_by(&arbiter.host, arbiter.port, config.site.source_address, config.ssh.adapter)
}

/// Connects without trusting anybody; what is refused is what was shown. No secret leaves: the key comes first.
pub(in crate::cli) fn shown_by(
    host: &str,
    port: u16,
    source: Option<IpAddr>,
    adapter: Adapter,
) -> Result<Shown, String> {
    let to = Destination {
        host: host.to_owned(),
        port,
        source,
        username: "nobody".to_owned(),
        password: Some(SecretString::from("")),
        private_key: None,
        host_keys: Vec::new(),
    };
    let (runtime, local) = crate::cli::runtime().map_err(|error| error.to_string())?;
    let nobody = adapter.transport(Vec::new());
    let ended = local.block_on(&runtime, nobody.connect(&to, Instant::now() + SHOW_TIMEOUT));
    match ended {
        Err(SshError::HostKey(HostKeyError::Unknown { kind, seen, .. })) => {
            Ok(Shown { kind, fingerprint: seen })
        }
        Err(error) => Err(error.to_string()),
        Ok(_) => Err("it let us in without one".to_owned()),
    }
}
