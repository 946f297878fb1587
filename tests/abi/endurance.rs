//! Twenty thousand evaluations through one worker: flat memory, no descriptor left open.

use dr_watchdog_tests::bench::endurance::{Course, run};
use dr_watchdog_tests::program::{arbitration_plugin, in_repository};

const EVALUATIONS: u32 = 20_000;

fn flat(course: &Course) {
    assert!(course.is_flat(), "{} times; {course:?}", course.growth());
}

#[test]
fn a_compiled_plugin_leaks_nothing_in_twenty_thousand_evaluations() {
    flat(&run(&arbitration_plugin(), EVALUATIONS));
}

#[test]
fn a_lua_policy_leaks_nothing_in_twenty_thousand_evaluations() {
    flat(&run(&in_repository("scripts/arbitration.lua"), EVALUATIONS));
}
