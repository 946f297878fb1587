//! The decision table: the same state, action and waitTime from every engine, and from a second writing of the rules.

use std::time::Duration;

use dr_watchdog_tests::program::{self, arbitration_plugin, in_repository, run_within};

/// Longest run of one engine through its part of the table.
const TABLE_LIMIT: Duration = Duration::from_secs(400);
/// Cases for what starts a process for each.
const SAMPLE: &str = "240";

fn agrees(engine: &str, sample: Option<&str>) {
    let mut command = program::clean(&program::table());
    command.arg(engine).args(sample);
    let run = run_within(&mut command, TABLE_LIMIT, b"").is_orderly();
    assert!(run.stdout.contains(" 0 wrong"), "{}", run.all());
    run.expect(0);
}

#[test]
fn the_rules_as_plain_rust_agree_on_every_case() {
    agrees("plain", None);
}

#[test]
fn the_plugin_through_the_worker_agrees_on_every_case() {
    agrees(arbitration_plugin().to_str().unwrap(), None);
}

#[test]
fn the_lua_policy_agrees_on_every_case() {
    agrees(in_repository("scripts/arbitration.lua").to_str().unwrap(), None);
}

#[test]
fn the_python_script_agrees_on_a_sample() {
    agrees(in_repository("scripts/legacy/arbitration.py").to_str().unwrap(), Some(SAMPLE));
}

#[test]
fn the_shell_script_agrees_on_a_sample() {
    agrees(in_repository("scripts/legacy/arbitration.sh").to_str().unwrap(), Some(SAMPLE));
}
