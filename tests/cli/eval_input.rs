//! What `policy eval` is given: malformed documents, configurations at hand, no probes at all.

use dr_watchdog_tests::eval::{Bench, free_arbiters, sections};
use dr_watchdog_tests::lab::Lone;
use dr_watchdog_tests::program::{Run, arbitration_plugin, command, run, twin, witness_plugin};
use serde_json::{Value, json};

/// `policy eval` of these two documents; `None` leaves one out.
fn eval(sections: &str, probes: Option<&str>) -> Run {
    let bench = Bench::new();
    let sections = bench.scratch.write("s.json", sections);
    let mut eval = command(["policy", "eval"]);
    eval.arg(arbitration_plugin()).arg("--json").arg("--sections").arg(sections);
    if let Some(probes) = probes {
        eval.arg("--probes").arg(bench.scratch.write("p.json", probes));
    }
    eval.arg("--root").arg(bench.scratch.join("no-such-root"));
    run(&mut eval).is_orderly()
}

/// Demands a usage error that says this, and all the same a legal verdict.
#[track_caller]
fn is_refused(run: Run, says: &str) {
    let run = run.expect(2);
    let answer = run.json();
    assert_eq!(run.stdout.lines().count(), 1, "{}", run.all());
    assert_eq!((&answer["ok"], &answer["verdict"]["action"]), (&false.into(), &"nothing".into()), "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains(says), "\"{says}\" is not said: {message}");
    for null in ["line", "hint"] {
        assert_eq!(answer["error"].get(null), Some(&Value::Null), "{answer}");
    }
    assert_eq!(answer.get("repeat"), Some(&Value::Null), "{answer}");
}

#[test]
fn a_malformed_probes_file_is_refused_with_the_place() {
    let good = sections("standby").to_string();
    for (probes, says) in [
        ("[]", "expected an object, found a list"),
        (r#"{"arbiters": {"203.0.113.1": [true]}}"#, "arbiters.203.0.113.1: expected an object"),
        (r#"{"arbiters": {"203.0.113.1": {"pong": true}}}"#, "did you mean \"ping\"?"),
        (r#"{"arbiters": {}, "arbiters": {}}"#, "\"arbiters\" stands twice"),
        (r#"{"arbiters": {"a": {"ping": true, "ping": false}}}"#, "\"ping\" stands twice"),
        ("{} {}", "trailing characters"),
        ("", "EOF"),
    ] {
        is_refused(eval(&good, Some(probes)), says);
    }
}

#[test]
fn malformed_sections_are_refused_with_the_place() {
    let core = |core: Value| {
        let mut all = sections("standby");
        all["core"] = core;
        all.to_string()
    };
    for (sections, says) in [
        ("[]".to_owned(), "expected an object"),
        ("{}".to_owned(), "role is missing"),
        (r#"{"role": "standby", "role": "active"}"#.to_owned(), "\"role\" stands twice"),
        (core(json!(["192.0.2.10"])), "core: expected an object, found a list"),
        (core(json!(3)), "s.json"),
        (r#"{"role": "boss"}"#.to_owned(), "boss"),
    ] {
        is_refused(eval(&sections, Some("{}")), says);
    }
}

#[test]
fn a_section_that_is_null_is_absent() {
    let mut all = sections("standby");
    for absent in ["states", "mysql", "failover"] {
        all[absent] = Value::Null;
    }
    let answer = eval(&all.to_string(), Some(&free_arbiters().to_string())).expect(0).json();
    assert_eq!(answer["verdict"]["action"], "beActive", "{answer}");
    assert_eq!(answer.get("error"), Some(&Value::Null), "{answer}");
}

#[test]
fn without_probes_and_without_a_configuration_it_says_what_to_give() {
    is_refused(eval(&sections("standby").to_string(), None), "--probes");
}

/// A session of 30 s counts under the reference timers, and not where the configuration at hand says F = 7 s.
#[test]
fn sessions_grow_stale_as_the_configuration_at_hand_says() {
    let bench = Bench::new();
    let seen = json!({"ping": true, "ssh": "ok", "sessions": [{"from": "192.0.2.10", "ageMs": 30_000}]});
    let probes = json!({"arbiters": {"203.0.113.1": seen, "203.0.113.2": seen, "203.0.113.3": seen}});
    bench.scratch.write("probes.json", probes.to_string());
    let none = bench.scratch.join("no-such-root");
    let answer = bench.eval_with(&arbitration_plugin(), &["--root", none.to_str().unwrap()]).expect(0).json();
    assert_eq!(
        (&answer["verdict"]["action"], &answer["staleMs"]),
        (&"nothing".into(), &80_000.into()),
        "{answer}"
    );
    assert_eq!(answer["staleFrom"], "the reference timers", "{answer}");

    let lone = Lone::new(|_, _| {});
    let root = lone.site.root().to_str().unwrap().to_owned();
    let answer = bench.eval_with(&arbitration_plugin(), &["--root", &root]).expect(0).json();
    assert_eq!(
        (&answer["verdict"]["action"], &answer["staleMs"]),
        (&"beActive".into(), &7_000.into()),
        "{answer}"
    );
    assert!(answer["staleFrom"].as_str().unwrap().contains("dr-watchdog.toml"), "{answer}");

    std::fs::write(&lone.site.paths().config_file, "[site]\n").unwrap();
    let answer = bench.eval_with(&arbitration_plugin(), &["--root", &root]).expect(0).json();
    assert_eq!(answer["staleMs"], 80_000, "{answer}");
    assert!(answer["warnings"].to_string().contains("is not used"), "{answer}");
}

/// Goal: what the configuration grants and asks for need not be said again; with probes no packet leaves all the same.
#[test]
fn a_policy_runs_as_the_configuration_at_hand_grants() {
    let bench = Bench::new();
    let config = bench.scratch.write("config.json", r#"{"url": "http://192.0.2.9:8080/sites/a"}"#);
    let lone = Lone::new(|_, _| {});
    let (root, config) = (lone.site.root().to_str().unwrap(), config.to_str().unwrap());
    let ask = || bench.eval_with(&witness_plugin(), &["--root", root, "--config", config]).json();
    assert!(ask()["warnings"].to_string().contains("asks for what it is not granted"));
    let file = &lone.site.paths().config_file;
    let text = std::fs::read_to_string(file).unwrap();
    let granted = text.replacen("[policy]\n", "[policy]\ngrants = [\"network\"]\n", 1);
    assert_ne!(text, granted);
    std::fs::write(file, granted).unwrap();
    let answer = ask();
    assert!(!answer["warnings"].to_string().contains("asks for"), "{answer}");
    assert_eq!(answer["error"], Value::Null, "{answer}");
}

/// Without --probes the arbiters of the configuration are looked at: here nobody is there.
#[test]
fn without_probes_the_arbiters_themselves_are_looked_at() {
    let lone = Lone::new(|_, _| {});
    let root = lone.site.root().to_str().unwrap().to_owned();
    let mut asked = sections("standby");
    let host = dr_watchdog_tests::lab::Node::Arbiter(0).address().to_string();
    asked["watchdog"]["failureDetection"]["arbiters"] = json!([{"host": host, "username": "root"}]);
    let file = lone.scratch.write("s.json", asked.to_string());
    let mut eval = lone.namespace.command(&twin());
    eval.args(["policy", "eval", "--json", "--root", &root, "--sections"])
        .arg(file)
        .arg(arbitration_plugin());
    let answer = run(&mut eval).is_orderly().expect(0).json();
    let details = answer["verdict"]["payload"]["details"].to_string();
    assert_eq!(answer["verdict"]["action"], "nothing", "{answer}");
    assert!(details.contains(&host), "{details}");
    assert_eq!(answer["staleMs"], 7_000, "{answer}");
}

/// Goal: a name that nobody has is told with the one that was meant: evidence of a stranger would count for nothing.
#[test]
fn an_unknown_arbiter_and_an_unknown_section_are_errors_that_name_the_nearest() {
    let bench = Bench::new();
    let file = bench.policy("x.lua", "return { evaluate = function() return dr.verdict.nothing('') end }");
    let mut probes = free_arbiters();
    let seen = probes["arbiters"]["203.0.113.1"].clone();
    probes["arbiters"]["203.0.113.11"] = seen;
    bench.scratch.write("probes.json", probes.to_string());
    bench.eval(&file).expect(2).says(&["203.0.113.11", "did you mean \\\"203.0.113.1\\\"?"]);
    bench.scratch.write("probes.json", free_arbiters().to_string());
    let mut wrong = sections("standby");
    wrong["watchdogs"] = json!({});
    bench.scratch.write("sections.json", wrong.to_string());
    bench.eval(&file).expect(2).says(&["watchdogs", "did you mean \\\"watchdog\\\"?"]);
    let mut wrong = sections("standby");
    wrong["core"] = json!(3);
    bench.scratch.write("sections.json", wrong.to_string());
    bench.eval(&file).expect(2).says(&["core: found 3, expected an object"]);
}
