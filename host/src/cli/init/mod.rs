//! `init`: from two empty machines to the configuration of a pair.

mod answers;
mod files;
mod interactive;
mod join;
pub(super) mod kind;
mod prerequisites;
mod questions;
mod secrets;
mod text;
mod write;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::arbiters::Record;
use super::pair::question;
use super::pair::site::There;
use super::{Globals, exit, output, service};
use crate::config::{Machine, Surroundings as _};
use crate::paths::Paths;
use crate::peer::remote::{Login, To};
use crate::probe::ssh::Adapter;
use crate::probe::ssh::known_hosts::standard_files;
use answers::Answers;
use files::{Made, Plan};
use prerequisites::{Mark, Row};
use text::Half;

/// Longest list of arbiters, answers file, and words of the other site.
const INPUT_BYTES_MAX: u64 = 16 << 20;
/// Longest work at the other site.
const THERE_LIMIT: Duration = Duration::from_secs(60);

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this site, the one that serves first.
    #[arg(short = 'a', conflicts_with = "standby")]
    active: bool,
    /// Only this site, the standby.
    #[arg(short = 's')]
    standby: bool,
    /// Answers in TOML instead of questions.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Print all questions as an answers file, with defaults and reasons, and do nothing else.
    #[arg(long, conflicts_with_all = ["answers", "active", "standby"])]
    questions: bool,
    /// Timers: reference (the manual's) or fast.
    #[arg(long, value_parser = ["reference", "fast"])]
    profile: Option<String>,
    /// Replace a configuration that is there.
    #[arg(long)]
    replace: bool,
    /// Go on although a prerequisite failed.
    #[arg(long)]
    ignore_prerequisites: bool,
    /// Print one line of JSON at the end.
    #[arg(long)]
    json: bool,
    /// The other site sends this half on standard input; not for people.
    #[arg(long, hide = true)]
    joined: bool,
    /// Print the pair's id and key, for the other site; not for people.
    #[arg(long, hide = true)]
    shared: bool,
}

/// Why nothing was written, with the exit status.
type Failed = (u8, String);

fn failed(why: impl Into<String>) -> Failed {
    (exit::FAILED, why.into())
}

/// Runs the command.
pub fn run(globals: &Globals, args: &Args) -> ExitCode {
    if args.questions {
        for line in answers::template() {
            output::line(&line);
        }
        return exit::code(exit::OK);
    }
    let result = match (args.shared, args.joined) {
        (true, _) => Ok(join::told_shared(&globals.paths())),
        (_, true) => join::join(globals, args),
        _ => init(globals, args),
    };
    match result {
        Ok(done) if args.json => {
            output::json(&done);
            exit::code(exit::OK)
        }
        Ok(_) => exit::code(exit::OK),
        Err((status, why)) => {
            if args.json {
                output::json(&json!({"ok": false, "error": why}));
            }
            output::failed(&why);
            exit::code(status)
        }
    }
}

fn tell(args: &Args, text: &str) {
    if !args.json {
        output::line(text);
    }
}

fn init(globals: &Globals, args: &Args) -> Result<Value, Failed> {
    let paths = globals.paths();
    refuse_if_there(&paths, args.replace)?;
    let answers = gather(args, &paths)?;
    let arbiters = arbiters(args, &answers)?;
    let half = if args.standby { Half::Standby } else { Half::Active };
    let is_both = !args.active && !args.standby && answers["configureStandby"] == "yes";
    let there = if is_both { Some(there(&answers).map_err(failed)?) } else { None };
    let rows = check(args, &answers, there.as_ref())?;
    let shared = join::shared(&paths, there.as_ref()).map_err(failed)?;
    let mut plan = Plan { half, answers, arbiters, shared, peer_certificate: None };
    // Before the other site gets its half: what cannot be written here is not to be found out after that.
    let (files, _) = files::plan(&plan, &paths.config_file).map_err(failed)?;
    write::tried(&files).map_err(failed)?;
    let other = match &there {
        Some(there) => Some(join::configure(args, there, &plan).map_err(failed)?),
        None => None,
    };
    plan.peer_certificate = other.as_ref().map(|made| made.certificate.clone());
    let (files, made) = files::plan(&plan, &paths.config_file).map_err(failed)?;
    let written = write::all(&files).and_then(|()| join::forget_role(&paths));
    written.map_err(|why| match &other {
        None => failed(why),
        Some(_) => failed(format!(
            "site {} is configured already, and this one is not: {why}; mend that and run `init --replace`",
            plan.answers["peer.name"]
        )),
    })?;
    if let Some(there) = &there {
        join::trust(there, &made).map_err(failed)?;
    }
    ending(args, &plan, &made, other.as_ref(), files.iter().map(|file| file.path.as_path()));
    Ok(json!({
        "ok": true, "site": plan.answers["site.name"], "peer": plan.answers["peer.name"],
        "clusterId": plan.shared.cluster_id, "standbyConfigured": other.is_some(),
        "publicKey": made.public_key, "peerPublicKey": other.and_then(|made| made.public_key),
        "prerequisites": rows.iter().map(Row::json).collect::<Vec<_>>(),
        "files": files.iter().map(|file| &file.path).collect::<Vec<_>>(),
    }))
}

fn refuse_if_there(paths: &Paths, may_replace: bool) -> Result<(), Failed> {
    if service::running(paths).map_err(|why| (exit::USAGE, why))?.is_some() {
        return Err(failed("a watchdog runs on this root; `dr-watchdog stop` first"));
    }
    if paths.config_file.exists() && !may_replace {
        let file = paths.config_file.display();
        return Err(failed(format!(
            "{file} is there already, so nothing was changed; `toolkit config update` changes it, `reset` deletes it, `init --replace` writes it anew"
        )));
    }
    Ok(())
}

fn gather(args: &Args, paths: &Paths) -> Result<Answers, Failed> {
    let mut given = Answers::new();
    if let Some(profile) = &args.profile {
        given.insert("profile".to_owned(), profile.clone());
    }
    if args.active || args.standby {
        given.insert("configureStandby".to_owned(), "no".to_owned());
    }
    let Some(file) = &args.answers else {
        if !question::can_ask() {
            return Err((
                exit::USAGE,
                "nobody can be asked here; give the answers with --answers FILE".to_owned(),
            ));
        }
        let _ = paths;
        return interactive::converse(&given, &shown_key).map_err(failed);
    };
    let place = file.display().to_string();
    let bytes = Machine
        .read(file, INPUT_BYTES_MAX)
        .map_err(|error| (exit::USAGE, format!("{place} cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| (exit::USAGE, format!("{place} is no UTF-8 text")))?;
    answers::read(&place, &text, &given)
        .map_err(|wrongs| failed(format!("nothing was changed:\n{}", wrongs.join("\n"))))
}

fn shown_key(answers: &Answers) -> Result<String, String> {
    let get = |key: &str| answers.get(key).map(String::as_str).unwrap_or_default();
    let shown = super::arbiters::shown_by(get("peer.vip"), port(answers), source(answers), Adapter::Russh)?;
    Ok(format!("{} {}", shown.kind, shown.fingerprint))
}

fn port(answers: &Answers) -> u16 {
    // The question's own check has let only port numbers through.
    answers.get("ssh.port").and_then(|port| port.parse().ok()).unwrap_or(22)
}

fn source(answers: &Answers) -> Option<IpAddr> {
    answers.get("site.address").and_then(|address| address.parse().ok())
}

fn arbiters(args: &Args, answers: &Answers) -> Result<Vec<Record>, Failed> {
    let name = &answers["arbiters.file"];
    if name.is_empty() {
        return Ok(Vec::new());
    }
    // Beside the answers file, where a list is named without its folder.
    let folder = args.answers.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let file = folder.join(name);
    let bytes = Machine.read(&file, INPUT_BYTES_MAX).map_err(|error| {
        (exit::USAGE, format!("the arbiters in {} cannot be read: {error}", file.display()))
    })?;
    let text = String::from_utf8(bytes)
        .map_err(|_| (exit::USAGE, format!("{} is no UTF-8 text", file.display())))?;
    super::arbiters::read_records(&text).map_err(|wrongs| {
        let lines: Vec<String> = wrongs.iter().map(|wrong| format!("{}:{wrong}", file.display())).collect();
        failed(format!("nothing was changed:\n{}", lines.join("\n")))
    })
}

fn there(answers: &Answers) -> Result<There, String> {
    let host_key = Some(answers["peer.hostKey"].as_str()).filter(|key| !key.is_empty());
    let to = To {
        host: &answers["peer.vip"],
        port: port(answers),
        user: &answers["ssh.user"],
        source: source(answers),
        host_key,
    };
    let destination = to.with_identity(Path::new(&answers["ssh.identity"])).map_err(|error| {
        format!(
            "{}; make a key that the other site accepts (ssh-keygen -t ed25519 -f {}), or configure the sites one by one with `init -a` and `init -s`",
            crate::config::chain(&error),
            answers["ssh.identity"]
        )
    })?;
    // No configuration says otherwise yet.
    let known_hosts = standard_files(std::env::var("HOME").ok().as_deref());
    There::at(&answers["peer.name"], Login { destination, known_hosts })
}

fn check(args: &Args, answers: &Answers, there: Option<&There>) -> Result<Vec<Row>, Failed> {
    let mut rows = prerequisites::of_answers(answers);
    let (runtime, _) = super::runtime().map_err(|error| failed(error.to_string()))?;
    rows.extend(runtime.block_on(prerequisites::of_the_line(answers)));
    if let Some(there) = there {
        rows.extend(prerequisites::of_the_other_site(there, answers));
    }
    tell(args, "");
    rows.iter().for_each(|row| tell(args, &format!("{}  {}: {}", row.mark.word(), row.what, row.found)));
    let fails: Vec<String> = rows
        .iter()
        .filter(|row| row.mark == Mark::Fail)
        .map(|row| format!("{}: {}", row.what, row.found))
        .collect();
    // One site alone is configured where the other one may not be there yet.
    let must_hold = there.is_some() && !args.ignore_prerequisites;
    if must_hold && !fails.is_empty() {
        return Err(failed(format!(
            "nothing was changed, because prerequisites fail:\n{}\nmend them, or add --ignore-prerequisites",
            fails.join("\n")
        )));
    }
    Ok(rows)
}

fn ending<'a>(
    args: &Args,
    plan: &Plan,
    made: &Made,
    other: Option<&Made>,
    files: impl Iterator<Item = &'a Path>,
) {
    tell(args, "\nwritten here:");
    files.for_each(|path| tell(args, &format!("  {}", path.display())));
    let (site, peer) = (&plan.answers["site.name"], &plan.answers["peer.name"]);
    for (at, key) in
        [(peer, made.public_key.as_ref()), (site, other.and_then(|made| made.public_key.as_ref()))]
    {
        if let Some(key) = key {
            tell(
                args,
                &format!(
                    "a new SSH key was made; let it in at site {at}, in ~/.ssh/authorized_keys:\n  {key}"
                ),
            );
        }
    }
    tell(
        args,
        "not set up, because this version cannot: replication of MySQL, PostgreSQL and files. Their names, passwords and certificates are in replication.toml",
    );
    if plan.arbiters.iter().any(|record| record.host_key.is_none()) {
        tell(
            args,
            "arbiters without a hostKey are refused until it is known: `dr-watchdog arbiters trust HOST`, at both sites",
        );
    }
    let next = if other.is_some() {
        "next: `dr-watchdog start` here, then `dr-watchdog health` at both sites"
    } else {
        "next: the other site's half (`init -s` there), then `dr-watchdog start` at the active site. The sites must share heartbeat.key, cluster.id and the passwords of replication.toml: copy them over"
    };
    tell(args, next);
}
