//! What `arbiters check` prints: a table, the findings with their remedies, the round time; pure.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::{Table, presets};
use dr_watchdog_sdk::Utc;
use serde_json::{Map, Value, json};

use super::table::{INDENT, fitted, wrapped};
use crate::arbiters::findings::{Finding, Level, PeerSight};
use crate::arbiters::round::Round;
use crate::arbiters::{Linger, Surveyed};
use crate::config::model::Freshness;

/// Everything that was found out.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) time: Utc,
    pub(super) surveyed: Vec<Surveyed>,
    pub(super) peer: Result<BTreeMap<String, PeerSight>, String>,
    pub(super) linger: BTreeMap<usize, Result<Linger, String>>,
    pub(super) round: Round,
    pub(super) window: Duration,
    pub(super) findings: Vec<Finding>,
}

/// One document.
pub(super) fn json(checked: &Checked) -> Value {
    let mut arbiters = Map::new();
    for (position, seen) in checked.surveyed.iter().enumerate() {
        let peer = checked.peer.as_ref().ok().and_then(|all| all.get(&seen.name));
        let linger = checked.linger.get(&position);
        let kept_ms = match linger {
            Some(Ok(Linger::Kept(kept))) => Some(ms(*kept)),
            _ => None,
        };
        let linger_error = linger.and_then(|measured| measured.as_ref().err());
        arbiters.insert(
            seen.name.clone(),
            json!({
                "address": seen.address, "port": seen.port, "gateway": seen.gateway,
                "pings": seen.pings, "answered": seen.answered, "silence": seen.silence,
                "rttMinMs": seen.rtt_ms.map(|rtt| rtt.0), "rttMaxMs": seen.rtt_ms.map(|rtt| rtt.1),
                "looks": seen.looks, "looked": seen.looked,
                "ssh": seen.failure.as_ref().filter(|_| seen.looked == 0).map_or("ok", |(outcome, _)| outcome.word()),
                "sshError": seen.failure.as_ref().map(|(_, why)| why),
                "kind": seen.speaks, "showsAge": seen.shows_age, "showsCounter": seen.shows_counter,
                "counterMoves": seen.counter_moves, "freshness": seen.freshness.map(Freshness::word),
                "showsOurSession": seen.shows_us,
                "hostKey": seen.host_key,
                "peer": peer.map(|sight| json!({"ping": sight.pings, "ssh": sight.ssh.word()})),
                "lingerMs": kept_ms, "lingerError": linger_error,
                "isLongerThanMs": match linger { Some(Ok(Linger::Longer(limit))) => Some(ms(*limit)), _ => None },
            }),
        );
    }
    json!({
        "time": checked.time,
        "round": {
            "pingsS": checked.round.pings.as_secs_f64(),
            "looksS": checked.round.looks.as_secs_f64(),
            "windowS": checked.window.as_secs_f64(),
        },
        "peerError": checked.peer.as_ref().err(),
        "arbiters": arbiters,
        "findings": checked.findings,
    })
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The lines for people.
pub(super) fn lines(checked: &Checked, width: Option<usize>) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "arbiter",
        "pings",
        "round trip",
        "looks",
        "kind",
        "freshness by",
        "dead session",
        "from there",
    ]);
    for (position, seen) in checked.surveyed.iter().enumerate() {
        table.add_row(row(checked, position, seen));
    }
    fitted(&mut table, width);
    let mut lines = vec![table.to_string()];
    for finding in &checked.findings {
        let level = match finding.level {
            Level::Problem => "PROBLEM",
            Level::Warning => "warning",
            Level::Note => "note",
        };
        let whom = if finding.arbiters.is_empty() { "all".to_owned() } else { finding.arbiters.join(", ") };
        lines.extend(wrapped(&format!("{level} {whom}: {}", finding.message), width));
        if !finding.remedy.is_empty() {
            let below = width.map(|width| width.saturating_sub(INDENT.len()));
            lines.extend(wrapped(&finding.remedy, below).into_iter().map(|line| format!("{INDENT}{line}")));
        }
    }
    let round = format!(
        "a round with half of them mute takes at most {} s (pings {} s, looks {} s); W = {} s",
        checked.round.longest().as_secs_f64(),
        checked.round.pings.as_secs_f64(),
        checked.round.looks.as_secs_f64(),
        checked.window.as_secs_f64(),
    );
    lines.extend(wrapped(&round, width));
    if checked.findings.is_empty() {
        lines.push("nothing speaks against these arbiters".to_owned());
    }
    lines
}

fn row(checked: &Checked, position: usize, seen: &Surveyed) -> Vec<String> {
    let unknown = || "-".to_owned();
    let freshness = match (seen.freshness, seen.counter_moves) {
        (Some(Freshness::Counter), Some(true)) => "counter, moves",
        (Some(Freshness::Counter), Some(false)) => "counter, still",
        (freshness, _) => freshness.map_or("unknown", Freshness::word),
    };
    let linger = match checked.linger.get(&position) {
        None => unknown(),
        Some(Ok(Linger::Kept(kept))) => format!("{:.1} s", kept.as_secs_f64()),
        Some(Ok(Linger::Longer(limit))) => format!("over {} s", limit.as_secs()),
        Some(Err(_)) => "unknown".to_owned(),
    };
    let there = match &checked.peer {
        Err(_) => unknown(),
        Ok(all) => all.get(&seen.name).map_or("not configured".to_owned(), |sight| {
            format!("{}, ssh {}", if sight.pings { "ping" } else { "silent" }, sight.ssh.word())
        }),
    };
    vec![
        seen.name.clone(),
        format!("{}/{}", seen.answered, seen.pings),
        seen.rtt_ms.map_or_else(unknown, |(least, most)| format!("{least:.1} to {most:.1} ms")),
        format!("{}/{}", seen.looked, seen.looks),
        seen.speaks.unwrap_or("-").to_owned(),
        freshness.to_owned(),
        linger,
        there,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measurement_is_in_both_forms() {
        let seen = Surveyed {
            name: "r1".to_owned(),
            port: 22,
            pings: 10,
            answered: 9,
            rtt_ms: Some((0.5, 2.25)),
            looks: 10,
            looked: 10,
            speaks: Some("junos"),
            shows_age: Some(false),
            shows_counter: Some(true),
            counter_moves: Some(true),
            freshness: Some(Freshness::Counter),
            ..Surveyed::default()
        };
        let finding = Finding {
            level: Level::Warning,
            arbiters: vec!["r1".to_owned()],
            message: "it keeps a dead session".to_owned(),
            remedy: "set this".to_owned(),
        };
        let checked = Checked {
            time: Utc::from_unix_ms(0),
            surveyed: vec![seen],
            peer: Err("peer.identity is not set".to_owned()),
            linger: BTreeMap::from([(0, Ok(Linger::Kept(Duration::from_millis(14_700))))]),
            round: Round { pings: Duration::from_secs(25), looks: Duration::from_secs(10) },
            window: Duration::from_secs(15),
            findings: vec![finding],
        };
        let text = lines(&checked, None).join("\n");
        for piece in [
            "9/10",
            "0.5 to 2.2 ms",
            "junos",
            "counter, moves",
            "14.7 s",
            "warning r1: it keeps",
            "set this",
            "takes at most 25 s (pings 25 s, looks 10 s); W = 15 s",
        ] {
            assert!(text.contains(piece), "{piece}: {text}");
        }
        let document = json(&checked);
        assert_eq!(document["arbiters"]["r1"]["lingerMs"], 14_700);
        assert_eq!(document["arbiters"]["r1"]["showsAge"], false);
        assert_eq!(document["arbiters"]["r1"]["freshness"], "counter");
        assert_eq!(document["arbiters"]["r1"]["counterMoves"], true);
        assert_eq!(document["findings"][0]["level"], "warning");
        assert_eq!(document["peerError"], "peer.identity is not set");
    }
}
