//! What an operator asks of the past and of the next role change: `history`, `explain`, `plan`, `drill`, `health`.

use std::time::Duration;

use dr_watchdog_tests::lab::{Daemon, Lone};
use dr_watchdog_tests::program::{Run, clean, run, run_within, twin};
use serde_json::Value;

/// Longest role change of a lone site.
const CHANGE_LIMIT: Duration = Duration::from_secs(60);

fn on(daemon: &Daemon, arguments: &[&str]) -> Run {
    daemon.run(arguments).is_orderly()
}

fn active() -> Lone {
    let mut lone = Lone::new(|ledger, recipe| {
        recipe.be_active = vec![("serve".to_owned(), ledger.command("a", "serve"), true)];
        recipe.be_standby = vec![("stop".to_owned(), ledger.command("a", "stop"), false)];
    });
    lone.site.start();
    lone.tell("beActive");
    lone.site.wait_standing("active/active", CHANGE_LIMIT);
    lone.tell("nothing");
    lone
}

#[test]
fn a_decision_is_told_as_a_story_with_what_came_of_it() {
    let lone = active();
    let decisions = lone.site.decisions();
    let granted = decisions.iter().find(|one| one["verdict"]["action"] == "beActive").unwrap();
    let id = granted["id"].to_string();
    on(&lone.site, &["explain", &id]).expect(0).says(&[
        "why asked",
        "the other site answered neither ping",
        "203.0.113.1",
        "told.sh (script)",
        "every gate was open",
        "this site becomes active",
        "the policy names none",
        "beActive step 1 \"serve\" done after",
    ]);
    let story = on(&lone.site, &["explain", &id, "--json"]).expect(0).json();
    for key in ["asked", "seen", "policy", "verdict", "why", "gate", "effect", "flip", "then"] {
        assert!(story.get(key).is_some(), "{key}: {story}");
    }
    on(&lone.site, &["explain", "987654"]).expect(2).says(&["no record 987654"]);
    let refused = on(&lone.site, &["explain", "987654", "--json"]).expect(2).json();
    assert_eq!(refused["ok"], false, "{refused}");
    on(&lone.site, &["history", "--kind", "step"]).expect(0).says(&["\"serve\" done after"]);
    let health = lone.site.health();
    assert!(health["takeover"]["stepsS"].as_f64().is_some(), "{health}");
}

#[test]
fn a_plan_names_each_step_with_its_last_time_and_needs_no_daemon() {
    let mut lone = active();
    lone.site.stop();
    on(&lone.site, &["plan", "beActive"]).expect(0).says(&[
        "beActive: steps: 1",
        "1. serve",
        "ms the last time",
    ]);
    let both = on(&lone.site, &["plan", "--json"]).expect(0).json();
    assert_eq!(both["plans"].as_array().unwrap().len(), 2, "{both}");
    assert_eq!(both["plans"][1]["steps"][0]["idempotent"], false, "{both}");
    assert!(both["plans"][0]["steps"][0]["lastMs"].is_u64(), "{both}");
    on(&lone.site, &["plan", "beStandalone"]).expect(2);
}

#[test]
fn a_drill_names_what_would_not_work_and_changes_nothing() {
    let lone = active();
    let before = lone.site.history().iter().filter(|record| record["kind"] == "transition").count();
    on(&lone.site, &["drill"]).expect(1).says(&["FAIL", "arbiters", "would not work", "no role was changed"]);
    let drill = on(&lone.site, &["drill", "--json"]).expect(1).json();
    let row = |name: &str| -> Value {
        let rows = drill["checks"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).cloned().unwrap_or_else(|| panic!("{name}: {drill}"))
    };
    assert_eq!(row("watchdog")["result"], "pass");
    assert_eq!(row("commands of beActive")["result"], "pass");
    assert_eq!(row("arbiters")["result"], "fail");
    assert_eq!(row("SSH to the other site")["result"], "warn", "no identity is configured");
    assert_eq!(row("mail")["result"], "warn");
    assert!(row("disk")["elapsedMs"].is_u64());
    let after = lone.site.history().iter().filter(|record| record["kind"] == "transition").count();
    assert_eq!(before, after);
}

fn narrow(lone: &Lone, environment: &[(&str, &str)], tail: &str) -> String {
    // `script` gives the program a terminal of 40 columns.
    let mut command = clean(&dr_watchdog_tests::needs::program("script"));
    let line = format!(
        "stty cols 40 rows 60; exec {} --root {} health {tail}",
        twin().display(),
        lone.site.root().display()
    );
    command.args(["-qec", &line, "/dev/null"]).envs(environment.iter().copied()).env("TERM", "xterm");
    run_within(&mut command, Duration::from_secs(30), b"").stdout.replace('\r', "")
}

#[test]
fn health_is_readable_at_40_columns_without_colour_and_without_utf_8() {
    let lone = active();
    let plain = narrow(&lone, &[("NO_COLOR", "1"), ("LC_ALL", "C")], "");
    assert!(plain.contains("site a is active"), "{plain}");
    for line in plain.lines() {
        assert!(line.is_ascii() && line.len() <= 40 && !line.contains('\u{1b}'), "{line:?}\n{plain}");
    }
    let colourful = narrow(&lone, &[("LC_ALL", "C.UTF-8")], "");
    assert!(colourful.contains('\u{1b}') && colourful.contains('→'), "{colourful:?}");
}

#[test]
fn health_without_a_terminal_has_a_line_for_each_answer_and_no_escape() {
    let lone = active();
    let shown = on(&lone.site, &["health"]);
    assert!(!shown.stdout.contains('\u{1b}'), "{}", shown.all());
    shown.says(&[
        "serves",
        "other site",
        "takeover",
        "automatic failover",
        "arbiters",
        "policy",
        "mail",
        "last decision",
    ]);
}

#[test]
fn health_of_a_stopped_site_says_so_with_what_was_known_and_is_critical() {
    let mut lone = active();
    lone.site.kill_9();
    let shown = on(&lone.site, &["health"]).expect(2);
    shown.says(&["CRITICAL", "site a was active", "nobody watches", "last known"]);
}

#[test]
fn watch_writes_over_the_old_picture_and_survives_the_daemon() {
    let mut lone = active();
    let line = format!("{} --root {} health --watch", twin().display(), lone.site.root().display());
    let mut watch = clean(&dr_watchdog_tests::needs::program("timeout"));
    watch.args(["7", "script", "-qec", &line, "/dev/null"]).env("TERM", "xterm");
    let other = std::thread::spawn(move || run(&mut watch));
    lone.site.kill_9();
    let seen = other.join().unwrap().stdout;
    assert!(seen.matches("\u{1b}[H").count() >= 2, "more than one picture\n{seen}");
    assert!(!seen.contains("\u{1b}[2J"), "nothing flickers");
    assert!(seen.contains("nobody watches"), "{seen}");
}
