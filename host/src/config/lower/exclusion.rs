//! `[exclusion]`, lowered, with the formulas that its timers must satisfy.

use std::time::Duration;

use crate::config::defaults;
use crate::config::error::quoted;
use crate::config::model::{Exclusion, ExclusionMode, Freshness};
use crate::config::reader::{Keys, Reader};
use crate::config::values::{self, spelled};

const EXCLUSION: Keys = Keys {
    known: &[
        "mode",
        "keepAlive",
        "lease",
        "fenceDeadline",
        "look",
        "lookTimeout",
        "clockError",
        "slack",
        "wait",
        "holdAddress",
        "peerHoldAddresses",
        "freshness",
    ],
    later: &["resumeAlone", "honourBeStandby", "fence"],
};
/// What F is reckoned from, with itself.
const OF_WAIT: [&str; 7] = [
    "exclusion.wait",
    "exclusion.lease",
    "exclusion.fenceDeadline",
    "exclusion.look",
    "exclusion.lookTimeout",
    "exclusion.clockError",
    "exclusion.slack",
];
/// A clock that is wrong by more than a tenth is broken.
const CLOCK_ERROR_MAX: f64 = 0.1;
const PPM: f64 = 1e6;

/// The timers around the exclusion that its checks need.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beside {
    pub(super) heartbeat_timeout: Duration,
    pub(super) heartbeat_interval: Duration,
    pub(super) wait_duration_s: Option<u64>,
}

pub(super) fn table<'a>(root: &Reader<'a>) -> Reader<'a> {
    root.table("exclusion", EXCLUSION)
}

/// What counts for arbiters that say nothing of their own.
pub(super) fn freshness(table: &Reader<'_>) -> Freshness {
    super::arbiters::freshness(table).unwrap_or_default()
}

pub(super) fn exclusion(table: &Reader<'_>, beside: Beside) -> Exclusion {
    let clock_error = table.value("clockError", "a share from 0 to 0.1, or text such as \"1%\"", |raw| {
        values::share(raw).filter(|share| (0.0..=CLOCK_ERROR_MAX).contains(share))
    });
    let slack = table.value("slack", values::SPAN_FORM, |raw| values::span(raw, true));
    let mut exclusion = Exclusion {
        mode: mode(table),
        keep_alive: table.span("keepAlive").unwrap_or(defaults::KEEP_ALIVE),
        lease: table.span("lease").unwrap_or(defaults::LEASE),
        fence_deadline: table.span("fenceDeadline").unwrap_or(defaults::FENCE_DEADLINE),
        look: table.span("look").unwrap_or(defaults::LOOK),
        look_timeout: table.span("lookTimeout").unwrap_or(defaults::LOOK_TIMEOUT),
        clock_error_ppm: clock_error.map_or(defaults::CLOCK_ERROR_PPM, |share| (share * PPM).round() as u32),
        slack: slack.unwrap_or(defaults::SLACK),
        wait: Duration::ZERO,
        hold_address: table.address("holdAddress"),
        peer_hold_addresses: table.addresses("peerHoldAddresses"),
    };
    exclusion.wait = table.span("wait").unwrap_or_else(|| default_wait(&exclusion));
    check(table, &exclusion, beside);
    exclusion
}

/// The formula, rounded up to the second.
fn default_wait(exclusion: &Exclusion) -> Duration {
    let least = exclusion.least_wait();
    let is_whole = least.subsec_nanos() == 0;
    Duration::from_secs(least.as_secs() + u64::from(!is_whole))
}

fn mode(table: &Reader<'_>) -> ExclusionMode {
    let expected = "\"verdict\", the only mode of this version";
    match table.text("mode") {
        None | Some("verdict") => {}
        Some("lease") => table.wrong(
            "mode",
            "\"lease\", which comes with the guard: without one nothing ends serving when the lease ends",
            expected,
        ),
        Some("fence") => {
            table.wrong("mode", "\"fence\", which comes with the guard that runs the fence", expected)
        }
        Some(other) => table.wrong("mode", quoted(other), expected),
    }
    ExclusionMode::Verdict
}

fn check(table: &Reader<'_>, exclusion: &Exclusion, beside: Beside) {
    let lease = exclusion.lease;
    let is_known = |keys: &[&str]| !table.report.is_any_wrong(keys);
    if lease < exclusion.keep_alive * 3 && is_known(&["exclusion.lease", "exclusion.keepAlive"]) {
        table.wrong(
            "lease",
            spelled(lease),
            format!(
                "at least 3 × keepAlive = {}: one lost round trip must not end a lease",
                spelled(exclusion.keep_alive * 3)
            ),
        );
    }
    let is_timeout_known = is_known(&["exclusion.lease", "watchdog.heartbeat.timeout"]);
    if lease < beside.heartbeat_timeout * 2 && is_timeout_known {
        table.wrong(
            "lease",
            spelled(lease),
            format!("at least 2 × watchdog.heartbeat.timeout = {}", spelled(beside.heartbeat_timeout * 2)),
        );
    }
    let least = exclusion.least_wait();
    if exclusion.wait < least && is_known(&OF_WAIT) {
        table.wrong("wait", spelled(exclusion.wait), format!("at least F = {}", formula(exclusion)));
    }
    if beside.heartbeat_interval > lease / 2 {
        let interval = spelled(beside.heartbeat_interval);
        table.warn(
            "lease",
            &format!(
                "watchdog.heartbeat.interval = {interval} is longer than half of the lease = {}: the lease mode will \
                 refuse it",
                spelled(lease / 2)
            ),
        );
    }
    if beside.wait_duration_s.is_some_and(|wait_s| Duration::from_secs(wait_s) < exclusion.wait) {
        table.warn(
            "wait",
            &format!(
                "watchdog.failureDetection.waitDuration is shorter than F = {}: the grace period may end before an \
                 old session is known to be stale",
                spelled(exclusion.wait)
            ),
        );
    }
}

/// F with its arithmetic.
pub(in crate::config) fn formula(exclusion: &Exclusion) -> String {
    let rate = f64::from(exclusion.clock_error_ppm) / PPM;
    format!(
        "(L + max(D, W)) × (1 + 2 × rho) + epsilon = ({} + max({}, {})) × (1 + 2 × {rate}) + {} = {}",
        spelled(exclusion.lease),
        spelled(exclusion.fence_deadline),
        spelled(exclusion.window()),
        spelled(exclusion.slack),
        spelled(exclusion.least_wait()),
    )
}
