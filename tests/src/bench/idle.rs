//! Idle: memory and wake-ups of an active site with the reference timers, beside keepalived.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::{print, tell};
use crate::lab::{Namespace, Pair};
use crate::scratch::Scratch;
use crate::{program, wait};

/// How long wake-ups are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Longest way to an active site with the reference timers: boot time, rounds, a step.
const BOOT_LIMIT: Duration = Duration::from_secs(180);
/// Most memory beside keepalived's.
const RSS_TIMES_MAX: f64 = 1.5;
/// Most wake-ups a second.
const WAKEUPS_MAX: f64 = 5.0;

/// The laboratory's timers, and the reference ones that replace them.
const REFERENCE: [(&str, &str); 5] = [
    ("interval = \"1s\"\ntimeout = \"200ms\"\nretries = 2", "interval = 30\ntimeout = 5\nretries = 4"),
    ("keepAlive = \"300ms\"", "keepAlive = 10"),
    ("look = \"500ms\"\nlookTimeout = \"1s\"", "look = 5\nlookTimeout = 5"),
    (
        "lease = \"3s\"\nfenceDeadline = \"1s\"\nslack = \"500ms\"",
        "lease = 60\nfenceDeadline = 15\nslack = 3",
    ),
    ("wait = \"7s\"", "wait = 80"),
];

/// Measures; whether every bar is met.
///
/// # Panics
/// When a process is gone.
pub fn measure() -> bool {
    println!("idle: the active site, three arbiters held, the reference timers, {WINDOW:?}");
    let mut pair = Pair::new(3, |_, _| {});
    for site in [&mut pair.a, &mut pair.b] {
        let text = fs::read_to_string(&site.paths().config_file).unwrap();
        let reference = REFERENCE.iter().fold(text, |text, (lab, reference)| {
            assert!(text.contains(lab), "the recipe has no {lab}");
            text.replace(lab, reference)
        });
        site.configure(&reference);
        site.start();
    }
    pair.a.wait_standing("active/active", BOOT_LIMIT);
    let daemon = u32::try_from(pair.a.pid().as_raw()).unwrap();
    let all: Vec<u32> = std::iter::once(daemon).chain(children(daemon)).collect();
    let before = wakeups(&all);
    let begun = Instant::now();
    let window = wait::poll(WINDOW * 2, || wait::holds(begun.elapsed() >= WINDOW, String::new));
    assert_eq!(window, Ok(()));
    let per_second = (wakeups(&all) - before) as f64 / begun.elapsed().as_secs_f64();
    let rss = rss_mib(&all);
    tell("memory of the daemon with its worker (RSS)", rss, "MiB");
    let is_calm = print("wake-ups", per_second, "1/s", "≤ 5", per_second <= WAKEUPS_MAX);
    match keepalived() {
        Some(theirs) => {
            tell("memory of keepalived's two processes (RSS)", theirs, "MiB");
            let times = rss / theirs;
            print("memory beside keepalived's", times, "times", "≤ 1.5", times <= RSS_TIMES_MAX) && is_calm
        }
        None => {
            println!("keepalived is not installed: `apt-get install keepalived` for the comparison");
            false
        }
    }
}

fn children(pid: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    listed.split_whitespace().map(|child| child.parse().unwrap()).collect()
}

/// A number of a line `Name:  123 kB` of a status file.
fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or_else(|| panic!("{name}: {status}"))
}

/// Voluntary context switches of every thread: each is one sleep that ended.
fn wakeups(pids: &[u32]) -> u64 {
    let threads = pids.iter().flat_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).unwrap());
    let statuses = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("status")).unwrap());
    statuses.map(|status| field(&status, "voluntary_ctxt_switches")).sum()
}

fn rss_mib(pids: &[u32]) -> f64 {
    let statuses = pids.iter().map(|pid| fs::read_to_string(format!("/proc/{pid}/status")).unwrap());
    statuses.map(|status| field(&status, "VmRSS")).sum::<u64>() as f64 / 1024.0
}

/// Memory of keepalived with one VRRP instance, if it is installed.
fn keepalived() -> Option<f64> {
    let program = Path::new("/usr/sbin/keepalived");
    if !program.exists() {
        return None;
    }
    let scratch = Scratch::new("keepalived");
    let namespace = Namespace::new("keepalived");
    namespace.ip("link add eth0 type veth peer name eth1");
    namespace.ip("addr add 192.0.2.10/24 dev eth0");
    namespace.ip("link set eth0 up");
    namespace.ip("link set eth1 up");
    let configuration = scratch.write(
        "keepalived.conf",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n priority 100\n advert_int 1\n \
         virtual_ipaddress {\n 192.0.2.11\n }\n}\n",
    );
    let mut command = namespace.command(program);
    command.args(["--dont-fork", "--vrrp", "--log-console", "--use-file"]).arg(configuration);
    command.arg("--pid").arg(scratch.join("pid")).arg("--vrrp_pid").arg(scratch.join("vrrp.pid"));
    let mut running =
        Ended(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let pid = running.0.id();
    let child = || {
        let child = children(pid).first().copied();
        let serves = program::system("ip", &["-n", namespace.name(), "addr"]).contains("192.0.2.11");
        child.filter(|_| serves).ok_or_else(|| "it has not taken its address".to_owned())
    };
    let child = wait::until("keepalived serves", Duration::from_secs(30), child, String::new);
    let rss = rss_mib(&[pid, child]);
    running.0.kill().unwrap();
    Some(rss)
}

/// A process that is ended with its handle.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Either fails only where it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
