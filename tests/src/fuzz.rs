//! Answers that no device sends, made from answers that devices do send, for the parsers to read.
//!
//! Every run reads the same inputs: an input is its seed.

use std::net::IpAddr;
use std::time::Duration;

use dr_watchdog::arbiters::parse::{ALL, ParseError, custom_sessions};
use dr_watchdog::config::model::Custom;
use dr_watchdog_sdk::evidence::Session;
use nix::time::{ClockId, clock_gettime};
use regex_lite::Regex;

/// Longest time for one input.
pub const SLOW: Duration = Duration::from_secs(5);
/// Inputs between two looks at the clock.
const BETWEEN_CLOCKS: u64 = 256;
/// Answers of devices, from which the inputs are made.
pub const CORPUS: [&str; 4] = [
    include_str!("../fixtures/parsers/linux.txt"),
    include_str!("../fixtures/parsers/junos.txt"),
    include_str!("../fixtures/parsers/bsd.txt"),
    include_str!("../fixtures/parsers/custom.txt"),
];
/// What is put in between.
const PIECES: [&str; 24] = [
    "ESTAB",
    "ESTABLISHED",
    "tcp4 ",
    "Proto ",
    "Local Address",
    "Foreign Address",
    "\t lastrcv:",
    "rto:",
    "[",
    "]",
    "%",
    "::ffff:",
    ".22",
    ":22",
    "*.*",
    "\r\n",
    "\n",
    "\0",
    "\u{1b}[2J",
    "\u{fffd}",
    "…",
    "99999999999999999999",
    "-1",
    " ",
];

/// A small generator: what matters is that every run reads the same.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// An answer with a few changes: bytes, pieces, lines cut, doubled or glued together.
pub fn input(seed: u64) -> String {
    let mut chance = Chance((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut bytes = CORPUS[chance.below(CORPUS.len())].as_bytes().to_vec();
    for _ in 0..chance.below(8) {
        let at = chance.below(bytes.len());
        let to = (at + chance.below(60)).min(bytes.len());
        match chance.below(6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..to)),
            2 => {
                let doubled = bytes[at..to].to_vec();
                bytes.splice(at..at, doubled);
            }
            3 => {
                let piece = PIECES[chance.below(PIECES.len())];
                bytes.splice(at..at, piece.bytes());
            }
            4 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = chance.below(256) as u8;
                }
            }
            _ => {
                let other = CORPUS[chance.below(CORPUS.len())];
                let cut = chance.below(other.len());
                bytes.splice(at..at, other.bytes().take(cut));
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What this thread has computed so far: what else the machine does is nobody's fault here.
pub fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

/// A device that only its operator knows.
pub fn custom() -> Custom {
    let pattern =
        r"^(?<state>\w+) +(?<port>\d+) <- (?<from>\S+):\d+ idle (?<ageS>\d+)(?: received (?<counter>\d+))?$";
    Custom {
        command: "show sessions".to_owned(),
        pattern: Regex::new(pattern).unwrap(),
        ignore: Some(Regex::new("^Session").unwrap()),
    }
}

/// What came of some inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Answers in which a parser found a table.
    pub understood: u64,
    /// Answers that a parser refused.
    pub refused: u64,
}

/// Gives each of these inputs to each parser.
///
/// # Panics
/// When a parser panics, is slow, or finds what is not there; with the seed.
pub fn run(seeds: impl Iterator<Item = u64>) -> Tally {
    let custom = custom();
    let mut tally = Tally::default();
    let mut begun = cpu_time();
    for (number, seed) in seeds.enumerate() {
        let text = input(seed);
        let read = || {
            let known = ALL.iter().map(|dialect| (dialect.name, dialect.sessions(&text, 22)));
            known.chain([("custom", custom_sessions(&custom, &text, 22))]).collect::<Vec<_>>()
        };
        let answers = std::panic::catch_unwind(read).unwrap_or_else(|_| panic!("seed {seed} panics"));
        for (name, answer) in answers {
            count(&mut tally, name, seed, &text, answer);
        }
        if (number as u64).is_multiple_of(BETWEEN_CLOCKS) {
            let now = cpu_time();
            assert!(now - begun < SLOW, "one of the {BETWEEN_CLOCKS} inputs before seed {seed} is slow");
            begun = now;
        }
    }
    tally
}

fn count(tally: &mut Tally, name: &str, seed: u64, text: &str, answer: Result<Vec<Session>, ParseError>) {
    match answer {
        Ok(sessions) => {
            tally.understood += 1;
            check(name, seed, text, &sessions);
        }
        Err(_) => tally.refused += 1,
    }
}

/// No answer has more sessions than lines, and each comes from an address that stands in it.
fn check(name: &str, seed: u64, text: &str, sessions: &[Session]) {
    assert!(sessions.len() <= text.lines().count(), "{name}, seed {seed}: {sessions:?}");
    for session in sessions {
        let (bare, zone) = session.from.split_once('%').unwrap_or((&session.from, ""));
        let address: IpAddr = bare.parse().unwrap_or_else(|_| panic!("{name}, seed {seed}: {session:?}"));
        // As it stands in the table; IPv6, and IPv4 within it, may be written in several ways.
        let is_written = address.is_ipv6() || text.contains(bare) || text.contains("ffff:");
        assert!(is_written && text.contains(zone), "{name}, seed {seed}: {} is nowhere", session.from);
    }
}
