//! The configuration, as the core wants it.

use std::time::Duration;

use dr_watchdog_core::evidence::ManagedRule;
use dr_watchdog_core::settings::{Exclusion, Heartbeat, Mode, OnFailure, Settings, Step};
use dr_watchdog_sdk::sections::Core;

use crate::config::{Config, model};

/// What the core must know of the configuration.
pub fn settings(config: &Config) -> Settings {
    let heartbeat = &config.watchdog.heartbeat;
    let exclusion = &config.exclusion;
    let stale_ms = u64::try_from(exclusion.wait.as_millis()).unwrap_or(u64::MAX);
    Settings {
        site_index: config.site.index,
        initial_role: config.site.initial_role,
        mode: match config.mode {
            model::Mode::Enforce => Mode::Enforce,
            model::Mode::Observe => Mode::Observe,
        },
        heartbeat: Heartbeat {
            interval: heartbeat.interval.duration(),
            timeout: heartbeat.timeout.duration(),
            tries: heartbeat.retries + 1,
        },
        has_peer_nodes: !peer_nodes(&config.core).is_empty(),
        thresholds: config.watchdog.failure_detection.threshold.clone(),
        wait_duration_s: config.wait_duration_s,
        arbiters: config.arbiters.iter().map(|arbiter| arbiter.name.clone()).collect(),
        managed_rule: ManagedRule::new(&exclusion.peer_hold_addresses, Some(&config.core), stale_ms),
        look_round: look_round(config),
        exclusion: match exclusion.mode {
            model::ExclusionMode::Verdict => Exclusion::Verdict { wait: exclusion.wait },
        },
        verifies_at_boot: config.peer.identity.is_some(),
        be_active: config.role_change.be_active.iter().map(step).collect(),
        be_standby: config.role_change.be_standby.iter().map(step).collect(),
    }
}

/// One round of looks if every arbiter is mute; what is older than W nobody may use anyway.
fn look_round(config: &Config) -> Duration {
    let exclusion = &config.exclusion;
    exclusion.round(config.arbiters.len()).min(exclusion.window())
}

fn step(step: &model::Step) -> Step {
    Step {
        name: step.name.clone(),
        idempotent: step.idempotent,
        on_failure: match step.on_failure {
            model::OnFailure::Stop => OnFailure::Stop,
            model::OnFailure::Continue => OnFailure::Continue,
        },
    }
}

/// The load-balancer nodes of the other site that are not its VIP (`domain.md` row 7).
pub(super) fn peer_nodes(core: &Core) -> Vec<String> {
    let nodes = Core::split(&core.peer_load_balancer_nodes);
    nodes.filter(|node| *node != core.peer_vip).map(str::to_owned).collect()
}
