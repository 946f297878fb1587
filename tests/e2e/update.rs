//! A setting is changed at both sites from one; the switch of automatic failover is agreed; differences are named.

use std::fs;
use std::time::Duration;

use dr_watchdog_tests::lab::arbiter::Arbiter;
use dr_watchdog_tests::lab::mail::{arrives, mailing};
use dr_watchdog_tests::lab::{Daemon, MailServer, Node, Pair};
use dr_watchdog_tests::program::Run;
use dr_watchdog_tests::terminal::Terminal;
use dr_watchdog_tests::wait;

const LIMIT: Duration = Duration::from_secs(60);

fn update(site: &Daemon, arguments: &[&str]) -> Run {
    site.run(&[&["toolkit", "config", "update"][..], arguments].concat()).is_orderly()
}

fn configuration(site: &Daemon) -> String {
    fs::read_to_string(&site.paths().config_file).unwrap()
}

/// The diff first, both sites, comments kept, running watchdogs read it; the manual's order is kept, refusals name the
/// next step, and a site that cannot be asked leaves both as they were.
#[test]
fn one_change_reaches_both_sites_and_their_running_watchdogs() {
    let mut pair = Pair::settled(3, |_, recipe| recipe.more = "# the last line\n".to_owned());
    pair.b.configure(&configuration(&pair.b).replace("[core]\n", "[core]\nscpTimeout = 99\n"));
    let refused = update(&pair.a, &["--user-watchdog-heartbeat", "--set", "retries=3"]).expect(1);
    refused.says(&["first things first", "core.scpTimeout is 120 here and 99", "--user-core"]);
    update(&pair.a, &["--user-core", "--set", "scpTimeout=60", "--json"])
        .expect(0)
        .says(&["core.scpTimeout"]);
    assert!(configuration(&pair.b).contains("scpTimeout = 60"));
    let shown = update(&pair.a, &["-user-watchdog-heartbeat", "--set", "retries=3"]).expect(0);
    shown.says(&[
        "watchdog.heartbeat.retries",
        "- 2",
        "+ 3",
        "site b gets",
        "the running watchdog has read it",
    ]);
    for site in [&pair.a, &pair.b] {
        assert!(
            configuration(site).contains("retries = 3") && configuration(site).contains("# the last line")
        );
    }
    pair.wait_well();
    update(&pair.a, &["--user-watchdog-heartbeat", "--set", "retries=3"])
        .expect(0)
        .says(&["nothing differs"]);

    let before = configuration(&pair.a);
    for (wrong, said) in
        [("interval=0", "a whole number"), ("intervall=5", "this group has"), ("interval", "KEY=VALUE")]
    {
        update(&pair.a, &["--user-watchdog-heartbeat", "--set", wrong]).expect(1).says(&[said]);
    }
    let refused =
        update(&pair.a, &["--user-watchdog-failureDetection", "--set", "adjustManaged=0.9"]).expect(1);
    refused.says(&["would not load"]);
    pair.doors[1] = None;
    update(&pair.a, &["--user-watchdog-notification", "--set", "interval=60"])
        .expect(1)
        .says(&["cannot be asked", "--local"]);
    assert_eq!(configuration(&pair.a), before);
    update(&pair.a, &["--user-watchdog-notification", "--set", "interval=60", "--local"]).expect(0);
    assert!(
        configuration(&pair.a).contains("interval = 60") && !configuration(&pair.b).contains("interval = 60")
    );
}

/// After a start the shared settings are compared key by key.
#[test]
fn settings_that_differ_between_the_sites_are_named_key_by_key() {
    let mut pair = Pair::new(3, |node, recipe| {
        mailing(recipe);
        if node == Node::B {
            recipe.wait_duration = "4h".to_owned();
        }
    });
    let _server = MailServer::real(&pair.scratch, pair.network.namespace(Node::A), "none", false);
    pair.a.start();
    pair.b.start();
    let named = |daemon: &mut Daemon| {
        let problems = daemon.try_health()?["problems"].to_string();
        wait::holds(problems.contains("waitDurationS is"), || problems)
    };
    pair.a.wait("the difference is named", LIMIT, named);
    pair.b.wait("the difference is named", LIMIT, named);
    let mail = arrives(&pair.scratch, "settingsDiffer", || pair.dump());
    assert!(mail.text.contains("waitDurationS is"), "{}", mail.text);
}

/// Off at one site is off at both, with the author's site; on again as well; what the other site does not hear is said.
#[test]
fn the_switch_of_automatic_failover_is_agreed_with_the_other_site() {
    let mut pair = Pair::settled(3, |_, _| {});
    let status = |site: &Daemon, arguments: &[&str]| {
        site.run(&[&["toolkit", "watchdog", "status"][..], arguments].concat()).is_orderly().expect(0)
    };
    status(&pair.a, &["--disable-automatic-failover", "30m", "--reason", "work on the line"])
        .says(&["site b agrees"]);
    let there = status(&pair.b, &["--json"]).json();
    assert_eq!(there["automaticFailover"]["enabled"], false, "{there}");
    assert!(there["automaticFailover"]["by"].as_str().unwrap().contains("at site a"), "{there}");
    status(&pair.b, &["--enable-automatic-failover"]).says(&["site a agrees"]);
    assert_eq!(pair.a.health()["automaticFailover"]["enabled"], true);
    // Signed heartbeats are enough.
    pair.doors[1] = None;
    status(&pair.a, &["--disable-automatic-failover", "0"]).says(&["site b agrees"]);
    status(&pair.a, &["--enable-automatic-failover"]).says(&["site b agrees"]);
}

/// The switch is turned while the other site is away, and both watchdogs start again in between: it is pending, said so
/// at the site where it was turned, and completed by the first heartbeat, without anybody's command.
#[test]
fn a_switch_turned_while_the_other_site_is_away_is_agreed_at_the_first_contact() {
    let mut pair = Pair::settled(3, |_, _| {});
    pair.network.cut_pair(Node::A, Node::B);
    let told = pair.a.run(&["toolkit", "watchdog", "status", "--disable-automatic-failover", "2h"]);
    told.is_orderly().expect(0).says(&["site b has not agreed", "pending: it takes the switch"]);
    let shown = pair.a.run(&["health"]).is_orderly();
    shown.says(&["disabled until", "PENDING: the other site has not agreed yet", "pending until the first"]);
    assert_eq!(pair.a.health()["automaticFailover"]["agreed"], false);
    assert_eq!(pair.b.health()["automaticFailover"]["enabled"], true);
    pair.b.kill_9();
    pair.a.stop();
    pair.network.heal();
    pair.a.start();
    pair.b.start();
    for site in [&mut pair.a, &mut pair.b] {
        site.wait("both sites have the switch", LIMIT, |daemon| {
            let failover = daemon.try_health()?["automaticFailover"].clone();
            wait::holds(failover["enabled"] == false && failover["agreed"] == true, || failover.to_string())
        });
    }
    pair.b.run(&["toolkit", "watchdog", "status"]).expect(0).says(&["disabled until", "site a agrees"]);
}

/// A change while the other site cannot be asked is stored, shown, and made at both sites at the first contact; another
/// one waits behind it; what is stored can be dropped.
#[test]
fn a_change_that_waits_for_the_other_site_is_made_at_both_when_it_can_be_asked() {
    let mut pair = Pair::settled(3, |_, _| {});
    let before = [configuration(&pair.a), configuration(&pair.b)];
    pair.doors[1] = None;
    let wanted = ["--user-watchdog-notification", "--set", "interval=77"];
    update(&pair.a, &wanted).expect(1).says(&["cannot be asked", "--later stores the change"]);
    let stored = update(&pair.a, &[&wanted[..], &["--later"]].concat()).expect(0);
    stored.says(&["watchdog.notification.interval", "+ 77", "stored, and changed nowhere yet"]);
    assert_eq!(before, [configuration(&pair.a), configuration(&pair.b)]);
    pair.a
        .run(&["health"])
        .is_orderly()
        .expect(1)
        .says(&["pending change", "watchdog.notification.interval"]);
    assert_eq!(pair.a.health()["pendingUpdate"]["keys"][0], "watchdog.notification.interval");
    let refused = update(&pair.a, &["--user-watchdog-heartbeat", "--set", "retries=3", "--local"]).expect(1);
    refused.says(&["is stored and comes first", "--forget"]);
    update(&pair.a, &["--forget"]).expect(0).says(&["dropped: watchdog.notification.interval"]);
    update(&pair.a, &["--forget"]).expect(0).says(&["nothing is stored"]);
    update(&pair.a, &[&wanted[..], &["--later", "--json"]].concat()).expect(0).says(&["\"pending\":true"]);
    pair.a.kill_9();
    pair.a.start();
    let (network, scratch, keys) = (&pair.network, &pair.scratch, &pair.keys);
    pair.doors[1] =
        Some(Arbiter::start_at_site(network.namespace(Node::B), scratch, keys, &scratch.join("b")));
    for site in [&mut pair.a, &mut pair.b] {
        site.wait("the change is made", LIMIT, |daemon| {
            let text = configuration(daemon);
            wait::holds(text.contains("interval = 77"), || text)
        });
    }
    pair.a.wait("nothing is pending", LIMIT, |daemon| {
        let health = daemon.try_health()?;
        wait::holds(health["pendingUpdate"].is_null(), || health.to_string())
    });
    assert!(pair.b.log().contains("the new configuration is in force"), "{}", pair.b.log());
}

/// The other site takes the change and dies before it says so: the change is stored, and finished by itself.
#[test]
fn a_change_whose_answer_is_lost_is_finished_at_both_sites() {
    let mut pair = Pair::settled(3, |_, _| {});
    // The facts, the check, the change.
    pair.die_after(2);
    let told = update(&pair.a, &["--user-core", "--set", "scpTimeout=61"]).expect(1);
    told.says(&["went away in the middle", "nobody knows whether it has the change", "It is stored"]);
    assert!(configuration(&pair.b).contains("scpTimeout = 61") && !configuration(&pair.a).contains("= 61"));
    pair.replace_program("");
    pair.a.wait("the change is made here too", LIMIT, |daemon| {
        let (text, health) = (configuration(daemon), daemon.try_health()?);
        wait::holds(text.contains("scpTimeout = 61") && health["pendingUpdate"].is_null(), || text)
    });
    assert!(!pair.a.paths().pending_file.exists());
}

/// Without a group and at a terminal: what differs is shown, and one word changes it.
#[test]
fn the_bare_update_takes_over_the_other_sites_cluster_when_a_person_says_yes() {
    let pair = Pair::settled(3, |_, recipe| recipe.peer_nodes = "192.0.2.99".to_owned());
    let bare = ["toolkit", "config", "update"];
    pair.b.configure(
        &configuration(&pair.b).replace("[site]\n", "[site]\nnodes = [\"192.0.2.21\", \"192.0.2.22\"]\n"),
    );
    for (answer, is_changed) in [("no", false), ("yes", true)] {
        let mut person = Terminal::start(&pair.a.command(&bare));
        person.until("Write yes to do this: ");
        for words in ["core.peerLoadBalancerNodes", "- 192.0.2.99", "+ 192.0.2.21, 192.0.2.22"] {
            assert!(person.seen().contains(words), "{words}\n{}", person.seen());
        }
        person.type_in(&format!("{answer}\n"));
        let (code, said) = person.ended();
        assert_eq!(
            (code == 0, configuration(&pair.a).contains("192.0.2.22")),
            (is_changed, is_changed),
            "{said}"
        );
    }
    update(&pair.a, &[]).expect(0).says(&["nothing differs"]);
    let alone = update(&pair.a, &["--local"]).expect(1);
    alone.says(&["without a group there is nothing to change only here"]);
    // With a group and a terminal each key is asked, with what stands there now.
    let mut person =
        Terminal::start(&pair.a.command(&[&bare[..], &["--user-watchdog-notification"]].concat()));
    person.until("watchdog.notification.email");
    person.type_in("nobody\n");
    person.until("! expected");
    person.type_in("ops@example.com\n");
    person.until("watchdog.notification.interval [3600]: ");
    person.type_in("\n");
    person.until("Write yes to do this: ");
    person.type_in("yes\n");
    let (code, said) = person.ended();
    assert_eq!(code, 0, "{said}");
    for site in [&pair.a, &pair.b] {
        assert!(configuration(site).contains("ops@example.com"), "{said}");
    }
}
