//! What the daemon measures beside the core: silences, step times, observe mode, since when services are as they are.

use std::collections::BTreeMap;
use std::path::Path;

use dr_watchdog_core::effect::PlanKind;
use dr_watchdog_core::{Event, Now, Watchdog};
use serde_json::{Map, Value, json};

use super::effects::World;
use super::history;
use super::observing::Observing;
use super::silence::Silences;
use super::since::Since;
use super::steps::StepEnd;

/// The measurements.
#[derive(Debug, Default)]
pub(super) struct Watched {
    pub(super) silences: Silences,
    pub(super) since: Since,
    pub(super) observing: Observing,
    /// The newest ping of the other site's VIP.
    vip_ping: Option<u64>,
    /// The step that runs.
    running: Option<(PlanKind, String)>,
    /// How long the steps took the last time, by plan and name.
    step_ms: BTreeMap<(String, String), u64>,
}

impl Watched {
    /// With the step times that an earlier daemon has measured.
    pub(super) fn read(history: &Path) -> Self {
        let mut watched = Self::default();
        match history::newest_of(history, "step") {
            Ok(records) => records.iter().for_each(|record| watched.remember(record)),
            Err(error) => tracing::warn!(%error, "earlier step times are not known"),
        }
        watched
    }

    fn remember(&mut self, record: &Value) {
        let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
        if let (Some(ms), true) = (record["elapsedMs"].as_u64(), record["ok"] == true) {
            self.step_ms.insert((text("plan"), text("step")), ms);
        }
    }

    /// A ping of the other site's VIP begins.
    pub(super) const fn pings_vip(&mut self, ping: u64) {
        self.vip_ping = Some(ping);
    }

    /// A step begins.
    pub(super) fn runs_step(&mut self, kind: PlanKind, name: &str) {
        self.running = Some((kind, name.to_owned()));
    }

    /// How long all steps of a plan took the last time, in seconds; `None` unless each was measured.
    pub(super) fn steps_s(&self, kind: PlanKind, names: &[&str]) -> Option<f64> {
        let ms = |name: &&str| self.step_ms.get(&(kind.word().to_owned(), (*name).to_owned())).copied();
        let total: u64 = names.iter().map(ms).sum::<Option<u64>>()?;
        // Steps last seconds to hours: far below the 2^53 ms that a float holds.
        Some(total as f64 / 1_000.0)
    }
}

/// Takes what happened, before the core does.
pub(super) fn look(world: &mut World, now: Now, event: &Event) {
    match event {
        Event::PeerPingEnded { ping, answered } if world.watched.vip_ping == Some(*ping) => {
            world.watched.silences.pinged(*answered);
        }
        Event::HeartbeatHeard(beat) => {
            world.watched.silences.heard(now.mono.us());
            if let Some(Value::Object(record)) = world.watched.observing.heard(now.wall, beat) {
                tracing::warn!("observed: {}", record["text"].as_str().unwrap_or_default());
                world.append(record);
            }
        }
        _ => {}
    }
}

/// Takes the end of a step: it is measured, recorded and told to the core.
pub(super) fn step_ended(world: &mut World, now: Now, core: &Watchdog, end: StepEnd) -> Event {
    if let Some((kind, name)) = world.watched.running.take() {
        let record = json!({
            "kind": "step",
            "time": now.wall,
            "role": core.role(),
            "epoch": core.epoch(),
            "plan": kind.word(),
            "step": name,
            "number": end.step + 1,
            "ok": end.result.is_ok(),
            "error": end.result.as_ref().err(),
            "elapsedMs": u64::try_from(end.elapsed.as_millis()).unwrap_or(u64::MAX),
            "atUs": now.mono.us(),
        });
        world.watched.remember(&record);
        world.append(record.as_object().cloned().unwrap_or_else(Map::new));
    }
    Event::StepEnded { plan: end.plan, step: end.step, result: end.result }
}
