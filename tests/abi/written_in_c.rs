//! A policy in C with nothing but the header: it loads, is described, asks the host, answers.

use dr_watchdog_tests::eval::Bench;
use dr_watchdog_tests::plugins::compile;
use dr_watchdog_tests::program::{Run, command, run};

const SOURCE: &str = "tests/fixtures/plugins/policy.c";

fn eval(defines: &[&str]) -> Run {
    let bench = Bench::new();
    let library = compile(&bench.scratch, SOURCE, "policy.so", defines);
    bench.eval(&library)
}

#[test]
fn a_policy_in_c_answers() {
    let answer = eval(&[]).expect(0).json();
    assert_eq!((&answer["engine"], &answer["policy"]), (&"native".into(), &"c-policy".into()), "{answer}");
    assert_eq!(answer["verdict"]["description"], "from C", "{answer}");
}

#[test]
fn a_check_tells_what_it_is() {
    let bench = Bench::new();
    let library = compile(&bench.scratch, SOURCE, "policy.so", &[]);
    run(command(["policy", "check"]).arg(&library)).expect(0).is_orderly().says(&["c-policy", "1.2.3"]);
}

#[test]
fn a_policy_in_c_asks_the_host_and_errors_come_back_as_numbers() {
    eval(&["ASKS"]).expect(0).says(&["the plugin has asked"]);
}

#[test]
fn what_a_plugin_writes_to_stdout_does_not_spoil_the_answer() {
    let run = eval(&["FAULT_STDOUT"]).expect(0);
    assert_eq!(run.json()["verdict"]["description"], "from C", "{}", run.all());
    assert!(!run.stdout.contains("garbage"), "{}", run.all());
}

#[test]
fn an_older_plugin_that_asks_for_no_more_than_there_is_loads() {
    eval(&["ABI_MINOR=0"]).expect(0);
}
