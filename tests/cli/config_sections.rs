//! `api v1 config` in every spelling of the manual, with the daemon up or down; what is typed to change it.

use std::os::unix::fs::symlink;

use dr_watchdog_tests::lab::Lone;
use dr_watchdog_tests::program::{self, Run, command, run};
use serde_json::Value;

/// Sections of the manual, in its order; those without data are absent.
const NAMES: [&str; 9] =
    ["role", "failover", "core", "mysql", "pgsql", "file", "watchdog", "deviceManagement", "states"];

fn config(lone: &Lone, arguments: &[&str]) -> Run {
    run(command(["--root"]).arg(lone.site.root()).args(["api", "v1", "config"]).args(arguments)).is_orderly()
}

fn keys(document: &Value) -> Vec<&str> {
    document.as_object().unwrap().keys().map(String::as_str).collect()
}

fn document(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}\n{}", run.all()))
}

#[test]
fn the_sections_are_the_same_with_the_daemon_up_or_down() {
    let mut lone = Lone::new(|_, _| {});
    let before = document(&config(&lone, &[]).expect(0));
    assert_eq!(before["role"], "standby", "{before}");
    assert!(before.get("states").is_none(), "no watchdog ever ran here: {before}");

    lone.site.start();
    let up = document(&config(&lone, &["--list"]).expect(0));
    for key in ["role", "failover", "core", "watchdog", "states"] {
        assert!(up.get(key).is_some(), "{key}: {up}");
    }
    let order: Vec<usize> =
        keys(&up).iter().map(|key| NAMES.iter().position(|name| name == key).unwrap()).collect();
    assert!(order.is_sorted(), "the manual's order: {:?}", keys(&up));
    assert_eq!(up["watchdog"]["failureDetection"]["arbiters"][0]["host"], "203.0.113.1", "{up}");

    assert!(lone.site.stop().success());
    let down = document(&config(&lone, &[]).expect(0));
    for section in ["role", "failover", "core", "watchdog"] {
        assert_eq!(up[section], down[section], "{section}");
    }
    assert!(down.get("states").is_some(), "the last states stay: {down}");
}

#[test]
fn every_spelling_of_include_is_understood() {
    let lone = Lone::new(|_, _| {});
    let spellings: [&[&str]; 6] = [
        &["--include", "role,core"],
        &["--include=role,core"],
        &["-include", "role,core"],
        &["\u{2013}include", "role,core"],
        &["\u{2013}-include=role,core"],
        &["--include", "core, role"],
    ];
    for spelling in spellings {
        let found = document(&config(&lone, spelling).expect(0));
        assert_eq!(keys(&found), ["role", "core"], "{spelling:?}");
        assert_eq!(found["core"]["peerVip"], "192.0.2.20", "{spelling:?}");
    }
    for spelling in [&["--list"][..], &["-list"], &["\u{2013}list"], &[]] {
        assert!(keys(&document(&config(&lone, spelling).expect(0))).contains(&"watchdog"), "{spelling:?}");
    }
}

#[test]
fn a_section_without_data_is_absent_and_an_unknown_one_is_an_error() {
    let lone = Lone::new(|_, _| {});
    let found = document(&config(&lone, &["--include", "mysql,role,psql"]).expect(0));
    assert_eq!(keys(&found), ["role"]);
    config(&lone, &["--include", "cor"]).expect(2).says(&["cor", "did you mean", "core"]);
    config(&lone, &["--include", ""]).expect(2);
}

#[test]
fn text_has_one_fact_a_line() {
    let lone = Lone::new(|_, _| {});
    let text = config(&lone, &["--include", "role,watchdog", "--text"]).expect(0).stdout;
    for line in [
        "role standby",
        "watchdog.failureDetection.arbiters.0.host 203.0.113.1",
        "watchdog.failureDetection.threshold.failover 0.5",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn an_old_command_line_works_through_a_link_with_the_old_name() {
    let lone = Lone::new(|_, _| {});
    let link = lone.scratch.join("jmp-dr");
    symlink(program::twin(), &link).unwrap();
    let mut old = program::clean(&link);
    old.args(["api", "v1", "config", "--include", "role"]).env("DR_WATCHDOG_ROOT", lone.site.root());
    assert_eq!(document(&run(&mut old).expect(0))["role"], "standby");
}

#[test]
fn secrets_are_starred_whoever_asks() {
    let lone = Lone::new(|_, recipe| {
        recipe.more.push_str(
            "\n[[watchdog.failureDetection.arbiters]]\nhost = \"203.0.113.9\"\nusername = \"u\"\n\
             password = \"a-secret-of-a-test\"\n",
        );
    });
    for arguments in [&[][..], &["--text"], &["--include", "watchdog"]] {
        let shown = config(&lone, arguments).expect(0);
        assert!(!shown.all().contains("a-secret-of-a-test"), "{}", shown.all());
        assert!(shown.stdout.contains("***"), "{}", shown.all());
    }
}

/// Goal: a mistyped change is told before anybody is asked. Wrong would be: first the way to the other site has to be mended.
#[test]
fn a_mistyped_change_is_told_before_the_other_site_is_asked() {
    let lone = Lone::new(|_, _| {});
    let update = |change: &str| {
        let words = ["toolkit", "config", "update", "--user-watchdog-heartbeat", "--set", change];
        run(command(["--root"]).arg(lone.site.root()).args(words)).is_orderly().expect(1)
    };
    update("retires=3").says(&["--set retires", "did you mean \"retries\"?"]);
    update("retries=many").says(&["watchdog.heartbeat.retries = \"many\": expected"]);
    update("retries").says(&["expected KEY=VALUE"]);
}
