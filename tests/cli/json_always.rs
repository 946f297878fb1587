//! Whoever asks for JSON gets a line of it on every path, errors included.

use dr_watchdog_tests::eval::Bench;
use dr_watchdog_tests::program::{command, run};

#[test]
fn every_failure_of_a_command_with_json_is_a_line_of_json() {
    let bench = Bench::new();
    let root = bench.scratch.join("no-such-root");
    let root = root.to_str().unwrap();
    for (line, code) in [
        ("stop --json", 2),
        ("toolkit watchdog status --json", 2),
        ("toolkit watchdog status --disable-automatic-failover 8d --json", 2),
        ("health --json", 2),
        ("api v1 config --json", 2),
        ("api v1 config --json --include bogus", 2),
        ("api v1 config --json --include ,", 2),
        ("arbiters ping --json", 2),
        ("arbiters sessions --json", 2),
        ("config check --json", 2),
        ("history --json --id 7", 2),
        ("history --json --frobnicate", 2),
        ("ping --json", 2),
        ("policy eval --json nothing.lua", 2),
        ("policy eval --json nothing.lua --sections none.json --probes none.json", 2),
        ("policy check --json nothing.lua", 1),
        ("policy test --json nothing.lua", 2),
        ("simulate --json --arbiters zero", 2),
        ("demo --json --policy nothing.lua", 2),
    ] {
        let mut arguments: Vec<&str> = line.split(' ').collect();
        arguments.extend(["--root", root]);
        let run = run(command(arguments).current_dir(bench.scratch.join("."))).is_orderly().expect(code);
        assert_eq!(run.stdout.lines().count(), 1, "{}", run.all());
        let answer = run.json();
        let says =
            ["/error/message", "/error", "/failure"].iter().find_map(|place| answer.pointer(place)?.as_str());
        let is_health = answer["problems"].is_array() || answer["errors"].is_array();
        assert!(is_health || says.is_some_and(|says| !says.is_empty()), "{}", run.all());
    }
}

/// Goal: whoever reads the answer of `policy eval --json` finds a legal verdict, whatever was typed.
#[test]
fn a_wrong_command_line_of_policy_eval_carries_a_verdict_too() {
    for line in [
        "policy eval --json",
        "policy eval x.lua --json",
        "policy eval x.lua --json --sections s.json --deadline soon",
        "policy eval x.lua --json --frobnicate",
    ] {
        let run = run(&mut command(line.split(' '))).is_orderly().expect(2);
        let answer = run.json();
        assert_eq!(run.stdout.lines().count(), 1, "{}", run.all());
        assert_eq!(
            (&answer["ok"], &answer["verdict"]["action"]),
            (&false.into(), &"nothing".into()),
            "{}",
            run.all()
        );
        assert!(
            answer["error"]["message"].as_str().is_some_and(|message| message.len() > 20),
            "{}",
            run.all()
        );
    }
}

#[test]
fn what_is_asked_for_without_json_prints_none() {
    let bench = Bench::new();
    let root = bench.scratch.join("no-such-root");
    let run = run(command(["stop", "--root"]).arg(root)).expect(2);
    assert!(run.stdout.is_empty(), "{}", run.all());
}
