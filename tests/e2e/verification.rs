//! After a start the configuration is compared with the other site's before anything is decided.

use std::time::Duration;

use dr_watchdog_tests::lab::arbiter::Arbiter;
use dr_watchdog_tests::lab::{Node, Pair};
use dr_watchdog_tests::wait;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

/// B starts beside a living A that cannot be logged in to: B hears A and holds its decisions back, and says until when.
/// When the log-in works, B compares, names what differs, and has booted. Without it, the boot time is the bound: a B
/// whose A dies takes over all the same. Wrong would be: a decision before the comparison, or none for ever.
#[test]
fn decisions_wait_for_the_comparison_with_the_other_site_and_never_longer_than_the_boot_time() {
    let mut pair = Pair::new(3, |node, recipe| {
        recipe.interval = "8s".to_owned();
        if node == Node::B {
            recipe.wait_duration = "4h".to_owned();
        }
    });
    pair.a.start();
    pair.a.wait_standing("active/active", LIMIT);
    pair.doors[0] = None;
    pair.b.start();
    let booting = pair.b.wait("A is heard while B is booting", LIMIT, |daemon| {
        let health = daemon.try_health()?;
        let is_heard = health["peer"]["role"] == "active";
        wait::holds(is_heard && health["booting"] == true, || health.to_string()).map(|()| health)
    });
    assert!(booting["problems"].to_string().contains("its settings are compared"), "{booting}");
    let shown = pair.b.run(&["api", "v1", "config", "--include", "states"]).expect(0);
    let states: Value = serde_json::from_str(&shown.stdout).unwrap();
    let service = &states["states"]["heartbeat"]["service"];
    assert_eq!(service["booting"], true, "{service}");
    let end = service["bootEndTime"].clone();

    pair.doors[0] = Some(Arbiter::start_at_site(
        pair.network.namespace(Node::A),
        &pair.scratch,
        &pair.keys,
        &pair.scratch.join("a"),
    ));
    let notice = pair.b.wait("what differs is named", LIMIT, |daemon| {
        let found = daemon.history().into_iter().find(|record| record["trigger"] == "settingsDiffer");
        found.ok_or_else(|| "there is no such notice".to_owned())
    });
    assert!(
        notice["text"].as_str().unwrap().contains("waitDurationS is 14400 here and 28800 there"),
        "{notice}"
    );
    assert!(notice["time"].as_str() <= end.as_str(), "{notice} {end}");
    assert_eq!(pair.b.health()["booting"], false);
    pair.b.run(&["health"]).says(&["settings differ from those of site a"]);

    pair.b.stop();
    pair.doors[0] = None;
    pair.b.start();
    pair.network.cut_silently(Node::A);
    pair.b.wait_standing("active/active", LIMIT);
    let problems = pair.b.health()["problems"].to_string();
    assert!(problems.contains("have not been compared with those of site a"), "{problems}");
}
