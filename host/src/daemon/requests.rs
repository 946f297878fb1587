//! What is asked of the running daemon, over the control socket or by SIGHUP.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dr_watchdog_core::effect::{PlanKind, Trigger};
use dr_watchdog_core::settings::Mode;
use dr_watchdog_core::transitions::Phase;
use dr_watchdog_core::{Event, Now, Watchdog};
use dr_watchdog_sdk::Utc;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::effects::World;
use super::health::{Beside, Problem, health, services};
use super::live_network::ping_all;
use super::operator::{self, progress};
use super::{build, pending, sections};
use crate::config;
use crate::config::pending::Pending;
use crate::frames::{Request, Response, ResponseError};
use crate::policy::backoff::CRASHES_MAX;

/// Longest ping over the control socket, in milliseconds, and most tries: a caller waits for them.
const PING_TIMEOUT_MS_MAX: u64 = 60_000;
const PING_RETRIES_MAX: u64 = 10;
/// Certificates that end sooner are told: a month, in which a new one is had at leisure.
const CERTIFICATE_NOTICE_S: u64 = 30 * 86_400;
/// Most hosts of one ping over the control socket.
const PING_HOSTS_MAX: usize = 1_000;

type Reply = oneshot::Sender<Response>;

/// Answers a request; what it means for the core is returned.
pub(super) fn handle(
    world: &mut World,
    core: &Watchdog,
    now: Now,
    request: Request,
    reply: Reply,
) -> Option<Event> {
    let id = request.id;
    let mut event = None;
    let answer = match request.method.as_str() {
        "health" => Ok(world.health(now, core)),
        "sections" => {
            let complete = sections::complete(config::sections(&world.config), now, core);
            included(json!(complete), &request.params)
        }
        "stop" => {
            tracing::info!("asked to stop: the watchdog ends; services are left as they are");
            world.is_ending = true;
            Ok(json!({"pid": std::process::id()}))
        }
        "automaticFailover" => match automatic_failover(&request.params, &world.config.site.name) {
            Ok(change) => {
                world.switching.push((id, "the switch holds only until this daemon ends", reply));
                return Some(change);
            }
            Err(error) => Err(error),
        },
        "progress" => Ok(progress(now, core, &world.config)),
        "operator" => match operator::command(core, now, &request.params) {
            Ok(Some(command)) => {
                world.switching.push((id, "it would not survive a restart of this daemon", reply));
                return Some(command);
            }
            Ok(None) => Ok(Value::Null),
            Err(error) => Err(error),
        },
        "arbiters.ping" | "arbiters.sessions" => {
            look(world, core, now, &request, reply);
            return None;
        }
        "ping" => match ping_request(&request.params) {
            Ok((hosts, timeout, retries)) => {
                let pinger = Arc::clone(&world.pinger);
                tokio::spawn(async move {
                    let answers = ping_all(&pinger, &hosts, timeout, retries).await;
                    send(reply, id, Ok(json!(answers)));
                });
                return None;
            }
            Err(error) => Err(error),
        },
        "policy.reload" => match build::reload_policy(world) {
            Ok(told) => {
                tokio::task::spawn_local(async move {
                    let answer = told.await;
                    send(reply, id, answer.map_err(|_| error("failed", "the watchdog ends")));
                });
                return None;
            }
            Err(failure) => Err(error("failed", failure.message)),
        },
        "reload" => match reload_now(world, core) {
            Ok(reloaded) => {
                event = Some(reloaded);
                Ok(Value::Null)
            }
            Err(message) => Err(error("failed", message)),
        },
        other => Err(error("unsupported", format!("this daemon does not know \"{other}\""))),
    };
    send(reply, id, answer);
    event
}

/// SIGHUP: a bad configuration keeps the running one and says so.
pub(super) fn reload(world: &mut World, core: &Watchdog) -> Option<Event> {
    tracing::info!("SIGHUP received: the configuration is read again");
    reload_now(world, core).ok()
}

fn reload_now(world: &mut World, core: &Watchdog) -> Result<Event, String> {
    let result = try_reload(world, core);
    match &result {
        Ok(_) => tracing::info!("the new configuration is in force"),
        Err(why) => tracing::error!("the running configuration is kept: {why}"),
    }
    world.reload_problem = result.as_ref().err().map(|why| {
        Problem::warning(
            format!("the configuration on disk is not the running one: {why}"),
            "correct it (`config check` lists every error), then send SIGHUP",
        )
    });
    result
}

fn try_reload(world: &mut World, core: &Watchdog) -> Result<Event, String> {
    if !matches!(core.phase(), Phase::Standby | Phase::Active | Phase::Standalone) {
        return Err(format!(
            "a role change is running ({}); reload again when it is over",
            core.phase().word()
        ));
    }
    let (config, warnings) = config::load(&world.paths).map_err(|errors| errors.to_string())?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    if config.site.index != world.config.site.index || config.site.name != world.config.site.name {
        return Err(
            "site.name and site.index identify this site; change them with the watchdog stopped".to_owned()
        );
    }
    let config = Rc::new(config);
    build::replace(world, core, &config)?;
    world.verification = super::verification::Verification::begin(&config, &world.events);
    Ok(Event::Reloaded(Box::new(super::settings(&config))))
}

impl World {
    /// Answers who turned the switch of automatic failover. The loop calls this when what the core asked for is done,
    /// so that nobody is told of a switch that a restart would turn back.
    pub(super) fn answer_switching(&mut self) {
        let unwritten = self.problems.get(&Trigger::StateNotWritten).map(|problem| problem.message.clone());
        for (id, meaning, reply) in self.switching.drain(..) {
            let answer = match &unwritten {
                None => Ok(Value::Null),
                Some(why) => {
                    Err(error("failed", format!("{meaning}: {why}; make room and repeat the command")))
                }
            };
            send(reply, id, answer);
        }
    }

    fn health(&self, now: Now, core: &Watchdog) -> Value {
        let policy = self.desk.status();
        let mut problems: Vec<Problem> = self.problems.values().cloned().collect();
        problems.extend(self.reload_problem.clone());
        problems.extend(self.verification.problem(core.boot_end().is_some()));
        let is_silent = policy["failure"].is_string()
            || policy["state"] == "quarantined"
            || self.problems.contains_key(&Trigger::PolicyFailed);
        if is_silent && core.phase().claims_active() && core.settings().mode == Mode::Enforce {
            problems.push(Problem::critical(
                "this site serves, and its policy gives no verdict: cut off from the other site and the arbiters it would serve on, because in exclusion mode \"verdict\" nothing but a verdict makes it stop",
                "repair the policy; until then make this site standby by hand before the other one takes over",
            ));
        }
        if policy.get("state").and_then(Value::as_str) == Some("quarantined") {
            let name = policy.get("name").and_then(Value::as_str).unwrap_or_default();
            problems.push(Problem::critical(
                format!("the policy {name} is quarantined, so this site decides nothing by itself: it crashed {CRASHES_MAX} times within 10 minutes"),
                "correct it, then reload (SIGHUP); `history` shows how it crashed",
            ));
        } else if let Some(failure) = policy.get("failure").and_then(Value::as_str) {
            problems.push(Problem::critical(
                format!("the policy cannot be loaded: {failure}"),
                policy.get("hint").and_then(Value::as_str).unwrap_or("see `policy check`"),
            ));
        }
        if let Some(refused) = policy.get("refused").and_then(Value::as_str) {
            problems.push(Problem::warning(
                format!("the policy {refused}"),
                "correct the file (`policy check` tries it), then `policy reload`",
            ));
        }
        problems.extend(script_without_wall(&policy));
        let pending = Pending::read(&self.paths);
        problems.extend(pending::problem(&pending, &self.config.peer.name));
        if self.link.is_none() {
            problems.push(Problem::warning(
                "peer.heartbeatKey is not set: the sites exchange no signed heartbeats, so neither knows the other's role",
                "set the same key at both sites",
            ));
        }
        let mail = self.notifier.status();
        problems.extend(mail_problems(now.wall, &mail));
        let mut services = services(&json!(sections::states(now, core)));
        self.watched.since.add_to(&mut services);
        let last_decision = self.last_decision.as_ref();
        let steps = self.config.role_change.be_active.iter().map(|step| step.name.as_str());
        let beside = Beside {
            policy,
            last_decision,
            mail,
            steps_s: self.watched.steps_s(PlanKind::BeActive, &steps.collect::<Vec<_>>()),
            heartbeats: self.watched.silences.report(&self.config.watchdog.heartbeat),
            observed: self.watched.observing.last(),
            problems: &problems,
            pending_update: pending.ok().flatten().map_or(Value::Null, |pending| pending.shown()),
            services,
        };
        health(now, core, &self.config, &beside)
    }
}

/// Whether the policy is a script that could do to other processes what its user can.
fn script_without_wall(policy: &Value) -> Option<Problem> {
    let missing: Vec<&str> = policy["missing"].as_array()?.iter().filter_map(Value::as_str).collect();
    if policy["engine"] != "script" || missing.is_empty() {
        return None;
    }
    Some(Problem::warning(
        format!("the policy is a script, and this system refuses it {}", missing.join(", ")),
        "run the watchdog as root, or allow user namespaces; until then the script must be one that you trust",
    ))
}

/// What `health` warns of about mail.
fn mail_problems(now: Utc, mail: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(trouble) = mail["trouble"].as_str() {
        problems.push(Problem::warning(
            format!("{} mails wait: {trouble}", mail["waiting"]),
            "they are sent when the server takes them; `notify test` tries it at once",
        ));
    }
    let ends = mail["caEnds"].as_str().and_then(|ends| Utc::parse(ends).ok());
    if let Some(ends) = ends.filter(|ends| *ends <= now.plus_s(CERTIFICATE_NOTICE_S)) {
        problems.push(Problem::warning(
            format!("a certificate of smtp.caFile ends at {ends}: mail stops then"),
            "put the new one into the file beside it, then send SIGHUP",
        ));
    }
    problems
}

/// `api v1 config --include`: the wanted sections, or all of them.
fn included(all: Value, params: &Value) -> Result<Value, ResponseError> {
    let Value::Object(all) = all else { return Ok(all) };
    let wanted = match params.get("include") {
        None | Some(Value::Null) => return Ok(Value::Object(all)),
        Some(wanted) => serde_json::from_value::<Vec<String>>(wanted.clone())
            .map_err(|_| error("badRequest", "include: expected a list of section names"))?,
    };
    let mut picked = Map::new();
    for name in wanted {
        let known = dr_watchdog_sdk::sections::canonical_name(&name)
            .ok_or_else(|| error("badRequest", format!("there is no section \"{name}\"")))?;
        if let Some(section) = all.get(known) {
            picked.insert(known.to_owned(), section.clone());
        }
    }
    Ok(Value::Object(picked))
}

/// Reads a turn of the switch. Its author is known at both sites, so the site belongs to the name.
fn automatic_failover(params: &Value, site: &str) -> Result<Event, ResponseError> {
    if params.get("enable") == Some(&Value::Bool(true)) {
        return Ok(Event::OperatorEnabled);
    }
    let disable = params.get("disable").and_then(Value::as_object);
    let disable =
        disable.ok_or_else(|| error("badRequest", "expected {\"enable\": true} or {\"disable\": {…}}"))?;
    let text = |key: &str| disable.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let span = match disable.get("seconds") {
        None | Some(Value::Null) => None,
        Some(seconds) => Some(Duration::from_secs(
            seconds.as_u64().ok_or_else(|| error("badRequest", "seconds: expected a whole number"))?,
        )),
    };
    let by = text("by");
    let by = if by.contains(" at site ") { by } else { format!("{by} at site {site}") };
    Ok(Event::OperatorDisabled { span, reason: text("reason"), by })
}

fn ping_request(params: &Value) -> Result<(Vec<String>, Duration, u32), ResponseError> {
    let hosts: Option<Vec<String>> =
        params.get("hosts").and_then(|hosts| serde_json::from_value(hosts.clone()).ok());
    let hosts = hosts.ok_or_else(|| error("badRequest", "hosts: expected a list of addresses"))?;
    let number = |key: &str, default: u64| params.get(key).and_then(Value::as_u64).unwrap_or(default);
    let (timeout_ms, retries) = (number("timeoutMs", 1_000), number("retries", 0));
    if hosts.len() > PING_HOSTS_MAX || timeout_ms > PING_TIMEOUT_MS_MAX || retries > PING_RETRIES_MAX {
        let limits = format!(
            "at most {PING_HOSTS_MAX} hosts, {PING_TIMEOUT_MS_MAX} ms and {PING_RETRIES_MAX} retries in one ping"
        );
        return Err(error("badRequest", limits));
    }
    Ok((hosts, Duration::from_millis(timeout_ms), u32::try_from(retries).unwrap_or(0)))
}

/// Looks at the arbiters for an operator: beside whatever the core is looking at, so that nobody's evidence changes.
fn look(world: &World, core: &Watchdog, now: Now, request: &Request, reply: Reply) {
    let (id, wants_sessions) = (request.id, request.method == "arbiters.sessions");
    let (arbiters, settings, role) = (Rc::clone(&world.arbiters), core.settings().clone(), core.role());
    let absent = core.evidence(now);
    tokio::task::spawn_local(async move {
        let evidence = build::evidence(&arbiters, &settings, now, wants_sessions, &absent).await;
        let report = if wants_sessions {
            json!(evidence.sessions_report(role))
        } else {
            json!(evidence.ping_report(role, settings.thresholds.warning))
        };
        send(reply, id, Ok(report));
    });
}

pub(super) fn error(kind: &str, message: impl Into<String>) -> ResponseError {
    ResponseError { kind: kind.to_owned(), message: message.into() }
}

fn send(reply: Reply, id: u64, answer: Result<Value, ResponseError>) {
    let response = match answer {
        Ok(result) => Response { id, result: Some(result), error: None },
        Err(error) => Response { id, result: None, error: Some(error) },
    };
    // The caller may have gone away; then nobody waits for the answer.
    let _ = reply.send(response);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_told_a_month_before_its_end() {
        let ends = json!({"trouble": null, "waiting": 0, "caEnds": "2027-01-31T00:00:00+00:00"});
        let at = |time: &str| mail_problems(Utc::parse(time).unwrap(), &ends).len();
        assert_eq!(at("2026-12-01T00:00:00+00:00"), 0);
        assert_eq!(at("2027-01-15T00:00:00+00:00"), 1);
        assert_eq!(at("2028-01-15T00:00:00+00:00"), 1);
        assert!(mail_problems(Utc::default(), &Value::Null).is_empty());
    }
}
