//! Log-ins with one command each at a real `sshd`: wall time and CPU beside asyncssh and `ssh`; what a mute server costs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dr_watchdog::probe::ssh::{Destination, Russh, Transport as _};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::cost::Cost;
use super::{median, print, tell};
use crate::lab::{Arbiter, Keys, Namespace};
use crate::needs;
use crate::program::system;
use crate::scratch::Scratch;

/// The word after which this program logs in and does nothing else, so that a whole process is compared with another.
pub const ALONE: &str = "ssh-alone";
/// Log-ins of one run.
const LOG_INS: usize = 200;
/// Log-ins at once.
const AT_ONCE: usize = 32;
/// Rounds in which everybody runs once, so that all see the same machine.
const ROUNDS: usize = 5;
/// Deadline of one log-in with its command.
const DEADLINE: Duration = Duration::from_secs(30);
/// Deadline of the mute server.
const MUTE_DEADLINE: Duration = Duration::from_secs(5);
/// The only key exchange of the server, so that everybody does the same work.
const KEY_EXCHANGE: &str = "curve25519-sha256";
/// Most wall time beside asyncssh.
const WALL_TIMES_MAX: f64 = 0.85;
/// Most CPU beside asyncssh.
const CPU_TIMES_MAX: f64 = 0.3;
/// Most CPU beside `ssh` processes.
const SSH_CPU_TIMES_MAX: f64 = 0.1;
/// Most wall time beyond the deadline of a mute server.
const BEYOND_MS_MAX: f64 = 100.0;

/// The peer: the same log-ins with the same checks, its key read once.
const ASYNCSSH: &str = "import asyncio, asyncssh, sys
key, hosts = asyncssh.read_private_key(sys.argv[1]), sys.argv[2]
count, at_once = int(sys.argv[3]), int(sys.argv[4])
async def one(turn):
    async with turn:
        async with asyncssh.connect('127.0.0.1', username='root', client_keys=[key], known_hosts=hosts,
                                    config=None, agent_path=None) as connection:
            await connection.run('true', check=True)
async def all():
    turn = asyncio.Semaphore(at_once)
    await asyncio.gather(*(one(turn) for _ in range(count)))
asyncio.run(all())
print(count)
";

/// Logs in: private key file, fingerprint, how often, and with `mute` a server that says nothing beside. Prints how many
/// commands ended well and after how many milliseconds the mute one was given up.
///
/// # Panics
/// When there is no such file.
pub fn alone(key: &Path, fingerprint: &str, count: usize, with_mute: bool) {
    let to = Destination {
        host: "127.0.0.1".to_owned(),
        port: 22,
        source: None,
        username: "root".to_owned(),
        password: None,
        private_key: Some(std::fs::read_to_string(key).unwrap().into()),
        host_keys: vec![fingerprint.to_owned()],
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (well, mute_ms) = runtime.block_on(async {
        let adapter = Arc::new(Russh::with_known_hosts(Vec::new()));
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let begun = Instant::now();
        let mute = async {
            if !with_mute {
                return 0;
            }
            // Accepts into its backlog and never answers.
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let to = Destination { port: listener.local_addr().unwrap().port(), ..to.clone() };
            let _turn = turns.acquire().await.unwrap();
            let ended = adapter.connect(&to, (begun + MUTE_DEADLINE).into()).await;
            assert!(ended.is_err(), "a mute server let us in");
            begun.elapsed().as_millis()
        };
        let mut running = JoinSet::new();
        for _ in 0..count {
            let (adapter, turns, to) = (Arc::clone(&adapter), Arc::clone(&turns), to.clone());
            running.spawn(async move {
                let _turn = turns.acquire().await.unwrap();
                let deadline = (Instant::now() + DEADLINE).into();
                let connection = adapter.connect(&to, deadline).await?;
                let output = connection.exec("true", deadline).await;
                connection.close().await;
                output
            });
        }
        let (mute_ms, outputs) = tokio::join!(mute, running.join_all());
        let is_well = |output: &&Result<_, _>| {
            let output: &Result<dr_watchdog::probe::ssh::ExecOutput, _> = output;
            output.as_ref().is_ok_and(|output| output.exit == Some(0))
        };
        for error in outputs.iter().filter_map(|output| output.as_ref().err()).take(1) {
            eprintln!("{error}");
        }
        (outputs.iter().filter(is_well).count(), mute_ms)
    });
    println!("{well} {mute_ms}");
}

/// Measures; whether every bar is met.
///
/// # Panics
/// When a tool fails.
pub fn measure() -> bool {
    println!(
        "ssh: {LOG_INS} log-ins with one command at a real sshd, {AT_ONCE} at once, ed25519, {KEY_EXCHANGE}, medians of \
         {ROUNDS} runs that take turns"
    );
    let field = Field::new();
    let python = asyncssh();
    let (mut ours, mut peer, mut processes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(field.ours(false));
        processes.push(field.ssh());
        if let Some(python) = &python {
            peer.push(field.asyncssh(python));
        }
    }
    let wall = |costs: &[Cost]| median(costs.iter().map(|cost| cost.wall_s).collect());
    let cpu = |costs: &[Cost]| median(costs.iter().map(|cost| cost.cpu_ms).collect());
    tell("wall of ours", wall(&ours) * 1_000.0, "ms");
    tell("CPU of ours", cpu(&ours), "ms");
    tell("wall of ssh processes", wall(&processes) * 1_000.0, "ms");
    tell("CPU of ssh processes", cpu(&processes), "ms");
    let times = cpu(&ours) / cpu(&processes);
    let mut is_met = print("CPU beside ssh processes", times, "times", "≤ 0.1", times <= SSH_CPU_TIMES_MAX);
    match python {
        Some(_) => {
            tell("wall of asyncssh", wall(&peer) * 1_000.0, "ms");
            tell("CPU of asyncssh", cpu(&peer), "ms");
            let times = wall(&ours) / wall(&peer);
            is_met &= print("wall beside asyncssh", times, "times", "≤ 0.85", times <= WALL_TIMES_MAX);
            let times = cpu(&ours) / cpu(&peer);
            is_met &= print("CPU beside asyncssh", times, "times", "≤ 0.3", times <= CPU_TIMES_MAX);
        }
        None => {
            println!(
                "asyncssh is not installed: `pip install asyncssh`, DR_WATCHDOG_BENCH_PYTHON=… for the comparison"
            );
            is_met = false;
        }
    }
    field.mute(cpu(&ours)) && is_met
}

/// A Python that has the peer.
fn asyncssh() -> Option<PathBuf> {
    let python = std::env::var_os("DR_WATCHDOG_BENCH_PYTHON").map(PathBuf::from);
    let python = python.unwrap_or_else(|| needs::program("python3"));
    let has_it = Command::new(&python).args(["-c", "import asyncssh"]).stderr(Stdio::null()).status();
    has_it.is_ok_and(|status| status.success()).then_some(python)
}

/// A network of its own with one `sshd` on loopback. The order of the fields is the order of their end.
struct Field {
    _arbiter: Arbiter,
    namespace: Namespace,
    keys: Keys,
    fingerprint: String,
    known_hosts: PathBuf,
    _scratch: Scratch,
}

impl Field {
    fn new() -> Self {
        needs::root();
        let (namespace, scratch) = (Namespace::new("ssh"), Scratch::new("ssh"));
        let keys = Keys::new(&scratch);
        let host_key = scratch.join("host_key_ed25519");
        let path = host_key.to_str().unwrap();
        system("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", path]);
        let shown = system("ssh-keygen", &["-l", "-f", path]);
        let fingerprint = shown.split_whitespace().nth(1).unwrap().to_owned();
        let public = std::fs::read_to_string(host_key.with_extension("pub")).unwrap();
        let known_hosts = scratch.write("known_hosts", format!("127.0.0.1 {public}"));
        let first =
            format!("KexAlgorithms {KEY_EXCHANGE}\nHostKey {path}\nMaxStartups 1000\nLogLevel ERROR\n");
        let arbiter = Arbiter::start_with(&namespace, &scratch, &keys, &first);
        Self { _arbiter: arbiter, namespace, keys, fingerprint, known_hosts, _scratch: scratch }
    }

    fn ours(&self, with_mute: bool) -> Cost {
        let mut command = self.namespace.command(&std::env::current_exe().unwrap());
        command.arg(ALONE).arg(&self.keys.client).arg(&self.fingerprint).arg(LOG_INS.to_string());
        let cost = Cost::of(command.args(with_mute.then_some("mute")));
        let well = cost.output.split_whitespace().next();
        assert_eq!(well, Some(LOG_INS.to_string().as_str()), "{}", cost.output);
        cost
    }

    fn asyncssh(&self, python: &Path) -> Cost {
        let mut command = self.namespace.command(python);
        command.args(["-c", ASYNCSSH]).arg(&self.keys.client).arg(&self.known_hosts);
        let cost = Cost::of(command.args([LOG_INS.to_string(), AT_ONCE.to_string()]));
        assert_eq!(cost.output.trim(), LOG_INS.to_string(), "{}", cost.output);
        cost
    }

    fn ssh(&self) -> Cost {
        let mut command = self.namespace.command(&needs::program("sh"));
        let line = "seq \"$1\" | xargs -P \"$2\" -I {} \"$0\" -F none -i \"$3\" -o UserKnownHostsFile=\"$4\" \
                    -o GlobalKnownHostsFile=none -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o BatchMode=yes \
                    root@127.0.0.1 true && echo \"$1\"";
        command.arg("-c").arg(line).arg(needs::program("ssh"));
        command
            .args([LOG_INS.to_string(), AT_ONCE.to_string()])
            .arg(&self.keys.client)
            .arg(&self.known_hosts);
        let cost = Cost::of(&mut command);
        assert_eq!(cost.output.trim(), LOG_INS.to_string(), "{}", cost.output);
        cost
    }

    /// All the log-ins again, beside one server that says nothing.
    fn mute(&self, cpu_without_ms: f64) -> bool {
        let costs: Vec<Cost> = (0..ROUNDS).map(|_| self.ours(true)).collect();
        let beyond = |cost: &Cost| {
            let ended_ms: f64 = cost.output.split_whitespace().nth(1).unwrap().parse().unwrap();
            ended_ms - MUTE_DEADLINE.as_secs_f64() * 1_000.0
        };
        let beyond_ms = median(costs.iter().map(beyond).collect());
        let cpu_ms = median(costs.iter().map(|cost| cost.cpu_ms).collect());
        tell("CPU that a mute server costs", cpu_ms - cpu_without_ms, "ms");
        let what = "wall of a mute server beyond its deadline";
        print(what, beyond_ms, "ms", "≤ 100", (0.0..=BEYOND_MS_MAX).contains(&beyond_ms))
    }
}
