//! The policy commands: shapes, exit codes, repeats.

use dr_watchdog_tests::eval::{Bench, sections};
use dr_watchdog_tests::program::{arbitration_plugin, command, in_repository, run};
use serde_json::{Value, json};

#[test]
fn an_answer_has_the_documented_shape() {
    let bench = Bench::new();
    let answer = bench.eval_with(&arbitration_plugin(), &["--repeat", "5"]).expect(0).json();
    let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
    for key in
        ["ok", "engine", "policy", "verdict", "error", "elapsedUs", "repeat", "warnings", "staleMs", "at"]
    {
        assert!(keys.iter().any(|known| *known == key), "{key}: {answer}");
    }
    assert_eq!((&answer["ok"], &answer["engine"]), (&true.into(), &"native".into()), "{answer}");
    assert_eq!(answer["verdict"]["action"], "beActive", "{answer}");
    assert!(answer["elapsedUs"].as_u64().is_some(), "{answer}");
    let repeat = &answer["repeat"];
    assert_eq!(repeat["n"], 5, "{answer}");
    assert!(
        repeat["medianUs"].as_u64().is_some_and(|median| median <= repeat["p99Us"].as_u64().unwrap()),
        "{answer}"
    );
}

/// The three engines and the shell sample answer the same to the same question.
#[test]
fn the_shipped_policies_agree_on_free_arbiters() {
    let bench = Bench::new();
    let shipped =
        ["scripts/arbitration.lua", "scripts/legacy/arbitration.py", "scripts/legacy/arbitration.sh"];
    for file in shipped.map(in_repository).into_iter().chain([arbitration_plugin()]) {
        let answer = bench.eval(&file).expect(0).json();
        assert_eq!(answer["verdict"]["action"], "beActive", "{}: {answer}", file.display());
    }
}

#[test]
fn nothing_that_is_not_in_the_probes_answered() {
    let bench = Bench::new();
    bench.scratch.write("probes.json", "{}");
    let answer = bench.eval(&arbitration_plugin()).expect(0).json();
    assert_eq!(answer["verdict"]["action"], "nothing", "{answer}");
}

#[test]
fn the_output_of_arbiters_sessions_is_a_valid_probes_file() {
    let bench = Bench::new();
    let report = json!({"time": "2026-01-01T00:00:00+00:00", "role": "standby", "total": 3, "reachable": 3, "managed": 3,
        "arbiters": {
            "203.0.113.1": {"ssh": "ok", "sessions": [{"from": "192.0.2.10", "ageMs": 100}], "managed": true, "absentSince": null},
            "203.0.113.2": {"ssh": "ok", "sessions": [{"from": "192.0.2.10", "ageMs": 100}], "managed": true},
            "203.0.113.3": {"ssh": "timeout", "managed": false}}});
    bench.scratch.write("probes.json", report.to_string());
    let answer = bench.eval(&arbitration_plugin()).expect(0).json();
    assert_eq!(answer["verdict"]["action"], "nothing", "{answer}");
}

#[test]
fn files_that_are_missing_or_no_json_are_usage_errors_that_name_the_file() {
    let bench = Bench::new();
    let plugin = arbitration_plugin();
    let bad = bench.scratch.write("bad.json", "{\"role\": ");
    let eval = |sections: &std::path::Path, probes: &std::path::Path| {
        let mut eval = command(["policy", "eval"]);
        eval.arg(&plugin).arg("--sections").arg(sections).arg("--probes").arg(probes).arg("--json");
        run(&mut eval).is_orderly()
    };
    let (sections, probes) = (bench.scratch.join("sections.json"), bench.scratch.join("probes.json"));
    eval(&bad, &probes).expect(2).says(&["bad.json"]);
    eval(&sections, &bad).expect(2).says(&["bad.json"]);
    eval(&bench.scratch.join("none.json"), &probes).expect(2).says(&["none.json"]);
}

#[test]
fn zero_arbiters_are_legal_input() {
    let bench = Bench::new();
    let mut none = sections("standby");
    none["watchdog"]["failureDetection"]["arbiters"] = json!([]);
    bench.scratch.write("sections.json", none.to_string());
    let answer = bench.eval(&arbitration_plugin()).expect(0).json();
    assert_eq!(answer["verdict"]["action"], "nothing", "{answer}");
    assert!(answer["verdict"]["payload"]["details"]["problem"].is_string(), "{answer}");
}

#[test]
fn a_check_says_what_a_policy_is() {
    for file in [arbitration_plugin(), in_repository("scripts/arbitration.lua")] {
        run(command(["policy", "check"]).arg(&file)).expect(0).is_orderly();
    }
    let bench = Bench::new();
    let bad = bench.policy("x.lua", "return {\n");
    run(command(["policy", "check"]).arg(&bad)).expect(1).is_orderly().says(&["x.lua"]);
}

#[test]
fn details_say_what_was_seen_and_what_would_flip_the_verdict() {
    let bench = Bench::new();
    let answer = bench.eval(&arbitration_plugin()).expect(0).json();
    let details: &Value = &answer["verdict"]["payload"]["details"];
    assert!(details["flip"].is_string() || details["flip"].is_object(), "{details}");
    assert!(details.to_string().contains("203.0.113.2"), "{details}");
}
