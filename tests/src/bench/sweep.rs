//! Sweeps of many addresses: nobody lost, the time that dead ones take, the cost beside fping and icmplib.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use dr_watchdog::probe::ping::{Manner, PingOutcome, Pinger};

use super::cost::Cost;
use super::{median, print, tell};
use crate::lab::namespace::Namespace;
use crate::needs;
use crate::program::system;
use crate::scratch::Scratch;

/// The word after which this program is a sweep and nothing else, so that a whole process is compared with another.
pub const ALONE: &str = "sweep-alone";
/// Sizes of the sweeps.
const SIZES: [u32; 3] = [1_000, 4_000, 16_000];
/// Size at which slow peers are compared.
const SMALL: u32 = 1_000;
/// Rounds in which everybody runs once, so that all see the same machine.
const ROUNDS: usize = 5;
/// Timeout of every tool.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Most CPU beside `fping -i 0`.
const FPING_TIMES_MAX: f64 = 1.5;
/// Most wall time beside `fping -i 1`, which is the least that fping lets ordinary users choose.
const FPING_USER_TIMES_MAX: f64 = 0.1;
/// Most CPU beside icmplib.
const ICMPLIB_TIMES_MAX: f64 = 0.15;
/// Most wall time of a half-dead sweep, in timeouts.
const HALF_DEAD_TIMEOUTS_MAX: f64 = 1.1;
/// A user without any privilege.
const ORDINARY: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];

/// Sweeps the addresses in a file and prints how many answered.
///
/// # Panics
/// When there is no such file or no socket.
pub fn alone(list: &Path) {
    let text = fs::read_to_string(list).unwrap();
    let hosts: Vec<IpAddr> = text.lines().map(|line| line.parse().unwrap()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let alive = std::cell::Cell::new(0);
    runtime.block_on(async {
        let pinger = Pinger::open(None).await.unwrap();
        let manner = Manner { timeout: TIMEOUT, tries: 1 };
        let swept = pinger.sweep(&hosts, manner, |_, outcome| {
            if matches!(outcome, PingOutcome::Answered { .. }) {
                alive.set(alive.get() + 1);
            }
        });
        swept.await.unwrap();
    });
    println!("{}", alive.get());
}

/// Measures; whether every bar is met.
///
/// # Panics
/// When a tool fails.
pub fn measure() -> bool {
    println!("sweeps: one echo each, timeout {TIMEOUT:?}, medians of {ROUNDS} runs that take turns");
    let field = Field::new();
    let mut is_met = true;
    for size in SIZES {
        is_met &= field.all_alive(size);
    }
    for size in SIZES {
        is_met &= field.half_dead(size);
    }
    is_met &= field.ordinary_user();
    field.icmplib() && is_met
}

/// A network of its own: loopback lives, 192.0.2.0/24 swallows everything.
struct Field {
    namespace: Namespace,
    scratch: Scratch,
}

impl Field {
    fn new() -> Self {
        needs::root();
        let namespace = Namespace::new("sweep");
        namespace.ip("link add hole type veth peer name bottom");
        namespace.ip("addr add 192.0.2.1/24 dev hole");
        namespace.ip("link set hole arp off up");
        namespace.ip("link set bottom arp off up");
        let mut everybody = namespace.command(&needs::program("sysctl"));
        everybody.args(["-qw", "net.ipv4.ping_group_range=0 2147483647"]);
        assert!(everybody.status().unwrap().success(), "the sysctl was refused");
        let scratch = Scratch::new("sweep");
        // An ordinary user has to reach the lists and this program.
        system("chmod", &["755", &scratch.path().display().to_string()]);
        Self { namespace, scratch }
    }

    fn list(&self, size: u32, is_half_dead: bool) -> PathBuf {
        let mut text = String::new();
        for index in 0..size {
            let is_dead = is_half_dead && index % 2 == 1;
            let living = u32::from(Ipv4Addr::new(127, 1, 0, 0)) + index;
            let dead = u32::from(Ipv4Addr::new(192, 0, 2, 2)) + index % 250;
            writeln!(text, "{}", Ipv4Addr::from(if is_dead { dead } else { living })).unwrap();
        }
        self.scratch.write(format!("{size}-{is_half_dead}"), text)
    }

    fn ours(&self, list: &Path) -> Cost {
        let program = std::env::current_exe().unwrap();
        Cost::of(self.namespace.command(&program).args([ALONE]).arg(list))
    }

    fn fping(&self, list: &Path) -> Cost {
        let mut command = self.namespace.command(&needs::program("fping"));
        Cost::of(command.args(["-q", "-s", "-r", "0", "-t", "1000", "-i", "0", "-f"]).arg(list))
    }

    fn all_alive(&self, size: u32) -> bool {
        let list = self.list(size, false);
        let (mut lost, mut ours, mut theirs) = (0, Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let cost = self.ours(&list);
            lost += size - cost.output.trim().parse::<u32>().unwrap_or(0);
            ours.push(cost.cpu_ms);
            theirs.push(self.fping(&list).cpu_ms);
        }
        let (ours, theirs) = (median(ours), median(theirs));
        tell(&format!("{size}: CPU of fping -i 0"), theirs, "ms");
        tell(&format!("{size}: CPU of ours"), ours, "ms");
        let times = ours / theirs;
        let is_cheap = print(
            &format!("{size}: CPU beside fping -i 0"),
            times,
            "times",
            "≤ 1.5",
            times <= FPING_TIMES_MAX,
        );
        print(&format!("{size}: living hosts lost"), f64::from(lost), "", "0", lost == 0) && is_cheap
    }

    fn half_dead(&self, size: u32) -> bool {
        let list = self.list(size, true);
        let costs: Vec<Cost> = (0..ROUNDS).map(|_| self.ours(&list)).collect();
        let wrong = costs.iter().filter(|cost| cost.output.trim().parse() != Ok(size / 2)).count();
        let timeouts = median(costs.iter().map(|cost| cost.wall_s).collect()) / TIMEOUT.as_secs_f64();
        let what = format!("{size}, half dead: runs with a wrong count");
        let is_exact = print(&what, wrong as f64, "", "0", wrong == 0);
        let what = format!("{size}, half dead: wall time in timeouts");
        print(&what, timeouts, "times", "≤ 1.1", timeouts <= HALF_DEAD_TIMEOUTS_MAX) && is_exact
    }

    fn ordinary_user(&self) -> bool {
        let list = self.list(SMALL, false);
        let as_user = |program: &Path| {
            let mut command = self.namespace.command(&needs::program("setpriv"));
            command.args(ORDINARY).arg(program);
            command
        };
        // Where this program lies, an ordinary user may have no way in.
        let copy = self.scratch.join("ours");
        fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
        let (mut lost, mut ours, mut theirs) = (0, Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let cost = Cost::of(as_user(&copy).arg(ALONE).arg(&list));
            lost += SMALL - cost.output.trim().parse::<u32>().unwrap_or(0);
            ours.push(cost.wall_s);
            let mut fping = as_user(&needs::program("fping"));
            theirs.push(
                Cost::of(fping.args(["-q", "-r", "0", "-t", "1000", "-i", "1", "-f"]).arg(&list)).wall_s,
            );
        }
        let times = median(ours) / median(theirs);
        let what = format!("{SMALL}, ordinary user: wall time beside fping -i 1");
        let is_fast = print(&what, times, "times", "≤ 0.1", times <= FPING_USER_TIMES_MAX);
        let what = format!("{SMALL}, ordinary user: living hosts lost");
        print(&what, f64::from(lost), "", "0", lost == 0) && is_fast
    }

    fn icmplib(&self) -> bool {
        let python = std::env::var_os("DR_WATCHDOG_BENCH_PYTHON")
            .map_or_else(|| needs::program("python3"), PathBuf::from);
        let has_it = Command::new(&python).args(["-c", "import icmplib"]).stderr(Stdio::null()).status();
        if !has_it.is_ok_and(|status| status.success()) {
            println!(
                "icmplib is not installed: `pip install icmplib`, DR_WATCHDOG_BENCH_PYTHON=… for the comparison"
            );
            return false;
        }
        let list = self.list(SMALL, false);
        let script = "import sys, icmplib\n\
            hosts = open(sys.argv[1]).read().split()\n\
            found = icmplib.multiping(hosts, count=1, interval=0, timeout=1, concurrent_tasks=500, privileged=False)\n\
            print(sum(1 for host in found if host.is_alive))\n";
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(self.ours(&list).cpu_ms);
            theirs.push(Cost::of(self.namespace.command(&python).args(["-c", script]).arg(&list)).cpu_ms);
        }
        let times = median(ours) / median(theirs);
        print(&format!("{SMALL}: CPU beside icmplib"), times, "times", "≤ 0.15", times <= ICMPLIB_TIMES_MAX)
    }
}
