//! The other site goes away in the middle of a command: nothing is said that is not so, and the same command, repeated,
//! finishes what was begun.

use std::fs;
use std::time::Duration;

use dr_watchdog_tests::lab::arbiter::Arbiter;
use dr_watchdog_tests::lab::{Daemon, Node, Pair};
use dr_watchdog_tests::program::Run;
use dr_watchdog_tests::wait;

use super::init::answers_file;

const LIMIT: Duration = Duration::from_secs(60);

fn on(site: &Daemon, arguments: &[&str]) -> Run {
    site.run(arguments).is_orderly()
}

fn ends_running(pair: &Pair) {
    for site in [&pair.a, &pair.b] {
        if site.try_health().is_ok() {
            site.run(&["stop", "--force"]).expect(0);
        }
    }
}

/// `start` and `stop` whose answer is lost at each of their commands there: the site here is left as it was.
#[test]
fn start_and_stop_whose_answer_is_lost_are_finished_by_the_same_command() {
    let pair = Pair::new(3, |_, _| {});
    for (answered, says) in [(0, "cannot be commanded over SSH"), (1, "did not start, so this one was not")] {
        pair.die_after(answered);
        on(&pair.a, &["start"]).expect(1).says(&[says]);
        assert!(pair.a.try_health().is_err(), "{answered}: nothing runs here");
    }
    pair.replace_program("");
    on(&pair.a, &["start"]).expect(0).says(&["site b: its watchdog runs", "site a is active"]);
    pair.die_after(0);
    on(&pair.a, &["stop"]).expect(1).says(&["nothing was stopped here", "has not given its word"]);
    assert_eq!(pair.a.standing().unwrap(), "active/active");
    pair.die_after(0);
    on(&pair.a, &["reset", "--yes"]).expect(1).says(&["nothing was deleted"]);
    pair.replace_program("");
    on(&pair.a, &["stop"]).expect(0).says(&["it has given its word"]);
    assert_eq!(pair.ledger.count("stop"), 0, "the services never noticed");
    ends_running(&pair);
}

/// The answer to "become standby" is lost: nobody knows, it is said so, and the repeated command finishes the switch.
#[test]
fn a_switch_whose_answer_is_lost_is_finished_by_the_same_command() {
    let mut pair = Pair::settled(3, |_, _| {});
    pair.die_after(0);
    on(&pair.b, &["manualFailover"]).expect(1).says(&["cannot be asked", "nothing was changed"]);
    assert_eq!(pair.a.standing().unwrap(), "active/active");
    pair.die_after(1);
    let told = on(&pair.b, &["manualFailover", "--json"]).expect(1).json();
    assert_eq!((&told["ok"], &told["changed"]), (&false.into(), &true.into()), "{told}");
    assert!(told["error"].as_str().unwrap().contains("nobody knows whether it has begun"), "{told}");
    pair.a.wait_standing("standby/standby", LIMIT);
    pair.replace_program("");
    on(&pair.b, &["manualFailover"]).expect(0).says(&["is standby already", "site b is active"]);
    pair.b.wait_standing("active/active", LIMIT);
    pair.ledger.never_both();

    // The site that becomes active dies while it is followed, and answers again: the command goes on by itself.
    pair.wait_well();
    pair.die_after(2);
    let mut child = pair.b.command(&["manualFailover"]).spawn().unwrap();
    pair.b.wait_standing("standby/standby", LIMIT);
    pair.replace_program("");
    let ended = wait::poll(LIMIT, || child.try_wait().unwrap().ok_or_else(|| "it still runs".to_owned()));
    assert!(ended.unwrap().success(), "{}", pair.dump());
    pair.a.wait_standing("active/active", LIMIT);
    pair.ledger.never_both();
}

/// The line between the sites is cut after the first half: the switch stops there, and goes on when it is back.
#[test]
fn a_switch_that_is_cut_in_the_middle_leaves_one_site_at_the_most() {
    let mut pair = Pair::settled(3, |node, recipe| {
        if node == Node::A {
            recipe.be_standby[0].1 = recipe.be_standby[0].1.replace("\"0\"]", "\"3\"]");
        }
    });
    let mut child = pair.a.command(&["manualFailover"]).spawn().unwrap();
    pair.a.wait_standing("active/demoting", LIMIT);
    pair.network.cut_pair(Node::A, Node::B);
    pair.a.wait_standing("standby/standby", LIMIT);
    // Nobody repeats anything: the command waits for the other site.
    pair.network.heal();
    let ended = wait::poll(LIMIT * 2, || child.try_wait().unwrap().ok_or_else(|| "it still runs".to_owned()));
    assert!(ended.is_ok(), "{}", pair.dump());
    let settled = |pair: &Pair| [pair.a.standing().unwrap(), pair.b.standing().unwrap()];
    if settled(&pair)[1] != "active/active" {
        on(&pair.a, &["manualFailover"]).expect(0);
    }
    assert_eq!(settled(&pair), ["standby/standby", "active/active"], "{}", pair.dump());
    pair.ledger.never_both();
}

/// `init` dies at each of its commands there. Nothing is written here before everything there is, and the same command
/// finishes it; where both halves stand, it says which one is missing.
#[test]
fn an_init_whose_answer_is_lost_at_any_command_is_finished_by_the_same_command() {
    let pair = Pair::empty(3);
    let file = answers_file(&pair);
    let init = |more: &[&str]| on(&pair.a, &[&["init", "--answers", &file][..], more].concat());
    let mut answered = 0;
    // Ends: each turn lets one command more through, and `init` has seven.
    loop {
        pair.die_after(answered);
        let ended = init(if pair.a.paths().config_file.exists() { &["--replace"] } else { &[] });
        if ended.code() == 0 {
            break;
        }
        assert!(answered < 10, "{}", ended.all());
        let is_here = pair.a.paths().config_file.exists();
        let is_last = ended.stderr.contains("did not take the certificate");
        assert_eq!(is_here, is_last, "{answered}\n{}", ended.all());
        assert!(!is_here || pair.b.paths().config_file.exists(), "{}", ended.all());
        answered += 1;
    }
    assert!(answered >= 6, "{answered}");
    pair.replace_program("");
    on(&pair.a, &["start"]).expect(0).says(&["site a is active"]);
    ends_running(&pair);
}

/// A program of another version at the other site, or one that is not ours: said by every command that meets it.
#[test]
fn another_version_at_the_other_site_is_told() {
    let mut pair = Pair::settled(3, |_, _| {});
    pair.replace_program(
        "[ \"$1\" = --version ] && { echo 'dr-watchdog 9.9.9'; exit 0; }\n\
         REAL \"$@\" | sed 's/\"version\":\"[^\"]*\"/\"version\":\"9.9.9\"/g'\n",
    );
    on(&pair.a, &["manualFailover"]).expect(0).says(&["site b runs 9.9.9", "site b is active"]);
    pair.b.wait_standing("active/active", LIMIT);
    pair.wait_well();
    on(&pair.b, &["start"]).expect(0).says(&["warning: site a runs dr-watchdog 9.9.9"]);
    // One that lacks a word of ours says so with its usage text.
    pair.replace_program("echo \"error: unrecognized subcommand '$1'\" >&2; exit 2\n");
    for command in [&["manualFailover"][..], &["toolkit", "config", "update"], &["stop"]] {
        on(&pair.b, command).expect(1).says(&["unrecognized subcommand"]);
    }
    on(&pair.b, &["drill"])
        .expect(1)
        .says(&["FAIL its half of the drill (a)", "is the same version installed there"]);
    pair.replace_program("echo nonsense; exit 0\n");
    on(&pair.b, &["manualFailover"]).expect(1).says(&["is this version", "installed there"]);
    assert_eq!(pair.b.standing().unwrap(), "active/active");
    pair.ledger.never_both();
}

/// `init` does not join two versions, and a node of a version that cannot answer is a warning.
#[test]
fn init_refuses_a_site_of_another_version() {
    let pair = Pair::empty(3);
    let file = answers_file(&pair);
    pair.replace_program(
        "[ \"$1\" = --version ] && { echo 'dr-watchdog 9.9.9'; exit 0; }\nexec REAL \"$@\"\n",
    );
    let refused = on(&pair.a, &["init", "--answers", &file]).expect(1);
    refused.says(&["fail  the same version at both sites", "9.9.9 there", "--ignore-prerequisites"]);
    pair.replace_program("[ \"$1\" = reach ] && { echo 'unrecognized' >&2; exit 2; }\nexec REAL \"$@\"\n");
    let made = on(&pair.a, &["init", "--answers", &file]).expect(0);
    made.says(&["warn  every node there reaches this site by ping and SSH", "pass  every node here reaches"]);
}

/// The other site lets the key in no longer: each command says that it was refused, and changes nothing.
#[test]
fn a_key_that_is_refused_is_said_by_every_command() {
    let mut pair = Pair::settled(3, |_, _| {});
    // The daemons' own log-ins at the arbiters go on: those have files of their own.
    pair.let_key_in(false);
    let before = [&pair.a, &pair.b].map(|site| fs::read_to_string(&site.paths().config_file).unwrap());
    for command in [
        &["manualFailover"][..],
        &["stop"],
        &["start"],
        &["drill"],
        &["toolkit", "config", "update"],
        &["toolkit", "config", "update", "--user-core", "--set", "scpTimeout=9"],
        &["reset", "--yes"],
    ] {
        let told = on(&pair.a, command).expect(1);
        assert!(told.all().contains("refused") || told.all().contains("denied"), "{}", told.all());
    }
    assert_eq!(before, [&pair.a, &pair.b].map(|site| fs::read_to_string(&site.paths().config_file).unwrap()));
    assert_eq!(pair.a.standing().unwrap(), "active/active");
    assert_eq!(pair.b.standing().unwrap(), "standby/standby");
    // What needs no log-in goes on working.
    on(&pair.a, &["toolkit", "watchdog", "status", "--disable-automatic-failover", "1h"])
        .expect(0)
        .says(&["site b agrees"]);
    pair.let_key_in(true);
    pair.b.wait("the log-in works", LIMIT, |daemon| {
        let drill = daemon.run(&["drill"]);
        wait::holds(!drill.stdout.contains("FAIL SSH"), || drill.all())
    });
}

/// Every node of a site looks at the other site: one that does not reach it fails, one that cannot be asked is told.
#[test]
fn every_node_is_asked_whether_it_reaches_the_other_site() {
    let mut pair = Pair::empty(4);
    // The last two arbiters' machines play second nodes of the two sites.
    pair.arbiters.truncate(2);
    let (one, two) = (Node::Arbiter(2), Node::Arbiter(3));
    let known = format!("{},{} {}", one.address(), two.address(), pair.keys.public());
    fs::create_dir_all(pair.scratch.join(".ssh")).unwrap();
    pair.scratch.write(".ssh/known_hosts", known);
    let nodes: Vec<Arbiter> = [one, two]
        .map(|node| {
            let root = pair.scratch.join(format!("{node:?}"));
            Arbiter::start_at_site(pair.network.namespace(node), &pair.scratch, &pair.keys, &root)
        })
        .into();
    let file = answers_file(&pair);
    let text = fs::read_to_string(&file).unwrap()
        + &format!("site.nodes = \"{}, {}\"\n", Node::A.address(), one.address())
        + &format!("peer.nodes = \"{}, {}\"\n", Node::B.address(), two.address());
    fs::write(&file, text).unwrap();
    let init = |pair: &Pair| {
        let mut command = pair.a.command(&["init", "--answers", &file, "--json"]);
        dr_watchdog_tests::program::run(command.env("HOME", pair.scratch.join(""))).is_orderly()
    };
    // What the other site's own log-ins know of hosts is in that machine's home; none is known there.
    pair.network.cut_one_way(Node::B, one);
    let refused = init(&pair).expect(1);
    let told = refused.json()["error"].as_str().unwrap().to_owned();
    assert!(told.contains(&format!("{}: ping: ", one.address())) && told.contains("; SSH: "), "{told}");
    pair.network.heal();
    let made = init(&pair).expect(0).json();
    let found = |what: &str, node: Node| {
        let rows = made["prerequisites"].as_array().unwrap();
        let name = node.address().to_string();
        let row =
            rows.iter().find(|row| row["what"] == what && row["found"].as_str().unwrap().contains(&name));
        row.unwrap_or_else(|| panic!("{what} {name}: {made}"))["result"].clone()
    };
    let (here, there) = (
        "every node here reaches the other site by ping and SSH",
        "every node there reaches this site by ping and SSH",
    );
    assert_eq!((found(here, Node::A), found(here, one)), ("pass".into(), "pass".into()));
    assert_eq!((found(there, Node::B), found(there, two)), ("pass".into(), "warn".into()));
    drop(nodes);
}
