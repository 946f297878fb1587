//! Arbiters with a name whose name server is mute or dies.

use std::future::Future;
use std::time::Duration;

use dr_watchdog::arbiters::{Look, Report, Settings};
use dr_watchdog::config::model::{Arbiter, Kind};
use dr_watchdog::probe::ping::PingOutcome;
use dr_watchdog_sdk::evidence::SshOutcome;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use russh::MethodKind;
use tokio::time::Instant;

use crate::support::SOON;
use crate::support::server::{Manners, Server};
use crate::{arbiters, fake, fast, next};

/// Runs a test on a thread of its own whose names nobody resolves: the only name server takes questions and is mute.
fn with_a_mute_name_server<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send) {
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("root may make namespaces");
            let done = std::process::Command::new("ip").args(["link", "set", "lo", "up"]).status();
            assert!(done.expect("iproute2 is installed").success());
            std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647").expect("a sysctl");
            let _mute = std::net::UdpSocket::bind("127.0.0.1:53").expect("the port of name servers");
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join("resolv.conf");
            std::fs::write(&file, "nameserver 127.0.0.1\n").expect("a file");
            let nothing = None::<&str>;
            mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
                .expect("a private tree");
            mount(Some(&file), "/etc/resolv.conf", nothing, MsFlags::MS_BIND, nothing).expect("a bind mount");
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(test());
        });
        if let Err(panic) = running.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

#[test]
fn a_name_server_that_never_answers_costs_its_own_arbiter_only() {
    with_a_mute_name_server(|| async {
        let server = Server::start(Manners {
            methods: vec![MethodKind::Password],
            answers: vec![("ss -Htnoi", String::new())],
            ..Manners::default()
        })
        .await;
        let mut named = fake(&server, Kind::Linux);
        named.host = "router-1.example.com".to_owned();
        let settings = Settings { look_timeout: Duration::from_secs(1), source: None, ..fast() };
        let (arbiters, mut reports) = arbiters(vec![named, fake(&server, Kind::Linux)], settings).await;
        let begun = Instant::now();
        let looks = arbiters.look_once(true).await;
        assert!(begun.elapsed() < SOON / 2, "{:?}", begun.elapsed());
        let word =
            |look: &Look| look.sessions.as_ref().unwrap().as_ref().map_err(|(outcome, _)| *outcome).cloned();
        assert_eq!(word(&looks[0]), Err(SshOutcome::Dns));
        assert_eq!(word(&looks[1]), Ok(Vec::new()));
        assert!(
            matches!(&looks[0].ping, PingOutcome::Failed(why) if why.contains("no name server")),
            "{:?}",
            looks[0].ping
        );

        let begun = Instant::now();
        arbiters.sweep(1);
        next(&mut reports, "the arbiter with an address answers", |report| match report {
            Report::Pinged { arbiter: 1, outcome: PingOutcome::Answered { .. }, .. } => Some(()),
            Report::Pinged { arbiter: 0, .. } => panic!("the mute name server was waited for"),
            _ => None,
        })
        .await;
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        arbiters.shutdown().await;
    });
}

/// Goal: a name server that dies makes no arbiter a loss; its last known address is asked, and the evidence says so.
/// Wrong would be: the dead name server counts as a dead arbiter.
#[test]
fn an_arbiter_whose_name_server_died_is_asked_at_its_last_known_address() {
    with_a_mute_name_server(|| async {
        let folder = tempfile::tempdir().unwrap();
        let hosts = folder.path().join("hosts");
        std::fs::write(&hosts, "127.0.0.1 router-2.example.com\n").unwrap();
        mount(Some(&hosts), "/etc/hosts", None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
        let server = Server::start(Manners {
            methods: vec![MethodKind::Password],
            answers: vec![("ss -Htnoi", String::new())],
            ..Manners::default()
        })
        .await;
        let named = Arbiter { host: "router-2.example.com".to_owned(), ..fake(&server, Kind::Linux) };
        let settings = Settings { look_timeout: SOON / 4, source: None, ..fast() };
        let (arbiters, mut reports) = arbiters(vec![named], settings).await;
        let is_well = |look: &Look| {
            matches!(look.ping, PingOutcome::Answered { .. })
                && look.sessions.as_ref().is_some_and(Result::is_ok)
        };
        let before = arbiters.look_once(true).await;
        assert!(is_well(&before[0]) && before[0].old_address.is_none(), "{before:?}");

        std::fs::write(&hosts, "").unwrap();
        let after = arbiters.look_once(true).await;
        assert!(is_well(&after[0]), "{after:?}");
        assert_eq!(after[0].old_address, Some([127, 0, 0, 1].into()));
        let old = next(&mut reports, "the last known address is told", |report| match report {
            Report::AddressAged { arbiter: 0, old } => Some(old),
            _ => None,
        });
        assert_eq!(old.await, Some([127, 0, 0, 1].into()));
        arbiters.shutdown().await;
    });
}
