//! The arbiters room over the adapters: what a wrong host key or a talkative shell means there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dr_watchdog::arbiters::{Arbiters, Report, Settings};
use dr_watchdog::config::model::{Arbiter, Freshness, Kind};
use dr_watchdog::probe::ping::Pinger;
use dr_watchdog::probe::ssh::{Adapter, Boxed, Connection, Destination, SshError, Transport};
use dr_watchdog_sdk::evidence::SshOutcome;
use tokio::sync::mpsc;

use crate::Instant;
use crate::support::SOON;
use crate::support::sshd::{Sshd, user};

/// Looks that are waited for: each would be another attempt.
const LOOKS: usize = 10;

/// The usual adapter, which counts how often it is asked to connect.
#[derive(Debug)]
struct Counted {
    inner: Arc<dyn Transport>,
    connects: Arc<AtomicUsize>,
}

impl Transport for Counted {
    fn connect<'a>(
        &'a self,
        to: &'a Destination,
        deadline: Instant,
    ) -> Boxed<'a, Result<Box<dyn Connection>, SshError>> {
        self.connects.fetch_add(1, Ordering::Relaxed);
        self.inner.connect(to, deadline)
    }
}

fn target(sshd: &Sshd) -> Arbiter {
    Arbiter {
        name: "r1".to_owned(),
        host: sshd.address.ip().to_string(),
        port: sshd.address.port(),
        username: user(),
        password: None,
        private_key: Some(sshd.private_key()),
        kind: Kind::Linux,
        host_key: vec![sshd.fingerprint.clone()],
        custom: None,
        freshness: Freshness::Auto,
    }
}

#[tokio::test]
async fn a_changed_key_is_an_alarm_and_no_retry() {
    let sshd = Sshd::start();
    let settings = Settings {
        look: Duration::from_millis(100),
        look_timeout: SOON,
        keep_alive: Duration::from_millis(100),
        ping_timeout: Duration::from_millis(100),
        ..Settings::default()
    };
    let target = Arbiter { host_key: vec![Sshd::start().fingerprint.clone()], ..target(&sshd) };
    let connects = Arc::new(AtomicUsize::new(0));
    let inner = Adapter::Russh.transport(Vec::new());
    let transport = Arc::new(Counted { inner, connects: Arc::clone(&connects) });
    let pinger = Arc::new(Pinger::open(None).await.expect("an ICMP socket"));
    let (reports, mut waiting) = mpsc::channel(1_024);
    let arbiters = Arbiters::with_transport(vec![target], settings, pinger, reports, transport);
    arbiters.start_looking();
    arbiters.hold();
    let (mut alarms, mut looks, mut lost) = (Vec::new(), 0, Vec::new());
    let listening = async {
        while looks < LOOKS || lost.is_empty() {
            match waiting.recv().await.expect("the arbiters report") {
                Report::HostKeyChanged { arbiter: 0, why } => alarms.push(why),
                Report::Looked { result: Err((outcome, _)), .. } => {
                    assert_eq!(outcome, SshOutcome::Hostkey);
                    looks += 1;
                }
                Report::Looked { result: Ok(sessions), .. } => panic!("{sessions:?} from an impostor"),
                Report::HoldLost { why, .. } => lost.push(why),
                _ => {}
            }
        }
    };
    tokio::time::timeout(SOON, listening).await.expect("the looks go on");
    arbiters.shutdown().await;
    // The look and the hold begin at the same moment; after that, none.
    assert!((1..=2).contains(&connects.load(Ordering::Relaxed)), "{connects:?}");
    assert!((1..=2).contains(&alarms.len()), "{alarms:?}");
    assert!(
        alarms[0].contains("another host key than the pinned one") && alarms[0].contains(&sshd.fingerprint)
    );
    assert!(lost[0].contains("another host key"), "{lost:?}");
}

/// Goal: a shell that greets whoever comes does not hide the answer. Wrong would be: the greeting is taken for an answer,
/// and a device with sessions for one without.
#[tokio::test]
async fn a_shell_that_greets_before_the_answer_hides_nothing() {
    let greets =
        "ForceCommand printf 'Welcome\\nauthorised use only\\n'; exec sh -c \"$SSH_ORIGINAL_COMMAND\"\n";
    let sshd = Sshd::start_with("ed25519", greets);
    let settings = Settings { look: SOON, look_timeout: SOON, ping_timeout: SOON, ..Settings::default() };
    for adapter in [Adapter::Russh, Adapter::Thrussh].into_iter().filter(|adapter| adapter.is_built()) {
        let pinger = Arc::new(Pinger::open(None).await.expect("an ICMP socket"));
        let (reports, _waiting) = mpsc::channel(1_024);
        let transport = adapter.transport(Vec::new());
        let arbiters =
            Arbiters::with_transport(vec![target(&sshd)], settings.clone(), pinger, reports, transport);
        let look = arbiters.look_once(true).await.remove(0);
        let sessions = look.sessions.expect("asked for").expect("understood");
        // The one that asks is there.
        assert!(sessions.iter().any(|session| session.from == "127.0.0.1"), "{adapter:?}: {sessions:?}");
        arbiters.shutdown().await;
    }
}
