//! A setting is changed at both sites from one; the switch of automatic failover is agreed; differences are named.

use std::fs;
use std::time::Duration;

use dr_watchdog_tests::lab::{Daemon, Node, Pair};
use dr_watchdog_tests::program::Run;
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
        if node == Node::B {
            recipe.wait_duration = "4h".to_owned();
        }
    });
    pair.a.start();
    pair.b.start();
    let named = |daemon: &mut Daemon| {
        let problems = daemon.try_health()?["problems"].to_string();
        wait::holds(problems.contains("waitDurationS is"), || problems)
    };
    pair.a.wait("the difference is named", LIMIT, named);
    pair.b.wait("the difference is named", LIMIT, named);
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
