//! A fleet of arbiters: what a thousand held sessions cost, what a cut does to them, how long a round takes.

mod client;
mod server;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::{print, tell};
use crate::lab::namespace::Namespace;
use crate::needs;
use crate::scratch::Scratch;

/// The words after which this program is one side of the fleet and nothing else.
pub const SERVER: &str = "fleet-server";
/// See [`SERVER`].
pub const CLIENT: &str = "fleet-client";
/// One of so many arbiters is cut off.
const CUT_ONE_OF: usize = 10;
/// Most memory of one held session.
const SESSION_KB_MAX: f64 = 50.0;
/// Longest way back after the healing.
const BACK_LIMIT: Duration = Duration::from_secs(60);
/// Longest opening of a fleet, by a busy machine in a debug build.
const OPEN_LIMIT: Duration = Duration::from_secs(240);
/// W of the reference profile: the longest round.
const WINDOW: Duration = Duration::from_secs(15);

/// How large, how long.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Held sessions.
    pub sessions: usize,
    /// From one keepalive to the next.
    pub keep_alive: Duration,
    /// How long every tenth is cut off.
    pub cut: Duration,
    /// Living arbiters of the round.
    pub living: usize,
    /// Mute arbiters of the round.
    pub mute: usize,
}

/// The bars.
pub const WHOLE: Scale = Scale {
    sessions: 1_000,
    keep_alive: Duration::from_secs(10),
    cut: Duration::from_secs(600),
    living: 500,
    mute: 500,
};
/// The same in a minute: what a debug build and a busy machine can do.
pub const SMALL: Scale = Scale {
    sessions: 100,
    keep_alive: Duration::from_secs(2),
    cut: Duration::from_secs(15),
    living: 40,
    mute: 500,
};

/// Runs one side; never returns normally.
///
/// # Panics
/// When it cannot.
pub fn side(words: &[&str]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match words {
        [SERVER] => runtime.block_on(server::serve()),
        [CLIENT, list, keep_alive_ms] => {
            let keep_alive = Duration::from_millis(keep_alive_ms.parse().unwrap());
            runtime.block_on(client::run(list.as_ref(), keep_alive));
        }
        _ => panic!("no side of a fleet: {words:?}"),
    }
}

/// Measures; whether every bar is met.
///
/// # Panics
/// When a side fails.
pub fn measure(scale: Scale) -> bool {
    let program = std::env::current_exe().unwrap();
    let cut = held(&program, scale);
    println!("{} held sessions, every tenth cut off for {:?}", scale.sessions, scale.cut);
    let is_small =
        print("memory of one session", cut.session_kb, "KB", "≤ 50", cut.session_kb <= SESSION_KB_MAX);
    let is_kept = print("others that dropped", cut.others_lost as f64, "", "0", cut.others_lost == 0);
    tell("cut sessions that were noticed", cut.noticed as f64, "");
    let back_s = cut.back.as_secs_f64();
    let is_back = print("all are back after the healing", back_s, "s", "≤ 60", cut.back <= BACK_LIMIT);
    let round = round(&program, scale);
    println!("a round over {} living and {} mute arbiters", scale.living, scale.mute);
    let is_found = print(
        "living that were not reached",
        (scale.living - round.reached) as f64,
        "",
        "0",
        round.reached == scale.living,
    );
    let is_in_time = print("the whole round", round.took.as_secs_f64(), "s", "≤ 15", round.took <= WINDOW);
    is_small && is_kept && is_back && is_found && is_in_time
}

/// What a cut did.
#[derive(Debug)]
pub struct Cut {
    /// Memory that one session takes.
    pub session_kb: f64,
    /// Sessions beside the cut ones that dropped, at any time.
    pub others_lost: usize,
    /// Cut sessions whose loss was noticed.
    pub noticed: usize,
    /// From the healing until all were back.
    pub back: Duration,
}

/// Holds, cuts every tenth, heals.
///
/// # Panics
/// When a side fails, or the sessions do not open or do not come back.
pub fn held(program: &Path, scale: Scale) -> Cut {
    let field = Field::new(program, scale.sessions, 0);
    let mut client = field.client(scale.keep_alive);
    let before_kb = client.memory_kb();
    client.say("hold");
    let mut open = BTreeSet::new();
    let mut lost = BTreeSet::new();
    client.follow(OPEN_LIMIT, &mut open, &mut lost, |open, _| open.len() == scale.sessions);
    assert!(lost.is_empty(), "{lost:?} broke before the cut");
    let session_kb = (client.memory_kb() - before_kb) / scale.sessions as f64;

    let is_cut = |arbiter: &usize| arbiter.is_multiple_of(CUT_ONE_OF);
    field.cut((0..scale.sessions).filter(is_cut));
    client.follow_for(scale.cut, &mut open, &mut lost);
    let noticed = lost.iter().filter(|arbiter| is_cut(arbiter)).count();
    field.heal();
    let healed = Instant::now();
    client.follow(BACK_LIMIT * 2, &mut open, &mut lost, |open, _| open.len() == scale.sessions);
    let others_lost = lost.iter().filter(|arbiter| !is_cut(arbiter)).count();
    Cut { session_kb, others_lost, noticed, back: healed.elapsed() }
}

/// What one round found.
#[derive(Debug)]
pub struct Round {
    /// Arbiters that showed their sessions.
    pub reached: usize,
    /// How long all took.
    pub took: Duration,
}

/// One look at living and mute arbiters, mixed.
///
/// # Panics
/// When a side fails.
pub fn round(program: &Path, scale: Scale) -> Round {
    let field = Field::new(program, scale.living, scale.mute);
    let mut client = field.client(scale.keep_alive);
    client.say("look");
    let line = client.next(OPEN_LIMIT).unwrap();
    let mut words = line.split(' ').skip(1).map(|word| word.parse::<u64>().unwrap());
    let (reached, ms) = (words.next().unwrap(), words.next().unwrap());
    Round { reached: usize::try_from(reached).unwrap(), took: Duration::from_millis(ms) }
}

/// A namespace with one server at all addresses.
///
/// The order of the fields is the order of their end.
struct Field<'a> {
    _server: Side,
    namespace: Namespace,
    scratch: Scratch,
    program: &'a Path,
    list: PathBuf,
}

fn living(arbiter: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 2, 0, 1)) + u32::try_from(arbiter).unwrap())
}

fn mute(arbiter: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 3, 0, 1)) + u32::try_from(arbiter).unwrap())
}

impl<'a> Field<'a> {
    fn new(program: &'a Path, living_count: usize, mute_count: usize) -> Self {
        needs::root();
        let namespace = Namespace::new("fleet");
        namespace.nft(
            "table ip fleet {\n set cut { type ipv4_addr; flags interval; elements = { 127.3.0.0/16 } }\n \
             chain out { type filter hook output priority 0;\n ip daddr @cut drop\n ip saddr @cut drop\n }\n}\n",
        );
        let scratch = Scratch::new("fleet");
        let mut text = String::new();
        for arbiter in 0..living_count.max(mute_count) {
            // The mute ones come first: whoever lives stands behind them.
            if arbiter < mute_count {
                writeln!(text, "{}", mute(arbiter)).unwrap();
            }
            if arbiter < living_count {
                writeln!(text, "{}", living(arbiter)).unwrap();
            }
        }
        let list = scratch.write("list", text);
        let mut command = namespace.command(program);
        let server = Side::start(command.arg(SERVER));
        assert_eq!(server.next(OPEN_LIMIT).as_deref(), Ok("listens"));
        Self { _server: server, namespace, scratch, program, list }
    }

    fn client(&self, keep_alive: Duration) -> Side {
        let mut command = self.namespace.command(self.program);
        let client = Side::start(command.arg(CLIENT).arg(&self.list).arg(keep_alive.as_millis().to_string()));
        assert_eq!(client.next(OPEN_LIMIT).as_deref(), Ok("ready"), "{}", self.scratch.path().display());
        client
    }

    fn cut(&self, arbiters: impl Iterator<Item = usize>) {
        let all: Vec<String> = arbiters.map(|arbiter| living(arbiter).to_string()).collect();
        self.namespace.nft(&format!("add element ip fleet cut {{ {} }}\n", all.join(", ")));
    }

    fn heal(&self) {
        self.namespace.nft("flush set ip fleet cut\n");
    }
}

/// A process whose lines are read as they come.
struct Side {
    child: Child,
    lines: Receiver<String>,
}

impl Side {
    fn start(command: &mut std::process::Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let out = child.stdout.take().unwrap();
        let (told, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if told.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    fn say(&mut self, word: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{word}").unwrap();
    }

    fn next(&self, limit: Duration) -> Result<String, RecvTimeoutError> {
        self.lines.recv_timeout(limit)
    }

    /// Resident memory now.
    fn memory_kb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Takes what comes until the sessions are as wanted.
    fn follow(
        &self,
        limit: Duration,
        open: &mut BTreeSet<usize>,
        lost: &mut BTreeSet<usize>,
        is_reached: impl Fn(&BTreeSet<usize>, &BTreeSet<usize>) -> bool,
    ) {
        let begun = Instant::now();
        while !is_reached(open, lost) {
            let left = limit.saturating_sub(begun.elapsed());
            let line = self
                .next(left)
                .unwrap_or_else(|_| panic!("{} open after {limit:?}; lost: {lost:?}", open.len()));
            note(&line, open, lost);
        }
    }

    /// Takes what comes for so long.
    fn follow_for(&self, span: Duration, open: &mut BTreeSet<usize>, lost: &mut BTreeSet<usize>) {
        let begun = Instant::now();
        while let Ok(line) = self.next(span.saturating_sub(begun.elapsed())) {
            note(&line, open, lost);
        }
    }
}

fn note(line: &str, open: &mut BTreeSet<usize>, lost: &mut BTreeSet<usize>) {
    let mut words = line.split(' ');
    let (what, arbiter) = (words.next(), words.next().and_then(|word| word.parse().ok()));
    match (what, arbiter) {
        (Some("open"), Some(arbiter)) => {
            open.insert(arbiter);
        }
        (Some("lost"), Some(arbiter)) => {
            open.remove(&arbiter);
            lost.insert(arbiter);
        }
        _ => panic!("a side of the fleet says {line:?}"),
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // Either fails only where it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
