//! Two links on loopback addresses.

use std::time::Duration;

use super::*;
use crate::config::{Machine, load_text};

const WAIT: Duration = Duration::from_secs(20);

/// The configuration of one of two sites on this machine.
fn config(index: u8, own: &str, other: &str, port: u16, extra: &str) -> Config {
    let text = format!(
        "[site]\nname = \"s{index}\"\nindex = {index}\nsourceAddress = \"{own}\"\n[peer]\nname = \"other\"\n\
         heartbeatKey = \"0123456789abcdef\"\nheartbeatPort = {port}\n[core]\npeerVip = \"{other}\"\n{extra}\n\
         [[watchdog.failureDetection.arbiters]]\nhost = \"203.0.113.1\"\nusername = \"w\"\npassword = \"x\"\n"
    );
    match load_text("test.toml", &text, &Machine) {
        Ok((config, _)) => config,
        Err(errors) => panic!("{errors}"),
    }
}

/// A port that was free a moment ago on every loopback address of these tests.
fn free_port() -> u16 {
    StdSocket::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .map(|address| address.port())
        .unwrap()
}

fn open(config: &Config) -> Link {
    Link::open(config).unwrap().unwrap()
}

async fn next(receiver: &mut Receiver) -> Heard {
    tokio::time::timeout(WAIT, receiver.receive())
        .await
        .expect("a heartbeat arrives")
        .expect("the link lives")
}

#[tokio::test]
async fn what_one_site_sends_the_other_hears() {
    let port = free_port();
    let (one, two) =
        (config(0, "127.0.1.1", "127.0.1.2", port, ""), config(1, "127.0.1.2", "127.0.1.1", port, ""));
    let (mut a, b) = (open(&one), open(&two));
    let mut at_b = b.receiver();
    a.send(Phase::Active, 6, false, None);
    let heard = next(&mut at_b).await;
    let beat = heard.beat(Utc::from_unix_ms(5));
    assert_eq!((beat.site_index, beat.epoch, beat.phase), (0, 6, Phase::Active));
    assert_eq!(
        (beat.config_equal, beat.automatic_failover, beat.heard),
        (Some(true), false, Utc::from_unix_ms(5))
    );
    a.send(Phase::Demoting, 6, true, None);
    let heard = next(&mut at_b).await;
    assert_eq!((heard.message.phase, heard.message.sequence), (Phase::Demoting, 2));
    assert_eq!(heard.from.ip().to_string(), "127.0.1.1");
    assert_eq!(b.rejected(), Rejected::default());
}

#[tokio::test]
async fn another_key_noise_and_a_repetition_are_refused_and_counted_and_the_next_message_is_heard() {
    let port = free_port();
    let (one, two) =
        (config(0, "127.0.2.1", "127.0.2.2", port, ""), config(1, "127.0.2.2", "127.0.2.1", port, ""));
    let b = open(&two);
    let mut at_b = b.receiver();
    let intruder = StdSocket::bind("127.0.2.9:0").unwrap();
    let to = SocketAddr::new("127.0.2.2".parse().unwrap(), port);
    let message = Message {
        site_index: 0,
        phase: Phase::Standby,
        automatic_failover: true,
        instance: 1,
        started_ms: wall_ms() - 60_000,
        sequence: 1,
        wall_ms: wall_ms(),
        epoch: 0,
        config_hash: [9; HASH_BYTES],
        turn: None,
    };
    let right = wire::encode(&message, &Key::new(b"0123456789abcdef"));
    let wrong = wire::encode(&message, &Key::new(b"0123456789abcdeX"));
    for packet in [&b"noise"[..], &vec![0; 9_000], &wrong, &right, &right] {
        intruder.send_to(packet, to).unwrap();
    }
    let heard = next(&mut at_b).await;
    assert!(!heard.config_equal, "other settings are told apart");
    let mut a = open(&one);
    a.send(Phase::Standby, 0, true, None);
    assert_eq!(next(&mut at_b).await.message.instance, a.start.instance);
    // The earlier instance is now one of the past.
    intruder
        .send_to(&wire::encode(&Message { sequence: 2, ..message }, &Key::new(b"0123456789abcdef")), to)
        .unwrap();
    a.send(Phase::Standby, 0, true, None);
    assert_eq!(next(&mut at_b).await.message.sequence, 2);
    let expected = Rejected { malformed: 2, wrong_key: 1, replayed: 1, duplicate: 1, ..Rejected::default() };
    assert_eq!(b.rejected(), expected);
}

#[tokio::test]
async fn a_dropped_link_ends_its_receiver() {
    let config = config(0, "127.0.3.1", "127.0.3.2", free_port(), "");
    let link = open(&config);
    let mut receiver = link.receiver();
    drop(link);
    assert_eq!(tokio::time::timeout(WAIT, receiver.receive()).await.unwrap(), None);
}

#[tokio::test]
async fn a_reopened_link_keeps_its_socket_its_start_and_what_it_heard() {
    let port = free_port();
    let one = config(0, "127.0.4.1", "127.0.4.2", port, "");
    let two = config(1, "127.0.4.2", "127.0.4.1", port, "");
    let changed = config(1, "127.0.4.2", "127.0.4.1", port, "[exclusion]\nslack = 4");
    let (mut a, mut old) = (open(&one), open(&two));
    old.send(Phase::Standby, 0, true, None);
    a.send(Phase::Active, 2, true, None);
    assert!(next(&mut old.receiver()).await.config_equal);
    let second = Link::open(&two);
    assert!(matches!(second, Err(PeerError::Socket { .. })), "the port is taken: {second:?}");
    let mut new = old.reopen(&changed).unwrap().unwrap();
    let (mut at_old, mut at_new) = (old.receiver(), new.receiver());
    drop(old);
    assert_eq!(tokio::time::timeout(WAIT, at_old.receive()).await.unwrap(), None);
    a.send(Phase::Active, 2, true, None);
    let heard = next(&mut at_new).await;
    assert_eq!((heard.message.sequence, heard.config_equal), (2, false));
    let mut at_a = a.receiver();
    new.send(Phase::Standby, 0, true, None);
    let (first, second) = (next(&mut at_a).await.message, next(&mut at_a).await.message);
    assert_eq!((first.instance, first.sequence + 1), (second.instance, second.sequence));
    assert!(Link::is_same(&two, &two.clone()) && !Link::is_same(&two, &changed));
}

#[tokio::test]
async fn beside_the_source_address_the_vip_is_heard_and_every_node_is_told() {
    let port = free_port();
    let nodes = "peerLoadBalancerNodes = \"127.0.5.2, 127.0.5.3, 127.0.5.4\"";
    let one = config(0, "127.0.5.1", "127.0.5.2", port, nodes);
    let mut two = config(1, "127.0.5.3", "127.0.5.1", port, "");
    two.site.vip = Some("127.0.5.2".to_owned());
    let (mut a, b) = (open(&one), open(&two));
    assert_eq!(b.local_addresses().len(), 2);
    let mut at_b = b.receiver();
    a.send(Phase::Active, 2, true, None);
    a.send(Phase::Active, 2, true, None);
    assert_eq!(next(&mut at_b).await.message.sequence, 1);
    assert_eq!(next(&mut at_b).await.message.sequence, 2);
    // Both addresses lead here, so each message came twice.
    assert_eq!((b.rejected().worrying(), a.targets.len()), (0, 3));
}

#[tokio::test]
async fn without_a_key_there_is_no_link() {
    let mut config = config(0, "127.0.6.1", "127.0.6.2", free_port(), "");
    config.peer.heartbeat_key = None;
    assert!(Link::open(&config).unwrap().is_none());
}
