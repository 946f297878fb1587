//! Cuts between the sites, or of a whole site.

use std::time::Duration;

use dr_watchdog_tests::lab::{Daemon, Node, Pair};
use dr_watchdog_tests::wait;

/// Longest role change: F, a look, a round and a step, with room for a busy machine.
const CHANGE_LIMIT: Duration = Duration::from_secs(60);
/// Decisions that must leave everything as it is: with one every heartbeat interval they span more than F.
const CALM_DECISIONS: usize = 9;
/// Longest time for those.
const CALM_LIMIT: Duration = Duration::from_secs(90);

fn fails_over(mut pair: Pair, cut: impl FnOnce(&mut Pair)) {
    let epoch = pair.a.health()["epoch"].as_u64().unwrap();
    cut(&mut pair);
    pair.b.wait_standing("active/active", CHANGE_LIMIT);
    pair.a.wait_standing("standby/standby", CHANGE_LIMIT);
    pair.ledger.never_both();
    assert!(
        pair.b.health()["epoch"].as_u64().unwrap() > epoch,
        "the new active has a higher epoch\n{}",
        pair.dump()
    );

    pair.network.heal();
    pair.wait_well();
    assert_eq!(pair.a.standing().unwrap(), "standby/standby", "{}", pair.dump());
    assert_eq!(pair.b.standing().unwrap(), "active/active", "{}", pair.dump());
    pair.ledger.never_both();
    assert_eq!((pair.ledger.count("serve"), pair.ledger.count("stop")), (2, 1), "{}", pair.dump());
}

/// Goal: the service moves when its site is lost without a sign. Method: drop every frame of A inside the switch.
/// Wrong would be: B stays standby, A goes on serving, or A serves again after the heal.
#[test]
fn a_silent_cut_of_the_active_site_makes_the_standby_active() {
    fails_over(Pair::settled(3, |_, _| {}), |pair| pair.network.cut_silently(Node::A));
}

/// The same with a pulled cable: A's own sends fail at once instead of timing out.
#[test]
fn carrier_loss_of_the_active_site_makes_the_standby_active() {
    fails_over(Pair::settled(3, |_, _| {}), |pair| pair.network.cut_carrier(Node::A));
}

/// Goal: where a device shows no age of its sessions, the count of what it received tells the dead ones. Method: as
/// before, with the age left unread: the rows of A's sessions stay at the arbiters, and nothing moves them. Wrong would
/// be: B waits until the devices drop those rows, or does not wait for F.
#[test]
fn dead_sessions_are_told_by_a_count_that_stands_still() {
    let pair = Pair::settled(3, |_, recipe| recipe.freshness = "counter".to_owned());
    fails_over(pair, |pair| pair.network.cut_silently(Node::A));
}

/// Goal: a site that is gone as a whole is replaced. Method: kill -9 of A's watchdog in the moment its link fails, so
/// that nobody stops A's services; it comes back as standby when the link does. Wrong would be: it returns as active.
#[test]
fn a_watchdog_that_died_with_its_site_comes_back_as_standby() {
    let mut pair = Pair::settled(3, |_, _| {});
    pair.network.cut_silently(Node::A);
    pair.a.kill_9();
    pair.b.wait_standing("active/active", CHANGE_LIMIT);
    pair.a.start();
    pair.a.wait_standing("standby/standby", CHANGE_LIMIT);
    pair.network.heal();
    pair.wait_well();
    assert_eq!(pair.a.standing().unwrap(), "standby/standby", "{}", pair.dump());
    assert_eq!(
        pair.ledger.entries().last().unwrap().word,
        "stop",
        "A's services were stopped\n{}",
        pair.dump()
    );
}

/// Demands that for several decisions in this situation nothing changes.
#[track_caller]
fn stays(daemon: &mut Daemon, standing: &str) {
    let seen = daemon.decisions().len();
    for decision in daemon.wait_decisions(seen, CALM_DECISIONS, CALM_LIMIT) {
        assert_eq!(decision["verdict"]["action"], "nothing", "{decision}");
        assert_eq!(decision["situation"], "peerLost", "{decision}");
    }
    assert_eq!(daemon.standing().unwrap(), standing, "{}", daemon.dump());
}

/// Goal: the loss of the line between the sites alone moves nothing. Method: drop frames between A and B for longer
/// than F. Wrong would be: either site changes its role.
#[test]
fn a_cut_between_the_sites_alone_changes_nothing() {
    let mut pair = Pair::settled(3, |_, _| {});
    pair.network.cut_pair(Node::A, Node::B);
    stays(&mut pair.a, "active/active");
    stays(&mut pair.b, "standby/standby");
    let decisions = pair.b.decisions();
    let details = &decisions.last().unwrap()["evidence"]["arbiters"];
    let managed = details.as_object().unwrap().values().filter(|seen| seen["managed"] == true).count();
    assert_eq!(managed, 3, "B sees that A manages the arbiters: {details}");

    pair.network.heal();
    pair.wait_well();
    assert_eq!((pair.ledger.count("serve"), pair.ledger.count("stop")), (1, 0), "{}", pair.dump());
}

/// Goal: a standby that sees no arbiter does not trust its eyes. Method: cut B from its arbiters, then from A too.
/// Wrong would be: B takes over from an A that serves, or automatic failover stays enabled without evidence.
#[test]
fn a_standby_cut_from_its_arbiters_disables_its_automatic_failover_and_never_takes_over() {
    let mut pair = Pair::settled(3, |_, _| {});
    pair.network.cut_from_arbiters(Node::B);
    let failover = pair.b.wait("automatic failover is disabled", CHANGE_LIMIT, |daemon| {
        let failover = daemon.try_health()?["automaticFailover"].clone();
        wait::holds(failover["enabled"] == false, || failover.to_string()).map(|()| failover)
    });
    let reason = failover["reason"].as_str().unwrap();
    assert!(reason.contains("0 of 3 arbiters"), "the reason is said: {failover}");
    assert_eq!(failover["by"], "dr-watchdog", "{failover}");
    assert_eq!(pair.b.standing().unwrap(), "standby/standby", "{}", pair.dump());
    assert_eq!(pair.a.standing().unwrap(), "active/active", "{}", pair.dump());

    pair.network.cut_pair(Node::A, Node::B);
    stays(&mut pair.b, "standby/standby");
    assert_eq!(pair.a.standing().unwrap(), "active/active", "{}", pair.dump());
    pair.ledger.never_both();

    pair.network.heal();
    pair.wait_well();
    assert_eq!(pair.b.health()["automaticFailover"]["enabled"], true, "{}", pair.dump());
    assert_eq!((pair.ledger.count("serve"), pair.ledger.count("stop")), (1, 0), "{}", pair.dump());
}

/// Goal: an active that can reach neither the other site nor its arbiters stops serving, since the standby may take
/// over. Method: as in the first scenario, with the frames dropped in one direction only: A is heard by nobody, and
/// hears everybody. Wrong would be: A serves on while B does.
#[test]
fn an_active_site_that_nobody_hears_stops_before_the_standby_serves() {
    let mut pair = Pair::settled(3, |_, _| {});
    for node in [Node::B, Node::Arbiter(0), Node::Arbiter(1), Node::Arbiter(2)] {
        pair.network.cut_one_way(Node::A, node);
    }
    pair.a.wait_standing("standby/standby", CHANGE_LIMIT);
    pair.b.wait_standing("active/active", CHANGE_LIMIT);
    pair.ledger.never_both();
    pair.network.heal();
    pair.wait_well();
    assert_eq!(pair.b.standing().unwrap(), "active/active", "{}", pair.dump());
}

/// Goal: a local switchover at the other site is no loss. Method: A's VIP goes, another of its load-balancer nodes
/// answers. Wrong would be: the policy is asked.
#[test]
fn a_silent_vip_with_a_node_that_answers_is_a_local_failover() {
    let node_address = "192.0.2.11";
    let mut pair = Pair::new(3, |node, recipe| {
        if node == Node::B {
            recipe.peer_nodes = format!("192.0.2.12,{node_address}");
            // The signed heartbeat would prove the site alive by itself: it must be the node's answer.
            recipe.peer_vip = "192.0.2.13".parse().unwrap();
        }
    });
    let site_a = pair.network.namespace(Node::A);
    site_a.ip("addr add 192.0.2.13/32 dev eth0");
    site_a.ip(&format!("addr add {node_address}/32 dev eth0"));
    pair.b.start();
    pair.b.wait("the VIP answers", CHANGE_LIMIT, |daemon| {
        let peer = daemon.try_health()?["peer"].clone();
        wait::holds(peer["reachable"] == true && peer["localFailover"] == false, || peer.to_string())
    });
    pair.network.namespace(Node::A).ip("addr del 192.0.2.13/32 dev eth0");
    pair.b.wait("the node's answer is a local failover", CHANGE_LIMIT, |daemon| {
        let peer = daemon.try_health()?["peer"].clone();
        wait::holds(peer["reachable"] == true && peer["localFailover"] == true, || peer.to_string())
    });
    assert!(pair.b.decisions().is_empty(), "{}", pair.dump());
}
