//! Pings in network namespaces, where hosts can be dead in every way.
//!
//! Needs root; what an ordinary user may do is tested at the foot of `probe/ping.rs`.

#![allow(clippy::unwrap_used, reason = "what a test calls fails by panicking, like the test itself")]

use std::future::Future;
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dr_watchdog::probe::ping::{Manner, PingError, PingOutcome, Pinger};
use nix::sched::{CloneFlags, unshare};
use tokio::task::JoinSet;

const SECOND: Duration = Duration::from_secs(1);
const EVERYBODY: &str = "0 2147483647";
const NOBODY: &str = "1 0";

/// Runs a test in a network namespace of its own, with an own thread, so that the others do not notice.
fn in_namespace<F: Future<Output = ()>>(who_may_ping: &'static str, test: impl FnOnce() -> F + Send) {
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("root may make a network namespace");
            ip("link set lo up");
            std::fs::write("/proc/sys/net/ipv4/ping_group_range", who_may_ping).expect("a sysctl");
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(test());
        });
        if let Err(panic) = running.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

fn ip(arguments: &str) {
    let done = Command::new("ip").args(arguments.split_whitespace()).status().expect("iproute2 is installed");
    assert!(done.success(), "ip {arguments}");
}

/// A link on which 192.0.2.0/24 swallows everything: nobody answers, and nobody asks for a link address either.
fn lay_a_black_hole() {
    ip("link add hole type veth peer name bottom");
    ip("addr add 192.0.2.1/24 dev hole");
    ip("link set hole arp off up");
    ip("link set bottom arp off up");
}

async fn sweep(pinger: &Pinger, hosts: Vec<IpAddr>, timeout: Duration) -> Vec<PingOutcome> {
    let mut running = JoinSet::new();
    for host in hosts {
        let pinger = pinger.clone();
        running.spawn(async move { pinger.ping(host, timeout).await });
    }
    running.join_all().await
}

fn alive(outcomes: &[PingOutcome]) -> usize {
    outcomes.iter().filter(|outcome| matches!(outcome, PingOutcome::Answered { .. })).count()
}

fn living(count: u16) -> Vec<IpAddr> {
    (0..count).map(|index| IpAddr::from([127, 1, index.to_be_bytes()[0], index.to_be_bytes()[1]])).collect()
}

#[test]
fn a_black_hole_is_a_time_out_and_takes_no_longer() {
    for who in [EVERYBODY, NOBODY] {
        in_namespace(who, || async {
            lay_a_black_hole();
            let pinger = Pinger::open(None).await.unwrap();
            let begun = Instant::now();
            let outcome = pinger.ping([192, 0, 2, 9].into(), SECOND / 4).await;
            assert_eq!(outcome, PingOutcome::TimedOut);
            assert!(begun.elapsed() >= SECOND / 4 && begun.elapsed() < SECOND, "{:?}", begun.elapsed());
        });
    }
}

#[test]
fn among_as_many_dead_hosts_every_living_one_is_found() {
    in_namespace(EVERYBODY, || async {
        lay_a_black_hole();
        let pinger = Pinger::open(None).await.unwrap();
        let dead = (0..1_000_u16).map(|index| IpAddr::from([192, 0, 2, (index % 250 + 2) as u8]));
        let hosts = living(1_000).into_iter().zip(dead).flat_map(|(alive, dead)| [alive, dead]).collect();
        let begun = Instant::now();
        let outcomes = sweep(&pinger, hosts, SECOND).await;
        assert_eq!(alive(&outcomes), 1_000);
        assert!(
            begun.elapsed() < SECOND * 2,
            "{:?} with a capacity of {:?}",
            begun.elapsed(),
            pinger.capacity(true)
        );
    });
}

#[test]
fn a_sweep_loses_nobody_whatever_socket_the_system_grants() {
    for who in [EVERYBODY, NOBODY] {
        in_namespace(who, || async {
            let pinger = Pinger::open(None).await.unwrap();
            assert_eq!(alive(&sweep(&pinger, living(4_000), 10 * SECOND).await), 4_000);
        });
    }
}

#[test]
fn a_route_that_is_missing_is_told_apart_from_a_time_out() {
    in_namespace(EVERYBODY, || async {
        let pinger = Pinger::open(None).await.unwrap();
        let outcome = pinger.ping([198, 51, 100, 1].into(), SECOND).await;
        assert!(matches!(&outcome, PingOutcome::Failed(why) if why.contains("unreachable")), "{outcome:?}");
    });
}

/// A process that holds a network namespace open until it is dropped.
struct Router(Child);

impl Router {
    fn start() -> Self {
        let mut holder = Command::new("unshare");
        holder.args(["-n", "sleep", "120"]).stdin(Stdio::null());
        let router = Self(holder.spawn().expect("util-linux is installed"));
        // Its namespace is another one as soon as `unshare` has done its work.
        let own = std::fs::read_link("/proc/thread-self/ns/net").expect("a namespace");
        let begun = Instant::now();
        while std::fs::read_link(format!("/proc/{}/ns/net", router.0.id())).is_ok_and(|other| other == own) {
            assert!(begun.elapsed() < 10 * SECOND, "the router has no namespace of its own");
            std::thread::yield_now();
        }
        router
    }

    fn run(&self, command: &str) {
        let id = self.0.id().to_string();
        let done = Command::new("nsenter").args(["-t", &id, "-n", "sh", "-c", command]).status();
        assert!(done.expect("util-linux is installed").success(), "{command}");
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_a_router_reports_names_it_and_harms_no_other_ping() {
    for who in [EVERYBODY, NOBODY] {
        in_namespace(who, || async {
            let router = Router::start();
            ip(&format!("link add near type veth peer name far netns {}", router.0.id()));
            ip("addr add 192.0.2.1/24 dev near");
            ip("link set near up");
            router.run("ip addr add 192.0.2.254/24 dev far && ip link set far up && ip link set lo up");
            router.run("sysctl -qw net.ipv4.ip_forward=1 net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_msgs_per_sec=100000");
            router.run("ip route add unreachable 203.0.113.0/24");
            ip("route add default via 192.0.2.254");
            let pinger = Pinger::open(None).await.unwrap();
            let outcome = pinger.ping([203, 0, 113, 7].into(), SECOND / 4).await;
            let expected = "host unreachable, says 192.0.2.254";
            assert_eq!(outcome, PingOutcome::Failed(expected.to_owned()));

            // Errors about some echoes come back from the sends of others; none of those may count as dead.
            let unreachable = (1..=200_u8).map(|index| IpAddr::from([203, 0, 113, index]));
            let hosts =
                living(200).into_iter().zip(unreachable).flat_map(|(alive, dead)| [dead, alive]).collect();
            let outcomes = sweep(&pinger, hosts, SECOND).await;
            assert_eq!(alive(&outcomes), 200);
            // A router reports some errors only, at a rate of its own.
            assert!(outcomes.contains(&PingOutcome::Failed(expected.to_owned())));
            let is_blamed_on_us = |outcome: &PingOutcome| matches!(outcome, PingOutcome::Failed(why) if why.contains("could not be sent"));
            assert!(!outcomes.iter().any(is_blamed_on_us));
        });
    }
}

#[test]
fn hosts_of_ipv6_are_pinged_too() {
    in_namespace(EVERYBODY, || async {
        let pinger = Pinger::open(None).await.unwrap();
        let outcome = pinger.ping("::1".parse().unwrap(), SECOND).await;
        assert!(matches!(outcome, PingOutcome::Answered { .. }), "{outcome:?}");
        let outcome = pinger.ping("2001:db8::1".parse().unwrap(), SECOND).await;
        assert!(matches!(&outcome, PingOutcome::Failed(why) if why.contains("unreachable")), "{outcome:?}");
    });
}

#[test]
fn without_permission_the_error_names_the_sysctl_and_the_capability() {
    in_namespace(NOBODY, || async {
        // This thread is another user from here on, and it ends with the test.
        let nobody = rustix::process::Uid::from_raw(65_534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        let error = Pinger::open(None).await.unwrap_err();
        assert!(matches!(error, PingError::Denied(_)), "{error}");
        let text = error.to_string();
        assert!(text.contains("net.ipv4.ping_group_range") && text.contains("CAP_NET_RAW"), "{text}");
    });
}

/// This thread is another user from here on, without any capability; it ends with the test.
fn become_nobody() {
    let nobody = rustix::process::Uid::from_raw(65_534);
    rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
}

/// One sweep over all; how each host's ended, in their order.
async fn sweep_at_once(pinger: &Pinger, hosts: &[IpAddr], manner: Manner) -> Vec<PingOutcome> {
    let found = std::cell::RefCell::new(vec![None; hosts.len()]);
    let swept = pinger.sweep(hosts, manner, |at, outcome| {
        let before = found.borrow_mut()[at].replace(outcome);
        assert_eq!(before, None, "host {at} is told twice");
    });
    swept.await.unwrap();
    found.into_inner().into_iter().map(|outcome| outcome.expect("every host is told")).collect()
}

/// Goal: an IPv4 host in the dress of IPv6 is asked as what it is. Wrong would be: a living arbiter that is written so is
/// lost for ever.
#[test]
fn an_ipv4_host_in_the_dress_of_ipv6_is_asked_as_ipv4() {
    in_namespace(EVERYBODY, || async {
        let pinger = Pinger::open(None).await.unwrap();
        let dressed: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
        assert_eq!(alive(&sweep_at_once(&pinger, &[dressed], ONCE).await), 1);
        assert!(matches!(pinger.ping(dressed, SECOND).await, PingOutcome::Answered { .. }));
    });
}

const ONCE: Manner = Manner { timeout: SECOND, tries: 1 };

#[test]
fn sweeps_of_any_size_lose_nobody_with_the_systems_limits_and_with_raised_ones() {
    for is_ordinary in [true, false] {
        in_namespace(EVERYBODY, || async move {
            if is_ordinary {
                become_nobody();
            }
            let pinger = Pinger::open(None).await.unwrap();
            for count in [1_000, 4_000, 16_000] {
                // A timeout that a busy test machine cannot reach: this is about lost replies.
                let manner = Manner { timeout: 10 * SECOND, tries: 1 };
                let outcomes = sweep_at_once(&pinger, &living(count), manner).await;
                assert_eq!(alive(&outcomes), usize::from(count), "ordinary user: {is_ordinary}");
            }
        });
    }
}

#[test]
fn a_sweep_over_half_dead_hosts_is_exact_and_takes_one_timeout() {
    in_namespace(EVERYBODY, || async {
        lay_a_black_hole();
        let pinger = Pinger::open(None).await.unwrap();
        for count in [1_000_u16, 4_000, 16_000] {
            let dead = (0..count / 2).map(|index| IpAddr::from([192, 0, 2, (index % 250 + 2) as u8]));
            let hosts: Vec<IpAddr> =
                living(count / 2).into_iter().zip(dead).flat_map(|(alive, dead)| [alive, dead]).collect();
            let begun = Instant::now();
            let outcomes = sweep_at_once(&pinger, &hosts, ONCE).await;
            let wall = begun.elapsed();
            for (at, outcome) in outcomes.iter().enumerate() {
                let is_alive = at % 2 == 0;
                assert_eq!(matches!(outcome, PingOutcome::Answered { .. }), is_alive, "{at}: {outcome:?}");
            }
            // The exact bar is measured by itself; here other tests take the processor.
            assert!(wall >= SECOND && wall < SECOND * 2, "{count}: {wall:?}");
        }
    });
}

#[test]
fn a_sweep_tries_again_and_takes_every_try_s_whole_time() {
    in_namespace(EVERYBODY, || async {
        lay_a_black_hole();
        let pinger = Pinger::open(None).await.unwrap();
        let begun = Instant::now();
        let manner = Manner { timeout: SECOND / 10, tries: 3 };
        let hosts = [
            IpAddr::from([127, 0, 0, 1]),
            [192, 0, 2, 9].into(),
            "::1".parse().unwrap(),
            [198, 51, 100, 1].into(),
        ];
        let outcomes = sweep_at_once(&pinger, &hosts, manner).await;
        assert!(begun.elapsed() >= manner.timeout * 3, "{:?}", begun.elapsed());
        assert!(matches!(outcomes[0], PingOutcome::Answered { .. }));
        assert_eq!(outcomes[1], PingOutcome::TimedOut);
        assert!(matches!(outcomes[2], PingOutcome::Answered { .. }));
        assert!(
            matches!(&outcomes[3], PingOutcome::Failed(why) if why.contains("unreachable")),
            "{:?}",
            outcomes[3]
        );
    });
}

#[test]
fn a_sweep_survives_what_a_router_reports() {
    in_namespace(EVERYBODY, || async {
        let router = Router::start();
        ip(&format!("link add near type veth peer name far netns {}", router.0.id()));
        ip("addr add 192.0.2.1/24 dev near");
        ip("link set near up");
        router.run("ip addr add 192.0.2.254/24 dev far && ip link set far up && ip link set lo up");
        router.run(
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_msgs_per_sec=100000",
        );
        router.run("ip route add unreachable 203.0.113.0/24");
        ip("route add default via 192.0.2.254");
        let pinger = Pinger::open(None).await.unwrap();
        let unreachable = (1..=200_u8).map(|index| IpAddr::from([203, 0, 113, index]));
        let hosts: Vec<IpAddr> =
            living(200).into_iter().zip(unreachable).flat_map(|(alive, dead)| [dead, alive]).collect();
        let outcomes = sweep_at_once(&pinger, &hosts, ONCE).await;
        assert_eq!(alive(&outcomes), 200);
        let reported = PingOutcome::Failed("host unreachable, says 192.0.2.254".to_owned());
        assert!(outcomes.contains(&reported));
        let is_blamed_on_us = |outcome: &PingOutcome| matches!(outcome, PingOutcome::Failed(why) if why.contains("could not be sent"));
        assert!(!outcomes.iter().any(is_blamed_on_us));
    });
}

#[test]
fn a_reply_from_somebody_else_is_no_reply() {
    in_namespace(EVERYBODY, || async {
        let router = Router::start();
        ip(&format!("link add near type veth peer name far netns {}", router.0.id()));
        ip("addr add 192.0.2.1/24 dev near");
        ip("link set near up");
        router.run(
            "ip addr add 192.0.2.9/24 dev far && ip addr add 192.0.2.10/24 dev far && ip link set far up",
        );
        let pinger = Pinger::open(None).await.unwrap();
        let hosts = [IpAddr::from([192, 0, 2, 9])];
        let patient = Manner { timeout: 5 * SECOND, tries: 1 };
        let honest = sweep_at_once(&pinger, &hosts, patient).await;
        assert!(matches!(honest[0], PingOutcome::Answered { .. }), "{honest:?}");
        router.run(
            "nft add table ip lie && nft 'add chain ip lie out { type filter hook output priority -300; }'",
        );
        router.run("nft add rule ip lie out icmp type echo-reply ip saddr set 192.0.2.10");
        let quick = Manner { timeout: SECOND / 2, tries: 1 };
        assert_eq!(sweep_at_once(&pinger, &hosts, quick).await, [PingOutcome::TimedOut]);
        assert_eq!(pinger.ping(hosts[0], SECOND / 2).await, PingOutcome::TimedOut);
    });
}
