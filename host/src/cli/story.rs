//! A record of the history as a story: what was asked, seen, ruled, stopped, done, and what would have changed it.

use serde_json::{Value, json};

use crate::daemon::history::id_of;

/// Records that follow a decision and are told with it.
const FOLLOWING_MAX: usize = 12;
/// Arbiters that are told one by one.
const ARBITERS_MAX: usize = 30;

/// The story of one record, as `--json` prints it.
pub(super) fn story(records: &[Value], at: usize) -> Value {
    let record = &records[at];
    let is_decision = record["kind"] == "decision";
    let mut story = json!({
        "id": id_of(record),
        "kind": record["kind"],
        "time": record["time"],
        "role": record["role"],
        "epoch": record["epoch"],
        "what": what(record),
    });
    if is_decision {
        let details = &record["verdict"]["payload"]["details"];
        story["asked"] = json!(asked(record));
        story["began"] = json!(began(records, at));
        story["seen"] = json!(seen(record));
        story["policy"] = json!(policy(record));
        story["rule"] = details["rule"].clone();
        story["shares"] = details["shares"].clone();
        story["verdict"] = record["verdict"]["action"].clone();
        story["why"] = record["verdict"]["description"].clone();
        story["gate"] = record["gate"].clone();
        story["error"] = record["error"].clone();
        story["effect"] = record["outcome"].clone();
        story["flip"] = details["flip"].clone();
        story["repeated"] = json!(repeated(records, at));
    } else {
        let before = records[..at].iter().rev().find(|record| record["kind"] == "decision");
        story["decision"] = json!(before.map(id_of));
    }
    story["then"] = json!(following(records, at));
    story
}

/// The row that a story begins with where nobody names one: the newest decision, else the newest record.
pub(super) fn newest(records: &[Value]) -> Option<usize> {
    let decision = records.iter().rposition(|record| record["kind"] == "decision");
    decision.or_else(|| records.len().checked_sub(1))
}

/// One record in one sentence.
pub(super) fn what(record: &Value) -> String {
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    match text("/kind") {
        "decision" => format!(
            "{} ({}): {} {} → {}",
            text("/situation"),
            record.pointer("/policy/engine").and_then(Value::as_str).unwrap_or("?"),
            text("/verdict/action"),
            text("/verdict/description"),
            text("/outcome")
        ),
        "transition" => format!("{} → {}: {}", text("/from"), text("/to"), text("/text")),
        "step" => {
            let took = format!("after {} ms", record["elapsedMs"]);
            let end = match record["error"].as_str() {
                None => format!("done {took}"),
                Some(why) => format!("failed {took}: {why}"),
            };
            format!("{} step {} \"{}\" {end}", text("/plan"), record["number"], text("/step"))
        }
        "observation" => text("/text").to_owned(),
        _ => format!("{}: {}", text("/trigger"), text("/text")),
    }
}

fn asked(record: &Value) -> String {
    let why = match record["situation"].as_str() {
        Some("peerLost") => "the other site answered neither ping nor the pings of its nodes",
        Some("bothStandby") => "both sites were standby, so nobody served",
        Some("waiting") => "the other site was silent and a wait was open",
        _ => "the situation is not known",
    };
    let until = record.pointer("/context/waitTime").and_then(Value::as_str);
    let until = until.map(|until| format!("; the wait ends at {until}")).unwrap_or_default();
    format!("{why}{until}")
}

/// The notice that opened the situation.
fn began(records: &[Value], at: usize) -> Option<String> {
    let opens = |record: &&Value| {
        record["kind"] == "notice" && (record["trigger"] == "peerLost" || record["trigger"] == "bothStandby")
    };
    let notice = records[..at].iter().rev().find(opens)?;
    Some(format!("{} ({}, record {})", notice["text"].as_str()?, notice["time"].as_str()?, id_of(notice)))
}

fn seen(record: &Value) -> Vec<String> {
    let arbiters = record.pointer("/evidence/arbiters").and_then(Value::as_object);
    let all: Vec<_> = arbiters.into_iter().flatten().collect();
    let mut lines: Vec<String> = all
        .iter()
        .take(ARBITERS_MAX)
        .map(|(name, arbiter)| format!("{name}: {}", arbiter_seen(arbiter)))
        .collect();
    if all.len() > ARBITERS_MAX {
        lines.push(format!("and {} more (`history --id {}`)", all.len() - ARBITERS_MAX, id_of(record)));
    }
    lines
}

fn arbiter_seen(arbiter: &Value) -> String {
    let ping = match (&arbiter["ping"], arbiter["rttMs"].as_f64()) {
        (Value::Bool(true), Some(ms)) => format!("ping {ms:.1} ms"),
        (Value::Bool(true), None) => "answers ping".to_owned(),
        (Value::Bool(false), _) => format!("no ping ({})", arbiter["why"].as_str().unwrap_or("no answer")),
        _ => "not pinged".to_owned(),
    };
    let managed = match (&arbiter["managed"], arbiter["ssh"].as_str()) {
        (_, None) => return ping,
        (Value::Bool(true), Some("ok")) => "managed by the other site".to_owned(),
        (_, Some("ok")) => "logged in to: not managed by the other site".to_owned(),
        (_, Some(failed)) => {
            let why = arbiter["sshError"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
            format!("not logged in to ({failed}{why}), so presumed managed")
        }
    };
    format!("{ping}, {managed}")
}

fn policy(record: &Value) -> String {
    let policy = &record["policy"];
    let text = |key: &str| policy[key].as_str().unwrap_or("?");
    format!("{} ({}), {} µs", text("name"), text("engine"), policy["elapsedUs"])
}

/// How many decisions before this one, without a gap, said the same.
fn repeated(records: &[Value], at: usize) -> usize {
    let same = |a: &Value, b: &Value| {
        a["verdict"]["action"] == b["verdict"]["action"]
            && a["verdict"]["description"] == b["verdict"]["description"]
            && a["gate"] == b["gate"]
    };
    let before = records[..at].iter().rev().filter(|record| record["kind"] == "decision");
    before.take_while(|record| same(record, &records[at])).count()
}

/// What came of it: everything up to the next decision that changed nothing, within bounds.
fn following(records: &[Value], at: usize) -> Vec<String> {
    let after = records[at + 1..].iter().take_while(|record| record["kind"] != "decision");
    let told = |record: &Value| {
        format!("{} {} (record {})", record["time"].as_str().unwrap_or("?"), what(record), id_of(record))
    };
    after.take(FOLLOWING_MAX).map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<Value> {
        let decision = |id: u64, gate: Value, outcome: &str| {
            json!({
                "id": id, "kind": "decision", "time": "2026-01-01T00:00:30+00:00", "role": "standby", "epoch": 2,
                "situation": "peerLost", "policy": {"name": "arbitration", "engine": "native", "elapsedUs": 90},
                "verdict": {"state": "standby", "action": "beActive", "description": "0 of 2 managed",
                    "payload": {"waitTime": "", "details": {"rule": "free", "flip": "one more managed arbiter",
                        "shares": {"managed": "0/2"}}}},
                "gate": gate, "error": null, "outcome": outcome, "context": {"waitTime": null},
                "evidence": {"arbiters": {
                    "203.0.113.1": {"ping": true, "rttMs": 0.84, "ssh": "ok", "managed": false},
                    "203.0.113.2": {"ping": false, "why": "timeout", "ssh": "timeout", "sshError": "no answer"}}},
            })
        };
        vec![
            json!({"id": 1, "kind": "notice", "time": "2026-01-01T00:00:00+00:00", "trigger": "peerLost", "text": "silent"}),
            decision(2, json!({"name": "automaticFailover", "why": "off"}), "no role change: off"),
            decision(3, Value::Null, "this site becomes active"),
            json!({"id": 4, "kind": "transition", "time": "2026-01-01T00:00:31+00:00", "from": "standby", "to": "promoting", "text": "every gate is open"}),
            json!({"id": 5, "kind": "step", "time": "2026-01-01T00:00:32+00:00", "plan": "beActive", "number": 1,
                "step": "start", "elapsedMs": 900, "error": null}),
        ]
    }

    #[test]
    fn a_decision_is_told_from_its_cause_to_its_effect_with_the_nearest_flip() {
        let records = records();
        let story = story(&records, 2);
        assert_eq!(story["rule"], "free");
        assert_eq!(story["flip"], "one more managed arbiter");
        assert_eq!(story["effect"], "this site becomes active");
        assert!(story["began"].as_str().unwrap().contains("record 1"), "{story}");
        assert_eq!(story["seen"][0], "203.0.113.1: ping 0.8 ms, logged in to: not managed by the other site");
        assert!(story["seen"][1].as_str().unwrap().contains("presumed managed"), "{story}");
        assert_eq!(story["then"].as_array().unwrap().len(), 2);
        assert!(story["then"][1].as_str().unwrap().contains("\"start\" done after 900 ms"), "{story}");
        assert_eq!(story["repeated"], 0, "the gate was another one");
    }

    #[test]
    fn another_record_names_the_decision_that_it_belongs_to() {
        let records = records();
        assert_eq!(story(&records, 4)["decision"], 3);
        assert_eq!(story(&records, 0)["decision"], Value::Null);
    }

    #[test]
    fn without_a_number_it_is_the_newest_decision() {
        assert_eq!(newest(&records()), Some(2));
        assert_eq!(newest(&records()[..1]), Some(0));
        assert_eq!(newest(&[]), None);
    }
}
