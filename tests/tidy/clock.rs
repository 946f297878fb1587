//! Who may read a clock.

use crate::tree::{File, demand, files};

/// Reads of the wall clock, or of the clock that decides.
const DECIDING: [&str; 4] = ["SystemTime::now", "clock_gettime", "Utc::now", "UNIX_EPOCH"];
/// Who may, each with the reason.
const DECIDERS: &[(&str, &str)] = &[
    ("host/src/daemon/run_loop.rs", "decisions are taken with the instant that this loop reads"),
    (
        "host/src/peer/link.rs",
        "a signed message carries its instant, so that an old one is refused before the core hears it",
    ),
    ("host/src/probe/ping/arrival.rs", "how long a reply lay unread, against the kernel's own stamp"),
    ("host/src/notify/smtp.rs", "a mail's date is made of the instant that it was given"),
    ("host/src/cli/", "a person's command, not a decision: `policy eval` without a given instant"),
];
/// Reads of the clock that measures.
const MEASURING: [&str; 1] = ["Instant::now"];
/// Who may measure how long something took, each with the reason.
const MEASURERS: &[(&str, &str)] = &[
    ("host/sim/examples/", "how many schedules a second"),
    ("host/src/daemon/run_loop.rs", "reads every clock"),
    ("host/src/daemon/systemd.rs", "when the next sign of life is due"),
    ("host/src/daemon/peer_ping.rs", "a try lasts its whole timeout"),
    ("host/src/daemon/policy_desk.rs", "the deadline of the host calls of one evaluation"),
    ("host/src/daemon/steps.rs", "how long a step ran"),
    ("host/src/notify/", "when a mail is tried again"),
    ("host/src/probe/", "round-trip times, deadlines of a probe"),
    ("host/src/arbiters/", "deadlines of a look"),
    ("host/src/peer/", "the age of what was heard"),
    ("host/src/policy/", "the deadline of an evaluation"),
    ("host/src/worker/", "the remaining time of an evaluation"),
    ("host/src/demo/", "the timeline that people read"),
    ("host/src/cli/", "how long a command took"),
    ("plugins/witness/src/http.rs", "the deadline of a request"),
];

/// Every read by somebody who may not.
pub(crate) fn stray_reads(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    let product =
        |file: &&File| file.is_rust() && !file.path.starts_with("tests/") && !file.path.contains("/tests/");
    for file in files.iter().filter(product) {
        let may = |allowed: &[(&str, &str)]| allowed.iter().any(|(prefix, _)| file.path.starts_with(prefix));
        let (may_decide, may_measure) = (may(DECIDERS), may(MEASURERS));
        // Unit tests stand at the foot; they may measure.
        let body = file.code_lines().take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
        for (number, line) in body {
            let found = |names: &[&str]| names.iter().any(|name| line.contains(name));
            if (!may_decide && found(&DECIDING)) || (!may_measure && found(&MEASURING)) {
                complaints.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    complaints
}

#[test]
fn the_clock_is_read_where_it_may_be() {
    demand("clock reads", &stray_reads(&files()));
}

#[test]
fn a_stray_read_of_the_clock_is_found() {
    let files = [
        File::sample("host/core/src/x.rs", "let now = std::time::Instant::now();\n"),
        File::sample("host/src/daemon/effects.rs", "SystemTime::now()\n#[cfg(test)]\nInstant::now()\n"),
        File::sample("host/src/probe/ping.rs", "Instant::now()\n"),
        File::sample("tests/src/wait.rs", "Instant::now()\n"),
    ];
    let found = stray_reads(&files);
    assert_eq!(found.len(), 2, "{found:?}");
}
