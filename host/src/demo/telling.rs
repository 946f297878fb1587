//! History records of a daemon, as sentences.

use serde_json::Value;

use super::timeline::Kind;

/// Triggers that only repeat what a transition says.
const REPEATED: [&str; 2] = ["becameActive", "becameStandby"];

/// A site and an arbiter, as people of the demo call them.
#[derive(Debug, Clone)]
pub struct Names {
    /// Address and name of the other site.
    pub peer: (String, String),
    /// Address and name of each arbiter.
    pub arbiters: Vec<(String, String)>,
}

/// Puts records into the order in which people tell them: a role change follows the decision that caused it, which
/// the history has the other way round.
pub fn in_order(mut records: Vec<Value>) -> Vec<Value> {
    for index in 1..records.len() {
        let is_caused = matches!(records[index - 1]["to"].as_str(), Some("promoting" | "demoting"));
        if is_caused && records[index]["kind"] == "decision" {
            records.swap(index - 1, index);
        }
    }
    records
}

/// What a site has said, so that it does not say the same again.
#[derive(Debug, Default)]
pub struct Teller {
    evidence: String,
    decision: String,
}

impl Teller {
    /// What a record says, in order.
    pub fn tell(&mut self, record: &Value, names: &Names) -> Vec<(Kind, String)> {
        let text = |key: &str| record[key].as_str().unwrap_or_default();
        match text("kind") {
            "transition" => vec![(Kind::Transition, format!("→ {}: {}", text("to"), text("text")))],
            "notice" if REPEATED.contains(&text("trigger")) => Vec::new(),
            "notice" => vec![(Kind::Notice, text("text").to_owned())],
            "decision" => self.decision(record, names),
            _ => Vec::new(),
        }
    }

    /// Evidence that has not changed is not told again, and of an answer that has not changed only that.
    fn decision(&mut self, record: &Value, names: &Names) -> Vec<(Kind, String)> {
        let is_standby = record["context"]["role"] == "standby";
        let seen = evidence(&record["evidence"]["arbiters"], is_standby, names);
        let (answer, took) = decision(record);
        let has_news = (seen != self.evidence, answer != self.decision);
        let told = match has_news {
            (_, true) => {
                vec![
                    (Kind::Evidence, seen.clone()),
                    (Kind::Decision, answer.replacen(" answers", &format!(", {took}, answers"), 1)),
                ]
            }
            (true, false) => vec![(Kind::Evidence, seen.clone())],
            (false, false) => Vec::new(),
        };
        (self.evidence, self.decision) = (seen, answer);
        told
    }
}

/// The answer, and how long it took.
fn decision(record: &Value) -> (String, String) {
    let (verdict, policy) = (&record["verdict"], &record["policy"]);
    let took = policy["elapsedUs"].as_u64().unwrap_or_default();
    let action = verdict["action"].as_str().unwrap_or("nothing");
    let why = match record["error"]["message"].as_str() {
        Some(error) => format!("the policy failed: {error}"),
        None => verdict["description"].as_str().unwrap_or_default().to_owned(),
    };
    let mut text = format!("the policy answers {action}: {why}");
    if let Some(stopped) = record["gate"]["why"].as_str() {
        text.push_str(&format!("; a gate stops it: {stopped}"));
    }
    (
        text,
        format!("{} in {}.{} ms", policy["engine"].as_str().unwrap_or("?"), took / 1_000, took % 1_000 / 100),
    )
}

/// What is seen at the arbiters: sessions of the other site where they matter, else who answers ping.
pub fn evidence(arbiters: &Value, wants_sessions: bool, names: &Names) -> String {
    let each = names.arbiters.iter().map(|(address, name)| {
        let seen = &arbiters[address];
        let said = if wants_sessions { session(seen, &names.peer.0) } else { ping(seen) };
        format!("{name} {said}")
    });
    let each = each.collect::<Vec<_>>().join(" · ");
    if wants_sessions { format!("sessions of {}: {each}", names.peer.1) } else { format!("arbiters: {each}") }
}

fn ping(seen: &Value) -> String {
    if seen["ping"] == true { "answers".to_owned() } else { "silent".to_owned() }
}

fn session(seen: &Value, peer: &str) -> String {
    if seen["ssh"] != "ok" {
        return format!("no log-in ({})", seen["ssh"].as_str().unwrap_or("not tried"));
    }
    let rows = seen["sessions"].as_array().map_or(&[][..], Vec::as_slice);
    let mut of_peer = rows.iter().filter(|row| row["from"] == peer).peekable();
    if of_peer.peek().is_none() {
        return "none".to_owned();
    }
    let Some(ms) = of_peer.filter_map(|row| row["ageMs"].as_u64()).min() else { return "open".to_owned() };
    let (seconds, tenths) = (ms / 1_000, ms % 1_000 / 100);
    if seen["managed"] == true {
        format!("heard {seconds}.{tenths} s ago")
    } else {
        format!("silent for {seconds}.{tenths} s: stale")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names() -> Names {
        Names {
            peer: ("192.0.2.10".to_owned(), "a".to_owned()),
            arbiters: [("203.0.113.1", "r1"), ("203.0.113.2", "r2"), ("203.0.113.3", "r3")]
                .map(|(address, name)| (address.to_owned(), name.to_owned()))
                .to_vec(),
        }
    }

    fn asked(age_ms: u64, description: &str) -> Value {
        json!({
            "kind": "decision", "context": {"role": "standby"},
            "policy": {"engine": "lua", "elapsedUs": 1_250},
            "verdict": {"action": "nothing", "description": description},
            "gate": null,
            "evidence": {"arbiters": {
                "203.0.113.1": {"ssh": "ok", "managed": true, "sessions": [{"from": "192.0.2.10", "ageMs": age_ms}]},
                "203.0.113.2": {"ssh": "ok", "managed": false, "sessions": [{"from": "192.0.2.10", "ageMs": 9_900}]},
                "203.0.113.3": {"ssh": "timeout"}
            }}
        })
    }

    #[test]
    fn a_decision_tells_the_evidence_and_the_answer_and_nothing_twice() {
        let mut teller = Teller::default();
        let seen = |age| {
            format!(
                "sessions of a: r1 heard {age} s ago · r2 silent for 9.9 s: stale · r3 no log-in (timeout)"
            )
        };
        let answer = "the policy, lua in 1.2 ms, answers nothing: it serves".to_owned();
        assert_eq!(
            teller.tell(&asked(3_210, "it serves"), &names()),
            [(Kind::Evidence, seen("3.2")), (Kind::Decision, answer)]
        );
        assert_eq!(teller.tell(&asked(4_210, "it serves"), &names()), [(Kind::Evidence, seen("4.2"))]);
        assert_eq!(teller.tell(&asked(4_210, "it serves"), &names()), []);
        assert_eq!(teller.tell(&asked(4_210, "it is gone"), &names()).len(), 2);
        let mut stopped = asked(4_210, "it is gone");
        stopped["gate"] = json!({"name": "automaticFailover", "why": "it is off"});
        assert!(teller.tell(&stopped, &names())[1].1.ends_with("it is gone; a gate stops it: it is off"));
        stopped["error"] = json!({"kind": "timeout", "message": "no answer within 2 s"});
        assert!(teller.tell(&stopped, &names())[1].1.contains("the policy failed: no answer within 2 s"));
    }

    #[test]
    fn arbiters_tell_pings_to_the_active_and_sessions_to_the_standby() {
        let seen = json!({"203.0.113.1": {"ping": true}, "203.0.113.2": {"ping": false}, "203.0.113.3": {}});
        assert_eq!(evidence(&seen, false, &names()), "arbiters: r1 answers · r2 silent · r3 silent");
        let seen = json!({
            "203.0.113.1": {"ssh": "ok", "sessions": [], "managed": false},
            "203.0.113.2": {"ssh": "ok", "sessions": [{"from": "192.0.2.10"}], "managed": true},
        });
        assert_eq!(
            evidence(&seen, true, &names()),
            "sessions of a: r1 none · r2 open · r3 no log-in (not tried)"
        );
    }

    #[test]
    fn notices_that_repeat_a_transition_are_left_out() {
        let mut teller = Teller::default();
        let repeated = json!({"kind": "notice", "trigger": "becameActive", "text": "x"});
        assert!(teller.tell(&repeated, &names()).is_empty());
        let lost = json!({"kind": "notice", "trigger": "peerLost", "text": "x"});
        assert_eq!(teller.tell(&lost, &names()), [(Kind::Notice, "x".to_owned())]);
        let transition = json!({"kind": "transition", "to": "active", "text": "all steps done"});
        assert_eq!(teller.tell(&transition, &names())[0].1, "→ active: all steps done");
    }

    #[test]
    fn a_role_change_is_told_after_its_decision() {
        let kinds = |records: &[Value]| -> Vec<String> {
            records.iter().map(|record| record["kind"].as_str().unwrap().to_owned()).collect()
        };
        let records = vec![
            json!({"kind": "notice"}),
            json!({"kind": "transition", "to": "demoting"}),
            json!({"kind": "decision"}),
            json!({"kind": "transition", "to": "standby"}),
            json!({"kind": "decision"}),
        ];
        assert_eq!(kinds(&in_order(records)), ["notice", "decision", "transition", "transition", "decision"]);
        assert!(in_order(Vec::new()).is_empty());
    }
}
