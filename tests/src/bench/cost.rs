//! What one whole process costs.

use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

/// Wall time, CPU time, output of one whole process with its children.
#[derive(Debug)]
pub struct Cost {
    /// Seconds from its start to its end.
    pub wall_s: f64,
    /// Milliseconds of CPU.
    pub cpu_ms: f64,
    /// Standard output, then error output.
    pub output: String,
}

impl Cost {
    /// Runs a command to its end. Nothing else may be waited for meanwhile.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn of(command: &mut Command) -> Self {
        let before = cpu_ms();
        let begun = Instant::now();
        let done = command.stdin(Stdio::null()).output().unwrap();
        let (wall_s, cpu_ms) = (begun.elapsed().as_secs_f64(), cpu_ms() - before);
        let mut output = String::from_utf8_lossy(&done.stdout).into_owned();
        output.push_str(&String::from_utf8_lossy(&done.stderr));
        Self { wall_s, cpu_ms, output }
    }
}

/// CPU of all processes that were waited for.
fn cpu_ms() -> f64 {
    let used = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    (used.user_time().num_microseconds() + used.system_time().num_microseconds()) as f64 / 1_000.0
}
