//! Where the engines could part: the last years of the calendar, long spans, thresholds that are left out.

use std::path::PathBuf;

use dr_watchdog_tests::eval::{Bench, sections};
use dr_watchdog_tests::program::{arbitration_plugin, in_repository};
use serde_json::{Value, json};

/// The same rules in four languages.
fn engines() -> [PathBuf; 4] {
    [
        arbitration_plugin(),
        in_repository("scripts/arbitration.lua"),
        in_repository("scripts/legacy/arbitration.py"),
        in_repository("scripts/legacy/arbitration.sh"),
    ]
}

/// Every engine answers so: action, end of the wait, rule.
#[track_caller]
fn all_answer(bench: &Bench, action: &str, wait_time: &str, rule: &str) {
    for engine in engines() {
        let run = bench.eval(&engine).expect(0);
        let verdict = run.json()["verdict"].clone();
        let found =
            (&verdict["action"], &verdict["payload"]["waitTime"], &verdict["payload"]["details"]["rule"]);
        assert_eq!(found, (&action.into(), &wait_time.into(), &rule.into()), "{}", run.all());
    }
}

fn both_standby(now: &str, wait_duration: &str) -> Bench {
    let bench = Bench::new();
    let mut asked = sections("standby");
    asked["watchdog"]["failureDetection"]["waitDuration"] = json!(wait_duration);
    bench.scratch.write("sections.json", asked.to_string());
    bench.scratch.write("probes.json", json!({"now": now, "situation": "bothStandby"}).to_string());
    bench
}

#[test]
fn a_wait_ends_at_the_last_instant_that_can_be_written() {
    let last = "9999-12-31T23:59:59+00:00";
    for (now, span) in [
        ("9999-12-31T20:00:00+00:00", "8h"),
        ("9950-01-01T00:00:00+00:00", "878400h"),
        ("2026-01-01T00:00:00+00:00", "0"),
    ] {
        all_answer(&both_standby(now, span), "wait", last, "waitForLastActive");
    }
    all_answer(&both_standby(last, "8h"), "nothing", "", "graceIsOver");
    all_answer(
        &both_standby("2026-01-01T00:00:00+00:00", "0090m"),
        "wait",
        "2026-01-01T01:30:00+00:00",
        "waitForLastActive",
    );
}

/// A site that is no half of a pair: without arbiters the first row of the table decides, as everywhere; with them no row
/// does.
#[test]
fn a_standalone_site_is_answered_alike_by_every_engine() {
    let bench = Bench::new();
    let mut asked = sections("standalone");
    for engine in engines() {
        bench.scratch.write("sections.json", asked.to_string());
        let answer = bench.eval(&engine).expect(1).json();
        assert!(
            answer["error"]["message"].to_string().contains("no other site to arbitrate with"),
            "{answer}"
        );
    }
    asked["watchdog"]["failureDetection"]["arbiters"] = json!([]);
    bench.scratch.write("sections.json", asked.to_string());
    for situation in ["peerLost", "bothStandby", "waiting"] {
        bench.scratch.write("probes.json", json!({"situation": situation}).to_string());
        all_answer(&bench, "nothing", "", "noArbiters");
    }
}

#[test]
fn a_span_of_more_than_a_hundred_years_is_none_for_every_engine() {
    for span in ["878401h", "52704001m", "99999999999999999999", "8d", "-1", ""] {
        let bench = both_standby("2026-01-01T00:00:00+00:00", span);
        for engine in engines() {
            let answer = bench.eval(&engine).expect(1).json();
            assert!(
                answer["error"].to_string().contains("waitDuration")
                    || answer["error"].to_string().contains("duration"),
                "{span}: {answer}"
            );
            assert_eq!(answer["verdict"]["action"], "nothing", "{answer}");
        }
    }
}

/// `adjustManaged` left out is half, or `failover` where that is lower: with 4 of 10 arbiters reached, the guard on too
/// little evidence is shut at half and open at 0.3.
#[test]
fn a_threshold_that_is_left_out_is_the_same_everywhere() {
    let arbiter =
        |number: u32| json!({"host": format!("203.0.113.{number}"), "username": "w", "password": "***"});
    let probes: serde_json::Map<String, Value> =
        (1..=4).map(|number| (format!("203.0.113.{number}"), json!({"ssh": "ok", "sessions": []}))).collect();
    for (threshold, rule) in [
        (json!({"failover": 0.3}), "unreachableCountAsManaged"),
        (json!({"failover": 0.3, "adjustManaged": 0.3}), "unreachableCountAsManaged"),
        (json!({"failover": 0.7}), "tooLittleEvidence"),
        (json!({}), "tooLittleEvidence"),
    ] {
        let bench = Bench::new();
        let mut asked = sections("standby");
        asked["watchdog"]["failureDetection"]["threshold"] = threshold;
        asked["watchdog"]["failureDetection"]["arbiters"] = (1..=10).map(arbiter).collect();
        bench.scratch.write("sections.json", asked.to_string());
        bench.scratch.write("probes.json", json!({"arbiters": probes}).to_string());
        all_answer(&bench, "nothing", "", rule);
    }
}
