//! The arbiters room over real SSH, over real ICMP.

#![allow(clippy::unwrap_used, reason = "what a test calls fails by panicking, like the test itself")]

mod freshness;
mod names;
#[path = "../support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dr_watchdog::arbiters::{Arbiters, Report, Settings};
use dr_watchdog::config::model::{Arbiter, Freshness, Kind};
use dr_watchdog::probe::ping::{PingOutcome, Pinger};
use dr_watchdog_sdk::evidence::{SshAnswer, SshOutcome};
use russh::MethodKind;
use secrecy::SecretString;
use support::SOON;
use support::proxy::Proxy;
use support::server::{Manners, PASSWORD, Server};
use support::sshd::{Sshd, user};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Reports that may wait for a test.
const REPORTS_MAX: usize = 1_024;

fn fast() -> Settings {
    Settings {
        look: Duration::from_millis(200),
        // Longer than a machine of 2 cores that compiles and tests at once keeps an sshd waiting.
        look_timeout: Duration::from_secs(8),
        keep_alive: Duration::from_millis(200),
        ping_timeout: Duration::from_secs(1),
        ping_retries: 1,
        source: Some([127, 0, 0, 2].into()),
        hold_address: Some([127, 0, 0, 3].into()),
        ..Settings::default()
    }
}

fn real(sshd: &Sshd, address: SocketAddr, kind: Kind) -> Arbiter {
    Arbiter {
        name: address.to_string(),
        host: address.ip().to_string(),
        port: address.port(),
        username: user(),
        password: None,
        private_key: Some(sshd.private_key()),
        kind,
        host_key: vec![sshd.fingerprint.clone()],
        custom: None,
        freshness: Freshness::Auto,
    }
}

fn fake(server: &Server, kind: Kind) -> Arbiter {
    Arbiter {
        name: server.address.to_string(),
        host: server.address.ip().to_string(),
        port: server.address.port(),
        username: "watchdog".to_owned(),
        password: Some(SecretString::from(PASSWORD)),
        private_key: None,
        kind,
        host_key: vec![server.fingerprint.clone()],
        custom: None,
        freshness: Freshness::Auto,
    }
}

async fn arbiters(targets: Vec<Arbiter>, settings: Settings) -> (Arbiters, mpsc::Receiver<Report>) {
    let pinger = Arc::new(Pinger::open(settings.source).await.expect("an ICMP socket"));
    let (reports, waiting) = mpsc::channel(REPORTS_MAX);
    (Arbiters::new(targets, settings, pinger, reports), waiting)
}

/// The next report that is asked for; the others are dropped.
async fn next<T>(
    reports: &mut mpsc::Receiver<Report>,
    what: &str,
    wanted: impl Fn(Report) -> Option<T>,
) -> T {
    let finding = async {
        loop {
            let report = reports.recv().await.expect("the arbiters report");
            if let Some(found) = wanted(report) {
                return found;
            }
        }
    };
    tokio::time::timeout(SOON, finding).await.unwrap_or_else(|_| panic!("{what}: not within {SOON:?}"))
}

fn froms(report: Report) -> Option<Vec<String>> {
    match report {
        Report::Looked { result: Ok(sessions), .. } => {
            Some(sessions.into_iter().map(|session| session.from).collect())
        }
        Report::Looked { result: Err((outcome, why)), .. } => panic!("{outcome:?}: {why}"),
        _ => None,
    }
}

#[tokio::test]
async fn a_held_session_is_seen_by_looks_and_is_gone_once_released() {
    let sshd = Sshd::start();
    let (arbiters, mut reports) = arbiters(vec![real(&sshd, sshd.address, Kind::Linux)], fast()).await;
    arbiters.start_looking();
    let is_ours_only = |from: &[String]| from.iter().all(|from| from == "127.0.0.2");
    let seen = next(&mut reports, "the first look", froms).await;
    assert!(!seen.is_empty() && is_ours_only(&seen), "{seen:?}");

    arbiters.hold();
    next(&mut reports, "the held session is seen", |report| {
        froms(report).filter(|from| from.iter().any(|from| from == "127.0.0.3"))
    })
    .await;
    let sent = next(&mut reports, "the held session answers", |report| match report {
        Report::HoldAnswered { arbiter: 0, sent } => Some(sent),
        _ => None,
    })
    .await;
    assert!(sent <= Instant::now());

    arbiters.release();
    next(&mut reports, "the held session is gone", |report| froms(report).filter(|from| is_ours_only(from)))
        .await;
    arbiters.shutdown().await;
}

#[tokio::test]
async fn looks_go_over_one_connection_and_say_so() {
    let sshd = Sshd::start();
    let (arbiters, mut reports) = arbiters(vec![real(&sshd, sshd.address, Kind::Auto)], fast()).await;
    arbiters.start_looking();
    for expected in [false, true, true] {
        let unbroken = next(&mut reports, "a look", |report| match report {
            Report::Looked { is_unbroken, result, .. } => Some((is_unbroken, result.map(|seen| seen.len()))),
            _ => None,
        });
        assert_eq!(unbroken.await, (expected, Ok(1)));
    }
    arbiters.stop_looking();
    arbiters.shutdown().await;
}

#[tokio::test]
async fn a_cut_session_is_reported_lost_and_comes_back_soon_after_healing() {
    let sshd = Sshd::start();
    let proxy = Proxy::start(sshd.address).await;
    let (arbiters, mut reports) = arbiters(vec![real(&sshd, proxy.address, Kind::Linux)], fast()).await;
    arbiters.hold();
    next(&mut reports, "open", |report| matches!(report, Report::HoldOpened { arbiter: 0 }).then_some(()))
        .await;
    proxy.cut();
    let why = next(&mut reports, "lost", |report| match report {
        Report::HoldLost { arbiter: 0, why } => Some(why),
        _ => None,
    })
    .await;
    assert!(why.contains("keepalive"), "{why}");
    proxy.heal();
    let healed = Instant::now();
    next(&mut reports, "open again", |report| {
        matches!(report, Report::HoldOpened { arbiter: 0 }).then_some(())
    })
    .await;
    // A try that began before the healing has to run into its own deadline first.
    assert!(healed.elapsed() < fast().look_timeout + fast().keep_alive * 10, "{:?}", healed.elapsed());
    arbiters.shutdown().await;
}

#[tokio::test]
async fn one_look_tells_every_failure_apart_and_keeps_the_order() {
    let sshd = Sshd::start();
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let junos = "show system connections inet | no-more";
    let table = |port: u16| {
        format!(
            "Active Internet connections (including servers)\nProto Recv-Q Send-Q  Local Address   Foreign \
             Address   (state)\ntcp4 0 0 192.0.2.1.{port} 198.51.100.7.5000 ESTABLISHED\n"
        )
    };
    let methods = vec![MethodKind::Password];
    let garbled = vec![(junos, "connections: many\n".to_owned())];
    let garbled =
        Server::start(Manners { methods: methods.clone(), answers: garbled, ..Manners::default() }).await;
    // Its table tells of the port 22, and it is asked about the port it listens on.
    let other_port = vec![(junos, table(22))];
    let other_port = Server::start(Manners { methods, answers: other_port, ..Manners::default() }).await;

    let mut targets = vec![
        real(&sshd, sshd.address, Kind::Linux),
        real(&sshd, mute.local_addr().unwrap(), Kind::Linux),
        real(&sshd, closed.local_addr().unwrap(), Kind::Linux),
        real(&sshd, sshd.address, Kind::Linux),
        real(&sshd, sshd.address, Kind::Linux),
        real(&sshd, sshd.address, Kind::Linux),
        real(&sshd, sshd.address, Kind::Junos),
        fake(&garbled, Kind::Junos),
        fake(&other_port, Kind::Auto),
    ];
    drop(closed);
    targets[3].host_key = Vec::new();
    targets[4].private_key = Some(Sshd::start().private_key());
    targets[5].host = "no-such-arbiter.invalid".to_owned();
    let (arbiters, _reports) = arbiters(targets, fast()).await;
    let looks = arbiters.look_once(true).await;
    let words: Vec<&str> = looks
        .iter()
        .map(|look| match look.sessions.as_ref().unwrap() {
            Ok(_) => "ok",
            Err((outcome, _)) => outcome.word(),
        })
        .collect();
    assert_eq!(words, ["ok", "timeout", "unreachable", "hostkey", "auth", "dns", "exec", "parse", "ok"]);
    assert_eq!(looks[8].sessions, Some(Ok(Vec::new())));
    for (index, look) in looks.iter().enumerate() {
        assert_eq!(matches!(look.ping, PingOutcome::Answered { .. }), index != 5, "{index}: {:?}", look.ping);
    }
    assert!(arbiters.look_once(false).await.iter().all(|look| look.sessions.is_none()));
}

#[tokio::test]
async fn a_device_that_takes_one_command_per_connection_is_asked_over_a_new_one() {
    let answers = vec![("ss -Htnoi", String::new())];
    let methods = vec![MethodKind::Password];
    let manners = Manners { methods, answers, takes_one_command: true, ..Manners::default() };
    let server = Server::start(manners).await;
    let (arbiters, mut reports) = arbiters(vec![fake(&server, Kind::Linux)], fast()).await;
    arbiters.start_looking();
    for _ in 0..3 {
        assert_eq!(next(&mut reports, "a look", froms).await, Vec::<String>::new());
    }
    arbiters.shutdown().await;
}

#[tokio::test]
async fn a_sweep_reports_every_arbiter_and_then_its_end() {
    let sshd = Sshd::start();
    let mut targets = vec![real(&sshd, sshd.address, Kind::Linux); 300];
    for (index, target) in targets.iter_mut().enumerate() {
        target.host = format!("127.2.{}.{}", index / 200, index % 200 + 1);
    }
    let (arbiters, mut reports) = arbiters(targets, fast()).await;
    arbiters.sweep(7);
    let mut answered = std::collections::BTreeSet::new();
    loop {
        match tokio::time::timeout(SOON, reports.recv()).await.unwrap().unwrap() {
            Report::Pinged { arbiter, outcome: PingOutcome::Answered { .. }, .. } => answered.insert(arbiter),
            Report::SweepFinished { round } => {
                assert_eq!(round, 7);
                break;
            }
            other => panic!("{other:?}"),
        };
    }
    assert_eq!(answered.len(), 300);
}

#[tokio::test]
async fn a_policy_runs_commands_by_the_name_of_an_arbiter() {
    let sshd = Sshd::start();
    let (arbiters, _reports) = arbiters(vec![real(&sshd, sshd.address, Kind::Linux)], fast()).await;
    let name = sshd.address.to_string();
    let answer = arbiters.run_command(&name, "echo out; exit 2", SOON).await;
    let expected = SshAnswer::Ran { exit: 2, stdout: "out\n".to_owned(), stderr: String::new() };
    assert_eq!(answer, expected);
    let late = arbiters.run_command(&name, "exec cat", Duration::from_millis(500)).await;
    assert!(matches!(late, SshAnswer::Failed { error: SshOutcome::Timeout, .. }), "{late:?}");
    let unknown = arbiters.run_command("router-9", "true", SOON).await;
    assert!(
        matches!(&unknown, SshAnswer::Failed { message, .. } if message.contains("router-9")),
        "{unknown:?}"
    );
}
