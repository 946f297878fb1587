//! The command that old scripts call: `api v1 config` with a daemon, beside the start of the program alone.

use std::process::{Command, Stdio};
use std::time::Instant;

use super::{median, print, tell};
use crate::lab::Lone;
use crate::program;

/// Rounds in which each is run once.
const ROUNDS: usize = 100;
/// How much longer the answer of the daemon may take.
const TIMES_MAX: f64 = 1.5;

/// Measures; whether the bar is met.
///
/// # Panics
/// When a command fails.
pub fn measure() -> bool {
    println!("command: wall time of whole processes, the daemon is up, medians of {ROUNDS}");
    let mut lone = Lone::new(|_, _| {});
    lone.site.start();
    let (mut version_us, mut config_us) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        version_us.push(us(program::command(["--version"])));
        let mut config = program::command(["--root"]);
        config.arg(lone.site.root()).args(["api", "v1", "config", "--include", "role,core"]);
        config_us.push(us(config));
    }
    let (version, config) = (median(version_us), median(config_us));
    tell("dr-watchdog --version", version, "us");
    tell("dr-watchdog api v1 config --include role,core", config, "us");
    let times = config / version;
    print("the answer takes as long as starts of the program", times, "times", "≤ 1.5", times <= TIMES_MAX)
}

fn us(mut command: Command) -> f64 {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let begun = Instant::now();
    assert!(command.status().unwrap().success(), "{command:?}");
    begun.elapsed().as_secs_f64() * 1e6
}
