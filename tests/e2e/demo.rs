//! The demo: what a newcomer types first, for each engine, twice, as root or as nobody.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use dr_watchdog_tests::lab::take_turn;
use dr_watchdog_tests::program::{self, Run, run_within};
use dr_watchdog_tests::scratch::{Scratch, set_mode};
use dr_watchdog_tests::{needs, wait};
use serde_json::Value;

/// Longest demo: what a person waits for.
const DEMO_LIMIT: Duration = Duration::from_secs(60);
/// Marks every process that a demo starts, through its environment.
const MARK: &str = "DRW_TEST_DEMO";
/// The exit status where namespaces are forbidden.
const FORBIDDEN: i32 = 3;

fn demo(scratch: &Scratch, arguments: &[&str]) -> Command {
    let mut command = program::command(["demo", "--json"]);
    command.args(arguments).env("TMPDIR", scratch.path()).env(MARK, scratch.path());
    command
}

/// Processes whose environment has this demo's mark.
fn left_processes(scratch: &Scratch) -> Vec<String> {
    let mark = format!("{MARK}={}", scratch.path().display());
    let marked = |pid: &str| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
    };
    let entries =
        fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    entries.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()) && marked(name)).collect()
}

#[track_caller]
fn nothing_is_left(scratch: &Scratch) {
    let gone = || {
        let left = left_processes(scratch);
        wait::holds(left.is_empty(), || format!("still running: {left:?}"))
    };
    wait::until("no process of the demo is left", Duration::from_secs(5), gone, String::new);
    let files: Vec<_> = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.is_empty(), "files are left: {files:?}");
}

#[track_caller]
fn is_a_failover(run: &Run, policy: &str) -> Value {
    let summary = run.json();
    assert_eq!(summary["type"], "summary", "{}", run.all());
    assert_eq!(summary["ok"], true, "{}", run.all());
    assert_eq!(summary["policy"], policy, "{summary}");
    assert_eq!((&summary["activeBefore"], &summary["activeAfter"]), (&"a".into(), &"b".into()), "{summary}");
    assert_eq!(summary["oldSite"], "standby", "{summary}");
    assert_eq!(summary["overlapMs"], 0, "{summary}");
    assert_eq!(summary["verdict"]["action"], "beActive", "{summary}");
    for span in ["cutToLostMs", "lostToVerdictMs", "verdictToActiveMs"] {
        assert!(summary[span].as_u64().is_some(), "{span}: {summary}");
    }
    let events = run.stdout.lines().filter(|line| line.contains("\"type\":\"event\"")).count();
    assert!(events >= 10, "a timeline of {events} events\n{}", run.all());
    summary
}

fn twice(policy: &str) {
    needs::root();
    let _turn = take_turn();
    for _ in 0..2 {
        let scratch = Scratch::new("demo");
        let run =
            run_within(&mut demo(&scratch, &["--policy", policy]), DEMO_LIMIT, b"").expect(0).is_orderly();
        is_a_failover(&run, policy);
        nothing_is_left(&scratch);
    }
}

#[test]
fn the_demo_fails_over_with_the_compiled_default_policy_twice() {
    twice("default");
}

#[test]
fn the_demo_fails_over_with_the_lua_policy_twice() {
    twice("lua");
}

#[test]
fn the_demo_fails_over_with_the_shell_script_twice() {
    twice("script");
}

/// Goal: the demo needs no root where the machine allows user namespaces. Method: the program lies where nobody may
/// reach it, as in a clone of somebody else. Where they are forbidden it must say what to do instead.
#[test]
fn the_demo_runs_as_an_ordinary_user_or_says_what_is_missing() {
    needs::root();
    let _turn = take_turn();
    let scratch = Scratch::new("demo");
    let nobody = nix::unistd::Uid::from_raw(65_534);
    nix::unistd::chown(scratch.path(), Some(nobody), Some(nix::unistd::Gid::from_raw(65_534))).unwrap();
    // The target folder may lie below a folder that nobody may enter; what the demo needs is copied.
    let programs = Scratch::new("programs");
    set_mode(programs.path(), 0o755);
    for built in [program::twin(), program::arbitration_plugin()] {
        let copy = programs.join(built.file_name().unwrap());
        fs::copy(&built, &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = program::clean(&programs.join("dr-watchdog-twin"));
    command.args(["demo", "--json"]).env("TMPDIR", scratch.path()).env(MARK, scratch.path()).current_dir("/");
    command.uid(65_534).gid(65_534);
    let allowed = program::run(
        program::clean(&needs::program("unshare"))
            .args(["--user", "--net", "--map-root-user", "true"])
            .uid(65_534)
            .gid(65_534),
    );
    let run = run_within(&mut command, DEMO_LIMIT, b"").is_orderly();
    if allowed.status.success() {
        is_a_failover(&run.expect(0), "default");
    } else {
        run.expect(FORBIDDEN).says(&["namespaces"]);
    }
    nothing_is_left(&scratch);
}

/// Goal: `--keep` keeps the folder, and says where. Wrong would be: it is gone, or a process is kept too.
#[test]
fn the_demo_keeps_its_folder_when_asked() {
    needs::root();
    let _turn = take_turn();
    let scratch = Scratch::new("demo");
    let run = run_within(&mut demo(&scratch, &["--keep"]), DEMO_LIMIT, b"").expect(0);
    let summary = is_a_failover(&run, "default");
    let kept = summary["kept"].as_str().unwrap_or_else(|| panic!("{summary}"));
    assert!(fs::read_dir(kept).unwrap().count() > 0, "{kept} is empty");
    assert!(left_processes(&scratch).is_empty());
}

/// Goal: a person reads the timeline. Wrong would be: JSON, or nothing, on a terminal's standard output.
#[test]
fn the_demo_without_json_tells_a_story() {
    needs::root();
    let _turn = take_turn();
    let scratch = Scratch::new("demo");
    let mut command = program::command(["demo"]);
    command.env("TMPDIR", scratch.path()).env(MARK, scratch.path());
    run_within(&mut command, DEMO_LIMIT, b"").expect(0).is_orderly().says(&["active", "standby", "arbiter"]);
    nothing_is_left(&scratch);
}

/// Goal: a file that is no policy is told before the lab is laid. Wrong would be: a lab of two sites whose policy
/// never answers, and the reason only in a log.
#[test]
fn a_file_that_is_no_policy_ends_the_demo_before_it_begins() {
    let scratch = Scratch::new("demo");
    let folder = Scratch::new("policies");
    fs::write(folder.join("notes.md"), "Ask Ann.").unwrap();
    fs::write(folder.join("broken.lua"), "function evaluate(ctx) return {").unwrap();
    for (name, reason) in
        [("notes.md", "neither .lua nor .so"), ("broken.lua", "broken.lua:1:"), ("gone.lua", "gone.lua")]
    {
        let path = folder.join(name);
        let run = run_within(&mut demo(&scratch, &["--policy", path.to_str().unwrap()]), DEMO_LIMIT, b"");
        let run = run.expect(2).is_orderly();
        assert_eq!(run.json()["ok"], false, "{}", run.all());
        assert_eq!(run.stdout.lines().count(), 1, "{}", run.all());
        run.says(&[name, reason]);
        nothing_is_left(&scratch);
    }
}
