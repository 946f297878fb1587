//! `reset`: this site forgets the pair and is a standalone site again.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use dr_watchdog_core::durable::{Durable, Found};
use dr_watchdog_core::transitions::Phase;
use dr_watchdog_sdk::sections::Role;
use serde_json::{Value, json};

use super::follow::Teller;
use super::question;
use super::site::{Here, Site as _, SiteError, There};
use super::state::State;
use crate::cli::{Globals, exit, made, output, service};
use crate::config::{self, Config};
use crate::daemon::state_file::StateFile;
use crate::paths::Paths;

/// Longest answer of the other site.
const THERE_LIMIT: Duration = Duration::from_secs(90);

/// Arguments of `reset`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Although this site serves and the other one has not given its word: it may take over, and both serve then.
    #[arg(long)]
    force: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// What this site is when the command begins.
struct Before {
    config: Option<Config>,
    serves: bool,
    is_running: bool,
}

/// Runs the command.
pub(in crate::cli) fn run(globals: &Globals, args: &Args) -> ExitCode {
    let teller = Teller { is_quiet: args.json };
    match reset(globals, args, &teller) {
        Ok(done) => {
            if args.json {
                output::json(&done);
            }
            exit::code(if done["servicesFailed"].is_null() { exit::OK } else { exit::FAILED })
        }
        Err(why) => {
            if args.json {
                output::json(&json!({"ok": false, "error": why}));
            }
            output::failed(&why);
            exit::code(exit::FAILED)
        }
    }
}

fn reset(globals: &Globals, args: &Args, teller: &Teller) -> Result<Value, String> {
    let paths = globals.paths();
    let before = before(&paths)?;
    let peer = before.config.as_ref().map(|config| peer_serves(config, teller));
    if before.serves {
        let asked =
            before.config.as_ref().ok_or_else(|| "no configuration names it".to_owned()).and_then(word);
        match asked {
            Ok(()) => teller.tell("the other site has given its word not to take over"),
            Err(why) if args.force => teller.tell(&format!(
                "--force: the other site has not given its word ({why}); it may take over while this site serves on, and both serve then"
            )),
            Err(why) => {
                return Err(format!(
                    "nothing was deleted: this site serves, and the other site has not given its word not to take over ({why}). Run `reset` at the other site first, or hand over with `manualFailover`, or use --force"
                ));
            }
        }
    }
    let doomed = doomed(&paths);
    teller.tell("these files of this site are deleted:");
    doomed.iter().for_each(|path| teller.tell(&format!("  {}", path.display())));
    let is_agreed =
        args.yes || question::can_ask() && question::is_written("Write yes to delete them: ", "yes");
    if !is_agreed {
        return Err("nothing was deleted; where nobody can be asked, add --yes".to_owned());
    }
    if before.is_running {
        let pid = service::end(&paths)?;
        teller.tell(&format!("the watchdog (pid {pid}) has ended"));
    }
    service::disable(globals)?;
    delete(&doomed)?;
    StateFile::new(paths.state_file.clone())
        .write(&Durable::new(Role::Standalone, ""))
        .map_err(|error| config::chain(&error))?;
    teller.tell("this site is standalone");
    let services = services(&before, peer.flatten(), teller);
    Ok(json!({
        "ok": true, "role": "standalone", "deleted": doomed.len(),
        "servicesStarted": services.as_ref().is_ok_and(|started| *started),
        "servicesFailed": services.err(),
    }))
}

fn before(paths: &Paths) -> Result<Before, String> {
    let config = config::load(paths).ok().map(|(config, _)| config);
    let here = Here { name: "here".to_owned(), socket: paths.socket.clone() };
    match State::of(&here) {
        Ok(state) if matches!(state.phase, Phase::Promoting | Phase::Demoting) => Err(format!(
            "a role change is running here ({}); repeat the command when it is over",
            state.phase.word()
        )),
        Ok(state) => Ok(Before { config, serves: state.phase.may_serve(), is_running: true }),
        Err(SiteError::Down(_)) => {
            let found = StateFile::new(paths.state_file.clone()).read();
            let serves = matches!(found, Found::Good(durable) if durable.role == Role::Active);
            Ok(Before { config, serves, is_running: false })
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Whether the other site serves; `None` = it could not be asked.
fn peer_serves(config: &Config, teller: &Teller) -> Option<bool> {
    let there = There::new(config).ok()?;
    match State::of(&there) {
        Ok(state) => Some(state.phase.may_serve()),
        Err(error) => {
            teller.tell(&format!("site {} does not say whether it serves ({error})", there.name()));
            None
        }
    }
}

/// The other site's word not to take over, or that it is reset itself.
fn word(config: &Config) -> Result<(), String> {
    let there = There::new(config)?;
    let ran = there.run(&["stop", "--promise", "--json"], b"", THERE_LIMIT)?;
    if ran.status == 0 {
        return Ok(());
    }
    Err(format!("it says: {}", ran.stderr.trim()))
}

/// What is there of all that belongs to the pair; folders last.
fn doomed(paths: &Paths) -> Vec<PathBuf> {
    let mut doomed: Vec<PathBuf> =
        made::all(&paths.config_file).into_iter().filter(|path| path.symlink_metadata().is_ok()).collect();
    let stored = std::fs::read_dir(&paths.state_dir).into_iter().flatten().flatten();
    doomed.extend(stored.map(|entry| entry.path()));
    doomed
}

fn delete(doomed: &[PathBuf]) -> Result<(), String> {
    for path in doomed {
        let is_folder = path.symlink_metadata().is_ok_and(|about| about.is_dir());
        let deleted = if is_folder { delete_folder(path) } else { std::fs::remove_file(path) };
        match deleted {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(format!(
                    "{} cannot be deleted ({error}); what stands before it in the list is gone; repeat the command",
                    path.display()
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A folder with more in it than ours is left: somebody put it there.
fn delete_folder(path: &Path) -> io::Result<()> {
    let is_state = path.ends_with("policy-state") || path.ends_with("mail");
    match if is_state { std::fs::remove_dir_all(path) } else { std::fs::remove_dir(path) } {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        ended => ended,
    }
}

/// A standalone site serves. Not where the other one does: two sites that serve are what all this is to prevent.
fn services(before: &Before, peer_serves: Option<bool>, teller: &Teller) -> Result<bool, String> {
    let steps =
        before.config.as_ref().map(|config| config.role_change.be_active.as_slice()).unwrap_or_default();
    if before.serves {
        teller.tell("its services go on");
        return Ok(false);
    }
    if peer_serves != Some(false) {
        let why = if peer_serves.is_some() {
            "the other site serves"
        } else {
            "nobody knows whether the other site serves"
        };
        teller.tell(&format!(
            "the services of this site were left as they are, because {why}; start them when you are sure: {}",
            super::swap::steps(&steps.iter().map(|step| step.command.join(" ")).collect::<Vec<_>>())
        ));
        return Ok(false);
    }
    for step in steps {
        teller.tell(&format!("  {}", step.name));
        let run = Command::new(&step.command[0]).args(&step.command[1..]).stdin(Stdio::null()).output();
        let failed = match run {
            Ok(output) if output.status.success() => continue,
            Ok(output) => format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()),
            Err(error) => error.to_string(),
        };
        let why = format!(
            "step \"{}\" failed ({failed}); this site is standalone, start its services by hand",
            step.name
        );
        output::failed(&why);
        return Err(why);
    }
    Ok(true)
}
