//! Lua policies that are wrong: a clear error, a harmless verdict.

use std::path::Path;

use dr_watchdog_tests::eval::Bench;
use dr_watchdog_tests::scratch::set_mode;

/// A policy that answers with this Lua expression.
fn answers(expression: &str) -> String {
    format!("local policy = {{}}\nfunction policy.evaluate(ctx)\n  return {expression}\nend\nreturn policy\n")
}

/// Demands that a policy with this body of `evaluate` fails.
#[track_caller]
fn fails(body: &str, kinds: &[&str], says: &[&str]) -> serde_json::Value {
    let bench = Bench::new();
    let file = bench.policy("x.lua", body);
    bench.fails(&file, kinds, says)
}

#[test]
fn a_missing_file_is_named() {
    let bench = Bench::new();
    for name in ["missing.lua", "missing.so", "missing"] {
        let file = bench.scratch.join(name);
        bench.fails(&file, &["load"], &[name]);
    }
}

#[test]
fn a_file_with_a_wrong_ending_that_cannot_be_executed_says_what_an_ending_means() {
    let bench = Bench::new();
    let file = bench.policy("policy.txt", "return {}\n");
    bench.fails(&file, &["load", "denied"], &["policy.txt", "execut"]);
}

#[test]
fn a_syntax_error_has_its_line() {
    let error =
        fails("local policy = {}\nfunction policy.evaluate(\nreturn policy\n", &["syntax"], &["x.lua"]);
    assert!(error["line"].as_u64().is_some_and(|line| (2..=3).contains(&line)), "{error}");
}

#[test]
fn a_runtime_error_has_its_line_and_the_call_chain() {
    let body = "local policy = {}\nlocal function inner(x)\n  return x.y.z\nend\nfunction policy.evaluate(ctx)\n  \
                local v = inner({})\n  return v\nend\nreturn policy\n";
    let error = fails(body, &["runtime"], &["x.lua:3", "inner"]);
    assert_eq!(error["line"], 3, "{error}");
}

#[test]
fn an_error_that_is_no_text_is_named_instead_of_its_address() {
    let body = "return { evaluate = function() error({ a = 1 }) end }\n";
    let error = fails(body, &["runtime"], &["raised a table", "raise a text"]);
    assert!(!error.to_string().contains("0x"), "{error}");
}

#[test]
fn a_mark_before_the_text_is_no_syntax_error() {
    let bench = Bench::new();
    let body = answers("dr.verdict.nothing(\"fine\")");
    for begins in ["\u{feff}", "\u{feff}#!/usr/bin/env lua\n"] {
        let file = bench.policy("x.lua", &format!("{begins}{body}"));
        bench.eval(&file).expect(0);
    }
}

#[test]
fn a_wrong_key_of_the_host_table_names_the_nearest_right_one() {
    fails(&answers("dr.config.core.peerVipp"), &["runtime"], &["peerVipp", "peerVip"]);
}

#[test]
fn what_the_file_returns_must_have_evaluate() {
    fails("return {}\n", &["load", "syntax", "runtime"], &["evaluate"]);
    fails("", &["load", "syntax", "runtime"], &["evaluate"]);
}

#[test]
fn an_answer_that_is_no_verdict_names_the_field() {
    fails(&answers("nil"), &["verdict"], &["found null", "an object"]);
    fails(&answers("42"), &["verdict"], &["42"]);
}

#[test]
fn every_rule_of_the_verdict_is_checked() {
    let verdict = |state: &str, action: &str, wait: &str| {
        answers(&format!(
            "{{state = '{state}', action = '{action}', description = '', payload = {{waitTime = '{wait}'}}}}"
        ))
    };
    fails(&verdict("standby", "beActiv", ""), &["verdict"], &["action", "beActiv", "beActive"]);
    fails(&verdict("", "nothing", ""), &["verdict"], &["state"]);
    fails(&verdict("active", "nothing", ""), &["verdict"], &["state", "active", "standby"]);
    fails(&verdict("standby", "wait", ""), &["verdict"], &["waitTime"]);
    fails(&verdict("standby", "wait", "tomorrow"), &["verdict"], &["waitTime", "tomorrow"]);
    let unknown =
        answers("{state = 'standby', action = 'nothing', descripton = '', payload = {waitTime = ''}}");
    fails(&unknown, &["verdict"], &["descripton", "description"]);
}

#[test]
fn a_string_of_a_gigabyte_ends_at_the_memory_limit() {
    fails(&answers("string.rep('x', 1000 * 1000 * 1000)"), &["memory"], &["memory"]);
    let doubling = "local policy = {}\nfunction policy.evaluate(ctx)\n  local s = 'x'\n  while true do s = s .. s end\n\
                    end\nreturn policy\n";
    fails(doubling, &["memory"], &["memory"]);
}

#[test]
fn a_finalizer_is_refused_because_it_would_run_after_the_verdict() {
    let finalizer = "setmetatable({}, {__gc = function() while true do end end})";
    fails(&answers(finalizer), &["runtime"], &["__gc", "sandbox", "line"]);
}

/// Runaways of every kind: some end by the instruction hook, the others by the end of their process.
#[test]
fn a_policy_that_does_not_end_is_ended_at_the_deadline() {
    let body = |loop_: &str| {
        format!("local policy = {{}}\nfunction policy.evaluate(ctx)\n  {loop_}\nend\nreturn policy\n")
    };
    let runaways = [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "return string.find(string.rep('a', 9000), '.-.-.-.-b')",
    ];
    std::thread::scope(|scope| {
        for runaway in runaways {
            scope.spawn(move || fails(&body(runaway), &["timeout"], &[]));
        }
    });
}

#[test]
fn a_policy_reaches_nothing_of_the_machine() {
    for name in ["io", "os", "require", "load", "loadfile", "dofile", "debug", "package", "collectgarbage"] {
        fails(&answers(&format!("{name}.x")), &["runtime"], &[name]);
    }
}

#[test]
fn loose_permissions_are_a_warning_for_a_person_who_tries_a_policy() {
    let bench = Bench::new();
    let file = bench.policy("x.lua", &answers("dr.verdict.nothing('fine')"));
    set_mode(&file, 0o666);
    let run = bench.eval(&file).expect(0);
    assert!(run.all().contains("chmod go-w"), "{}", run.all());
}

#[test]
fn a_policy_that_is_fine_is_fine() {
    let bench = Bench::new();
    let file = bench.policy("x.lua", &answers("dr.verdict.beActive('all free', {seen = 3})"));
    let answer = bench.eval(&file).expect(0).json();
    assert_eq!(
        (&answer["ok"], &answer["engine"], &answer["policy"]),
        (&true.into(), &"lua".into(), &"x.lua".into())
    );
    assert_eq!(answer["verdict"]["action"], "beActive", "{answer}");
    assert_eq!(answer["verdict"]["payload"]["details"]["seen"], 3, "{answer}");
    assert!(Path::new(&file).exists());
}
