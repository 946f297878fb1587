//! An operator starts, stops and resets both sites, over SSH between two real sites.

use std::time::Duration;

use dr_watchdog_tests::lab::{Daemon, Node, Pair};
use dr_watchdog_tests::program::Run;
use dr_watchdog_tests::wait;
use serde_json::json;

/// Longest way of a command and what it begins.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// A pair whose watchdogs are started by the program itself, as processes of their own; ended with the test.
struct Started(Pair);

impl Started {
    /// Both sites, started from A.
    fn new() -> Self {
        let mut pair = Self(Pair::new(3, |_, _| {}));
        pair.start().expect(0).says(&[
            "site b: its watchdog runs",
            "site a: its watchdog was started",
            "site a is active",
        ]);
        pair.0.b.wait_standing("standby/standby", COMMAND_LIMIT);
        pair.0.wait_well();
        pair
    }

    fn start(&self) -> Run {
        self.0.a.run(&["start"]).is_orderly()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        for site in [&self.0.a, &self.0.b] {
            if is_running(site) {
                // A test that fails must not leave processes behind; whether they serve is nobody's concern any more.
                let _ = site.run(&["stop", "--force"]);
            }
        }
    }
}

fn is_running(site: &Daemon) -> bool {
    site.try_health().is_ok()
}

/// Start, start again, stop, start again: the services never notice, and the roles are the same.
#[test]
fn stop_and_start_leave_the_services_alone() {
    let mut pair = Started::new();
    pair.start().expect(0).says(&["runs already"]);
    let epoch = pair.0.a.health()["epoch"].clone();

    let stopped = pair.0.a.run(&["stop"]).is_orderly().expect(0);
    stopped.says(&["site b: it has given its word", "site a: the watchdog", "services are left as they are"]);
    assert!(!is_running(&pair.0.a) && !is_running(&pair.0.b));
    assert_eq!((pair.0.ledger.count("serve"), pair.0.ledger.count("stop")), (1, 0), "{}", pair.0.dump());
    pair.0.a.run(&["stop"]).is_orderly().expect(2).says(&["no daemon runs"]);

    pair.start().expect(0).says(&["site a is active"]);
    pair.0.b.wait_standing("standby/standby", COMMAND_LIMIT);
    pair.0.wait_well();
    assert_eq!(pair.0.a.health()["epoch"], epoch, "it goes on in the same epoch");
    assert_eq!((pair.0.ledger.count("serve"), pair.0.ledger.count("stop")), (1, 0), "{}", pair.0.dump());
}

/// The standby gave its word. Started alone while the old active serves unwatched, it may not take over, whatever the
/// arbiters show.
#[test]
fn a_standby_that_was_stopped_and_is_started_alone_does_not_take_over() {
    let mut pair = Started::new();
    pair.0.a.run(&["stop"]).is_orderly().expect(0);
    pair.0.b.run(&["start"]).is_orderly().expect(1).says(&["given at the active site", "start -s"]);
    pair.0.b.run(&["start", "-s"]).is_orderly().expect(0);
    pair.0.network.cut_pair(Node::A, Node::B);
    let seen = pair.0.b.decisions().len();
    let stopped = pair.0.b.wait("the gate stops the standby", COMMAND_LIMIT, |daemon| {
        let wants = |decision: &&serde_json::Value| decision["verdict"]["action"] == "beActive";
        let last = daemon.decisions().iter().skip(seen).rfind(wants).cloned().unwrap_or_default();
        wait::holds(last["gate"]["name"] == "exclusion", || last.to_string()).map(|()| last)
    });
    assert!(stopped["gate"]["why"].as_str().unwrap().contains("gave its word"), "{stopped}");
    pair.0.network.heal();
    pair.start().expect(0);
    pair.0.wait_well();
    pair.0.ledger.never_both();
    assert_eq!((pair.0.ledger.count("serve"), pair.0.ledger.count("stop")), (1, 0), "{}", pair.0.dump());
}

/// Without the other site's word the active is not stopped: the services would go on while it takes over.
#[test]
fn an_active_is_not_stopped_without_the_other_sites_word() {
    let mut pair = Started::new();
    pair.0.doors[1] = None;
    let refused = pair.0.a.run(&["stop"]).is_orderly().expect(1);
    refused.says(&["nothing was stopped here", "stop --services", "stop --force"]);
    assert_eq!(pair.0.a.standing().unwrap(), "active/active");
    pair.0.a.run(&["start", "-s"]).is_orderly().expect(1).says(&["is the active one"]);

    pair.0.a.run(&["stop", "--services"]).is_orderly().expect(0).says(&["serves nothing any more"]);
    assert_eq!(pair.0.ledger.entries().last().unwrap().word, "stop");
    // Its machine answers ping, so nothing happens by itself; the arbiters show that nobody holds them.
    pair.0.b.wait("F of silence is over", COMMAND_LIMIT, |daemon| {
        let run = daemon.run(&["manualFailover", "-a"]).is_orderly();
        wait::holds(run.code() == 0, || run.all())
    });
    assert_eq!(pair.0.b.standing().unwrap(), "active/active");
    pair.0.ledger.never_both();
}

/// The other site cannot be reached: nothing is started, and the way to start this one alone is named.
#[test]
fn a_start_that_does_not_reach_the_other_site_starts_nothing() {
    let mut pair = Started(Pair::new(3, |_, _| {}));
    pair.0.doors[1] = None;
    pair.start().expect(1).says(&["site b cannot be commanded over SSH", "nothing was started", "start -a"]);
    assert!(!is_running(&pair.0.a) && !is_running(&pair.0.b));
    pair.0.a.run(&["start", "-a"]).is_orderly().expect(0).says(&["site a is active"]);
}

/// Reset at the standby is free and starts nothing while the other site serves; at the active it needs that site's word.
#[test]
fn reset_makes_a_standalone_site_and_never_a_second_one_that_serves() {
    let pair = Started::new();
    pair.0.b.run(&["reset"]).is_orderly().expect(1).says(&["nothing was deleted", "--yes"]);
    let reset = pair.0.b.run(&["reset", "--yes"]).is_orderly().expect(0);
    reset.says(&["this site is standalone", "because the other site serves", "state.json"]);
    assert!(!is_running(&pair.0.b) && !pair.0.b.paths().config_file.exists());
    let role = pair.0.b.run(&["api", "v1", "config", "--include", "role"]).expect(0);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&role.stdout).unwrap(),
        json!({"role": "standalone"})
    );
    pair.0.b.run(&["start"]).is_orderly().expect(2).says(&["init"]);

    let done = pair.0.a.run(&["reset", "--yes", "--json"]).is_orderly().expect(0).json();
    assert_eq!((&done["ok"], &done["role"]), (&json!(true), &json!("standalone")), "{done}");
    assert_eq!((pair.0.ledger.count("serve"), pair.0.ledger.count("stop")), (1, 0), "{}", pair.0.dump());
}
