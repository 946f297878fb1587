//! The laboratory itself: every cut cuts what it says, nothing else.

use std::fs;

use dr_watchdog_tests::lab::arbiter::{Arbiter, Keys};
use dr_watchdog_tests::lab::{Network, Node, take_turn};
use dr_watchdog_tests::needs;
use dr_watchdog_tests::program::run;
use dr_watchdog_tests::scratch::Scratch;

fn reaches(network: &Network, from: Node, to: Node) -> bool {
    let mut ping = network.namespace(from).command(&needs::program("ping"));
    run(ping.args(["-c", "1", "-W", "1", "-n", "-q"]).arg(to.address().to_string())).status.success()
}

fn has_carrier(network: &Network, node: Node) -> bool {
    network.namespace(node).ip("link show eth0").contains("LOWER_UP")
}

const R0: Node = Node::Arbiter(0);
const R1: Node = Node::Arbiter(1);

#[test]
fn every_cut_cuts_what_it_says() {
    needs::root();
    let _turn = take_turn();
    let mut network = Network::new(2);
    let all = [Node::A, Node::B, R0, R1];
    let matrix = |network: &Network| -> Vec<(Node, Node)> {
        let pairs =
            all.iter().flat_map(|from| all.iter().map(move |to| (*from, *to))).filter(|(a, b)| a != b);
        pairs.filter(|(from, to)| !reaches(network, *from, *to)).collect()
    };
    assert_eq!(matrix(&network), []);

    network.cut_pair(Node::A, Node::B);
    assert_eq!(matrix(&network), [(Node::A, Node::B), (Node::B, Node::A)]);
    network.cut_from_arbiters(Node::B);
    assert!(!reaches(&network, Node::B, R0) && !reaches(&network, R1, Node::B));
    assert!(reaches(&network, Node::A, R0) && reaches(&network, R1, Node::A));
    network.heal();
    assert_eq!(matrix(&network), []);

    network.cut_silently(Node::A);
    assert!(has_carrier(&network, Node::A), "a silent cut leaves the carrier");
    assert!(all[1..].iter().all(|node| !reaches(&network, *node, Node::A)));
    assert!(reaches(&network, Node::B, R1));
    network.heal();

    network.cut_carrier(Node::A);
    assert!(!has_carrier(&network, Node::A));
    assert!(!reaches(&network, Node::A, R0));
    network.heal();
    assert_eq!(matrix(&network), []);
}

#[test]
fn an_arbiter_logs_a_site_in_and_shows_its_session() {
    needs::root();
    let _turn = take_turn();
    let scratch = Scratch::new("sshd");
    let network = Network::new(1);
    let keys = Keys::new(&scratch);
    let _arbiter = Arbiter::start(network.namespace(R0), &scratch, &keys);
    let known = format!("203.0.113.1 {}", fs::read_to_string(keys.host.with_extension("pub")).unwrap());
    let known = scratch.write("known_hosts", known);
    let mut ssh = network.namespace(Node::A).command(&needs::program("ssh"));
    ssh.args([
        "-F",
        "none",
        "-o",
        "BatchMode=yes",
        "-o",
        &format!("UserKnownHostsFile={}", known.display()),
        "-i",
    ]);
    let seen = run(ssh.arg(&keys.client).args(["root@203.0.113.1", "ss -Htnoi"])).expect(0);
    // `ss` leaves lastrcv out where it is 0 ms; the details themselves are always there.
    assert!(seen.stdout.contains("192.0.2.10") && seen.stdout.contains("rto:"), "{}", seen.all());
}
