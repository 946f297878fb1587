//! Every scenario file: it holds with all rules, and splits without the rule that it names.

use std::fs;
use std::path::PathBuf;

use dr_watchdog_core::exclusion::rules::Rule;
use dr_watchdog_sim::scenario::Scenario;
use dr_watchdog_tests::program::in_repository;

/// Scenarios that must be there: the counterexamples of the study, by what they are.
const COUNTEREXAMPLES: [&str; 10] = [
    "rebooted-active",
    "timer-race-at-isolation",
    "ping-is-not-management",
    "vip-move-during-a-cut",
    "automatic-failover-off-at-one-site",
    "both-standby-with-the-same-view",
    "loss-ping-pong",
    "isolation-with-lingering-sessions",
    "stale-sessions-after-a-crash",
    "watchdog-hung",
];

fn corpus() -> Vec<(PathBuf, Scenario)> {
    let mut files: Vec<_> = fs::read_dir(in_repository("host/sim/scenarios"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let scenario = Scenario::read(&fs::read_to_string(&path).unwrap());
        (path.clone(), scenario.unwrap_or_else(|error| panic!("{}: {error:?}", path.display())))
    };
    files.into_iter().map(read).collect()
}

#[test]
fn every_scenario_comes_out_as_it_expects() {
    let unmet: Vec<_> = corpus()
        .iter()
        .filter_map(|(path, scenario)| {
            let outcome = scenario.run(&scenario.options(), false);
            (!scenario.is_met(&outcome)).then(|| format!("{}: {:?}", path.display(), outcome.violations))
        })
        .collect();
    assert!(unmet.is_empty(), "{}", unmet.join("\n"));
}

#[test]
fn every_scenario_fails_without_the_rule_that_it_names_and_only_then() {
    let (mut shown, mut whole) = (Vec::new(), Vec::new());
    for (path, scenario) in corpus().iter().filter(|(_, scenario)| scenario.without.is_some()) {
        let options =
            scenario.options_without().unwrap_or_else(|| panic!("{}: unknown rule", path.display()));
        let outcome = scenario.run(&options, false);
        let is_shown = if scenario.without.as_deref() == Some("lease") {
            // The manual's rules fail in other ways too: nobody serves, or a failover that nothing called for.
            let with = scenario.run(&scenario.options(), false);
            !outcome.overlaps.is_empty() || (scenario.is_shown_by(&outcome) && !scenario.is_shown_by(&with))
        } else {
            !outcome.overlaps.is_empty()
        };
        if !is_shown {
            whole.push(format!(
                "{} without {:?}: {:?}",
                path.display(),
                scenario.without,
                outcome.violations
            ));
        }
        shown.extend(scenario.without.clone());
    }
    assert!(whole.is_empty(), "{}", whole.join("\n"));
    let unshown: Vec<_> =
        Rule::ALL.into_iter().map(Rule::word).filter(|rule| !shown.iter().any(|word| word == rule)).collect();
    assert!(unshown.is_empty(), "no scenario shows what these rules are for: {unshown:?}");
}

#[test]
fn the_counterexamples_of_the_study_are_in_the_corpus() {
    let names: Vec<_> = corpus().iter().map(|(path, _)| path.file_stem().unwrap().to_owned()).collect();
    for name in COUNTEREXAMPLES {
        assert!(names.iter().any(|found| found == name), "{name}");
    }
    let is_tied = |path: &PathBuf, scenario: &Scenario| {
        let is_one = COUNTEREXAMPLES.iter().any(|name| path.file_stem().is_some_and(|stem| stem == *name));
        !is_one || scenario.without.is_some()
    };
    let untied: Vec<_> = corpus()
        .into_iter()
        .filter(|(path, scenario)| !is_tied(path, scenario))
        .map(|(path, _)| path)
        .collect();
    assert!(untied.is_empty(), "no rule is named without which these fail: {untied:?}");
}
