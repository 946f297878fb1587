//! Configurations that are wrong: every error at once, each with line, key, the value found, what would be right.

use std::fs;

use dr_watchdog_tests::lab::Recipe;
use dr_watchdog_tests::program::{Run, command, run};
use dr_watchdog_tests::scratch::Scratch;

/// A good configuration with three arbiters.
fn good() -> String {
    let address = |last: u8| std::net::Ipv4Addr::new(192, 0, 2, last);
    let mut recipe = Recipe::new("a", 0, "standby", address(10), ("b", address(20)));
    recipe.arbiters = (1..=3).map(|last| std::net::Ipv4Addr::new(203, 0, 113, last)).collect();
    recipe.to_toml()
        + "\n[watchdog.failureDetection.threshold]\nfailover = 0.5\nadjustManaged = 0.4\nwarning = 0.7\n"
}

/// The line on which a text stands, from 1.
fn line_of(text: &str, part: &str) -> usize {
    let found = text.lines().position(|line| line.contains(part));
    found.unwrap_or_else(|| panic!("the sample has no \"{part}\"")) + 1
}

fn check(text: &str) -> Run {
    let scratch = Scratch::new("config");
    let file = scratch.write("etc/dr-watchdog/dr-watchdog.toml", text);
    dr_watchdog_tests::scratch::set_mode(&file, 0o600);
    run(command(["config", "check", "--root"]).arg(scratch.path())).is_orderly()
}

/// Replaces one part of the good configuration, and demands that the check names the place and says these parts.
#[track_caller]
fn refuses(part: &str, wrong: &str, says: &[&str]) {
    let good = good();
    assert!(good.contains(part), "the sample has no \"{part}\"\n{good}");
    let bad = good.replacen(part, wrong, 1);
    let line = line_of(&bad, wrong.lines().next().unwrap());
    check(&bad).expect(1).says(says).says(&[&format!("dr-watchdog.toml:{line}")]);
}

#[test]
fn a_good_configuration_passes() {
    check(&good()).expect(0);
}

#[test]
fn a_missing_file_is_named_with_what_to_do() {
    let scratch = Scratch::new("config");
    let run = run(command(["config", "check", "--root"]).arg(scratch.path())).is_orderly();
    assert!(matches!(run.code(), 1 | 2), "{}", run.all());
    run.says(&["etc/dr-watchdog/dr-watchdog.toml"]);
}

#[test]
fn a_wrong_type_says_what_stands_there_and_what_would_be_right() {
    refuses("retries = 2", "retries = \"two\"", &["watchdog.heartbeat.retries", "two", "whole number"]);
    refuses("interval = \"1s\"", "interval = true", &["watchdog.heartbeat.interval", "true", "seconds"]);
}

#[test]
fn a_number_that_is_out_of_range_or_in_quotes_is_told_the_range_and_the_form() {
    for wrong in ["0", "-5", "99999999999"] {
        let range = ["watchdog.heartbeat.timeout", wrong, "from 0.001 to 31622400"];
        refuses("timeout = \"200ms\"", &format!("timeout = {wrong}"), &range);
    }
    let quotes = ["write it without quotes", "0.5"];
    refuses("failover = 0.5", "failover = \"0.5\"", &quotes);
    refuses("retries = 2", "retries = \"2\"", &["if 2 is meant, write it without quotes"]);
}

#[test]
fn an_unknown_key_names_the_nearest_right_one() {
    refuses("retries = 2", "retires = 2", &["watchdog.heartbeat.retires", "did you mean", "retries"]);
    refuses("[peer]", "[pear]", &["pear", "did you mean", "peer"]);
}

#[test]
fn two_errors_are_said_at_once() {
    let bad = good().replacen("retries = 2", "retries = -2", 1).replacen(
        "timeout = \"200ms\"",
        "timeout = \"soon\"",
        1,
    );
    check(&bad).expect(1).says(&["watchdog.heartbeat.retries", "-2", "watchdog.heartbeat.timeout", "soon"]);
}

#[test]
fn a_threshold_that_is_no_share_of_at_most_four_decimals_is_refused() {
    refuses(
        "failover = 0.5",
        "failover = 1.5",
        &["watchdog.failureDetection.threshold.failover", "1.5", "0", "1"],
    );
    refuses("failover = 0.5", "failover = 0.33333", &["threshold.failover", "0.33333", "4 decimals"]);
}

#[test]
fn adjust_managed_above_failover_is_refused() {
    refuses("adjustManaged = 0.4", "adjustManaged = 0.6", &["threshold.adjustManaged", "0.6", "failover"]);
}

#[test]
fn no_arbiters_are_refused_for_the_default_policy() {
    let good = good();
    let begin = good.find("\n[[watchdog.failureDetection.arbiters]]").unwrap();
    let end = good.find("\n[watchdog.failureDetection.threshold]").unwrap();
    let none = format!("{}{}", &good[..begin], &good[end..]);
    let run = check(&none);
    assert!(matches!(run.code(), 0 | 1), "{}", run.all());
    run.says(&["arbiters"]);
}

#[test]
fn an_arbiter_that_is_there_twice_is_refused() {
    let bad = good().replacen("host = \"203.0.113.2\"", "host = \"203.0.113.1\"", 1);
    let lines = bad.lines().enumerate().filter(|(_, line)| line.contains("203.0.113.1"));
    let places: Vec<String> = lines.map(|(index, _)| (index + 1).to_string()).collect();
    let [first, second] = places.as_slice() else { panic!("{places:?}") };
    let place = format!("dr-watchdog.toml:{second}");
    check(&bad).expect(1).says(&[&place, &format!("line {first}"), "arbiters.1.host", "203.0.113.1"]);
}

#[test]
fn rounds_that_overlap_are_refused_with_the_arithmetic() {
    refuses(
        "interval = \"1s\"",
        "interval = \"500ms\"",
        &["watchdog.heartbeat.interval", "timeout", "0.2 s × 3"],
    );
}

#[test]
fn both_sites_need_their_own_index() {
    refuses("index = 0", "index = 2", &["site.index", "2", "0"]);
}

#[test]
fn the_lease_that_does_not_exist_yet_says_so() {
    refuses("mode = \"verdict\"", "mode = \"lease\"", &["exclusion.mode", "lease", "verdict"]);
}

#[test]
fn broken_toml_names_its_line() {
    let bad = good().replacen("retries = 2", "retries = ", 1);
    let line = line_of(&bad, "retries = ");
    let run = check(&bad).says(&[&format!("dr-watchdog.toml:{line}")]);
    assert!(matches!(run.code(), 1 | 2), "{}", run.all());
}

#[test]
fn the_daemon_refuses_what_the_check_refuses_with_the_same_words() {
    let scratch = Scratch::new("config");
    let bad = good().replacen("retries = 2", "retires = 2", 1);
    let file = scratch.write("etc/dr-watchdog/dr-watchdog.toml", bad);
    dr_watchdog_tests::scratch::set_mode(&file, 0o600);
    run(command(["run", "--root"]).arg(scratch.path()))
        .expect(2)
        .says(&["watchdog.heartbeat.retires", "retries"]);
    assert!(
        !scratch.join("var").exists(),
        "nothing was made: {:?}",
        fs::read_dir(scratch.path()).unwrap().count()
    );
}

#[test]
fn a_secret_never_stands_in_a_message() {
    let bad = good().replacen("heartbeatPort = 7805", "heartbeatPort = \"no\"", 1);
    let run = check(&bad).expect(1);
    assert!(!run.all().contains("not-a-secret-only-a-key-of-a-test"), "{}", run.all());
}
