//! `toolkit config update`: one change at both sites, shown before it is made.

mod groups;
mod make;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use dr_watchdog_sdk::nearest::nearest;
use serde_json::{Value, json};
use toml_edit::DocumentMut;

use super::pair::question;
use super::pair::site::There;
use super::{Globals, exit, output};
use crate::config::pending::Changes;
use crate::config::{self, Config};
use groups::Key;
use make::Wanted;

/// Longest work at the other site.
const THERE_LIMIT: Duration = Duration::from_secs(60);

/// Arguments of `toolkit config`.
#[derive(Debug, clap::Subcommand)]
pub enum ConfigArgs {
    /// Change the configuration here and at the other site; bare: take over what the other site says of its cluster.
    Update(Args),
    /// What this site says of itself, for the other one; not for people.
    #[command(hide = true)]
    Facts,
}

/// Arguments of `toolkit config update`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Virtual address of the other site, password, time for a file transfer.
    #[arg(long, group = "which")]
    user_core: bool,
    /// Backups of configuration and RRD files.
    #[arg(long, group = "which")]
    user_file_backup: bool,
    /// Their transfer to the standby.
    #[arg(long, group = "which")]
    user_file_restore: bool,
    /// Heartbeats.
    #[arg(long, group = "which")]
    user_watchdog_heartbeat: bool,
    /// Mail.
    #[arg(long, group = "which")]
    user_watchdog_notification: bool,
    /// Arbitration: thresholds, policy, grace period.
    #[arg(long = "user-watchdog-failureDetection", group = "which")]
    user_watchdog_failure_detection: bool,
    /// A change, instead of questions; may be repeated. The key may be its last word.
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "which")]
    changes: Vec<String>,
    /// Only here: the other site keeps what it has.
    #[arg(long, conflicts_with = "later")]
    local: bool,
    /// Where the other site cannot be asked now: store the change; the watchdog makes it at both sites when it can.
    #[arg(long)]
    later: bool,
    /// Drop a change that is stored so.
    #[arg(long, conflicts_with_all = ["which", "local", "later"])]
    forget: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Print one line of JSON at the end.
    #[arg(long)]
    json: bool,
    /// The other site sends the changes on standard input; not for people.
    #[arg(long, hide = true)]
    accept: bool,
    /// With --accept: only whether it would be taken.
    #[arg(long, hide = true)]
    check: bool,
    /// Make the change that is stored; not for people.
    #[arg(long, hide = true, conflicts_with_all = ["which", "local", "later", "accept"])]
    complete: bool,
}

impl Args {
    fn group(&self) -> Option<&'static [Key]> {
        let groups: [(bool, &'static [Key]); 6] = [
            (self.user_core, &groups::CORE),
            (self.user_file_backup, &groups::FILE_BACKUP),
            (self.user_file_restore, &groups::FILE_RESTORE),
            (self.user_watchdog_heartbeat, &groups::HEARTBEAT),
            (self.user_watchdog_notification, &groups::NOTIFICATION),
            (self.user_watchdog_failure_detection, &groups::FAILURE_DETECTION),
        ];
        groups.into_iter().find(|(is_meant, _)| *is_meant).map(|(_, keys)| keys)
    }
}

/// Runs the command.
pub(super) fn run(globals: &Globals, args: ConfigArgs) -> ExitCode {
    let (result, is_json) = match &args {
        ConfigArgs::Facts => (facts(globals), true),
        ConfigArgs::Update(args) if args.accept => (make::accept(globals, args.check), true),
        ConfigArgs::Update(args) if args.complete => (make::complete(globals), true),
        ConfigArgs::Update(args) if args.forget => (make::forget(globals, args.json), args.json),
        ConfigArgs::Update(args) => (update(globals, args), args.json),
    };
    match result {
        Ok(done) => {
            if is_json {
                output::json(&done);
            }
            exit::code(exit::OK)
        }
        Err(why) => {
            if is_json {
                output::json(&json!({"ok": false, "error": why}));
            }
            output::failed(&why);
            exit::code(exit::FAILED)
        }
    }
}

fn loaded(globals: &Globals) -> Result<(Config, DocumentMut), String> {
    let file = globals.paths().config_file;
    let (config, _) = config::load_file(&file).map_err(|errors| errors.to_string())?;
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let document = text.parse().map_err(|error| format!("{}: {error}", file.display()))?;
    Ok((config, document))
}

/// What the other site must know of this one, and what both share.
fn facts(globals: &Globals) -> Result<Value, String> {
    let (config, document) = loaded(globals)?;
    let shared: BTreeMap<&str, String> =
        groups::all().filter(|key| key.is_shared).map(|key| (key.path, key.read(&document))).collect();
    Ok(json!({
        "name": config.site.name, "vip": config.site.vip, "nodes": config.site.nodes.join(", "),
        "shared": shared, "safety": config::safety_settings(&config),
    }))
}

fn facts_there(there: &There) -> Result<Value, String> {
    let ran = there.run(&["toolkit", "config", "facts"], b"", THERE_LIMIT)?;
    let last = ran.stdout.lines().last().unwrap_or_default();
    let facts: Value = serde_json::from_str(last).map_err(|_| super::pair::site::no_program(&ran))?;
    match facts.get("error").and_then(Value::as_str) {
        Some(why) => Err(format!("its configuration cannot be used: {why}")),
        None => Ok(facts),
    }
}

/// What this site has of the other one's cluster and what that one says itself, where the two differ.
fn cluster_changes(document: &DocumentMut, facts: &Value) -> Changes {
    let text = |key: &str| facts[key].as_str().unwrap_or_default().to_owned();
    let (vip, nodes) = (text("vip"), text("nodes"));
    let said = |path: &str| match path {
        "core.peerVip" => vip.clone(),
        "peer.name" => text("name"),
        _ => nodes.clone(),
    };
    let kept = groups::CLUSTER.iter().filter(|key| key.is_kept(document) && !said(key.path).is_empty());
    kept.filter(|key| key.read(document) != said(key.path))
        .map(|key| (key.path.to_owned(), said(key.path)))
        .collect()
}

fn update(globals: &Globals, args: &Args) -> Result<Value, String> {
    // What was typed is read before anybody is asked.
    let given = args.group().map(|keys| given(args, keys)).transpose()?.unwrap_or_default();
    // What was begun before comes first; only then is it known what stands at both sites.
    make::finish_pending(globals, args)?;
    let (config, document) = loaded(globals)?;
    let there = if args.local { None } else { Some(There::new(&config)?) };
    let facts = match there.as_ref().map(facts_there).transpose() {
        Err(_) if args.later && args.group().is_some() => None,
        facts => facts.map_err(|why| {
            format!(
                "site {} cannot be asked ({why}), so nothing was changed; --later stores the change, and the watchdog makes it at both sites when it can; --local changes only this site",
                config.peer.name
            )
        })?,
    };
    let is_later = facts.is_none() && !args.local;
    let cluster = facts.as_ref().map(|facts| cluster_changes(&document, facts)).unwrap_or_default();
    let (changes, is_cluster) = match args.group() {
        None if facts.is_none() => {
            return Err("without a group there is nothing to change only here".to_owned());
        }
        None => (cluster, true),
        Some(keys) => {
            in_order(args, &cluster, &document, facts.as_ref())?;
            (wanted(given, keys, &document)?, false)
        }
    };
    let shared: Changes = changes
        .iter()
        .filter(|(path, _)| !is_cluster && groups::find(path).is_some_and(|key| key.is_shared))
        .map(|(path, value)| (path.clone(), value.clone()))
        .collect();
    let stale = if is_later { shared } else { stale_there(&shared, facts.as_ref()) };
    show(args, &config, &document, &changes, &stale);
    if changes.is_empty() && stale.is_empty() {
        return Ok(json!({"ok": true, "changed": {}, "otherSite": {}}));
    }
    let is_agreed = args.yes
        || args.json
        || !question::can_ask()
        || question::is_written("Write yes to do this: ", "yes");
    if !is_agreed {
        return Err("nothing was changed".to_owned());
    }
    let wanted = Wanted { here: changes, there: stale };
    if is_later {
        return make::store(globals, &config, wanted, args.json);
    }
    make::make(globals, &config, there.as_ref(), wanted, args.json)
}

/// The manual's order: the clusters at both sites, then the core settings at both, then everything else.
fn in_order(
    args: &Args,
    cluster: &Changes,
    document: &DocumentMut,
    facts: Option<&Value>,
) -> Result<(), String> {
    if !cluster.is_empty() {
        let keys: Vec<&str> = cluster.keys().map(String::as_str).collect();
        return Err(format!(
            "first things first: the other site's cluster is not what this site has of it ({}); run `toolkit config update` without a group here, then there, and repeat this command",
            keys.join(", ")
        ));
    }
    let timeout = groups::find("core.scpTimeout").map(|key| key.read(document)).unwrap_or_default();
    let theirs = facts.and_then(|facts| facts["shared"]["core.scpTimeout"].as_str()).unwrap_or(&timeout);
    if !args.user_core && *theirs != *timeout {
        return Err(format!(
            "first things first: core.scpTimeout is {timeout} here and {theirs} at the other site; run `toolkit config update --user-core` and repeat this command"
        ));
    }
    Ok(())
}

/// The values that were given on the command line; empty where none were.
fn given(args: &Args, keys: &'static [Key]) -> Result<BTreeMap<&'static str, String>, String> {
    let mut values = BTreeMap::new();
    let mut wrongs = Vec::new();
    for change in &args.changes {
        let Some((name, value)) = change.split_once('=') else {
            wrongs.push(format!("--set {change}: expected KEY=VALUE"));
            continue;
        };
        let meant = |key: &&Key| key.path == name || key.last_word() == name;
        match keys.iter().find(meant) {
            None => {
                let near = nearest(name, keys.iter().map(Key::last_word));
                let near = near.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
                let known: Vec<&str> = keys.iter().map(|key| key.path).collect();
                wrongs.push(format!("--set {name}: this group has {}{near}", known.join(", ")));
            }
            Some(key) => match key.check(value) {
                Ok(value) => drop(values.insert(key.path, value)),
                Err(why) => wrongs.push(format!("{} = \"{value}\": expected {why}", key.path)),
            },
        }
    }
    if wrongs.is_empty() { Ok(values) } else { Err(format!("nothing was changed:\n{}", wrongs.join("\n"))) }
}

/// The wanted values that differ from what stands in the file.
fn wanted(
    given: BTreeMap<&'static str, String>,
    keys: &'static [Key],
    document: &DocumentMut,
) -> Result<Changes, String> {
    let values = if given.is_empty() { asked(keys, document)? } else { given };
    let differs =
        |(path, value): &(&str, String)| groups::find(path).is_some_and(|key| key.read(document) != *value);
    Ok(values.into_iter().filter(differs).map(|(path, value)| (path.to_owned(), value)).collect())
}

fn asked(keys: &'static [Key], document: &DocumentMut) -> Result<BTreeMap<&'static str, String>, String> {
    if !question::can_ask() {
        return Err("nobody can be asked here; give the changes with --set KEY=VALUE".to_owned());
    }
    let mut values = BTreeMap::new();
    for key in keys {
        let now = key.read(document);
        let shown = if key.path == "core.adminPass" { "***".to_owned() } else { now.clone() };
        // Ends with a right answer, or with the person who leaves.
        loop {
            let Some(answer) = question::line(&format!("{} [{shown}]: ", key.path)) else {
                return Err("you left; nothing was changed".to_owned());
            };
            let answer = if answer.is_empty() { now.clone() } else { answer };
            match if answer == now { Ok(answer) } else { key.check(&answer) } {
                Ok(value) => {
                    values.insert(key.path, value);
                    break;
                }
                Err(why) => output::line(&format!("  ! expected {why}")),
            }
        }
    }
    Ok(values)
}

/// Of the shared changes, those that the other site does not have already.
fn stale_there(shared: &Changes, facts: Option<&Value>) -> Changes {
    let Some(facts) = facts else { return Changes::new() };
    let differs =
        |(path, value): &(&String, &String)| facts["shared"][path.as_str()].as_str() != Some(value.as_str());
    shared.iter().filter(differs).map(|(path, value)| (path.clone(), value.clone())).collect()
}

fn show(args: &Args, config: &Config, document: &DocumentMut, changes: &Changes, stale: &Changes) {
    if args.json {
        return;
    }
    if changes.is_empty() && stale.is_empty() {
        output::line("nothing differs; nothing is to be done");
    }
    for (path, value) in changes {
        let old = groups::find(path).map(|key| key.read(document)).unwrap_or_default();
        let hidden = |text: &str| if path == "core.adminPass" { "***".to_owned() } else { text.to_owned() };
        output::line(&format!("{path}\n  - {}\n  + {}", hidden(&old), hidden(value)));
    }
    for path in stale.keys() {
        output::line(&format!("site {} gets {path} as well", config.peer.name));
    }
}
