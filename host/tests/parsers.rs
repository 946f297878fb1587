//! The parsers of device output against inputs that no device sends: nothing may panic, hang or invent a session.
//!
//! Every run reads the same inputs. `DR_WATCHDOG_FUZZ_RUNS` sets how many; the seed of a failing one is printed.

#![allow(clippy::unwrap_used, reason = "what a test calls fails by panicking, like the test itself")]

use std::time::Duration;

use dr_watchdog::arbiters::parse::{ALL, custom_sessions};
use dr_watchdog::config::model::Custom;
use dr_watchdog_sdk::evidence::Session;
use regex::Regex;

/// Inputs per parser.
const RUNS: u64 = 100_000;
/// Longest time for one input.
const SLOW: Duration = Duration::from_secs(5);
/// Answers of devices, from which the inputs are made.
const CORPUS: [&str; 4] = [
    include_str!("corpus/linux.txt"),
    include_str!("corpus/junos.txt"),
    include_str!("corpus/bsd.txt"),
    include_str!("corpus/custom.txt"),
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
fn input(seed: u64) -> String {
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
fn cpu_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or(0))
}

fn custom() -> Custom {
    Custom {
        command: "show sessions".to_owned(),
        pattern: Regex::new(r"^(?<state>\w+) +(?<port>\d+) <- (?<from>\S+):\d+ idle (?<ageS>\d+)$")
            .expect("a pattern"),
        ignore: Some(Regex::new("^Session").expect("a pattern")),
    }
}

/// No answer has more sessions than lines, and each comes from an address that stands in it.
fn check(name: &str, seed: u64, text: &str, sessions: &[Session]) {
    assert!(sessions.len() <= text.lines().count(), "{name}, seed {seed}: {sessions:?}");
    for session in sessions {
        let address: std::net::IpAddr = session.from.parse().expect("an address");
        // As it stands in the table; IPv6, and IPv4 within it, may be written in several ways.
        let is_written = address.is_ipv6() || text.contains(&session.from) || text.contains("ffff:");
        assert!(is_written, "{name}, seed {seed}: {} is nowhere", session.from);
    }
}

#[test]
fn no_input_makes_a_parser_panic_hang_or_invent_a_session() {
    let runs = std::env::var("DR_WATCHDOG_FUZZ_RUNS").map_or(RUNS, |runs| runs.parse().unwrap());
    let custom = custom();
    let (mut understood, mut refused) = (0_u64, 0_u64);
    for seed in 0..runs {
        let text = input(seed);
        let begun = cpu_time();
        let known = ALL.iter().map(|dialect| (dialect.name, dialect.sessions(&text, 22)));
        let all = known.chain([("custom", custom_sessions(&custom, &text, 22))]);
        for (name, answer) in all {
            match answer {
                Ok(sessions) => {
                    understood += 1;
                    check(name, seed, &text, &sessions);
                }
                Err(_) => refused += 1,
            }
        }
        assert!(cpu_time() - begun < SLOW, "seed {seed} is slow");
    }
    // Inputs that are all refused, or all understood, would test nothing.
    assert!(understood > runs / 10 && refused > runs / 10, "{understood} understood, {refused} refused");
}

#[test]
fn each_answer_of_the_corpus_is_understood_by_its_own_parser_alone() {
    let froms = |answer: Vec<Session>| answer.into_iter().map(|session| session.from).collect::<Vec<_>>();
    let [linux, junos, bsd, other] = CORPUS;
    let read = |at: usize, text: &str| ALL[at].sessions(text, 22).map(froms);
    assert_eq!(read(0, linux).unwrap(), ["198.51.100.7", "198.51.100.8", "fe80::7"]);
    assert_eq!(read(1, junos).unwrap(), ["198.51.100.7", "198.51.100.8", "2001:db8::7"]);
    assert_eq!(read(2, bsd).unwrap(), ["198.51.100.7", "2001:db8::7", "fe80::7"]);
    assert_eq!(froms(custom_sessions(&custom(), other, 22).unwrap()), ["198.51.100.7"]);
    assert!(
        read(0, junos).is_err()
            && read(0, bsd).is_err()
            && read(1, linux).is_err()
            && read(2, other).is_err()
    );
}

#[test]
fn a_very_long_answer_without_a_newline_is_refused_quickly() {
    let long = "ESTAB 0 0 192.0.2.1:22 ".to_owned() + &"x".repeat(16 << 20);
    let begun = cpu_time();
    for dialect in ALL {
        assert!(dialect.sessions(&long, 22).is_err(), "{}", dialect.name);
    }
    assert!(custom_sessions(&custom(), &long, 22).is_err());
    assert!(cpu_time() - begun < SLOW * 4);
}
