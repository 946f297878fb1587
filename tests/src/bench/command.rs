//! Commands with a daemon that runs, beside the start of the program alone.

use std::process::{Command, Stdio};
use std::time::Instant;

use super::{median, print, tell};
use crate::lab::Lone;
use crate::program;

/// Rounds in which each is run once.
const ROUNDS: usize = 100;
/// How much longer the answer of the daemon may take.
const TIMES_MAX: f64 = 1.5;
/// How much longer `health` may take.
const HEALTH_TIMES_MAX: f64 = 3.0;
/// What share of a start of Python a start of the program may take.
const PYTHON_SHARE_MAX: f64 = 0.6;

/// Measures; whether the bar is met.
///
/// # Panics
/// When a command fails.
pub fn measure() -> bool {
    println!("command: wall time of whole processes, the daemon is up, medians of {ROUNDS}");
    let mut lone = Lone::new(|_, _| {});
    lone.site.start();
    let (mut version_us, mut config_us, mut health_us, mut python_us) = (vec![], vec![], vec![], vec![]);
    let on = |arguments: &[&str]| {
        let mut command = program::command(["--root"]);
        command.arg(lone.site.root()).args(arguments);
        command
    };
    for _ in 0..ROUNDS {
        version_us.push(us(program::command(["--version"]), &[0]));
        config_us.push(us(on(&["api", "v1", "config", "--include", "role,core"]), &[0]));
        // A lone site has troubles, so its status is that of a warning or worse.
        health_us.push(us(on(&["health"]), &[0, 1, 2]));
        let mut python = program::clean(&crate::needs::program("python3"));
        python.args(["-I", "-c", "pass"]);
        python_us.push(us(python, &[0]));
    }
    let [version, config, health, python] = [version_us, config_us, health_us, python_us].map(median);
    tell("dr-watchdog --version", version, "us");
    tell("dr-watchdog api v1 config --include role,core", config, "us");
    tell("dr-watchdog health", health, "us");
    tell("python3 -I -c pass", python, "us");
    let (times, health_times, share) = (config / version, health / version, version / python);
    let is_met = [
        print(
            "the answer takes as long as starts of the program",
            times,
            "times",
            "≤ 1.5",
            times <= TIMES_MAX,
        ),
        print(
            "health takes as long as starts of the program",
            health_times,
            "times",
            "≤ 3",
            health_times <= HEALTH_TIMES_MAX,
        ),
        print("a start takes as long as one of Python", share, "times", "≤ 0.6", share <= PYTHON_SHARE_MAX),
    ];
    is_met.into_iter().all(|is_met| is_met)
}

fn us(mut command: Command, statuses: &[i32]) -> f64 {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let begun = Instant::now();
    let ended = command.status().unwrap();
    let elapsed = begun.elapsed();
    assert!(ended.code().is_some_and(|code| statuses.contains(&code)), "{command:?}: {ended}");
    elapsed.as_secs_f64() * 1e6
}
