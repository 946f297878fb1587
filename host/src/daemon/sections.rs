//! The API sections of a running site: the configuration's, with role, failover and states.

use dr_watchdog_core::heartbeat::Reach;
use dr_watchdog_core::{Now, Watchdog};
use dr_watchdog_sdk::sections::{HeartbeatService, Message, Sections, ServiceState, States};
use dr_watchdog_sdk::{Situation, Utc};
use serde_json::{Map, Value, json};

/// The states of the services that run in this version.
pub(super) fn states(now: Now, core: &Watchdog) -> States {
    States {
        heartbeat: Some(heartbeat(now, core)),
        arbiter_monitor: Some(arbiter_monitor(now, core)),
        ..States::default()
    }
}

/// The configured sections, completed with what the site is now.
pub(super) fn complete(configured: Sections, now: Now, core: &Watchdog) -> Sections {
    Sections {
        role: Some(core.role()),
        failover: Some(core.failover()),
        states: Some(states(now, core)),
        ..configured
    }
}

/// What a policy sees: the same, with the instant, the situation and the wait it is asked for.
pub(super) fn asked(
    mut sections: Sections,
    now: Utc,
    situation: Situation,
    wait_time: Option<Utc>,
) -> Sections {
    if let Some(heartbeat) = sections.states.as_mut().and_then(|states| states.heartbeat.as_mut()) {
        heartbeat.service.now = Some(now);
        heartbeat.service.situation = Some(situation);
        heartbeat.service.wait_time = wait_time;
    }
    sections
}

fn heartbeat(now: Now, core: &Watchdog) -> ServiceState<HeartbeatService> {
    let (is_well, description) = match core.reach() {
        Reach::Unknown | Reach::Up { local_failover: false } => (true, String::new()),
        Reach::Up { local_failover: true } => {
            (true, "the VIP of the other site is silent, one of its nodes answers".to_owned())
        }
        Reach::Lost { .. } => (false, "the other site does not answer".to_owned()),
    };
    let local_failover = core.reach() == Reach::Up { local_failover: true };
    let payload = match json!({ "localFailover": local_failover }) {
        Value::Object(payload) => payload,
        _ => Map::new(),
    };
    ServiceState {
        progress: if core.situation().is_some() { "running" } else { "idle" }.to_owned(),
        msg: message("heartbeat", is_well, description, payload, now),
        service: HeartbeatService {
            booting: core.boot_end().is_some(),
            boot_end_time: core.boot_end(),
            wait_time: core.wait_time(),
            automatic_failover: core.automatic().is_on(),
            automatic_failover_end_time: core.automatic().ends(),
            now: None,
            situation: None,
        },
    }
}

/// Row 79 with the warning of row 80: below the threshold warns, equal does not (reading A25).
fn arbiter_monitor(now: Now, core: &Watchdog) -> ServiceState {
    let (total, pinged) = (core.settings().arbiters.len() as u64, core.pinged());
    let is_well = core.boot_end().is_some() || core.settings().thresholds.warning.is_met_by(pinged, total);
    let description =
        if is_well { String::new() } else { format!("{pinged} of {total} arbiters answer ping") };
    let mut payload = Map::new();
    payload.insert("code".to_owned(), json!(i32::from(!is_well)));
    let mut service = Map::new();
    service.insert("total".to_owned(), json!(total));
    service.insert("reachable".to_owned(), json!(pinged));
    service.insert("warning".to_owned(), json!(!is_well));
    service.insert("arbiters".to_owned(), arbiters(core));
    ServiceState {
        progress: "idle".to_owned(),
        msg: message("arbiterMonitor", is_well, description, payload, now),
        service,
    }
}

/// Everything that is known of each arbiter; what has not been looked at is not there.
fn arbiters(core: &Watchdog) -> Value {
    let all = core.arbiters().map(|(name, evidence, is_held)| {
        let mut seen = json!(evidence);
        seen["held"] = json!(is_held);
        (name.to_owned(), seen)
    });
    Value::Object(all.collect())
}

fn message(
    service: &str,
    is_well: bool,
    description: String,
    payload: Map<String, Value>,
    now: Now,
) -> Message {
    Message {
        service: service.to_owned(),
        description,
        state: is_well,
        payload,
        time: now.wall,
        ..Message::default()
    }
}
