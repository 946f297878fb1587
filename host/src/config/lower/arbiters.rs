//! `[[watchdog.failureDetection.arbiters]]`, lowered.

use std::collections::BTreeMap;

use dr_watchdog_sdk::nearest::nearest;
use dr_watchdog_sdk::sections;
use dr_watchdog_sdk::threshold::{SCALE, Threshold};
use regex_lite::{Regex, RegexBuilder};

use super::site::{check_host_key, word};
use crate::config::defaults;
use crate::config::error::quoted;
use crate::config::host::{Spelled, host_trouble};
use crate::config::model::{Arbiter, Custom, Freshness, Kind, MASK};
use crate::config::reader::{Keys, Reader};
use crate::config::secret::{private_key, secret};
use crate::probe::ssh::key_trouble;

const ARBITER: Keys = Keys {
    known: &[
        "host",
        "port",
        "username",
        "password",
        "privateKey",
        "kind",
        "hostKey",
        "command",
        "pattern",
        "ignore",
        "freshness",
    ],
    later: &["markDir"],
};
const KINDS: [(&str, Kind); 5] = [
    ("auto", Kind::Auto),
    ("junos", Kind::Junos),
    ("linux", Kind::Linux),
    ("bsd", Kind::Bsd),
    ("custom", Kind::Custom),
];
const FRESHNESS: [(&str, Freshness); 4] = [
    ("auto", Freshness::Auto),
    ("age", Freshness::Age),
    ("counter", Freshness::Counter),
    ("presence", Freshness::Presence),
];
/// What the groups of a pattern may be named.
const GROUPS: [&str; 7] = ["from", "fromPort", "port", "state", "ageMs", "ageS", "counter"];
/// Most memory of a compiled pattern.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Most arbiters: what one sweep and one look are made for.
const ARBITERS_MAX: usize = 1_000;
/// Fewest for which one may be down on either side of the question.
const ARBITERS_RECOMMENDED_MIN: usize = 3;

/// The arbiters as the sections show them, and as the program needs them.
pub(super) fn arbiters(
    detection: &Reader<'_>,
    fallback: Freshness,
) -> (Vec<sections::Arbiter>, Vec<Arbiter>) {
    let tables = detection.tables("arbiters", ARBITER);
    if tables.len() > ARBITERS_MAX {
        detection.wrong("arbiters", format!("{} arbiters", tables.len()), format!("at most {ARBITERS_MAX}"));
        return (Vec::new(), Vec::new());
    }
    let mut arbiters: Vec<Arbiter> = tables.iter().map(|table| arbiter(table, fallback)).collect();
    check_duplicates(&tables, &arbiters);
    let shown: Vec<sections::Arbiter> = arbiters.iter().map(shown).collect();
    let names = sections::FailureDetection { arbiters: shown.clone(), ..Default::default() }.arbiter_names();
    for (arbiter, name) in arbiters.iter_mut().zip(names) {
        arbiter.name = name;
    }
    (shown, arbiters)
}

fn arbiter(table: &Reader<'_>, fallback: Freshness) -> Arbiter {
    let host = table.required_text("host", "\"203.0.113.1\"");
    if let Some(wrong) = host_trouble(host).filter(|_| !host.is_empty()) {
        table.wrong("host", format!("{} ({})", quoted(host), wrong.what), wrong.instead);
    }
    let (password, private_key) = (secret(table, "password"), private_key(table, "privateKey"));
    let is_any_written = ["password", "privateKey"].iter().any(|key| table.get(key).is_some_and(is_filled));
    if password.is_none() && private_key.is_none() && !is_any_written {
        table.wrong(
            "password",
            "neither password nor privateKey",
            "one of them: both sites log in to the arbiter",
        );
    }
    if let Some(why) = private_key.as_ref().and_then(|key| key_trouble(key, password.is_some())) {
        // No error: one device less is no reason not to watch.
        table.warn("privateKey", &format!("the watchdog cannot log in with this key: {why}"));
    }
    let host_key = table.texts("hostKey");
    for key in &host_key {
        check_host_key(table, key);
    }
    if host_key.is_empty() && table.get("hostKey").is_none() {
        let text = format!(
            "none is pinned, so the known hosts decide (knownHosts of [ssh]); `dr-watchdog arbiters trust {host}` shows \
             the key and pins it"
        );
        table.warn("hostKey", &text);
    }
    let kind = word(table, "kind", &KINDS).unwrap_or(Kind::Auto);
    let custom = custom(table, kind);
    let freshness = freshness(table).unwrap_or(fallback);
    check_freshness(table, kind, custom.as_ref(), freshness);
    Arbiter {
        name: String::new(),
        host: host.to_owned(),
        port: table.whole("port", 1, 65_535).unwrap_or(defaults::SSH_PORT),
        username: table.required_text("username", "\"watchdog\"").to_owned(),
        password,
        private_key,
        kind,
        host_key,
        custom,
        freshness,
    }
}

/// `freshness`, if it is written and can be used.
pub(super) fn freshness(table: &Reader<'_>) -> Option<Freshness> {
    if table.text("freshness") == Some("mark") {
        let found =
            "\"mark\", which comes with the guard: the session that writes the mark is the lease's own";
        table.wrong("freshness", found, "\"auto\", \"age\", \"counter\" or \"presence\"");
        return None;
    }
    word(table, "freshness", &FRESHNESS)
}

/// A device that shows no age, or no counter, cannot be believed by one: every row there would count for ever, and
/// the operator would wait for a failover that does not come.
fn check_freshness(table: &Reader<'_>, kind: Kind, custom: Option<&Custom>, freshness: Freshness) {
    let has_group = |names: &[&str]| {
        custom.is_none_or(|custom| custom.pattern.capture_names().flatten().any(|name| names.contains(&name)))
    };
    let shows = match (freshness, kind) {
        (Freshness::Auto | Freshness::Presence, _) | (_, Kind::Auto | Kind::Linux) => true,
        (_, Kind::Junos | Kind::Bsd) => false,
        (Freshness::Age, Kind::Custom) => has_group(&["ageMs", "ageS"]),
        (Freshness::Counter, Kind::Custom) => has_group(&["counter"]),
    };
    if shows {
        return;
    }
    let what = quoted(freshness.word());
    let expected = match kind {
        Kind::Custom if freshness == Freshness::Counter => {
            "a pattern with the group (?<counter>\\d+) around what the device has received on the session"
        }
        Kind::Custom => "a pattern with the group (?<ageMs>\\d+) or (?<ageS>\\d+)",
        _ => {
            "\"presence\" or \"auto\"; or kind = \"custom\" with a command whose answer shows it, and a group for it in \
             the pattern"
        }
    };
    table.wrong("freshness", format!("{what} at a device that does not show it"), expected);
}

/// The command and the patterns of kind `custom`; with any other kind they are refused, as they would do nothing.
fn custom(table: &Reader<'_>, kind: Kind) -> Option<Custom> {
    let is_custom = kind == Kind::Custom;
    for key in ["command", "pattern", "ignore"] {
        if !is_custom && table.get(key).is_some() {
            table.wrong(
                key,
                "a key of kind = \"custom\" at another kind",
                "to leave it out, or kind = \"custom\"",
            );
        }
    }
    if !is_custom {
        return None;
    }
    if table.get("command").is_none() || table.get("pattern").is_none() {
        table.wrong(
            "kind",
            "\"custom\" without command or pattern",
            "both: command = \"show tcp brief\" and pattern = '^(?<state>\\S+) +\\S+:(?<port>\\d+) +(?<from>\\S+):\\d+$'",
        );
        return None;
    }
    let command = table.filled_text("command");
    if command.is_some_and(|command| command.chars().any(char::is_control)) {
        table.wrong("command", "a control character", "a command in one line");
    }
    let pattern = regex(table, "pattern");
    if let Some(pattern) = &pattern {
        check_groups(table, pattern);
    }
    let ignore = regex(table, "ignore");
    Some(Custom { command: command?.to_owned(), pattern: pattern?, ignore })
}

fn regex(table: &Reader<'_>, key: &str) -> Option<Regex> {
    let text = table.filled_text(key)?;
    let built = RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build();
    built
        .map_err(|error| {
            // Its last line says what is wrong; the lines before draw an arrow.
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            table.wrong(
                key,
                format!("{} ({why})", quoted(text)),
                "a regular expression, best in single quotes",
            );
        })
        .ok()
}

fn check_groups(table: &Reader<'_>, pattern: &Regex) {
    let names: Vec<&str> = pattern.capture_names().flatten().collect();
    if !names.contains(&"from") {
        table.wrong("pattern", "no group named \"from\"", "(?<from>…) around the address of the other end");
    }
    for name in names.iter().filter(|name| !GROUPS.contains(name)) {
        let hint = nearest(name, GROUPS.iter().copied()).map(quoted);
        let expected = format!("groups named {}", GROUPS.join(", "));
        let found = format!("the group {}", quoted(name));
        table.report.error(table.line_of("pattern"), &table.path_of("pattern"), found, expected, hint);
    }
}

fn is_filled(node: &super::Node) -> bool {
    !matches!(&node.value, super::Raw::Text(text) if text.is_empty())
}

fn shown(arbiter: &Arbiter) -> sections::Arbiter {
    let mask = |is_set: bool| if is_set { MASK.to_owned() } else { String::new() };
    sections::Arbiter {
        username: arbiter.username.clone(),
        password: mask(arbiter.password.is_some()),
        host: arbiter.host.clone(),
        port: arbiter.port,
        private_key: mask(arbiter.private_key.is_some()),
    }
}

/// One arbiter twice would count twice.
fn check_duplicates(tables: &[Reader<'_>], arbiters: &[Arbiter]) {
    let mut seen: BTreeMap<(Spelled, u16), usize> = BTreeMap::new();
    for (table, arbiter) in tables.iter().zip(arbiters) {
        if arbiter.host.is_empty() {
            continue;
        }
        let host = Spelled::of(&arbiter.host);
        let line = table.line_of("host");
        if let Some(first) = seen.get(&(host.clone(), arbiter.port)) {
            let found =
                format!("{} port {}, which stands at line {first} already", arbiter.host, arbiter.port);
            table.wrong("host", found, "each arbiter once: twice it would count twice");
        } else {
            seen.insert((host, arbiter.port), line);
        }
    }
}

/// What the number of arbiters means (reading A39; `need = max(1, ceil(T·n))`).
pub(super) fn check_count(detection: &Reader<'_>, count: usize, is_custom: bool, failover: Threshold) {
    if count == 0 {
        let has_tried = detection.get("arbiters").is_some_and(|node| match &node.value {
            super::Raw::List(list) => !list.is_empty(),
            _ => true,
        });
        if !is_custom && !has_tried {
            detection.wrong(
                "arbiters",
                "none",
                "at least one [[watchdog.failureDetection.arbiters]] with host and username, better three: \
                 without them nothing tells a dead site from a cut link; or isCustom = true with your own policy",
            );
        }
        return;
    }
    let total = count as u64;
    let need = (failover.ten_thousandths() * total).div_ceil(SCALE).max(1);
    let (active_spare, standby_spare) = (total - need, need - 1);
    let figures = format!(
        "{count} arbiter{}: {active_spare} may be down while the active goes on, {standby_spare} while the standby \
         may still take over",
        if count == 1 { "" } else { "s" },
    );
    if count < ARBITERS_RECOMMENDED_MIN || count.is_multiple_of(2) {
        let advice = "an odd number from 3 on is better";
        detection.warn("arbiters", &format!("{figures}; {advice}"));
    }
}
