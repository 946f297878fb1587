//! What both sites see at real arbiters while all is well.

use dr_watchdog_tests::lab::{Node, Pair};
use dr_watchdog_tests::program::{self, command};

/// Goal: the active's held sessions are visible at the arbiters' own `ss`, and the standby reads them there. Wrong would
/// be: the standby counts its own session, or misses the active's.
#[test]
fn the_standby_sees_the_sessions_that_the_active_holds() {
    let pair = Pair::settled(3, |_, _| {});
    let ask = |root: &std::path::Path, what: &str| {
        program::run(
            command(["--root", root.to_str().unwrap(), "arbiters", what, "--json"]).env("HOME", root),
        )
        .expect(0)
        .json()
    };
    let seen = ask(pair.b.root(), "sessions");
    assert_eq!(
        (&seen["total"], &seen["reachable"], &seen["managed"]),
        (&3.into(), &3.into(), &3.into()),
        "{seen}"
    );
    for arbiter in seen["arbiters"].as_object().unwrap().values() {
        let of_a =
            arbiter["sessions"].as_array().unwrap().iter().filter(|session| session["from"] == "192.0.2.10");
        assert!(of_a.clone().count() >= 1, "{arbiter}");
        assert!(
            of_a.clone().all(|session| session["ageMs"].as_u64().is_some_and(|age| age < 7_000)),
            "{arbiter}"
        );
    }
    let pinged = ask(pair.a.root(), "ping");
    assert_eq!((&pinged["reachable"], &pinged["warning"]), (&3.into(), &false.into()), "{pinged}");

    // The active is managed by nobody: B holds nothing.
    let at_a = ask(pair.a.root(), "sessions");
    assert_eq!(at_a["managed"], 0, "{at_a}");
    let listed = pair.network.namespace(Node::Arbiter(0)).command(&dr_watchdog_tests::needs::program("ss"));
    let mut listed = listed;
    let listed = program::run(listed.args(["-Htn", "state", "established"])).expect(0).stdout;
    assert!(listed.contains("192.0.2.10"), "{listed}");
}
