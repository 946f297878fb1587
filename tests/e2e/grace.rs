//! Both sites standby: the grace period, and who may come back in it.

use std::time::Duration;

use dr_watchdog_tests::lab::mail::{arrives, mailing};
use dr_watchdog_tests::lab::{MailServer, Node, Pair};
use dr_watchdog_tests::wait;

/// Longest role change.
const CHANGE_LIMIT: Duration = Duration::from_secs(60);

/// Cuts both sites from everything until A is standby too.
fn both_standby(pair: &mut Pair) {
    pair.network.cut_silently(Node::A);
    pair.network.cut_silently(Node::B);
    pair.a.wait_standing("standby/standby", CHANGE_LIMIT);
    assert_eq!(pair.b.standing().unwrap(), "standby/standby", "{}", pair.dump());
}

/// Goal: when every line failed and comes back, the former active serves again, not the other one. Wrong would be:
/// nobody serves, B takes over from a site that only lost its lines, or nobody is mailed that both were standby.
#[test]
fn after_a_loss_of_every_line_the_former_active_comes_back() {
    let mut pair = Pair::new(3, |node, recipe| {
        if node == Node::B {
            mailing(recipe);
        }
    });
    let _server = MailServer::real(&pair.scratch, pair.network.namespace(Node::B), "none", false);
    pair.settle();
    both_standby(&mut pair);
    pair.network.heal();
    pair.a.wait_standing("active/active", CHANGE_LIMIT);
    pair.wait_well();
    assert_eq!(pair.b.standing().unwrap(), "standby/standby", "{}", pair.dump());
    let mail = arrives(&pair.scratch, "bothStandby", || pair.dump());
    assert!(mail.text.contains("standby"), "{}", mail.text);
    pair.ledger.never_both();
}

/// Goal: the grace period ends, and then an operator decides. Method: the former active comes back without its
/// arbiters, so that it may not serve, and the period is over. Wrong would be: anybody serves.
#[test]
fn after_the_grace_period_an_operator_decides() {
    let mut pair = Pair::settled(3, |_, recipe| recipe.wait_duration = "1m".to_owned());
    both_standby(&mut pair);
    pair.network.heal();
    pair.network.cut_from_arbiters(Node::A);
    let waiting = pair.b.wait("the standby waits for the former active", CHANGE_LIMIT, |daemon| {
        let last = daemon.decisions().pop().unwrap_or_default();
        wait::holds(last["verdict"]["action"] == "wait", || last.to_string()).map(|()| last)
    });
    assert_eq!(waiting["situation"], "bothStandby", "{waiting}");
    assert!(
        waiting["verdict"]["payload"]["waitTime"].as_str().is_some_and(|time| !time.is_empty()),
        "{waiting}"
    );
    assert_eq!(pair.b.health()["status"], "critical", "nobody serves: {}", pair.dump());

    let after = pair.b.wait("the period is over", CHANGE_LIMIT * 2, |daemon| {
        let last = daemon.decisions().pop().unwrap_or_default();
        wait::holds(last["verdict"]["action"] == "nothing", || last.to_string()).map(|()| last)
    });
    assert!(after["verdict"]["payload"]["details"]["problem"].is_string(), "{after}");
    for daemon in [&pair.a, &pair.b] {
        assert_eq!(daemon.standing().unwrap(), "standby/standby", "{}", daemon.dump());
    }
}
