//! Help, version, wrong words.

use dr_watchdog_tests::program::{command, run};

/// Every command that people may type.
const COMMANDS: [&[&str]; 26] = [
    &["toolkit", "config", "update"],
    &["completions"],
    &["man"],
    &["run"],
    &["init"],
    &["start"],
    &["reset"],
    &["exclusion", "peer-is-off"],
    &["manualFailover"],
    &["demo"],
    &["stop"],
    &["health"],
    &["api"],
    &["api", "v1"],
    &["api", "v1", "config"],
    &["arbiters"],
    &["arbiters", "ping"],
    &["arbiters", "sessions"],
    &["ping"],
    &["policy"],
    &["policy", "check"],
    &["policy", "eval"],
    &["config"],
    &["config", "check"],
    &["history"],
    &["toolkit", "watchdog", "status"],
];

#[test]
fn every_command_explains_itself() {
    for words in COMMANDS {
        let run = run(command(words).arg("--help")).expect(0).is_orderly();
        assert!(run.stdout.contains("Usage:"), "{}", run.all());
        assert!(!run.stdout.to_lowercase().contains("placeholder"), "{}", run.all());
        assert!(run.stderr.is_empty(), "{}", run.all());
    }
}

#[test]
fn the_help_lists_every_command_and_hides_what_is_not_for_people() {
    let help = run(&mut command(["--help"])).expect(0).stdout;
    for word in
        ["run", "demo", "stop", "health", "api", "arbiters", "ping", "policy", "config", "history", "toolkit"]
    {
        assert!(help.lines().any(|line| line.trim_start().starts_with(word)), "{word}\n{help}");
    }
    for hidden in ["worker", "step", "ask", "sink"] {
        assert!(!help.lines().any(|line| line.trim_start().starts_with(hidden)), "{hidden}\n{help}");
    }
}

#[test]
fn the_version_is_the_packages() {
    let version = run(&mut command(["--version"])).expect(0).stdout;
    assert_eq!(version.trim(), format!("dr-watchdog {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_wrong_word_is_a_usage_error_that_names_the_nearest_right_one() {
    run(&mut command(["helth"])).expect(2).says(&["helth", "health"]);
    run(&mut command(["health", "--jsn"])).expect(2).says(&["--jsn", "--json"]);
    run(&mut command(Vec::<&str>::new())).expect(2).says(&["Usage:"]);
}

/// A closed pipe (`| head -1`) is the reader's choice.
#[test]
fn a_reader_that_goes_away_causes_no_panic() {
    let line = format!("'{}' --help | head -1 >/dev/null", dr_watchdog_tests::program::twin().display());
    let mut shell = dr_watchdog_tests::program::clean(&dr_watchdog_tests::needs::program("bash"));
    run(shell.args(["-o", "pipefail", "-c", &line])).is_orderly();
}
