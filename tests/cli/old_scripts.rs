//! Scripts as the manual describes them, unmodified, against the program under its old name.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dr_watchdog_tests::lab::Lone;
use dr_watchdog_tests::program::{clean, command, in_repository, run, twin};
use dr_watchdog_tests::wait;

/// How many there are; a file that got lost would be no failure otherwise.
const SCRIPTS: usize = 20;

fn scripts() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(in_repository("tests/fixtures/old-scripts")).unwrap();
    let mut paths: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert_eq!(paths.len(), SCRIPTS);
    paths
}

/// What the second line of a script says after a word.
fn expected(script: &Path, word: &str) -> Option<String> {
    let text = std::fs::read_to_string(script).unwrap();
    let line = text.lines().nth(1).unwrap().to_owned();
    line.strip_prefix(&format!("# {word}: ")).map(str::to_owned)
}

/// A site that runs, with some rounds behind it.
fn site() -> Lone {
    let mut lone = Lone::new(|_, recipe| {
        recipe.more.push_str("[watchdog.notification]\nemail = \"abc@example.com\"\n");
    });
    lone.site.start();
    lone.site.wait_decisions(0, 1, Duration::from_secs(30));
    lone
}

#[test]
fn failure_detection_scripts_see_the_manuals_json_and_their_verdict_counts() {
    let lone = site();
    let listed =
        run(command(["--root"]).arg(lone.site.root()).args(["api", "v1", "config", "--list"])).expect(0);
    let sections = lone.scratch.write("sections.json", listed.stdout);
    let mut count = 0;
    for script in scripts() {
        let Some(action) = expected(&script, "verdict") else { continue };
        count += 1;
        if action == "nothing" && script.ends_with("12-credentials.py") {
            // The listing masks the passwords, so the one that needs them is asked by the daemon, below.
            continue;
        }
        let mut eval = lone.namespace.command(&twin());
        eval.args(["policy", "eval"]).arg(&script).arg("--sections").arg(&sections);
        let probes = lone.scratch.write("probes.json", "{}");
        let answer = run(eval.arg("--probes").arg(&probes).arg("--json")).expect(0).json();
        assert_eq!(answer["verdict"]["action"], action.as_str(), "{}: {answer}", script.display());
    }
    assert_eq!(count, 13);
}

#[test]
fn a_script_that_the_daemon_runs_is_shown_the_credentials_that_it_logs_in_with() {
    let mut lone = Lone::new(|_, recipe| {
        recipe.policy = Some(in_repository("tests/fixtures/old-scripts/12-credentials.py"));
    });
    lone.site.start();
    let decisions = lone.site.wait_decisions(0, 1, Duration::from_secs(30));
    assert_eq!(decisions[0]["error"], serde_json::Value::Null, "{}", decisions[0]);
    assert_eq!(decisions[0]["verdict"]["action"], "nothing");
}

#[test]
fn operators_scripts_work_under_the_old_name() {
    let lone = site();
    let folder = lone.scratch.join("bin");
    std::fs::create_dir(&folder).unwrap();
    symlink(twin(), folder.join("jmp-dr")).unwrap();
    let mut count = 0;
    for script in scripts() {
        let Some(words) = expected(&script, "operator") else { continue };
        count += 1;
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folder.display());
        let ran = wait::poll(Duration::from_secs(30), || {
            let mut old = clean(&script);
            old.env("PATH", &path).env("DR_WATCHDOG_ROOT", lone.site.root());
            let ran = run(&mut old);
            // The states are written by a round, which may be about to come.
            wait::holds(ran.code() == 0 && ran.stdout.contains(&words), || ran.all())
        });
        ran.unwrap_or_else(|why| panic!("{}: {why}", script.display()));
    }
    assert_eq!(count, SCRIPTS - 13);
}
