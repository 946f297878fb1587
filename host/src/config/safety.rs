//! The settings that both sites must share, as one hash that a heartbeat can carry.

use std::fmt::Write;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::host::Spelled;
use super::model::{Config, Custom, ExclusionMode, Kind};

/// Changes whenever the same settings mean something else to a later program.
const RULES_VERSION: &str = "dr-watchdog safety settings 1";
/// Bytes of the hash that are sent: two settings that differ are never equal in 128 bits by accident.
pub const HASH_BYTES: usize = 16;

/// Hash of thresholds, arbiters and timers. What differs between the sites by nature (names, addresses of the sites,
/// credentials, steps) is not in it, nor is the order of the arbiters.
pub fn safety_hash(config: &Config) -> [u8; HASH_BYTES] {
    let digest = Sha256::digest(canonical(config).as_bytes());
    let mut hash = [0; HASH_BYTES];
    hash.copy_from_slice(&digest[..HASH_BYTES]);
    hash
}

/// The same settings, key by key, for telling which differ.
pub fn safety_settings(config: &Config) -> Vec<(String, String)> {
    let text = canonical(config);
    let pairs = text.lines().skip(1).map(|line| match line.rsplit_once(' ') {
        // The name of an arbiter is its key, its kind the value.
        Some((key, value)) => (key.to_owned(), value.to_owned()),
        None => (line.to_owned(), String::new()),
    });
    pairs.collect()
}

/// One setting a line, so that no two settings run into each other.
fn canonical(config: &Config) -> String {
    let (heartbeat, exclusion) = (&config.watchdog.heartbeat, &config.exclusion);
    let threshold = &config.watchdog.failure_detection.threshold;
    let mut text = format!("{RULES_VERSION}\n");
    let mut line = |key: &str, value: u128| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{key} {value}");
    };
    line(
        "mode",
        match exclusion.mode {
            ExclusionMode::Verdict => 0,
        },
    );
    line("failover", threshold.failover.ten_thousandths().into());
    line("adjustManaged", threshold.adjust_managed.ten_thousandths().into());
    line("retries", heartbeat.retries.into());
    line("timeoutMs", heartbeat.timeout.ms().into());
    line("intervalMs", heartbeat.interval.ms().into());
    line("waitDurationS", config.wait_duration_s.map_or(0, u128::from));
    line("keepAliveMs", exclusion.keep_alive.as_millis());
    line("leaseMs", exclusion.lease.as_millis());
    line("fenceDeadlineMs", exclusion.fence_deadline.as_millis());
    line("lookMs", exclusion.look.as_millis());
    line("lookTimeoutMs", exclusion.look_timeout.as_millis());
    line("clockErrorPpm", exclusion.clock_error_ppm.into());
    line("slackMs", exclusion.slack.as_millis());
    line("waitMs", exclusion.wait.as_millis());
    let mut arbiters: Vec<String> = config
        .arbiters
        .iter()
        .map(|arbiter| {
            let (host, custom) = (Spelled::of(&arbiter.host), arbiter.custom.as_ref().map(asked));
            let (kind, freshness) = (kind(arbiter.kind), arbiter.freshness.word());
            format!("arbiter {host} {} {kind} {freshness}{}\n", arbiter.port, custom.unwrap_or_default())
        })
        .collect();
    arbiters.sort();
    text.extend(arbiters);
    text
}

/// How a device of kind `custom` is asked and read: two sites that read it differently see different sessions. As
/// quoted texts, so that whatever stands in them stays within its own.
fn asked(custom: &Custom) -> String {
    let ignored = custom.ignore.as_ref().map(|ignore| ignore.as_str());
    format!(" {}", json!([custom.command, custom.pattern.as_str(), ignored]))
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Auto => "auto",
        Kind::Junos => "junos",
        Kind::Linux => "linux",
        Kind::Bsd => "bsd",
        Kind::Custom => "custom",
    }
}
