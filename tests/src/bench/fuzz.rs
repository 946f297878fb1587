//! The parsers of device output against many made-up answers, once.

use std::time::Instant;

use crate::fuzz::{self, Tally};

/// Inputs that each parser reads.
const RUNS: u64 = 10_000_000;
/// Inputs from one line of progress to the next.
const PART: u64 = 1_000_000;

/// Runs; whether nothing panicked, hung or invented a session.
///
/// # Panics
/// When a parser does any of that; with the seed.
pub fn measure() -> bool {
    let begun = Instant::now();
    let mut all = Tally::default();
    for part in 0..RUNS / PART {
        // The seeds behind those that every run of the tests reads.
        let first = part * PART;
        let halves = [(first, first + PART / 2), (first + PART / 2, first + PART)];
        let tallies = std::thread::scope(|scope| {
            let running = halves.map(|(from, to)| scope.spawn(move || fuzz::run(from..to)));
            running.map(|half| half.join().unwrap())
        });
        for tally in tallies {
            all.understood += tally.understood;
            all.refused += tally.refused;
        }
        println!("{:>10} inputs to each parser, {:.0} s", first + PART, begun.elapsed().as_secs_f64());
    }
    println!(
        "{} tables understood, {} refused; no panic, no hang, no session from nowhere",
        all.understood, all.refused
    );
    true
}
