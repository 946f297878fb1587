//! Old scripts in four languages, as they stand in `scripts/legacy`: they read the printed configuration, log in to the
//! arbiters by themselves and print a verdict.

use std::path::PathBuf;
use std::time::Duration;

use dr_watchdog_tests::lab::{Node, Pair};
use dr_watchdog_tests::program::{in_repository, system};
use serde_json::Value;

/// Longest way from the start, or from a cut, to a decision: the boot, a round, the looks, the script's log-ins.
const LIMIT: Duration = Duration::from_secs(90);
const ARBITERS: u8 = 3;

/// A pair whose site `b` has the script as its policy.
fn pair(name: &str) -> Pair {
    let pair = Pair::new(ARBITERS, |node, recipe| {
        if node == Node::B {
            recipe.policy = Some(PathBuf::from("SCRIPT"));
        }
    });
    let beside = pair
        .scratch
        .executable(name, std::fs::read(in_repository(&format!("scripts/legacy/{name}"))).unwrap());
    let public = system("ssh-keygen", &["-y", "-f", pair.scratch.join("host_key").to_str().unwrap()]);
    let lines = (0..ARBITERS).map(|number| format!("{} {public}", Node::Arbiter(number).address()));
    pair.scratch.write("known_hosts", lines.collect::<String>());
    let text = std::fs::read_to_string(&pair.b.paths().config_file).unwrap();
    pair.b.configure(&text.replace("SCRIPT", beside.to_str().unwrap()));
    pair
}

fn told(pair: &mut Pair, words: &str) -> Value {
    let what = format!("a script says \"{words}\"");
    pair.b.wait(&what, LIMIT, |daemon| {
        let decisions = daemon.decisions();
        let says =
            |decision: &&Value| decision.pointer("/verdict/description").is_some_and(|told| *told == *words);
        decisions.iter().rev().find(says).cloned().ok_or_else(|| format!("{:?}", decisions.last()))
    })
}

/// The other site is gone: nobody manages an arbiter, and the script's verdict makes this one active.
fn takes_over(name: &str, language: &str) {
    let mut pair = pair(name);
    pair.network.cut_silently(Node::A);
    pair.b.start();
    let decision = told(&mut pair, &format!("{language}: 3 of 3 arbiters reached, 0 managed"));
    assert_eq!(decision["verdict"]["action"], "beActive", "{decision}");
    pair.b.wait_standing("active/active", LIMIT);
}

#[test]
fn a_script_in_bash_takes_over() {
    takes_over("ask_arbiters.bash", "bash");
}

#[test]
fn a_script_in_perl_takes_over() {
    takes_over("ask_arbiters.pl", "perl");
}

#[test]
fn a_script_in_python_takes_over() {
    takes_over("ask_arbiters.py", "python");
}

/// Goal: the whole story with the oldest of them. The line is cut, and the script sees the other site's sessions; the
/// other site dies, and when its sessions are gone the script takes over.
#[test]
fn a_script_in_sh_waits_while_the_other_site_manages_and_takes_over_when_it_is_gone() {
    let mut pair = pair("ask_arbiters.sh");
    pair.a.start();
    pair.b.start();
    pair.a.wait_standing("active/active", LIMIT);
    pair.a.wait("every arbiter is held", LIMIT, |daemon| {
        let arbiters = daemon.try_health()?["arbiters"].clone();
        dr_watchdog_tests::wait::holds(arbiters["held"] == arbiters["total"], || arbiters.to_string())
    });
    pair.network.cut_pair(Node::A, Node::B);
    let decision = told(&mut pair, "sh: 3 of 3 arbiters reached, 3 managed");
    assert_eq!(decision["verdict"]["action"], "nothing", "{decision}");
    pair.a.kill_9();
    pair.network.cut_silently(Node::A);
    let decision = told(&mut pair, "sh: 3 of 3 arbiters reached, 0 managed");
    assert_eq!(decision["verdict"]["action"], "beActive", "{decision}");
    pair.b.wait_standing("active/active", LIMIT);
}
