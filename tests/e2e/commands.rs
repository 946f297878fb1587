//! An operator moves the role by hand, over SSH between two real sites.

use std::time::Duration;

use dr_watchdog_tests::lab::mail::{arrives, mailing};
use dr_watchdog_tests::lab::{MailServer, Node, Pair, Recipe};
use dr_watchdog_tests::program::run;
use dr_watchdog_tests::terminal::Terminal;
use dr_watchdog_tests::wait;

/// Longest role change of the laboratory, with the log-in before it.
const CHANGE_LIMIT: Duration = Duration::from_secs(60);

/// The plan is shown, A stops completely before B serves, every step is told, and the way back works from either site.
#[test]
fn manual_failover_moves_the_role_and_back() {
    let mut pair = Pair::settled(3, |_, _| {});
    let there = pair.a.run(&["manualFailover"]).is_orderly().expect(0);
    there.says(&[
        "1. site a becomes standby: stop",
        "3. site b becomes active: serve",
        "site b is active",
        "done in",
    ]);
    pair.b.wait_standing("active/active", CHANGE_LIMIT);
    pair.a.wait_standing("standby/standby", CHANGE_LIMIT);
    pair.ledger.never_both();

    pair.wait_well();
    let back = pair.a.run(&["manualFailover", "--json"]).is_orderly().expect(0).json();
    assert_eq!((&back["ok"], &back["sites"]["active"]), (&true.into(), &"a".into()), "{back}");
    pair.a.wait_standing("active/active", CHANGE_LIMIT);
    pair.b.wait_standing("standby/standby", CHANGE_LIMIT);
    pair.ledger.never_both();
}

/// `-s` at the active leaves nobody serving and stays so; the other half is another command, from either site.
#[test]
fn a_site_made_standby_by_hand_does_not_come_back_by_itself_and_the_switch_can_be_finished() {
    let mut pair = Pair::settled(3, |_, _| {});
    pair.a.run(&["manualFailover", "-s"]).is_orderly().expect(0).says(&["nobody serves"]);
    pair.a.wait_standing("standby/standby", CHANGE_LIMIT);
    let stopped = pair.a.wait("the gate stops the former active", CHANGE_LIMIT, |daemon| {
        let wants = |decision: &&serde_json::Value| decision["verdict"]["action"] == "beActive";
        let last = daemon.decisions().iter().rfind(wants).cloned().unwrap_or_default();
        wait::holds(last["gate"]["name"] == "exclusion", || last.to_string()).map(|()| last)
    });
    assert!(stopped["gate"]["why"].as_str().unwrap().contains("made this site standby"), "{stopped}");
    pair.b.run(&["manualFailover"]).is_orderly().expect(0).says(&["is standby already", "site b is active"]);
    pair.ledger.never_both();
    pair.b.run(&["manualFailover", "-a"]).is_orderly().expect(0).says(&["is active already"]);
}

/// Nothing is changed where the other site cannot be commanded, whichever way it is lost, and the reason is said.
#[test]
fn a_switch_that_cannot_be_finished_is_not_begun() {
    let mut pair = Pair::settled(3, |_, _| {});
    pair.doors[1] = None;
    let refused = pair.a.run(&["manualFailover"]).is_orderly().expect(1);
    refused.says(&["site b cannot be asked", "nothing was changed", "manualFailover -a"]);
    pair.b
        .run(&["manualFailover", "-a"])
        .is_orderly()
        .expect(1)
        .says(&["the other site says that it is active"]);
    let nameless = pair.b.run(&["manualFailover", "-a", "--force"]).is_orderly().expect(1);
    nameless.says(&["both sites serve", "--confirm b"]);
    pair.b.run(&["manualFailover", "-a", "--force", "--confirm", "a"]).is_orderly().expect(1);
    pair.b.run(&["manualFailover", "-a", "-s"]).is_orderly().expect(2);
    pair.b.run(&["manualFailover", "--force"]).is_orderly().expect(2);
    assert_eq!(pair.a.standing().unwrap(), "active/active");
    assert_eq!(pair.b.standing().unwrap(), "standby/standby");
    pair.ledger.never_both();
}

/// Two operators type the same command at both sites at the same instant: the role moves once.
#[test]
fn two_operators_at_once_move_the_role_once() {
    let mut pair = Pair::settled(3, |_, _| {});
    let (mut here, mut there) = (pair.a.command(&["manualFailover"]), pair.b.command(&["manualFailover"]));
    let other = std::thread::spawn(move || run(&mut there));
    let (one, other) = (run(&mut here).is_orderly(), other.join().unwrap().is_orderly());
    assert!(one.code() == 0 || other.code() == 0, "{}\n{}", one.all(), other.all());
    pair.b.wait_standing("active/active", CHANGE_LIMIT);
    pair.a.wait_standing("standby/standby", CHANGE_LIMIT);
    assert_eq!(pair.ledger.count("stop"), 1, "{}\n{}\n{}", one.all(), other.all(), pair.dump());
    pair.ledger.never_both();
}

/// The command is killed in the middle; what it began goes on by itself, and the same command finishes the rest.
#[test]
fn a_switch_whose_command_is_killed_is_finished_by_the_same_command() {
    let ledger_slow = |node: Node, recipe: &mut Recipe| {
        if node == Node::A {
            recipe.be_standby[0].1 = recipe.be_standby[0].1.replace("\"0\"]", "\"3\"]");
        }
    };
    let mut pair = Pair::settled(3, ledger_slow);
    let mut child = pair.a.command(&["manualFailover"]).spawn().unwrap();
    pair.a.wait_standing("active/demoting", CHANGE_LIMIT);
    child.kill().unwrap();
    child.wait().unwrap();
    pair.a.wait_standing("standby/standby", CHANGE_LIMIT);
    assert_eq!(pair.b.standing().unwrap(), "standby/standby");
    pair.a.run(&["manualFailover"]).is_orderly().expect(0).says(&["is standby already", "site b is active"]);
    pair.ledger.never_both();
    assert_eq!(pair.ledger.count("stop"), 1, "{}", pair.dump());
}

/// Goal: a site that nobody can vouch for is taken over by name only. Method: A is cut from everything and serves on; B
/// sees free arbiters, so `-a` alone is granted after F; before that only `--force` with the right name is. Wrong would
/// be: the risk is not said, another name is taken, or the forced takeover is not in the history.
#[test]
fn force_takes_over_by_name_and_the_higher_epoch_wins_when_the_line_is_back() {
    let mut pair = Pair::settled(3, |_, recipe| recipe.interval = "1s".to_owned());
    pair.a.run(&["toolkit", "watchdog", "status", "--disable-automatic-failover", "0"]).expect(0);
    pair.network.cut_silently(Node::B);
    let wrong = pair.b.run(&["manualFailover", "-a"]).is_orderly().expect(1);
    wrong.says(&["this site was not made active", "--force"]);
    let mut person = Terminal::start(&pair.b.command(&["manualFailover", "-a", "--force"]));
    person.until("Write this site's name (b): ");
    person.type_in("a\n");
    let (code, said) = person.ended();
    assert!(code == 1 && said.contains("nothing was changed"), "{said}");
    let mut person = Terminal::start(&pair.b.command(&["manualFailover", "-a", "--force"]));
    person.until("Write this site's name (b): ");
    assert!(person.seen().contains("both sites serve and their data part"), "{}", person.seen());
    person.type_in("b\n");
    let (code, said) = person.ended();
    assert!(code == 0 && said.contains("site b is active"), "{said}");
    assert_eq!(pair.b.standing().unwrap(), "active/active");
    assert_eq!(pair.a.standing().unwrap(), "active/active", "that was the risk");
    let history = pair.b.run(&["history", "--kind", "transition"]).expect(0);
    history.says(&["operator"]);
    pair.network.heal();
    pair.a.wait_standing("standby/standby", CHANGE_LIMIT);
    assert_eq!(pair.b.standing().unwrap(), "active/active");
}

/// Goal: an operator's word that the other site is off counts until that site speaks. Method: B is cut from everything,
/// so that nothing can tell it that A is gone. Wrong would be: the word is taken without the name, while A is heard, or
/// after A spoke again.
#[test]
fn the_word_that_the_other_site_is_off_counts_until_it_speaks() {
    let mut pair = Pair::new(3, |node, recipe| {
        if node == Node::B {
            mailing(recipe);
        }
    });
    let _server = MailServer::real(&pair.scratch, pair.network.namespace(Node::B), "none", false);
    pair.settle();
    let off = |site: &str| ["exclusion", "peer-is-off", "--confirm", site].map(str::to_owned);
    let run = |pair: &Pair, words: &[String]| {
        pair.b.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).is_orderly()
    };
    run(&pair, &off("a")).expect(1).says(&["the other site is not off", "it was heard at"]);
    pair.network.cut_silently(Node::B);
    pair.b.wait("A is no longer heard", CHANGE_LIMIT, |daemon| {
        let health = daemon.try_health()?;
        wait::holds(health["peer"]["reachable"] == false, || health.to_string())
    });
    run(&pair, &off("b")).expect(2).says(&["the other site is called a"]);
    let ended = pair.b.wait("the word is taken", CHANGE_LIMIT, |daemon| {
        let ended = daemon.run(&["exclusion", "peer-is-off", "--confirm", "a"]).is_orderly();
        wait::holds(ended.code() == 0, || ended.all()).map(|()| ended)
    });
    ended.says(&["a"]);
    assert_eq!(pair.b.standing().unwrap(), "standby/standby", "the word alone changes no role");
    let vouched = pair.b.history().iter().any(|record| record["text"].to_string().contains("vouches"));
    assert!(vouched, "{}", pair.b.dump());
    arrives(&pair.scratch, "peerIsOff", || pair.dump());
    // A speaks: the word has ended.
    pair.network.heal();
    pair.wait_well();
    pair.network.cut_silently(Node::B);
    pair.b.run(&["manualFailover", "-a"]).is_orderly().expect(1).says(&["this site was not made active"]);
    pair.network.heal();
    pair.wait_well();
    // It is said again while A is really off, and then it is enough for -a.
    pair.a.run(&["toolkit", "watchdog", "status", "--disable-automatic-failover", "0"]).expect(0);
    pair.a.kill_9();
    pair.network.cut_from_arbiters(Node::B);
    pair.b.wait("the word is taken", CHANGE_LIMIT, |daemon| {
        let ended = daemon.run(&["exclusion", "peer-is-off", "--confirm", "a", "--json"]).is_orderly();
        wait::holds(ended.code() == 0, || ended.all())
    });
    pair.b.run(&["manualFailover", "-a"]).is_orderly().expect(0).says(&["site b is active"]);
}
