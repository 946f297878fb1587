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

/// What a record says, in order.
pub fn tell(record: &Value, names: &Names) -> Vec<(Kind, String)> {
    let text = |key: &str| record[key].as_str().unwrap_or_default();
    match text("kind") {
        "transition" => {
            vec![(Kind::Transition, format!("→ {}: {}", text("to"), text("text")))]
        }
        "notice" if REPEATED.contains(&text("trigger")) => Vec::new(),
        "notice" => vec![(Kind::Notice, text("text").to_owned())],
        "decision" => {
            let seen = evidence(&record["evidence"]["arbiters"], record["role"] == "standby", names);
            vec![(Kind::Evidence, seen), (Kind::Decision, decision(record))]
        }
        _ => Vec::new(),
    }
}

fn decision(record: &Value) -> String {
    let verdict = &record["verdict"];
    let policy = &record["policy"];
    let took = policy["elapsedUs"]
        .as_u64()
        .map_or_else(String::new, |us| format!(" in {}.{} ms", us / 1_000, us % 1_000 / 100));
    let action = verdict["action"].as_str().unwrap_or("nothing");
    let why = match record["error"]["message"].as_str() {
        Some(error) => format!("the policy failed: {error}"),
        None => verdict["description"].as_str().unwrap_or_default().to_owned(),
    };
    let engine = policy["engine"].as_str().unwrap_or("?");
    let mut text = format!("the policy ({engine}) answers {action}{took}: {why}");
    if let Some(stopped) = record["gate"]["why"].as_str() {
        text.push_str(&format!("; a gate stops it: {stopped}"));
    }
    text
}

/// What is seen at the arbiters: their sessions where they matter, else who answers ping.
pub fn evidence(arbiters: &Value, wants_sessions: bool, names: &Names) -> String {
    let each = names.arbiters.iter().map(|(address, name)| {
        let seen = &arbiters[address];
        let said = if wants_sessions { sessions(seen, names) } else { ping(seen) };
        format!("{name} {said}")
    });
    each.collect::<Vec<_>>().join(" · ")
}

fn ping(seen: &Value) -> String {
    if seen["ping"] == true { "answers ping".to_owned() } else { "does not answer ping".to_owned() }
}

fn sessions(seen: &Value, names: &Names) -> String {
    let (address, peer) = &names.peer;
    if seen["ssh"] != "ok" {
        return format!("cannot be logged in to ({})", seen["ssh"].as_str().unwrap_or("not tried"));
    }
    let rows = seen["sessions"].as_array().map_or(&[][..], Vec::as_slice);
    let mut of_peer = rows.iter().filter(|row| row["from"] == address.as_str()).peekable();
    if of_peer.peek().is_none() {
        return format!("has no session of {peer}");
    }
    let youngest = of_peer.filter_map(|row| row["ageMs"].as_u64()).min();
    let heard =
        youngest.map_or_else(String::new, |ms| format!(", heard {}.{} s ago", ms / 1_000, ms % 1_000 / 100));
    let stale = if seen["managed"] == true { "" } else { ": stale" };
    format!("has a session of {peer}{heard}{stale}")
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

    #[test]
    fn a_decision_tells_the_evidence_and_the_answer() {
        let record = json!({
            "kind": "decision", "role": "standby",
            "policy": {"engine": "lua", "elapsedUs": 1_250},
            "verdict": {"action": "beActive", "description": "nobody holds them"},
            "gate": {"name": "automaticFailover", "why": "it is off"},
            "evidence": {"arbiters": {
                "203.0.113.1": {"ssh": "ok", "managed": true, "sessions": [{"from": "192.0.2.10", "ageMs": 3_210}]},
                "203.0.113.2": {"ssh": "ok", "managed": false, "sessions": [{"from": "192.0.2.10", "ageMs": 9_900}]},
                "203.0.113.3": {"ssh": "timeout"}
            }}
        });
        let told = tell(&record, &names());
        assert_eq!(
            told[0],
            (
                Kind::Evidence,
                "r1 has a session of a, heard 3.2 s ago · r2 has a session of a, heard 9.9 s ago: stale · \
                 r3 cannot be logged in to (timeout)"
                    .to_owned()
            )
        );
        let answer =
            "the policy (lua) answers beActive in 1.2 ms: nobody holds them; a gate stops it: it is off";
        assert_eq!(told[1], (Kind::Decision, answer.to_owned()));
    }

    #[test]
    fn an_active_sites_decision_tells_who_answers_ping() {
        let seen = json!({"203.0.113.1": {"ping": true}, "203.0.113.2": {"ping": false}, "203.0.113.3": {}});
        assert_eq!(
            evidence(&seen, false, &names()),
            "r1 answers ping · r2 does not answer ping · r3 does not answer ping"
        );
        let seen = json!({"203.0.113.1": {"ssh": "ok", "sessions": [], "managed": false}});
        assert!(evidence(&seen, true, &names()).starts_with("r1 has no session of a · r2 cannot"));
    }

    #[test]
    fn notices_that_repeat_a_transition_are_left_out() {
        let repeated = json!({"kind": "notice", "trigger": "becameActive", "text": "x"});
        assert!(tell(&repeated, &names()).is_empty());
        let lost = json!({"kind": "notice", "trigger": "peerLost", "text": "x"});
        assert_eq!(tell(&lost, &names()), [(Kind::Notice, "x".to_owned())]);
        let transition = json!({"kind": "transition", "to": "active", "text": "all steps done"});
        assert_eq!(tell(&transition, &names())[0].1, "→ active: all steps done");
    }
}
