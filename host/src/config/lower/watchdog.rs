//! `[watchdog]`: heartbeat, notification, thresholds, lowered.

use std::time::Duration;

use dr_watchdog_sdk::hours::Hours;
use dr_watchdog_sdk::sections::{FailureDetection, Heartbeat, Notification, Seconds, Thresholds, Watchdog};
use dr_watchdog_sdk::threshold::{SCALE, Threshold, ThresholdError};

use super::arbiters;
use crate::config::defaults;
use crate::config::error::quoted;
use crate::config::model::{Arbiter, Freshness};
use crate::config::reader::{Keys, Reader};
use crate::config::values::{self, spelled};

const WATCHDOG: Keys = Keys::new(&["heartbeat", "notification", "failureDetection"]);
const HEARTBEAT: Keys = Keys::new(&["retries", "timeout", "interval"]);
const NOTIFICATION: Keys = Keys::new(&["email", "interval"]);
const FAILURE_DETECTION: Keys = Keys::new(&["isCustom", "script", "threshold", "waitDuration", "arbiters"]);
const THRESHOLD: Keys = Keys::new(&["failover", "adjustManaged", "warning"]);
/// Most tries after the first: more only delay the news.
const RETRIES_MAX: i64 = 100;

/// What `[watchdog]` gives.
#[derive(Debug)]
pub(super) struct Lowered {
    pub(super) watchdog: Watchdog,
    pub(super) wait_duration_s: Option<u64>,
    pub(super) arbiters: Vec<Arbiter>,
}

pub(super) fn watchdog(root: &Reader<'_>, freshness: Freshness) -> Lowered {
    let table = root.table("watchdog", WATCHDOG);
    let heartbeat = heartbeat(&table.table("heartbeat", HEARTBEAT));
    let notification = notification(&table.table("notification", NOTIFICATION));
    let detection = table.table("failureDetection", FAILURE_DETECTION);
    let threshold = thresholds(&detection.table("threshold", THRESHOLD));
    let is_custom = detection.is_true("isCustom").unwrap_or_default();
    let (wait_duration, wait_duration_s) = wait_duration(&detection);
    let (shown, arbiters) = arbiters::arbiters(&detection, freshness);
    arbiters::check_count(&detection, arbiters.len(), is_custom, threshold.failover);
    let failure_detection = FailureDetection {
        is_custom,
        script: script(&detection, is_custom),
        threshold,
        wait_duration,
        arbiters: shown,
    };
    let watchdog = Watchdog { heartbeat, notification, failure_detection };
    Lowered { watchdog, wait_duration_s, arbiters }
}

fn seconds(span: Duration) -> Seconds {
    // A span is at most a year.
    Seconds::from_ms(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

fn heartbeat(table: &Reader<'_>) -> Heartbeat {
    let manual = Heartbeat::default();
    let heartbeat = Heartbeat {
        retries: table.whole("retries", 0, RETRIES_MAX).unwrap_or(manual.retries),
        timeout: table.span("timeout").map_or(manual.timeout, seconds),
        interval: table.span("interval").map_or(manual.interval, seconds),
    };
    let (timeout, tries) = (heartbeat.timeout.duration(), heartbeat.retries + 1);
    let round = timeout * tries;
    let keys = ["retries", "timeout", "interval"].map(|key| table.path_of(key));
    let is_known = !table.report.is_any_wrong(&keys.each_ref().map(String::as_str));
    if is_known && heartbeat.interval.duration() < round {
        table.wrong(
            "interval",
            format!("{}, shorter than one round", spelled(heartbeat.interval.duration())),
            format!(
                "at least timeout × (1 + retries) = {} × {tries} = {}: the next round begins when this one is over",
                spelled(timeout),
                spelled(round)
            ),
        );
    }
    heartbeat
}

fn notification(table: &Reader<'_>) -> Notification {
    let manual = Notification::default();
    let email = table.text("email").unwrap_or_default().trim();
    if !email.is_empty() && !email.split(',').all(|each| is_mail_address(each.trim())) {
        table.wrong(
            "email",
            quoted(email),
            "a mail address such as \"admin@example.com\", or several with commas",
        );
    }
    let interval = table.value("interval", values::SPAN_OR_ZERO_FORM, |raw| values::span(raw, true));
    Notification { email: email.to_owned(), interval: interval.map_or(manual.interval, seconds) }
}

/// Whether it has the shape of a mail address; whether it exists, only mail tells.
pub(super) fn is_mail_address(text: &str) -> bool {
    // Other letters than ASCII's are written in punycode where they stand in a domain, and few servers take them before
    // the @.
    let is_plain = text.chars().all(|c| c.is_ascii_graphic());
    is_plain && text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
}

fn thresholds(table: &Reader<'_>) -> Thresholds {
    let manual = Thresholds::default();
    let failover = threshold(table, "failover").unwrap_or(manual.failover);
    let thresholds = Thresholds {
        failover,
        // A lower failover, written alone, takes adjustManaged with it: half would be refused beside it.
        adjust_managed: threshold(table, "adjustManaged")
            .unwrap_or_else(|| Thresholds::adjust_managed_beside(failover)),
        warning: threshold(table, "warning").unwrap_or(manual.warning),
    };
    let is_known = !table.report.is_any_wrong(&[&table.path_of("failover"), &table.path_of("adjustManaged")]);
    if is_known && thresholds.adjust_managed > thresholds.failover {
        table.wrong(
            "adjustManaged",
            format!("{} above failover = {}", thresholds.adjust_managed, thresholds.failover),
            "at most failover: above it the standby would never take over",
        );
    }
    if thresholds.failover.ten_thousandths() == 0 {
        table.warn("failover", "0: no share is below it, so no arbiter can ever move a role");
    }
    if thresholds.failover.ten_thousandths() == SCALE {
        table.warn(
            "failover",
            "1: one dead arbiter while the other site is silent makes the active site stop",
        );
    }
    thresholds
}

fn threshold(table: &Reader<'_>, key: &str) -> Option<Threshold> {
    let form = "a number from 0 to 1 with at most 4 decimals, or text such as \"50%\"";
    let number = table.value(key, form, values::share)?;
    match Threshold::from_number(number) {
        Ok(threshold) => Some(threshold),
        Err(error) => {
            let is_percent = (1.0..=100.0).contains(&number);
            let hint = is_percent.then(|| format!("{} or \"{number}%\"", number / 100.0));
            table.report.error(table.line_of(key), &table.path_of(key), fault(&error), form.to_owned(), hint);
            None
        }
    }
}

fn fault(error: &ThresholdError) -> String {
    match error {
        ThresholdError::OutOfRange(number) => format!("{number}, which is no share"),
        ThresholdError::TooFine(number) => format!("{number}, which has more than 4 decimals"),
    }
}

/// The text as it is shown, with its length; a number would be read as seconds by people and as hours by the manual.
fn wait_duration(table: &Reader<'_>) -> (String, Option<u64>) {
    let form = "text in hours or minutes: \"8h\", \"30m\"; \"0\" is for ever";
    let read = |raw: &super::Raw| match raw {
        super::Raw::Text(text) => {
            Hours::parse(text.trim()).ok().map(|hours| (text.trim().to_owned(), hours.seconds()))
        }
        _ => None,
    };
    let found = table.value("waitDuration", form, read);
    let default = || Hours::parse(defaults::WAIT_DURATION).ok().and_then(Hours::seconds);
    found.unwrap_or_else(|| (defaults::WAIT_DURATION.to_owned(), default()))
}

fn script(table: &Reader<'_>, is_custom: bool) -> String {
    let script = table.text("script").unwrap_or_default().trim();
    if script.is_empty() {
        if is_custom {
            table.wrong(
                "script",
                "none although isCustom = true",
                "the absolute path of your policy: a .lua file, a .so plugin or an executable",
            );
        }
        return String::new();
    }
    if !script.starts_with('/') {
        let expected = "an absolute path: the watchdog's own folder is not yours";
        table.wrong("script", quoted(script), expected);
    } else if !is_custom {
        table.warn("script", "not used while isCustom = false: the arbitration plugin decides");
    } else if table.report.around().mode(script.as_ref()).is_none() {
        let text = format!("there is no file {script}; until it is there, every verdict is \"nothing\"");
        table.warn("script", &text);
    }
    script.to_owned()
}
