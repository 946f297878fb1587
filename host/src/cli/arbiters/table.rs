//! What was seen at the arbiters as a table: those with trouble first, then the sum of it all; pure.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use dr_watchdog_sdk::Utc;
use serde_json::Value;

use super::word;

/// Sessions that are shown of one arbiter.
const SESSIONS_SHOWN_MAX: usize = 4;
/// Arbiters whose trouble is told in a sentence.
const SENTENCES_SHOWN_MAX: usize = 20;
/// Before the further lines of a sentence.
pub(super) const INDENT: &str = "    ";
const MS_PER_S: i64 = 1_000;
const S_PER_MIN: i64 = 60;
const MIN_PER_H: i64 = 60;
const H_PER_DAY: i64 = 24;

/// The lines to print.
pub(super) fn lines(report: &Value, wants_sessions: bool, width: Option<usize>) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(match wants_sessions {
        true => ["arbiter", "ssh", "held by the other site", "sessions there (age)", "remarks"],
        false => ["arbiter", "ping", "round trip", "last answer", "remarks"],
    });
    let mut rows: Vec<(&String, &Value)> = report["arbiters"].as_object().into_iter().flatten().collect();
    // Stable, so the names stay in order within each half.
    rows.sort_by_key(|(_, seen)| !is_trouble(seen, wants_sessions));
    let told = if wants_sessions { sentences(&rows, width) } else { Vec::new() };
    for (name, seen) in rows {
        let row = if wants_sessions { session_row(report, seen) } else { ping_row(report, seen) };
        table.add_row([vec![name.clone()], row].concat());
    }
    if let Some(column) = table.column_mut(2).filter(|_| !wants_sessions) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    fitted(&mut table, width);
    let mut lines = vec![table.to_string()];
    lines.extend(told);
    lines.extend(wrapped(&summary(report, wants_sessions), width));
    lines
}

/// Breaks the cells of a table where a screen is narrower.
pub(super) fn fitted(table: &mut Table, width: Option<usize>) {
    if let Some(width) = width.and_then(|width| u16::try_from(width).ok()) {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
}

/// What went wrong at each, in sentences below the table: within it they would squeeze everything else.
fn sentences(rows: &[(&String, &Value)], width: Option<usize>) -> Vec<String> {
    let told: Vec<(&String, String)> = rows
        .iter()
        .map(|(name, seen)| (*name, word(&seen["sshError"])))
        .filter(|(_, sentence)| !sentence.is_empty())
        .collect();
    let mut lines: Vec<String> = told
        .iter()
        .take(SENTENCES_SHOWN_MAX)
        .flat_map(|(name, sentence)| wrapped(&format!("{name}: {sentence}"), width))
        .collect();
    if told.len() > SENTENCES_SHOWN_MAX {
        let more = told.len() - SENTENCES_SHOWN_MAX;
        lines.push(format!("and {more} more; --json tells of each"));
    }
    lines
}

/// A sentence in lines of this width; a longer word has a line to itself, so that it can be copied whole.
pub(super) fn wrapped(text: &str, width: Option<usize>) -> Vec<String> {
    let width = width.unwrap_or(usize::MAX);
    let mut lines: Vec<String> = Vec::new();
    for piece in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + piece.chars().count() <= width => {
                line.push(' ');
                line.push_str(piece);
            }
            Some(_) => lines.push(format!("{INDENT}{piece}")),
            None => lines.push(piece.to_owned()),
        }
    }
    lines
}

fn is_trouble(seen: &Value, wants_sessions: bool) -> bool {
    if wants_sessions { seen["ssh"] != "ok" } else { seen["ping"] != true }
}

fn ping_row(report: &Value, seen: &Value) -> Vec<String> {
    vec![
        if seen["ping"] == true { "answers" } else { "silent" }.to_owned(),
        seen["rttMs"].as_f64().map(round_trip).unwrap_or_default(),
        ago(report, &seen["lastGood"]).unwrap_or_else(|| "never seen".to_owned()),
        [Some(word(&seen["why"])).filter(|why| !why.is_empty()), old_address(seen)]
            .into_iter()
            .flatten()
            .collect::<Vec<String>>()
            .join("; "),
    ]
}

/// A round trip with as many digits as say something.
pub(super) fn round_trip(ms: f64) -> String {
    if ms < 1.0 { format!("{ms:.3} ms") } else { format!("{ms:.1} ms") }
}

/// That no name server told its address.
fn old_address(seen: &Value) -> Option<String> {
    seen["oldAddress"]
        .as_str()
        .map(|old| format!("no name server answers; asked at its last known address {old}"))
}

fn session_row(report: &Value, seen: &Value) -> Vec<String> {
    let is_known = seen["ssh"] == "ok";
    let absent = ago(report, &seen["absentSince"])
        .map(|since| format!("the other site is absent, first seen so {since}"));
    let remarks: Vec<String> = absent.into_iter().chain(old_address(seen)).collect();
    vec![
        word(&seen["ssh"]),
        match (is_known, seen["managed"] == true) {
            (false, _) => "unknown, counts as yes",
            (true, true) => "yes",
            (true, false) => "no",
        }
        .to_owned(),
        sessions(&seen["sessions"]),
        remarks.join("; "),
    ]
}

fn sessions(list: &Value) -> String {
    let all = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut shown: Vec<String> = all.iter().take(SESSIONS_SHOWN_MAX).map(session).collect();
    if all.len() > SESSIONS_SHOWN_MAX {
        shown.push(format!("and {} more", all.len() - SESSIONS_SHOWN_MAX));
    }
    shown.join("\n")
}

fn session(session: &Value) -> String {
    match session["ageMs"].as_i64() {
        Some(age_ms) => format!("{} ({})", word(&session["from"]), span(age_ms)),
        None => format!("{} (not shown)", word(&session["from"])),
    }
}

/// One sentence, and how often each reason was met.
fn summary(report: &Value, wants_sessions: bool) -> String {
    let (total, reachable) = (&report["total"], &report["reachable"]);
    let mut text = match wants_sessions {
        true => {
            format!("{reachable} of {total} reached by SSH, {} held by the other site", report["managed"])
        }
        false if report["warning"] == true => {
            format!("{reachable} of {total} answer ping: below the warning threshold")
        }
        false => format!("{reachable} of {total} answer ping"),
    };
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    let key = if wants_sessions { "ssh" } else { "why" };
    for seen in report["arbiters"].as_object().into_iter().flat_map(|all| all.values()) {
        if is_trouble(seen, wants_sessions) {
            *reasons.entry(word(&seen[key])).or_default() += 1;
        }
    }
    if !reasons.is_empty() {
        let told: Vec<String> = reasons.iter().map(|(why, count)| format!("{count} × {why}")).collect();
        text.push_str(&format!("; not: {}", told.join(", ")));
    }
    text
}

/// How long ago an instant was when the report was made.
fn ago(report: &Value, instant: &Value) -> Option<String> {
    let read = |value: &Value| serde_json::from_value::<Utc>(value.clone()).ok();
    let (then, now) = (read(instant)?, read(&report["time"])?);
    match (now.unix_ms() - then.unix_ms()).max(0) {
        0..MS_PER_S => Some("now".to_owned()),
        ms => Some(format!("{} ago", span(ms))),
    }
}

/// A span in its two largest units.
fn span(ms: i64) -> String {
    let seconds = ms / MS_PER_S;
    let (minutes, hours) = (seconds / S_PER_MIN, seconds / S_PER_MIN / MIN_PER_H);
    let days = hours / H_PER_DAY;
    match (days, hours, minutes) {
        (0, 0, 0) if seconds == 0 => format!("{ms} ms"),
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % S_PER_MIN),
        (0, _, _) => format!("{hours} h {} min", minutes % MIN_PER_H),
        _ => format!("{days} d {} h", hours % H_PER_DAY),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn trouble_comes_first_and_is_summed_up_by_reason() {
        let report = json!({"time": "2026-01-01T00:10:00+00:00", "total": 3, "reachable": 1, "managed": 1, "arbiters": {
            "r1": {"ssh": "ok", "managed": true, "sessions": [{"from": "192.0.2.10", "ageMs": 4_000}, {"from": "192.0.2.11"}]},
            "r2": {"ssh": "auth", "sshError": "refused", "managed": false, "sessions": []},
            "r3": {"ssh": "ok", "managed": false, "sessions": [], "absentSince": "2026-01-01T00:07:50+00:00"},
        }});
        let lines = lines(&report, true, None);
        let at = |piece: &str| lines[0].find(piece).unwrap_or_else(|| panic!("no {piece} in {}", lines[0]));
        assert!(at("r2") < at("r1") && at("r1") < at("r3"));
        for piece in ["192.0.2.10 (4 s)", "192.0.2.11 (not shown)", "unknown", "2 min 10 s"] {
            at(piece);
        }
        assert_eq!(lines[1], "r2: refused");
        assert_eq!(lines[2], "1 of 3 reached by SSH, 1 held by the other site; not: 1 × auth");
    }

    #[test]
    fn pings_say_when_the_last_answer_came() {
        let report = json!({"time": "2026-01-01T00:10:00+00:00", "total": 2, "reachable": 1, "warning": true, "arbiters": {
            "r1": {"ping": true, "rttMs": 0.84, "lastGood": "2026-01-01T00:10:00+00:00"},
            "r2": {"ping": false, "why": "timeout"},
        }});
        let lines = lines(&report, false, Some(80));
        for piece in ["0.840 ms", "now", "never seen", "timeout"] {
            assert!(lines[0].contains(piece), "{piece}: {}", lines[0]);
        }
        assert_eq!(lines[1], "1 of 2 answer ping: below the warning threshold; not: 1 × timeout");
    }

    #[test]
    fn a_look_that_failed_with_a_long_sentence_fits_into_a_narrow_screen() {
        let why = "the log-in of user watchdog was refused (a key was tried; the server offers keyboard-interactive)";
        let name = "2001:db8:1111:2222:3333:4444:5555:6666";
        let seen = json!({"ssh": "auth", "sshError": why, "managed": false, "sessions": [], "oldAddress": "192.0.2.9"});
        let report = json!({"time": "2026-01-01T00:10:00+00:00", "total": 1, "reachable": 0, "managed": 0, "arbiters": {name: seen}});
        for wants_sessions in [true, false] {
            let lines = lines(&report, wants_sessions, Some(80)).join("\n");
            assert!(lines.lines().all(|line| line.chars().count() <= 80), "{lines}");
            assert!(lines.lines().count() > 6, "{lines}");
            assert!(lines.contains("last") && lines.contains("192.0.2.9"), "{lines}");
        }
        let long = format!("see {}", "x".repeat(100));
        assert_eq!(wrapped(&long, Some(80)), ["see".to_owned(), format!("{INDENT}{}", "x".repeat(100))]);
    }

    #[test]
    fn a_span_has_its_two_largest_units() {
        for (ms, text) in [
            (7, "7 ms"),
            (59_999, "59 s"),
            (61_000, "1 min 1 s"),
            (3_600_000 * 5 + 60_000, "5 h 1 min"),
            (86_400_000 * 2, "2 d 0 h"),
        ] {
            assert_eq!(span(ms), text);
        }
    }
}
