//! The checks of a drill: each tries one thing that a failover needs, and measures how long it takes.

use std::future::Future;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use dr_watchdog_sdk::Utc;
use serde_json::{Value, json};

use super::client;
use crate::config::model::Step;
use crate::config::{self, Config};
use crate::daemon::{mail_server, now};
use crate::notify::smtp::Session;
use crate::paths::Paths;
use crate::peer::remote::{self, Remote};

/// Longest drill of the other site.
const PEER_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest question to the other site's daemon.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(30);
/// Less room than this on the disk of the state folder fails; four times as much passes without a warning.
const FREE_BYTES_MIN: u64 = 64 << 20;
const FREE_BYTES_GOOD: u64 = 4 * FREE_BYTES_MIN;
/// Clocks further apart than this make two sites' histories hard to read together; ten times as much fails, because
/// signed heartbeats are refused when they seem old.
const CLOCK_MS_GOOD: i64 = 2_000;
const CLOCK_MS_MAX: i64 = 10 * CLOCK_MS_GOOD;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It would work.
    Pass,
    /// It would work; look at it.
    Warn,
    /// It would not.
    Fail,
}

impl Outcome {
    /// The word of `--json`.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }

    fn from_word(word: &str) -> Self {
        [Self::Pass, Self::Warn].into_iter().find(|outcome| outcome.word() == word).unwrap_or(Self::Fail)
    }
}

/// A check that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    /// At which site.
    pub(super) site: String,
    /// What was tried.
    pub(super) name: String,
    pub(super) outcome: Outcome,
    /// What was found.
    pub(super) text: String,
    pub(super) elapsed_ms: u64,
}

type Found = (Outcome, String);

fn pass(text: impl Into<String>) -> Found {
    (Outcome::Pass, text.into())
}

fn warn(text: impl Into<String>) -> Found {
    (Outcome::Warn, text.into())
}

fn fail(text: impl Into<String>) -> Found {
    (Outcome::Fail, text.into())
}

async fn timed(site: &str, name: &str, check: impl Future<Output = Found>) -> Check {
    let begun = Instant::now();
    let (outcome, text) = check.await;
    let elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Check { site: site.to_owned(), name: name.to_owned(), outcome, text, elapsed_ms }
}

/// All of them, in the order in which a failover would need them.
pub(super) async fn all(paths: &Paths, config: &Config, asks_peer: bool) -> Vec<Check> {
    let site = config.site.name.as_str();
    let mut checks = Vec::new();
    let health = client::ask(&paths.socket, "health", json!({}));
    checks.push(timed(site, "watchdog", async { watchdog(&health) }).await);
    if let Ok(health) = &health {
        checks.push(timed(site, "policy", async { policy(health) }).await);
        checks.push(timed(site, "exclusion", async { exclusion(health) }).await);
    }
    checks.push(timed(site, "arbiters", async { arbiters(paths, config) }).await);
    for (plan, steps) in
        [("beActive", &config.role_change.be_active), ("beStandby", &config.role_change.be_standby)]
    {
        checks.push(timed(site, &format!("commands of {plan}"), async { commands(steps) }).await);
    }
    checks.push(timed(site, "disk", async { disk(&paths.state_dir) }).await);
    checks.push(timed(site, "mail", Box::pin(mail(config))).await);
    peer(config, asks_peer, &mut checks).await;
    checks
}

fn watchdog(health: &Result<Value, client::ClientError>) -> Found {
    match health {
        Err(error) => fail(config::chain(error)),
        Ok(health) if health["booting"] == true => warn("it boots and decides nothing yet"),
        Ok(health) => {
            pass(format!("it runs, {}, epoch {}", health["role"].as_str().unwrap_or("?"), health["epoch"]))
        }
    }
}

fn policy(health: &Value) -> Found {
    let policy = &health["policy"];
    let said = format!(
        "{} ({}) is {}",
        policy["name"].as_str().unwrap_or("?"),
        policy["engine"].as_str().unwrap_or("?"),
        policy["state"].as_str().unwrap_or("?")
    );
    match (policy["failure"].as_str(), policy["state"].as_str()) {
        (Some(failure), _) => fail(format!("{said}: {failure}")),
        (None, Some("running")) => pass(said),
        _ => fail(said),
    }
}

fn exclusion(health: &Value) -> Found {
    let exclusion = &health["exclusion"];
    let said = format!(
        "mode {}, guard {}",
        exclusion["mode"].as_str().unwrap_or("?"),
        exclusion["guard"].as_str().unwrap_or("?")
    );
    if exclusion["mode"] == "lease" { pass(said) } else { warn(format!("{said}: no bound holds")) }
}

/// A look at every arbiter, by ping and by SSH.
fn arbiters(paths: &Paths, config: &Config) -> Found {
    if config.arbiters.is_empty() {
        return warn("none are configured");
    }
    let look = |method| client::ask(&paths.socket, method, json!({}));
    match look("arbiters.ping").and_then(|pings| Ok((pings, look("arbiters.sessions")?))) {
        Ok((pings, sessions)) => weighed(&pings, &sessions, config.arbiters.len()),
        Err(error) => fail(config::chain(&error)),
    }
}

fn weighed(pings: &Value, sessions: &Value, total: usize) -> Found {
    let each = || sessions["arbiters"].as_object().into_iter().flatten();
    let is_pinged = |name: &str| pings["arbiters"][name]["ping"] == true;
    let pinged = each().filter(|(name, _)| is_pinged(name)).count();
    let logged_in = each().filter(|(_, arbiter)| arbiter["ssh"] == "ok").count();
    let silent: Vec<&str> = each()
        .filter(|(name, arbiter)| !is_pinged(name) || arbiter["ssh"] != "ok")
        .map(|(name, _)| name.as_str())
        .collect();
    let said = format!("{pinged} of {total} answer ping, {logged_in} take a log-in");
    match silent.len() {
        0 => pass(said),
        // With half of them silent no default policy has enough evidence.
        few if few * 2 < total => warn(format!("{said}; look at {}", silent.join(", "))),
        _ => fail(format!("{said}; look at {}", silent.join(", "))),
    }
}

/// Whether each step's program is there to be run.
fn commands(steps: &[Step]) -> Found {
    if steps.is_empty() {
        return warn("there are no steps: nothing is started or stopped");
    }
    for step in steps {
        let Some(program) = step.command.first() else {
            return fail(format!("the step \"{}\" has no command", step.name));
        };
        match std::fs::metadata(program) {
            Err(error) => return fail(format!("the step \"{}\" runs {program}: {error}", step.name)),
            Ok(found) if !found.is_file() || found.permissions().mode() & 0o111 == 0 => {
                return fail(format!(
                    "the step \"{}\" runs {program}, which is no executable file",
                    step.name
                ));
            }
            Ok(_) => {}
        }
    }
    pass(match steps.len() {
        1 => "its program is there and executable".to_owned(),
        programs => format!("{programs} programs are there and executable"),
    })
}

fn disk(folder: &Path) -> Found {
    let free = match rustix::fs::statvfs(folder) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(error) => return fail(format!("{}: {error}", folder.display())),
    };
    let said = format!("{} MiB are free at {}", free >> 20, folder.display());
    match free {
        0..FREE_BYTES_MIN => fail(said),
        FREE_BYTES_MIN..FREE_BYTES_GOOD => warn(said),
        _ => pass(said),
    }
}

/// The server is asked whether it would take a mail for each recipient; none is sent.
async fn mail(config: &Config) -> Found {
    let Some(server) = mail_server(config) else {
        return warn("nobody is mailed: [smtp] or watchdog.notification.email is not set");
    };
    let mut session = match Session::open(&server).await {
        Ok(session) => session,
        Err(trouble) => return fail(trouble.why()),
    };
    let answers = session.would_take(&server.from, &server.recipients).await;
    session.close().await;
    let refused: Vec<String> = answers
        .into_iter()
        .filter_map(|answer| answer.err().map(|trouble| trouble.why().to_owned()))
        .collect();
    match refused.len() {
        0 => pass(format!("{} takes mail for {}", server.host, server.recipients.join(", "))),
        some if some < server.recipients.len() => warn(refused.join("; ")),
        _ => fail(refused.join("; ")),
    }
}

/// SSH to the other site, its clock, and the other half of the drill from there.
async fn peer(config: &Config, asks_peer: bool, checks: &mut Vec<Check>) {
    let site = config.site.name.as_str();
    let mut there = None;
    let log_in = timed(site, "SSH to the other site", async {
        let login = match remote::destination(config) {
            Ok(login) => login,
            Err(error) => return warn(config::chain(&error)),
        };
        match Remote::connect(&login).await {
            Ok(remote) => {
                there = Some(remote);
                let to = &login.destination;
                pass(format!("{}@{} lets us in", to.username, to.host))
            }
            Err(error) => fail(config::chain(&error)),
        }
    });
    checks.push(log_in.await);
    let Some(remote) = there else { return };
    let begun = now().wall;
    let asked = timed(site, "clocks", async {
        match remote.run(&["health", "--json"], b"", HEALTH_TIMEOUT).await {
            Ok(ended) => clocks(begun, now().wall, &ended.stdout),
            Err(error) => fail(config::chain(&error)),
        }
    });
    checks.push(asked.await);
    if !asks_peer {
        return;
    }
    match remote.run(&["drill", "--local", "--json"], b"", PEER_TIMEOUT).await {
        Ok(ended) => checks.extend(theirs(&config.peer.name, &ended.stdout)),
        Err(error) => checks.push(Check {
            site: config.peer.name.clone(),
            name: "its half of the drill".to_owned(),
            outcome: Outcome::Fail,
            text: config::chain(&error),
            elapsed_ms: 0,
        }),
    }
}

/// Whether the other site's clock lies between the instants of question and answer, nearly.
fn clocks(asked: Utc, answered: Utc, stdout: &[u8]) -> Found {
    let health: Value = serde_json::from_slice(stdout).unwrap_or_default();
    let Some(theirs) = health["time"].as_str().and_then(|time| Utc::parse(time).ok()) else {
        return fail("its `health --json` shows no time; is the same version installed there?");
    };
    let theirs = theirs.unix_ms();
    // Their text has whole seconds.
    let early_ms = asked.unix_ms() - theirs - 1_000;
    let off_ms = early_ms.max(theirs - answered.unix_ms()).max(0);
    let said = format!("{off_ms} ms apart");
    match off_ms {
        ..CLOCK_MS_GOOD => pass("they agree"),
        CLOCK_MS_GOOD..CLOCK_MS_MAX => warn(said),
        _ => fail(said),
    }
}

/// The rows that the other site has printed.
fn theirs(peer: &str, stdout: &[u8]) -> Vec<Check> {
    let report: Value = serde_json::from_slice(stdout).unwrap_or_default();
    let Some(rows) = report["checks"].as_array() else {
        let text = report.pointer("/error/message").and_then(Value::as_str);
        return vec![Check {
            site: peer.to_owned(),
            name: "its half of the drill".to_owned(),
            outcome: Outcome::Fail,
            text: text.unwrap_or("it printed no report; is the same version installed there?").to_owned(),
            elapsed_ms: 0,
        }];
    };
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let check = |row: &Value| Check {
        site: text(row, "site"),
        name: text(row, "name"),
        outcome: Outcome::from_word(&text(row, "result")),
        text: text(row, "text"),
        elapsed_ms: row["elapsedMs"].as_u64().unwrap_or(0),
    };
    rows.iter().map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_arbiters_silent_is_too_many() {
        let seen = |logged_in: usize| {
            let each = (0..4).map(|number| {
                let ssh = if number < logged_in { "ok" } else { "timeout" };
                (number.to_string(), json!({"ssh": ssh}))
            });
            json!({"arbiters": Value::Object(each.collect())})
        };
        let answer = json!({"ping": true});
        let pings = json!({"arbiters": {"0": answer, "1": answer, "2": answer, "3": answer}});
        assert_eq!(weighed(&pings, &seen(4), 4).0, Outcome::Pass);
        assert_eq!(weighed(&pings, &seen(3), 4).0, Outcome::Warn);
        assert_eq!(weighed(&json!({}), &seen(4), 4).0, Outcome::Fail);
        let (outcome, text) = weighed(&pings, &seen(2), 4);
        assert_eq!(outcome, Outcome::Fail);
        assert!(text.contains("look at 2, 3"), "{text}");
    }

    #[test]
    fn a_program_that_is_not_there_or_not_executable_fails() {
        let step = |program: &str| Step {
            name: "x".to_owned(),
            command: vec![program.to_owned()],
            deadline: Duration::from_secs(1),
            idempotent: true,
            on_failure: config::model::OnFailure::Stop,
        };
        assert_eq!(commands(&[step("/bin/sh")]).0, Outcome::Pass);
        assert_eq!(commands(&[step("/nowhere")]).0, Outcome::Fail);
        assert_eq!(commands(&[step("/etc/passwd")]).0, Outcome::Fail);
        assert_eq!(commands(&[]).0, Outcome::Warn);
    }

    #[test]
    fn clocks_agree_when_theirs_lies_between_question_and_answer() {
        let at = |ms: i64| Utc::from_unix_ms(1_700_000_000_000 + ms);
        let health = |ms: i64| json!({"time": at(ms)}).to_string().into_bytes();
        assert_eq!(clocks(at(500), at(900), &health(0)).0, Outcome::Pass, "whole seconds");
        assert_eq!(clocks(at(0), at(500), &health(5_000)).0, Outcome::Warn);
        assert_eq!(clocks(at(60_000), at(60_500), &health(0)).0, Outcome::Fail);
        assert_eq!(clocks(at(0), at(1), b"sh: not found").0, Outcome::Fail);
    }

    #[test]
    fn what_the_other_site_reports_is_shown_as_its_own() {
        let rows = br#"{"ok":false,"site":"b","checks":[{"site":"b","name":"disk","result":"warn","text":"t","elapsedMs":3}]}"#;
        let checks = theirs("b", rows);
        assert_eq!(
            (checks[0].site.as_str(), checks[0].outcome, checks[0].elapsed_ms),
            ("b", Outcome::Warn, 3)
        );
        assert_eq!(theirs("b", b"").first().map(|check| check.outcome), Some(Outcome::Fail));
    }
}
