//! `notify`: tries the mails, lists those that wait.

use std::process::ExitCode;

use dr_watchdog_sdk::Utc;
use serde_json::{Value, json};

use super::{Globals, exit, output};
use crate::config::Config;
use crate::daemon;
use crate::notify::damping::Due;
use crate::notify::kind::Kind;
use crate::notify::message::{self, Message, Origin};
use crate::notify::queue::{Mail, Queue};
use crate::notify::send_now;
use crate::notify::server::Server;

/// The word for every kind in turn.
const ALL: &str = "all";

/// Arguments of `notify`.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Send a mail to every recipient now, and say what the server answered.
    Test(TestArgs),
    /// List the mails that wait for the server.
    Queue(QueueArgs),
}

/// Arguments of `notify test`.
#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// Send a sample of this kind of mail, or of every kind with "all".
    #[arg(long, value_name = "KIND", default_value = "test")]
    kind: String,
    /// Print one line of JSON per mail.
    #[arg(long)]
    json: bool,
}

/// Arguments of `notify queue`.
#[derive(Debug, clap::Args)]
pub struct QueueArgs {
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(globals: &Globals, args: Args) -> ExitCode {
    match args {
        Args::Test(args) => test(globals, &args),
        Args::Queue(args) => queue(globals, args.json),
    }
}

fn refuse(status: u8, message: &str) -> ExitCode {
    output::failed(message);
    exit::code(status)
}

fn test(globals: &Globals, args: &TestArgs) -> ExitCode {
    let kinds: Vec<Kind> = match (args.kind.as_str(), Kind::from_word(&args.kind)) {
        (ALL, _) => Kind::all().collect(),
        (_, Some(kind)) => vec![kind],
        (word, None) => {
            let known: Vec<&str> = Kind::all().map(|kind| kind.about().word).collect();
            let text = format!("there is no kind of mail \"{word}\"; there are {ALL}, {}", known.join(", "));
            return refuse(exit::USAGE, &text);
        }
    };
    let config = match globals.config() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let Some(server) = daemon::mail_server(&config) else {
        return refuse(exit::FAILED, &nobody(&config));
    };
    let runtime = match super::runtime() {
        Ok((runtime, _)) => runtime,
        Err(error) => return refuse(exit::FAILED, &format!("no runtime: {error}")),
    };
    let mut is_ok = true;
    for kind in kinds {
        let message = sample(&config, kind, daemon::now().wall);
        let subject = message.subject.clone();
        let sent = runtime.block_on(send_now(&server, message));
        is_ok &= show(args.json, kind, &server, &subject, &sent);
        if sent.is_err() {
            // The next one would meet the same server.
            break;
        }
    }
    exit::code(if is_ok { exit::OK } else { exit::FAILED })
}

/// Why nobody can be mailed.
fn nobody(config: &Config) -> String {
    let missing = match (&config.smtp, config.watchdog.notification.email.is_empty()) {
        (None, true) => "neither [smtp] nor watchdog.notification.email is set",
        (None, false) => "[smtp] is not set",
        (Some(_), _) => "watchdog.notification.email is not set",
    };
    format!("nobody is mailed: {missing}")
}

/// A mail of this kind, marked as a test.
fn sample(config: &Config, kind: Kind, now: Utc) -> Message {
    let origin = Origin { site: config.site.name.clone(), role: "test".to_owned(), epoch: 0, record: None };
    let text = format!("nothing; this mail shows what \"{}\" looks like", kind.about().word);
    let mut message = message::alarm(now, kind, &text, &origin, Due { held_back: 0, since: now });
    message.subject = format!("[test] {}", message.subject);
    message
}

type Sent = Result<Vec<(String, Result<(), String>)>, String>;

fn show(as_json: bool, kind: Kind, server: &Server, subject: &str, sent: &Sent) -> bool {
    let place = format!("{}:{}", server.host, server.port);
    let is_ok = sent.as_ref().is_ok_and(|each| each.iter().all(|(_, result)| result.is_ok()));
    if as_json {
        let recipients: Vec<Value> = sent
            .iter()
            .flatten()
            .map(|(address, result)| json!({"address": address, "ok": result.is_ok(), "error": result.as_ref().err()}))
            .collect();
        output::json(&json!({
            "ok": is_ok,
            "kind": kind.about().word,
            "server": place,
            "subject": subject,
            "recipients": recipients,
            "error": sent.as_ref().err(),
        }));
        return is_ok;
    }
    match sent {
        Err(why) => output::failed(&format!("the mail server cannot be used: {why}")),
        Ok(each) => {
            for (address, result) in each {
                match result {
                    Ok(()) => output::line(&format!("{place} took \"{subject}\" for {address}")),
                    Err(why) => {
                        output::failed(&format!("{place} did not take \"{subject}\" for {address}: {why}"))
                    }
                }
            }
        }
    }
    is_ok
}

fn queue(globals: &Globals, as_json: bool) -> ExitCode {
    let folder = globals.paths().mail_dir;
    // A folder that is not there holds nothing; opening the queue would make it.
    let (queue, complaints) =
        if folder.is_dir() { Queue::open(&folder) } else { (Queue::empty(&folder), Vec::new()) };
    let mails: Vec<(u64, &Mail)> = queue
        .numbers()
        .into_iter()
        .filter_map(|number| queue.get(number).map(|mail| (number, mail)))
        .collect();
    if as_json {
        let list: Vec<Value> = mails
            .iter()
            .map(|(number, mail)| {
                json!({
                    "number": number,
                    "time": mail.message.time,
                    "kind": mail.message.kind,
                    "subject": mail.message.subject,
                    "recipients": mail.recipients,
                })
            })
            .collect();
        output::json(&json!({"waiting": list.len(), "mails": list, "unreadable": complaints}));
    } else {
        for (number, mail) in &mails {
            let (time, subject) = (mail.message.time, &mail.message.subject);
            output::line(&format!("{number:>5}  {time}  {subject}  → {}", mail.recipients.join(", ")));
        }
        if mails.is_empty() {
            output::line("no mail waits");
        }
        complaints.iter().for_each(|complaint| output::failed(complaint));
    }
    exit::code(if complaints.is_empty() { exit::OK } else { exit::FAILED })
}
