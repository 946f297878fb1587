//! `policy reload` as well as SIGHUP: a new version runs, a broken one leaves the old one running.

use std::time::Duration;

use dr_watchdog_tests::lab::{Daemon, Lone};
use dr_watchdog_tests::program::{Run, command, run};
use dr_watchdog_tests::wait;
use serde_json::Value;

/// Longest wait for a decision or a reaction.
const REACTION_LIMIT: Duration = Duration::from_secs(60);

fn says(text: &str) -> String {
    format!("return {{ evaluate = function() return dr.verdict.nothing('{text}') end }}\n")
}

fn reload(site: &Daemon, more: &[&str]) -> Run {
    run(command(["--root"]).arg(site.root()).args(["policy", "reload"]).args(more)).is_orderly()
}

fn decides(site: &mut Daemon, text: &str) {
    site.wait(&format!("a decision says \"{text}\""), REACTION_LIMIT, |site| {
        let last = site.decisions().pop().ok_or_else(|| "there is no decision".to_owned())?;
        wait::holds(last["verdict"]["description"] == text, || last["verdict"].to_string())
    });
}

fn policy_of(site: &mut Daemon, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    site.wait(what, REACTION_LIMIT, |site| {
        let health = site.try_health()?;
        if is_so(&health) { Ok(health) } else { Err(health.to_string()) }
    })
}

/// Goal: a policy is replaced while the watchdog runs, and a mistake in it costs nothing. Wrong would be: a broken file
/// stops the policy that worked, or nobody hears of it.
#[test]
fn a_policy_is_replaced_while_it_runs_and_a_broken_one_is_refused() {
    let mut lone = Lone::new(|_, recipe| recipe.policy = None);
    let file = lone.scratch.write("own.lua", says("first"));
    let detection = "[watchdog.failureDetection]\n";
    let configuration = std::fs::read_to_string(&lone.site.paths().config_file).unwrap();
    let own = format!("{detection}isCustom = true\nscript = \"{}\"\n", file.display());
    lone.site.configure(&configuration.replacen(detection, &own, 1));
    reload(&lone.site, &[]).expect(2).says(&["dr-watchdog run"]);
    lone.site.start();
    decides(&mut lone.site, "first");

    lone.scratch.write("own.lua", says("second"));
    reload(&lone.site, &[]).expect(0).says(&["version 2 of own.lua runs"]);
    decides(&mut lone.site, "second");

    lone.scratch.write("own.lua", "return { evaluate = function( }\n");
    reload(&lone.site, &[]).expect(1).says(&["keeps running version 2 of own.lua because", "own.lua:1"]);
    let answer = reload(&lone.site, &["--json"]).expect(1).json();
    assert_eq!((&answer["ok"], &answer["version"]), (&false.into(), &2.into()), "{answer}");
    let health = policy_of(&mut lone.site, "health says that version 2 goes on", |health| {
        health["problems"].to_string().contains("keeps running version 2")
    });
    assert_eq!(health["policy"]["loadedVersion"], 2, "{health}");
    assert_eq!(health["policy"]["state"], "running", "{health}");
    let count = lone.site.decisions().len();
    let next = lone.site.wait_decisions(count, 2, REACTION_LIMIT);
    assert!(next.iter().all(|decision| decision["verdict"]["description"] == "second"), "{next:?}");

    // The same by SIGHUP, for a file that loads but is no policy.
    lone.scratch.write("own.lua", "return {}\n");
    lone.site.reload();
    lone.site.wait("the log says that version 2 goes on", REACTION_LIMIT, |site| {
        let log = site.log();
        wait::holds(log.contains("keeps running version 2 of own.lua because the table that"), || log.clone())
    });
    decides(&mut lone.site, "second");

    lone.scratch.write("own.lua", says("third"));
    lone.site.reload();
    let health = policy_of(&mut lone.site, "version 3 runs", |health| health["policy"]["loadedVersion"] == 3);
    assert!(!health["problems"].to_string().contains("keeps running"), "{health}");
    decides(&mut lone.site, "third");
}

/// Goal: an operator learns that a script has no processes of its own here, and it decides all the same. Wrong would be:
/// a wall that is missing in silence, or no verdict because of it.
#[test]
fn a_script_that_the_system_refuses_processes_of_its_own_decides_and_health_warns() {
    let mut lone = Lone::new(|_, _| ());
    lone.site.refuse_pid_namespaces();
    lone.site.start();
    let answered = lone.site.wait_decisions(0, 1, REACTION_LIMIT);
    assert_eq!(answered[0]["verdict"]["action"], "nothing", "{answered:?}");
    assert_eq!(answered[0]["error"], Value::Null, "{answered:?}");
    let health = policy_of(&mut lone.site, "health warns of the wall that is missing", |health| {
        let problems = health["problems"].to_string();
        problems.contains("this system refuses it processes of its own (ENOSPC")
            && problems.contains("the script must be one that you trust")
    });
    assert_ne!(health["status"], "ok", "{health}");
}
