//! Each rule of the choice of arbiters, with and without what it complains about.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn good(number: u8) -> Surveyed {
    let network = [[198, 51, 100], [203, 0, 113], [192, 0, 2]][usize::from(number) - 1];
    Surveyed {
        name: format!("r{number}"),
        port: 22,
        address: Some([network[0], network[1], network[2], 129].into()),
        gateway: Some([192, 0, 2, number].into()),
        pings: 10,
        answered: 10,
        looks: 10,
        looked: 10,
        speaks: Some("linux"),
        shows_age: Some(true),
        freshness: Some(Freshness::Age),
        shows_us: Some(true),
        host_key: Some(format!("SHA256:{number}")),
        ..Surveyed::default()
    }
}

fn three() -> Vec<Surveyed> {
    (1..=3).map(good).collect()
}

fn sees_all() -> BTreeMap<String, PeerSight> {
    (1..=3).map(|number| (format!("r{number}"), PeerSight { pings: true, ssh: SshOutcome::Ok })).collect()
}

fn told(
    surveyed: &[Surveyed],
    peer: Result<BTreeMap<String, PeerSight>, String>,
    linger: &[(usize, Result<Linger, String>)],
    round_s: u32,
) -> Vec<String> {
    let linger = linger.iter().cloned().collect();
    let known = Known {
        surveyed,
        peer,
        linger: &linger,
        round: Round { pings: round_s * SECOND, looks: 5 * SECOND },
        window: 15 * SECOND,
        keep_alive: 10 * SECOND,
        lease: 60 * SECOND,
        wait: 80 * SECOND,
    };
    let sentence = |finding: Finding| {
        format!("{:?} {}: {}; {}", finding.level, finding.arbiters.join(","), finding.message, finding.remedy)
    };
    findings(&known).into_iter().map(sentence).collect()
}

/// The one finding that a change of three good arbiters brings.
fn one(change: impl FnOnce(&mut Vec<Surveyed>)) -> String {
    let mut surveyed = three();
    change(&mut surveyed);
    let told = told(&surveyed, Ok(sees_all()), &[], 5);
    assert_eq!(told.len(), 1, "{told:#?}");
    told[0].clone()
}

#[test]
fn three_good_arbiters_that_share_nothing_are_no_matter() {
    assert_eq!(told(&three(), Ok(sees_all()), &[], 15), Vec::<String>::new());
}

#[test]
fn what_one_arbiter_lacks_is_told_with_its_remedy() {
    type Change = fn(&mut Surveyed);
    let cases: [(Change, &str, &str); 10] = [
        (|seen| seen.answered = 0, "Problem r2: it answered none of 10 pings (timeout)", "let it answer"),
        (|seen| seen.answered = 9, "Warning r2: 1 of 10 pings were lost", "false loss"),
        (
            |seen| (seen.looked, seen.failure) = (0, Some((SshOutcome::Auth, "refused".to_owned()))),
            "Problem r2: no look succeeded: auth (refused)",
            "check user",
        ),
        (
            |seen| (seen.looked, seen.failure) = (8, Some((SshOutcome::Timeout, "late".to_owned()))),
            "Warning r2: 2 of 10 looks failed: timeout (late)",
            "lookTimeout",
        ),
        (|seen| seen.shows_us = Some(false), "Problem r2: its table does not show", "address translation"),
        (
            |seen| (seen.shows_age, seen.freshness) = (Some(false), Some(Freshness::Presence)),
            "Note r2: it shows neither the age of its sessions nor a count",
            "ClientAliveInterval 5",
        ),
        (
            |seen| {
                (seen.shows_age, seen.freshness) = (Some(false), Some(Freshness::Presence));
                seen.speaks = Some("junos");
            },
            "Note r2: it shows neither",
            "set system services ssh client-alive-interval 5",
        ),
        (
            |seen| seen.freshness = Some(Freshness::Presence),
            "Note r2: what it shows of its sessions is not taken (freshness)",
            "ClientAliveInterval 5",
        ),
        (
            |seen| (seen.freshness, seen.counter_moves) = (Some(Freshness::Counter), Some(false)),
            "Problem r2: the count of our own session never moved",
            "\"presence\"",
        ),
        (
            |seen| seen.host_key = Some("SHA256:1".to_owned()),
            "Warning r1,r2: they show one host key, SHA256:1",
            "a key of its own",
        ),
    ];
    for (change, message, remedy) in cases {
        let told = one(|all| change(&mut all[1]));
        assert!(told.starts_with(message) && told.contains(remedy), "{told}");
    }
}

#[test]
fn what_they_share_is_told() {
    let told = one(|all| all[2].address = all[0].address);
    assert!(
        told.starts_with("Problem r1,r3: they are one device, 198.51.100.129 port 22, and would count 2"),
        "{told}"
    );
    let told = one(|all| all.iter_mut().for_each(|seen| seen.gateway = Some([192, 0, 2, 254].into())));
    assert!(told.starts_with("Warning : all of them lie behind one gateway, 192.0.2.254"), "{told}");
    let told = one(|all| {
        for (seen, last) in all.iter_mut().zip(1..) {
            seen.address = Some([203, 0, 113, last].into());
        }
    });
    assert!(told.starts_with("Warning : all of them lie in one subnet, 203.0.113.0/24"), "{told}");
    let told = one(|all| {
        for (seen, last) in all.iter_mut().zip(1_u16..) {
            seen.address = Some(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]));
        }
    });
    assert!(told.contains("one subnet, 2001:db8:0:1::/64"), "{told}");
}

#[test]
fn an_even_number_and_a_round_longer_than_the_window_are_told() {
    let told = told(&three()[..2], Ok(sees_all()), &[], 16);
    assert!(
        told[0].contains("a round takes 16 s, longer than W = 15 s") && told[0].contains("rmem_max"),
        "{told:#?}"
    );
    assert!(told[1].starts_with("Warning : 2 arbiters"), "{told:#?}");
}

#[test]
fn what_the_other_site_does_not_see_is_a_problem_and_what_it_does_not_tell_is_a_note() {
    let unknown = told(&three(), Err("peer.identity is not set".to_owned()), &[], 5);
    assert!(
        unknown[0].starts_with("Note : what the other site sees is not known: peer.identity"),
        "{unknown:?}"
    );
    let mut sees = sees_all();
    sees.remove("r1");
    sees.insert("r2".to_owned(), PeerSight { pings: false, ssh: SshOutcome::Ok });
    sees.insert("r3".to_owned(), PeerSight { pings: true, ssh: SshOutcome::Unreachable });
    let told = told(&three(), Ok(sees), &[], 5);
    let pieces = ["does not know it", "does not answer ping from the other site", "let SSH in from here"];
    for (told, piece) in told.iter().zip(pieces) {
        assert!(told.starts_with("Problem r") && told.contains(piece), "{told}");
    }
}

#[test]
fn how_long_a_dead_session_stays_matters_where_nothing_tells_a_dead_one() {
    let kept = |seconds| Ok(Linger::Kept(seconds * SECOND));
    let mut silent = three();
    silent.iter_mut().for_each(|seen| seen.freshness = Some(Freshness::Presence));
    let measured = [(0, kept(61)), (1, Ok(Linger::Longer(300 * SECOND))), (2, kept(30))];
    let slow = told(&silent, Ok(sees_all()), &measured, 5);
    assert_eq!(slow.len(), 2, "{slow:#?}");
    assert!(slow[0].contains("for 61.0 s") && slow[0].contains("about 141 s"), "{slow:#?}");
    assert!(slow[1].contains("may take hours") && slow[1].contains("ClientAliveCountMax 2"), "{slow:#?}");
    assert_eq!(told(&three(), Ok(sees_all()), &measured, 5), Vec::<String>::new());

    let quick = told(&three(), Ok(sees_all()), &[(0, kept(19)), (1, Err("it broke".to_owned()))], 5);
    assert!(
        quick[0].contains("less than two keepalives") && quick[1].contains("not known: it broke"),
        "{quick:#?}"
    );
}
