//! Speed, memory, wake-ups: measured, compared with a peer, printed with the bar. Nothing here is asserted in a ring.
//!
//! `dr-watchdog-bench [policies|command|endurance|decision|idle|size|sweep|ssh|fuzz|fleet]…`, from a release build. A worker is this program again, so it
//! answers `worker` as the product does.

use std::ffi::OsString;
use std::process::ExitCode;

use dr_watchdog_tests::bench;

/// What the host runs of itself.
const HOSTS_OWN: [&str; 2] = ["worker", "step"];

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let words: Vec<&str> = arguments.iter().skip(1).filter_map(|word| word.to_str()).collect();
    if words.first().is_some_and(|first| HOSTS_OWN.contains(first)) {
        return dr_watchdog::main_from(arguments);
    }
    if let [bench::ssh::ALONE, key, fingerprint, count, more @ ..] = &words[..] {
        let count = count.parse().unwrap_or_default();
        bench::ssh::alone(key.as_ref(), fingerprint, count, more == ["mute"]);
        return ExitCode::SUCCESS;
    }
    if let [bench::sweep::ALONE, list] = words[..] {
        bench::sweep::alone(list.as_ref());
        return ExitCode::SUCCESS;
    }
    if words.first().is_some_and(|first| [bench::fleet::SERVER, bench::fleet::CLIENT].contains(first)) {
        bench::fleet::side(&words);
        return ExitCode::SUCCESS;
    }
    if cfg!(debug_assertions) {
        println!("this is a debug build: the figures say nothing; use `cargo build --release --workspace`");
    }
    let is_wanted = |part: &str| words.is_empty() || words.contains(&part);
    let mut is_met = true;
    if is_wanted("policies") {
        is_met &= bench::policies::measure();
    }
    if is_wanted("command") {
        is_met &= bench::command::measure();
    }
    // Only by name: it takes minutes.
    if words.contains(&"endurance") {
        is_met &= bench::endurance::measure();
    }
    if is_wanted("decision") {
        is_met &= bench::decision::measure();
    }
    if is_wanted("idle") {
        is_met &= bench::idle::measure();
    }
    if is_wanted("size") {
        is_met &= bench::size::measure();
    }
    if is_wanted("sweep") {
        is_met &= bench::sweep::measure();
    }
    if is_wanted("ssh") {
        is_met &= bench::ssh::measure();
    }
    // Minutes of work that say nothing about speed: only when asked for by name.
    if words.contains(&"fuzz") {
        is_met &= bench::fuzz::measure();
    }
    if words.contains(&"fleet") {
        is_met &= bench::fleet::measure(bench::fleet::WHOLE);
    }
    if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
