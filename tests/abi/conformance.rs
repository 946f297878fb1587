//! `plugin check`: the shipped plugins pass, each broken one fails at its own check with its own sentence.

use std::path::{Path, PathBuf};
use std::time::Duration;

use dr_watchdog_tests::eval::Bench;
use dr_watchdog_tests::plugins::compile;
use dr_watchdog_tests::program::{Run, command, in_repository, run, run_within};
use serde_json::Value;

/// Longest check of one plugin.
const CHECK_LIMIT: Duration = Duration::from_secs(180);
/// Answers rightly, but for one fault.
const UNFIT: &str = "tests/fixtures/plugins/unfit.c";
/// Does not even load, or breaks in its own ways.
const BROKEN: &str = "tests/fixtures/plugins/policy.c";

fn check(plugin: &Path, more: &[&str]) -> Run {
    run_within(command(["plugin", "check", "--json"]).arg(plugin).args(more), CHECK_LIMIT, b"").is_orderly()
}

/// The names of the checks that failed, the sentences of the first of them.
fn failed(answer: &Value) -> (Vec<String>, String) {
    let checks = answer["checks"].as_array().unwrap();
    let bad: Vec<&Value> = checks.iter().filter(|check| check["ok"] == false).collect();
    let names = bad.iter().map(|check| check["name"].as_str().unwrap().to_owned()).collect();
    let first = bad.first().map_or_else(String::new, |check| format!("{}; {}", check["says"], check["hint"]));
    (names, first)
}

#[test]
fn every_shipped_plugin_passes() {
    let mut shipped = vec![PathBuf::from("default")];
    let built = std::fs::read_dir(dr_watchdog_tests::program::target_folder().join("deps")).unwrap();
    let names: Vec<String> = std::fs::read_dir(in_repository("plugins"))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().join("Cargo.toml").exists())
        .map(|entry| format!("libdr_watchdog_{}.so", entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    shipped.extend(
        built
            .map(|entry| entry.unwrap().path())
            .filter(|path| names.iter().any(|name| path.file_name().unwrap().to_str() == Some(name))),
    );
    for plugin in shipped {
        let answer = check(&plugin, &[]).expect(0).json();
        assert_eq!(answer["ok"], true, "{answer}");
        assert_eq!(answer["checks"].as_array().unwrap().len(), 12, "{answer}");
    }
}

#[test]
fn the_example_of_the_sdk_passes_with_a_table_for_people() {
    let bench = Bench::new();
    let library = compile(&bench.scratch, "sdk/examples/policy.c", "policy.so", &[]);
    let run = run_within(command(["plugin", "check"]).arg(&library), CHECK_LIMIT, b"");
    run.expect(0).says(&["ok    endurance", "this plugin may be shipped"]);
    run_describe(&library).says(&["one-ping 1.0.0", "support@example.com", "answers within 1000 ms"]);
}

fn run_describe(library: &Path) -> Run {
    run(command(["plugin", "describe"]).arg(library)).expect(0)
}

#[test]
fn a_sound_plugin_with_no_fault_passes() {
    let bench = Bench::new();
    let library = compile(&bench.scratch, UNFIT, "policy.so", &[]);
    let answer = check(&library, &[]);
    assert_eq!(failed(&answer.json()), (vec![], String::new()), "{}", answer.all());
}

/// Each broken plugin: how it is broken, the check that finds it, what is said.
const CASES: [(&str, &[&str], &str, &[&str]); 27] = [
    (BROKEN, &["NO_OPEN"], "loads", &["drw_plugin_open", "define both symbols"]),
    (BROKEN, &["NO_MANIFEST"], "loads", &["drw_plugin_manifest"]),
    (BROKEN, &["ABI_MAJOR=99"], "loads", &["99", "1"]),
    (BROKEN, &["ABI_MINOR=77"], "loads", &["77"]),
    (BROKEN, &["MAGIC={0}"], "loads", &["DRWPLUG"]),
    (BROKEN, &["INCOMPLETE"], "loads", &["no function \\\"evaluate\\\""]),
    (BROKEN, &["FAULT_SEGFAULT"], "unknown key", &["is accepted", "additionalProperties"]),
    (UNFIT, &["DESCRIPTION=\"[]\""], "loads", &["no JSON object"]),
    (UNFIT, &["VERSION=\"\""], "description", &["version: found \\\"\\\""]),
    (UNFIT, &["DEADLINE=\"0\""], "description", &["deadlineMs: found 0"]),
    (
        UNFIT,
        &["CAPABILITIES=\"[\\\"root\\\"]\""],
        "description",
        &["found \\\"root\\\"", "ping, tcp, ssh, network"],
    ),
    (UNFIT, &["SCHEMA=\"[]\""], "schema", &["configSchema: found []"]),
    (
        UNFIT,
        &[
            "SCHEMA=\"{\\\"type\\\":\\\"object\\\",\\\"additionalProperties\\\":false,\\\"examples\\\":[{\\\"n\\\":1}]}\"",
        ],
        "schema",
        &["its own example 1"],
    ),
    (
        UNFIT,
        &["SCHEMA=\"{\\\"type\\\":\\\"object\\\",\\\"required\\\":[\\\"n\\\"]}\""],
        "schema",
        &["policy.config.n", "--config FILE"],
    ),
    (
        UNFIT,
        &["SCHEMA=\"{\\\"type\\\":\\\"object\\\"}\""],
        "unknown key",
        &["is accepted", "deny_unknown_fields"],
    ),
    (UNFIT, &["TRUSTS_ITS_CONFIGURATION"], "garbage", &["create dies of the configuration", "killed by SIG"]),
    (UNFIT, &["ONE_INSTANCE"], "instances", &["there is one already"]),
    (UNFIT, &["ENDS_THE_PROCESS"], "instances", &["one after the other", "exited with status 3"]),
    (UNFIT, &["WRONG_STATE"], "verdicts", &["expected \\\"standby\\\"", "role"]),
    (UNFIT, &["CHANGES_ITS_MIND"], "verdicts", &["the same question got", "beStandby"]),
    (UNFIT, &["SLOW", "DEADLINE=\"5\""], "verdicts", &["its deadlineMs says 5"]),
    (UNFIT, &["PROMOTES_BLIND"], "blind", &["reaches no arbiter"]),
    (UNFIT, &["IGNORES_CANCEL"], "cancel", &["cancelled after 300 ms", "is_cancelled"]),
    (UNFIT, &["DIES_OF_REFUSALS"], "refusals", &["every host call is denied", "killed by SIG"]),
    (UNFIT, &["LEAVES_THREADS"], "endurance", &["threads were left behind"]),
    (UNFIT, &["LEAVES_DESCRIPTORS"], "endurance", &["descriptors were left open"]),
    (UNFIT, &["LEAKS"], "endurance", &["its memory grew by", "free what"]),
];

#[test]
fn each_broken_plugin_fails_at_its_own_check_with_its_own_sentence() {
    for (source, defines, name, says) in CASES {
        let bench = Bench::new();
        let library = compile(&bench.scratch, source, "policy.so", defines);
        let run = check(&library, &[]);
        assert_eq!(run.code(), 1, "{defines:?}: {}", run.all());
        let (names, said) = failed(&run.json());
        assert_eq!(names.first().map(String::as_str), Some(name), "{defines:?}: {}", run.all());
        for part in says {
            assert!(said.contains(part), "{defines:?}: \"{part}\" is not said: {said}");
        }
    }
}

#[test]
fn what_is_printed_and_a_crash_after_hours_are_found_too() {
    let bench = Bench::new();
    for (define, name, says) in
        [("PRINTS", "silence", "wrote 6 bytes"), ("CRASHES_AT_LAST", "endurance", "killed by SIG")]
    {
        let library = compile(&bench.scratch, UNFIT, "policy.so", &[define]);
        let (names, said) = failed(&check(&library, &[]).expect(1).json());
        assert_eq!(names, [name], "{said}");
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn a_plugin_that_wants_a_configuration_is_described_without_one_and_checked_with_one() {
    let bench = Bench::new();
    let schema = "SCHEMA=\"{\\\"type\\\":\\\"object\\\",\\\"required\\\":[\\\"n\\\"],\\\"additionalProperties\\\":false,\
                  \\\"properties\\\":{\\\"n\\\":{\\\"type\\\":\\\"integer\\\",\\\"description\\\":\\\"How many.\\\"}}}\"";
    let library = compile(&bench.scratch, UNFIT, "policy.so", &[schema]);
    run_describe(&library).says(&["n (integer, required)  How many."]);
    let config = bench.scratch.write("config.json", r#"{"n": 3}"#);
    check(&library, &["--config", config.to_str().unwrap()]).expect(0);
    check(&library, &["--config", "/nowhere.json"]).expect(2).says(&["/nowhere.json"]);
}

#[test]
fn what_is_no_plugin_is_told_where_to_go() {
    let bench = Bench::new();
    let lua = bench.policy("x.lua", "return {}");
    check(&lua, &[]).expect(1).says(&["ends in .so", "policy check"]);
    let file = bench.scratch.write("x.so", "not an ELF file\n");
    check(&file, &[]).expect(1).says(&["x.so", "not tried"]);
    run(command(["plugin", "describe"]).arg(&file)).expect(1).says(&["x.so"]);
}
