//! The change itself: checked at both sites, stored, made there, made here; what was interrupted goes on.

use std::io::Read as _;
use std::path::Path;

use serde_json::{Value, json};
use toml_edit::DocumentMut;

use super::{Args, THERE_LIMIT, groups, loaded};
use crate::cli::arbiters::{change_file, edited};
use crate::cli::pair::site::There;
use crate::cli::{Globals, client, output, service, toolkit};
use crate::config::pending::{Changes, Pending};
use crate::config::{self, Config};
use crate::daemon;

const INPUT_BYTES_MAX: u64 = 1 << 20;

/// What is to be changed.
#[derive(Debug)]
pub(super) struct Wanted {
    /// At this site.
    pub(super) here: Changes,
    /// At the other one.
    pub(super) there: Changes,
}

/// Why the other site did not change.
enum Refusal {
    /// Nobody knows whether it did.
    Unreachable(String),
    /// It says no.
    Refused(String),
}

/// Makes a change at both sites. From before the first file changes until after the last one the change is stored, so
/// that one which is interrupted anywhere is finished by the watchdog, or by the next `config update`.
pub(super) fn make(
    globals: &Globals,
    config: &Config,
    there: Option<&There>,
    wanted: Wanted,
    is_quiet: bool,
) -> Result<Value, String> {
    let peer = &config.peer.name;
    let file = &globals.paths().config_file;
    // Both sites say first that they could; then both do it.
    edited(file, |document| apply(document, &wanted.here))?;
    let there = there.filter(|_| !wanted.there.is_empty());
    let pending = pending(&wanted);
    if let Some(there) = there {
        send(there, &wanted.there, true).map_err(|refusal| match refusal {
            Refusal::Unreachable(why) | Refusal::Refused(why) => {
                format!("site {peer} does not accept the change, so nothing was changed: {why}")
            }
        })?;
        pending
            .write(&globals.paths())
            .map_err(|error| format!("nothing was changed: {}", config::chain(&error)))?;
    }
    let is_reloaded = carry_out(globals, config, there, &pending)?;
    if !is_quiet {
        let told = if is_reloaded {
            "the running watchdog has read it"
        } else {
            "no watchdog runs here; it counts from the next start"
        };
        let also = if there.is_some() { " and at the other site" } else { "" };
        output::line(&format!("changed here ({told}){also}"));
    }
    Ok(done(&wanted, is_reloaded))
}

fn done(wanted: &Wanted, is_reloaded: bool) -> Value {
    json!({"ok": true, "changed": wanted.here.keys().collect::<Vec<_>>(),
        "otherSite": wanted.there.keys().collect::<Vec<_>>(), "reloaded": is_reloaded, "pending": false})
}

fn pending(wanted: &Wanted) -> Pending {
    Pending {
        since: daemon::now().wall,
        by: toolkit::author(),
        here: wanted.here.clone(),
        there: wanted.there.clone(),
        refused: None,
    }
}

/// The stored change, there and then here. Whatever was done of it already is done once more and changes nothing.
fn carry_out(
    globals: &Globals,
    config: &Config,
    there: Option<&There>,
    pending: &Pending,
) -> Result<bool, String> {
    let (paths, peer) = (globals.paths(), &config.peer.name);
    let removed = || Pending::remove(&paths).map_err(|error| config::chain(&error));
    if let Some(there) = there {
        match send(there, &pending.there, false) {
            Ok(()) => {}
            Err(Refusal::Refused(why)) => {
                removed()?;
                return Err(format!("site {peer} could not be changed, and this one was not either: {why}"));
            }
            Err(Refusal::Unreachable(why)) => {
                return Err(format!(
                    "site {peer} went away in the middle ({why}), and nobody knows whether it has the change; this site does not have it. It is stored: the watchdog makes it at both sites when it can, or repeat the command; `toolkit config update --forget` drops it"
                ));
            }
        }
    }
    let done_here = change_file(&paths.config_file, |document| apply(document, &pending.here));
    let is_reloaded = done_here.and_then(|()| reload(globals)).map_err(|why| match there {
        None => why,
        Some(_) => format!(
            "site {peer} has the change, and this one does not ({why}); it is stored: repair that, and the watchdog makes it here too, or repeat the command"
        ),
    })?;
    removed()?;
    Ok(is_reloaded)
}

/// Stores a change for the time when the other site can be asked.
pub(super) fn store(
    globals: &Globals,
    config: &Config,
    wanted: Wanted,
    is_quiet: bool,
) -> Result<Value, String> {
    edited(&globals.paths().config_file, |document| apply(document, &wanted.here))?;
    pending(&wanted).write(&globals.paths()).map_err(|error| config::chain(&error))?;
    if !is_quiet {
        output::line(&format!(
            "stored, and changed nowhere yet: the watchdog makes it at both sites as soon as site {} can be asked; `health` shows it, `toolkit config update --forget` drops it",
            config.peer.name
        ));
    }
    Ok(json!({"ok": true, "changed": [], "otherSite": [], "reloaded": false, "pending": true}))
}

/// Makes the stored change, if there is one and the other site can be asked.
pub(super) fn complete(globals: &Globals) -> Result<Value, String> {
    let paths = globals.paths();
    let Some(pending) = Pending::read(&paths).map_err(|error| config::chain(&error))? else {
        return Ok(json!({"ok": true, "changed": [], "otherSite": [], "reloaded": false, "pending": false}));
    };
    let (config, _) = loaded(globals)?;
    let there = There::new(&config)?;
    let wanted = Wanted { here: pending.here.clone(), there: pending.there.clone() };
    edited(&paths.config_file, |document| apply(document, &wanted.here))?;
    match send(&there, &pending.there, true) {
        Ok(()) => {}
        Err(Refusal::Unreachable(why)) => return Err(why),
        Err(Refusal::Refused(why)) => {
            let refused = Pending { refused: Some(why.clone()), ..pending };
            refused.write(&paths).map_err(|error| config::chain(&error))?;
            return Err(format!("site {} does not accept the stored change: {why}", config.peer.name));
        }
    }
    let is_reloaded = carry_out(globals, &config, Some(&there), &pending)?;
    Ok(done(&wanted, is_reloaded))
}

/// Before another change: the one that is stored.
pub(super) fn finish_pending(globals: &Globals, args: &Args) -> Result<(), String> {
    let Some(pending) = Pending::read(&globals.paths()).map_err(|error| config::chain(&error))? else {
        return Ok(());
    };
    let told = format!("a change of {} by {} since {}", pending.keys().join(", "), pending.by, pending.since);
    match complete(globals) {
        Ok(_) => {
            if !args.json {
                output::line(&format!("{told} was stored; it is made now at both sites"));
            }
            Ok(())
        }
        Err(why) => Err(format!(
            "{told} is stored and comes first ({why}); nothing was changed; `toolkit config update --forget` drops it"
        )),
    }
}

/// Drops the stored change.
pub(super) fn forget(globals: &Globals, is_quiet: bool) -> Result<Value, String> {
    let paths = globals.paths();
    let found = Pending::read(&paths);
    Pending::remove(&paths).map_err(|error| config::chain(&error))?;
    let keys = match &found {
        Ok(found) => found.as_ref().map(Pending::keys).unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    if !is_quiet {
        output::line(&match &found {
            Ok(None) => "nothing is stored; nothing was dropped".to_owned(),
            Ok(Some(_)) => format!("dropped: {}", keys.join(", ")),
            Err(error) => format!("dropped: {}", config::chain(error)),
        });
    }
    Ok(json!({"ok": true, "dropped": keys}))
}

fn apply(document: &mut DocumentMut, changes: &Changes) -> Result<(), String> {
    for (path, value) in changes {
        let key = groups::find(path).ok_or_else(|| format!("{path} cannot be changed by this command"))?;
        let value = key.check(value).map_err(|why| format!("{path} = \"{value}\": expected {why}"))?;
        key.write(document, &value)?;
    }
    Ok(())
}

/// A running daemon reads the file at once.
fn reload(globals: &Globals) -> Result<bool, String> {
    let paths = globals.paths();
    if service::running(&paths)?.is_none() {
        return Ok(false);
    }
    client::ask(&paths.socket, "reload", json!({})).map(|_| true).map_err(|error| config::chain(&error))
}

fn send(there: &There, changes: &Changes, is_check: bool) -> Result<(), Refusal> {
    let input = serde_json::to_vec(changes).map_err(|error| Refusal::Refused(error.to_string()))?;
    let mut words = vec!["toolkit", "config", "update", "--accept"];
    if is_check {
        words.push("--check");
    }
    let ran = there.run(&words, &input, THERE_LIMIT).map_err(Refusal::Unreachable)?;
    let said: Value = serde_json::from_str(ran.stdout.lines().last().unwrap_or_default()).unwrap_or_default();
    match (said["ok"].as_bool(), said["error"].as_str()) {
        (Some(true), _) if ran.status == 0 => Ok(()),
        (Some(false), Some(why)) => Err(Refusal::Refused(why.to_owned())),
        // It ended without a word of ours: killed, or another program.
        _ => Err(Refusal::Unreachable(super::super::pair::site::no_program(&ran))),
    }
}

/// The other site's changes.
pub(super) fn accept(globals: &Globals, is_check: bool) -> Result<Value, String> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(INPUT_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| error.to_string())?;
    let changes: Changes =
        serde_json::from_str(&text).map_err(|error| format!("the changes are not understood: {error}"))?;
    if let Some(path) = changes.keys().find(|path| !groups::find(path).is_some_and(|key| key.is_shared)) {
        return Err(format!("{path} is not for another site to change"));
    }
    let file: &Path = &globals.paths().config_file;
    if is_check {
        edited(file, |document| apply(document, &changes))?;
        return Ok(json!({"ok": true}));
    }
    change_file(file, |document| apply(document, &changes))?;
    Ok(json!({"ok": true, "reloaded": reload(globals)?}))
}
