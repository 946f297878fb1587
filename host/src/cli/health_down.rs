//! What `health` says while no daemon answers, from what the last one stored.

use std::time::UNIX_EPOCH;

use dr_watchdog_core::durable::{Durable, Found};
use dr_watchdog_sdk::Utc;
use serde_json::{Map, Value, json};

use super::client::ClientError;
use crate::config::pending::Pending;
use crate::config::{self, Config};
use crate::daemon::health::{exclusion, services};
use crate::daemon::state_file::StateFile;
use crate::daemon::{mail_server, now};
use crate::notify::queue::Queue;
use crate::paths::Paths;
use crate::policy::engine_of;

/// The default policy, as its plugin names itself.
const DEFAULT_POLICY: &str = "arbitration";

/// The same objects as of a running daemon. Whatever only a running one knows is null; what was stored is shown with
/// the instant it is from. Nobody watches, and that is critical whatever else holds.
pub(super) fn health(paths: &Paths, unanswered: &ClientError) -> Value {
    let silent = matches!(unanswered, ClientError::Silent(..));
    let mut problems = Vec::new();
    let mut problem = |message: String, remedy: &str| {
        problems.push(json!({"code": 1, "message": message, "remedy": remedy}));
    };
    let as_of = stored_at(paths);
    let since = as_of.map_or_else(
        || "none has stored anything here".to_owned(),
        |at| format!("what is shown is what the last one stored at {at}"),
    );
    let (message, remedy) = nobody_answers(paths, unanswered);
    problem(format!("{message}; {since}"), remedy);
    let config = config::load(paths).map(|(config, _)| config);
    let config = config.inspect_err(|errors| {
        problem(errors.to_string(), "correct the configuration; `config check` lists every error");
    });
    let stored = match StateFile::new(paths.state_file.clone()).read() {
        Found::Good(durable) => Some(durable),
        Found::Absent => None,
        Found::Bad(why) => {
            let message = format!("the stored state cannot be used: {why}");
            problem(message, "the site will boot as standby; nothing is guessed");
            None
        }
    };
    let states = states(paths);
    let (config, stored) = (config.as_ref().ok(), stored.as_deref());
    json!({
        "status": "critical",
        "time": now().wall,
        "version": env!("CARGO_PKG_VERSION"),
        "daemon": {"up": silent, "pid": silent.then(|| pid(paths)), "asOf": as_of},
        "site": config.map(|config| &config.site.name),
        "role": stored.map(|stored| stored.role),
        "phase": null,
        "booting": null,
        "serving": null,
        "epoch": stored.map(|stored| stored.epoch),
        "situation": null,
        "waitTime": null,
        "peer": unknown_peer(config),
        "mode": null,
        "observed": null,
        "takeover": {"possible": false, "why": if silent { "the daemon here does not answer" } else { "no daemon runs here" }, "withinS": null, "stepsS": null},
        "exclusion": config.map_or_else(unknown_exclusion, exclusion),
        "automaticFailover": automatic_failover(stored, &states),
        "pendingUpdate": pending_shown(paths),
        "arbiters": {
            "total": config.map(|config| config.arbiters.len()),
            "reachable": null,
            "managed": null,
            "held": null,
            "roundS": null,
        },
        "policy": policy(config),
        "heartbeats": unknown_heartbeats(),
        "mail": config.map(|config| mail(paths, config)),
        "services": services(&states),
        "lastDecision": null,
        "problems": problems,
    })
}

/// A change of the configuration that waits for the other site; one that cannot be read is told by the running daemon.
fn pending_shown(paths: &Paths) -> Value {
    let pending = Pending::read(paths).ok().flatten();
    pending.map_or(Value::Null, |pending| pending.shown())
}

/// What happened, with what the operator may do.
fn nobody_answers(paths: &Paths, unanswered: &ClientError) -> (String, &'static str) {
    let socket = paths.socket.display();
    match unanswered {
        ClientError::Silent(_, waited_s) => (
            format!(
                "the daemon of this root did not answer at {socket} within {waited_s} s: nobody may be watching, and \
                 its services may still serve"
            ),
            "it is stopped (SIGSTOP), frozen or overloaded: see its log and `ps`, let it go on, or end it (kill -9) \
             and start it again",
        ),
        _ => (
            format!("no daemon runs on this root ({socket} does not answer): nobody watches"),
            "start it with `dr-watchdog run`",
        ),
    }
}

/// Of the daemon that is there.
fn pid(paths: &Paths) -> Option<u32> {
    std::fs::read_to_string(&paths.pid_file).ok()?.trim().parse().ok()
}

/// When something was stored last.
fn stored_at(paths: &Paths) -> Option<Utc> {
    let changed = |path| std::fs::metadata(path).and_then(|found| found.modified()).ok();
    let newest = [&paths.state_file, &paths.states_file].into_iter().filter_map(changed).max()?;
    let ms = newest.duration_since(UNIX_EPOCH).ok()?.as_millis();
    i64::try_from(ms).ok().map(Utc::from_unix_ms)
}

/// What the services said last; `api v1 config` tells where that cannot be read.
fn states(paths: &Paths) -> Value {
    let text = std::fs::read_to_string(&paths.states_file).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_else(|_| Value::Object(Map::new()))
}

/// The operator's switch goes on over a stop; whether the other one stood open is only known of the past.
fn automatic_failover(stored: Option<&Durable>, states: &Value) -> Value {
    let off = stored.and_then(|stored| stored.operator_off.as_ref());
    let turned = stored.map(|stored| stored.switch).filter(|switch| switch.count > 0);
    let agreed = turned.map(|switch| switch.is_agreed);
    match off.filter(|off| off.until.is_none_or(|until| until > now().wall)) {
        Some(off) => {
            json!({"enabled": false, "until": off.until, "reason": off.reason, "by": off.by, "agreed": agreed})
        }
        None => {
            let enabled = &states["heartbeat"]["service"]["automaticFailover"];
            json!({"enabled": enabled, "until": null, "reason": null, "by": null, "agreed": agreed})
        }
    }
}

/// What waits on disk is known; how delivery goes is not.
fn mail(paths: &Paths, config: &Config) -> Value {
    let Some(server) = mail_server(config) else { return Value::Null };
    let waiting = paths.mail_dir.is_dir().then(|| Queue::open(&paths.mail_dir).0.waiting());
    json!({
        "server": format!("{}:{}", server.host, server.port),
        "recipients": server.recipients,
        "waiting": waiting.unwrap_or(0),
        "delivered": null,
        "givenUp": null,
        "lastDelivered": null,
        "trouble": null,
        "caEnds": server.ca_ends,
    })
}

fn unknown_heartbeats() -> Value {
    let keys = [
        "pings",
        "unansweredRuns",
        "takenForLost",
        "gaps",
        "gapP50Ms",
        "gapP99Ms",
        "gapMaxMs",
        "gapsAboveLost",
        "lostAfterMs",
        "advice",
    ];
    nulls(&keys)
}

fn unknown_peer(config: Option<&Config>) -> Value {
    let mut peer =
        nulls(&["name", "reachable", "localFailover", "role", "phase", "epoch", "lastHeard", "configEqual"]);
    peer["name"] = json!(config.map(|config| &config.peer.name));
    peer
}

fn nulls(keys: &[&str]) -> Value {
    Value::Object(keys.iter().map(|key| ((*key).to_owned(), Value::Null)).collect())
}

fn unknown_exclusion() -> Value {
    let keys = ["mode", "leaseS", "fenceS", "windowS", "waitS", "leaseLeftS", "guard", "promise"];
    nulls(&keys)
}

fn policy(config: Option<&Config>) -> Value {
    let (engine, name) = match config.map(|config| config.policy.custom.as_deref()) {
        None => (None, None),
        Some(None) => (Some(crate::policy::Engine::Native), Some(DEFAULT_POLICY.to_owned())),
        Some(Some(path)) => {
            (Some(engine_of(path)), path.file_name().map(|name| name.to_string_lossy().into_owned()))
        }
    };
    json!({
        "engine": engine,
        "name": name,
        "version": null,
        "state": null,
        "restarts": null,
        "pid": null,
        "lastFailure": null,
        "missing": null,
        "failure": null,
        "hint": null,
        "loadedVersion": null,
        "refused": null,
    })
}
