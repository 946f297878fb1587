//! The parsers of device output against inputs that no device sends: nothing may panic, hang or invent a session.

use dr_watchdog::arbiters::parse::{ALL, custom_sessions};
use dr_watchdog_sdk::evidence::Session;
use dr_watchdog_tests::fuzz::{self, CORPUS, SLOW, cpu_time, custom};

/// Inputs per parser; `dr-watchdog-bench fuzz` runs a hundred times as many.
const RUNS: u64 = 100_000;

#[test]
fn no_input_makes_a_parser_panic_hang_or_invent_a_session() {
    let tally = fuzz::run(0..RUNS);
    // Inputs that are all refused, or all understood, would test nothing.
    assert!(tally.understood > RUNS / 10 && tally.refused > RUNS / 10, "{tally:?}");
}

#[test]
fn each_answer_of_the_corpus_is_understood_by_its_own_parser_alone() {
    let froms = |answer: Vec<Session>| answer.into_iter().map(|session| session.from).collect::<Vec<_>>();
    let [linux, junos, bsd, other] = CORPUS;
    let read = |at: usize, text: &str| ALL[at].sessions(text, 22).map(froms);
    assert_eq!(read(0, linux).unwrap(), ["198.51.100.7", "198.51.100.8", "fe80::7%eth0"]);
    assert_eq!(read(1, junos).unwrap(), ["198.51.100.7", "198.51.100.8", "2001:db8::7"]);
    assert_eq!(read(2, bsd).unwrap(), ["198.51.100.7", "2001:db8::7", "fe80::7%em0"]);
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
