//! `policy test`: the shipped policies pass their cases, what fails is shown, what is no case is refused.

use std::fs;
use std::path::Path;
use std::time::Duration;

use dr_watchdog_tests::eval::Bench;
use dr_watchdog_tests::program::{Run, command, in_repository, run_within};

/// Longest run of all cases of one policy.
const CASES_LIMIT: Duration = Duration::from_secs(120);
/// Lines that an example may have: it is read in one go.
const EXAMPLE_LINES_MAX: usize = 60;
/// The example policies.
const EXAMPLES: [&str; 4] = ["maintenance_window", "lag_guard", "weighted_arbiters", "ask_a_human"];

fn test(policy: &Path, more: &[&str]) -> Run {
    run_within(command(["policy", "test"]).arg(policy).args(more), CASES_LIMIT, b"").is_orderly()
}

#[test]
fn every_example_is_short_and_passes_its_cases() {
    for name in EXAMPLES {
        let policy = in_repository(&format!("scripts/{name}.lua"));
        let lines = fs::read_to_string(&policy).unwrap().lines().count();
        assert!(lines < EXAMPLE_LINES_MAX, "{name} has {lines} lines");
        let answer = test(&policy, &["--json"]).expect(0).json();
        assert!(answer["passed"].as_u64().unwrap() >= 10 && answer["failed"] == 0, "{answer}");
    }
}

#[test]
fn the_rules_in_every_language_pass_the_same_cases() {
    let cases = in_repository("scripts/arbitration.cases.json");
    for policy in
        ["scripts/arbitration.lua", "scripts/legacy/arbitration.py", "scripts/legacy/arbitration.sh"]
    {
        test(&in_repository(policy), &["--cases", cases.to_str().unwrap()])
            .expect(0)
            .says(&["every case passed"]);
    }
    test(Path::new("default"), &["--cases", cases.to_str().unwrap()]).expect(0).says(&["every case passed"]);
}

#[test]
fn a_case_that_fails_shows_what_was_expected_beside_what_came() {
    let bench = Bench::new();
    let policy =
        bench.policy("x.lua", "return { evaluate = function() return dr.verdict.nothing('why') end }");
    let sections = fs::read_to_string(bench.scratch.join("sections.json")).unwrap();
    let cases = format!(
        r#"{{"sections": {sections}, "cases": [
            {{"name": "fine", "expect": {{"action": "nothing"}}, "says": ["why"], "remembers": null}},
            {{"name": "other", "expect": {{"action": "beActive", "payload": {{"details": {{"n": 1}}}}}}, "remembers": 3}},
            {{"name": "late", "error": "timeout"}}]}}"#
    );
    bench.scratch.write("x.cases.json", cases);
    test(&policy, &[]).expect(1).says(&[
        "ok    fine",
        "FAIL  other",
        "- action: \"beActive\"",
        "+ action: \"nothing\"",
        "- payload.details.n: 1",
        "- remembers: 3",
        "- error: \"timeout\"",
        "2 of 3 failed",
    ]);
    let answer = test(&policy, &["--json"]).expect(1).json();
    assert_eq!((&answer["passed"], &answer["failed"]), (&1.into(), &2.into()), "{answer}");
    assert_eq!(answer["cases"][1]["unmet"][0]["path"], "action", "{answer}");
    test(&policy, &["--only", "fine"]).expect(0).says(&["1 cases"]);
    test(&policy, &["--only", "nowhere"]).expect(2).says(&["no case", "nowhere"]);
}

#[test]
fn a_policy_that_cannot_be_loaded_fails_its_cases_and_says_why() {
    let bench = Bench::new();
    let policy = bench.policy("x.lua", "return { evaluate = function( }");
    bench.scratch.write(
        "x.cases.json",
        r#"{"sections": {"role": "standby"}, "cases": [{"name": "a", "expect": {"action": "nothing"}}]}"#,
    );
    test(&policy, &[]).expect(1).says(&["nothing (syntax)", "x.lua:1"]);
}

#[test]
fn a_file_that_holds_no_cases_is_refused_with_its_place() {
    let bench = Bench::new();
    let policy = bench.policy("x.lua", "return { evaluate = function() return dr.verdict.nothing('') end }");
    test(&policy, &[]).expect(2).says(&["x.cases.json", "policy new"]);
    for (content, says) in [
        ("", "EOF"),
        ("[]", "x.cases.json"),
        (r#"{"cases": []}"#, "expected 1 to"),
        (r#"{"cases": [{"name": "a"}]}"#, "expects nothing"),
        (r#"{"cases": [{"name": "a", "expect": {"acton": 1}}]}"#, "did you mean \"action\""),
        (r#"{"cases": [{"name": "a", "expect": {}, "sections": {"role": 3}}]}"#, "case \"a\""),
        (r#"{"cases": [{"name": "a", "expect": {}}]}"#, "role is missing"),
        (r#"{"cases": [{"name": "a", "expect": {}, "probes": {"pings": {}}}]}"#, "pings"),
    ] {
        bench.scratch.write("x.cases.json", content);
        test(&policy, &[]).expect(2).says(&[says]);
    }
}
