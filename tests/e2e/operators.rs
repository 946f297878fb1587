//! What operators try and are told between two real sites: the drill, observe mode, mail about SSH.

use std::time::Duration;

use dr_watchdog_tests::lab::mail::{all_kept, mailing};
use dr_watchdog_tests::lab::{MailServer, Node, Pair};
use dr_watchdog_tests::wait;

/// Longest wait for what comes by itself: twenty heartbeats and a log-in.
const COMING_LIMIT: Duration = Duration::from_secs(90);

/// Goal: a drill shows that a failover would work, at both sites, and changes nothing; and it names what would not.
/// Method: a settled pair with mail, then B's sshd is ended. Wrong would be: a role changes, or the loss is not named
/// by the drill, or nobody is mailed about it, or more than once.
#[test]
fn a_drill_proves_both_sites_and_the_loss_of_ssh_is_named_and_mailed_once() {
    let mut pair = Pair::new(3, |_, recipe| mailing(recipe));
    let _here = MailServer::real(&pair.scratch, pair.network.namespace(Node::A), "none", false);
    let there = MailServer::real(&pair.scratch, pair.network.namespace(Node::B), "none", false);
    pair.a.start();
    pair.b.start();
    pair.a.wait_standing("active/active", COMING_LIMIT);
    pair.wait_well();
    let drill = pair.a.run(&["drill", "--json"]).is_orderly();
    let report = drill.json();
    assert_eq!(report["ok"], true, "{}", drill.all());
    let rows = report["checks"].as_array().unwrap();
    for (site, name) in [
        ("a", "SSH to the other site"),
        ("b", "SSH to the other site"),
        ("a", "clocks"),
        ("b", "clocks"),
        ("a", "arbiters"),
        ("b", "arbiters"),
        ("a", "mail"),
        ("b", "mail"),
        ("b", "commands of beActive"),
    ] {
        let row = rows.iter().find(|row| row["site"] == site && row["name"] == name);
        assert_eq!(row.map(|row| row["result"].clone()), Some("pass".into()), "{site} {name}: {report}");
    }
    assert_eq!(pair.a.standing().unwrap(), "active/active");
    assert_eq!(pair.b.standing().unwrap(), "standby/standby");

    pair.doors[1] = None;
    pair.a.run(&["drill"]).is_orderly().expect(1).says(&["FAIL", "SSH to the other site"]);
    let of_ssh =
        |pair: &Pair| all_kept(&pair.scratch).iter().filter(|mail| mail.kind == "peerLogInFailed").count();
    let mailed =
        wait::poll(COMING_LIMIT, || wait::holds(of_ssh(&pair) == 1, || "no mail about SSH".to_owned()));
    mailed.unwrap_or_else(|why| panic!("{why}\n{}", pair.dump()));
    drop(there);
    pair.ledger.never_both();
}

/// Goal: observe mode says whether it would have been right. Method: B observes with a policy that always wants to
/// take over, and the line between the sites is cut for a while. Wrong would be: B takes over, or says that A was dead.
#[test]
fn observe_mode_says_that_the_peer_was_alive() {
    let mut pair = Pair::settled(3, |_, _| {});
    pair.b.stop();
    let eager = pair.scratch.executable(
        "eager.sh",
        "#!/bin/sh\necho '{\"state\":\"standby\",\"action\":\"beActive\",\"description\":\"eager\",\"payload\":{\"waitTime\":\"\"}}'\n",
    );
    let written = std::fs::read_to_string(&pair.b.paths().config_file).unwrap();
    let observing = written.replace("mode = \"enforce\"", "mode = \"observe\"").replace(
        "[watchdog.failureDetection]\n",
        &format!("[watchdog.failureDetection]\nisCustom = true\nscript = \"{}\"\n", eager.display()),
    );
    pair.b.configure(&observing);
    pair.b.start();
    pair.b.wait("A is heard", COMING_LIMIT, |daemon| {
        let health = daemon.try_health()?;
        wait::holds(health["peer"]["role"] == "active" && health["booting"] == false, || health.to_string())
    });
    pair.network.cut_pair(Node::A, Node::B);
    pair.b.wait("the verdict is recorded", COMING_LIMIT, |daemon| {
        let last = daemon.decisions().last().cloned().unwrap_or_default();
        wait::holds(last["gate"]["name"] == "enforce", || last.to_string())
    });
    pair.network.heal();
    let found = pair.b.wait("the finding is recorded", COMING_LIMIT, |daemon| {
        let found = daemon.history().into_iter().find(|record| record["kind"] == "observation");
        found.ok_or_else(|| "there is none".to_owned())
    });
    assert_eq!(found["peerWasAlive"], true, "{found}");
    assert_eq!(pair.b.standing().unwrap(), "standby/standby");
    let shown = pair.b.run(&["health"]).is_orderly();
    shown.says(&["observe", "would have failed over at", "and the peer was alive"]);
    pair.b.run(&["history", "--kind", "observation"]).is_orderly().expect(0).says(&["the peer was alive"]);
    pair.ledger.never_both();
}

/// Goal: what the manual's list names is mailed once per episode, with its end. Method: A loses the arbiters for a while,
/// then everything, and comes back. Wrong would be: one of them is missing, or comes twice.
#[test]
fn every_trouble_of_the_manuals_list_is_mailed_once_with_its_end() {
    let mut pair = Pair::new(3, |_, recipe| mailing(recipe));
    let _here = MailServer::real(&pair.scratch, pair.network.namespace(Node::A), "none", false);
    let _there = MailServer::real(&pair.scratch, pair.network.namespace(Node::B), "none", false);
    pair.a.start();
    pair.b.start();
    pair.a.wait_standing("active/active", COMING_LIMIT);
    pair.wait_well();
    let mails = |pair: &Pair, site: &str, kind: &str| {
        let of = |mail: &&dr_watchdog_tests::lab::mail::Kept| {
            mail.kind == kind && mail.text.contains(&format!("site {site}, "))
        };
        all_kept(&pair.scratch).iter().filter(of).count()
    };
    let arrive = |pair: &Pair, site: &str, kind: &str, count: usize| {
        let found = wait::poll(COMING_LIMIT, || {
            let found = mails(pair, site, kind);
            wait::holds(found >= count, || format!("site {site}: {found} of {count} mails {kind}"))
        });
        found.unwrap_or_else(|why| panic!("{why}\n{}", pair.dump()));
    };
    pair.network.cut_from_arbiters(Node::A);
    arrive(&pair, "a", "arbitersBelowWarning", 1);
    arrive(&pair, "a", "automaticFailoverDisabled", 1);
    pair.network.heal();
    arrive(&pair, "a", "arbitersBelowWarning", 2);
    arrive(&pair, "a", "automaticFailoverDisabled", 2);
    // Without a session at the arbiters A would not be seen to be alive.
    pair.wait_well();
    pair.network.cut_silently(Node::A);
    arrive(&pair, "b", "peerLost", 1);
    arrive(&pair, "b", "arbitersNotManaged", 1);
    arrive(&pair, "b", "becameActive", 1);
    arrive(&pair, "a", "becameStandby", 1);
    pair.network.heal();
    arrive(&pair, "b", "peerLost", 2);
    arrive(&pair, "b", "arbitersNotManaged", 2);
    pair.wait_well();
    for (site, kind, count) in [
        ("a", "arbitersBelowWarning", 4),
        ("a", "becameStandby", 1),
        ("b", "peerLost", 2),
        ("b", "arbitersNotManaged", 2),
        ("b", "becameActive", 1),
        ("b", "becameStandby", 0),
    ] {
        let found = mails(&pair, site, kind);
        assert!(found <= count, "site {site}: {found} mails {kind}\n{}", pair.dump());
    }
    pair.ledger.never_both();
}
