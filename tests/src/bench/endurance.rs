//! Many evaluations through one worker: its memory and its descriptors, from the first to the last.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{print, tell};
use crate::program::{arbitration_plugin, in_repository, twin};
use crate::scratch::Scratch;
use crate::table::cases::large;
use crate::table::engines::Loaded;

/// Evaluations of the long run.
const EVALUATIONS: u32 = 1_000_000;
/// Arbiters of each question.
const ARBITERS: u64 = 6;
/// How often memory and descriptors are looked at.
const SAMPLES: u32 = 300;
/// How far the memory of the last third may lie above that of the second.
const GROWTH_MAX: f64 = 1.02;

/// What was seen of a worker.
#[derive(Debug)]
pub struct Course {
    /// Resident memory in KiB, in the order of time.
    pub memory_kib: Vec<u64>,
    /// Open descriptors after the first evaluation, at the end.
    pub descriptors: [usize; 2],
    /// How long it took.
    pub elapsed: Duration,
}

impl Course {
    /// The mean of the last third over the mean of the second one.
    pub fn growth(&self) -> f64 {
        let third = self.memory_kib.len() / 3;
        let mean = |part: &[u64]| part.iter().sum::<u64>() as f64 / part.len() as f64;
        mean(&self.memory_kib[2 * third..]) / mean(&self.memory_kib[third..2 * third])
    }

    /// Whether the memory is flat, and no descriptor was left open.
    pub fn is_flat(&self) -> bool {
        self.growth() <= GROWTH_MAX && self.descriptors[0] == self.descriptors[1]
    }
}

/// Asks a policy so many times, through one worker.
///
/// # Panics
/// When it does not answer each time, or its worker was started more than once.
pub fn run(policy: &Path, evaluations: u32) -> Course {
    dr_watchdog::policy::use_executable(twin());
    let scratch = Scratch::new("endurance");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let course = endure(policy, evaluations, scratch.path());
    tokio::task::LocalSet::new().block_on(&runtime, course)
}

async fn endure(policy: &Path, evaluations: u32, run_dir: &Path) -> Course {
    let case = large(ARBITERS);
    let mut loaded = Loaded::load(policy, run_dir).await.unwrap();
    let expected = loaded.ask(&case).await.unwrap().0;
    let worker = loaded.worker().unwrap();
    let first = descriptors(worker);
    let mut memory_kib = Vec::new();
    let begun = Instant::now();
    for evaluation in 0..evaluations {
        let (answer, _) = loaded.ask(&case).await.unwrap();
        assert_eq!(answer, expected, "evaluation {evaluation}");
        if evaluation % (evaluations / SAMPLES).max(1) == 0 {
            memory_kib.push(memory(worker));
        }
    }
    assert_eq!(loaded.worker(), Some(worker), "the worker was started again");
    Course { memory_kib, descriptors: [first, descriptors(worker)], elapsed: begun.elapsed() }
}

fn memory(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Root may see what the guest has open, although it hides.
fn descriptors(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Measures; whether every bar is met.
///
/// # Panics
/// As [`run`].
pub fn measure() -> bool {
    println!("endurance: {EVALUATIONS} evaluations through one worker, {ARBITERS} arbiters");
    let mut is_met = true;
    let policies =
        [("compiled plugin", arbitration_plugin()), ("Lua", in_repository("scripts/arbitration.lua"))];
    for (name, policy) in policies {
        // What the runtime opens once for the whole process is no leak of an evaluation.
        run(&policy, SAMPLES);
        let own = descriptors(i32::try_from(std::process::id()).unwrap());
        let course = run(&policy, EVALUATIONS);
        let own_after = descriptors(i32::try_from(std::process::id()).unwrap());
        tell(
            &format!("{name}: an evaluation"),
            course.elapsed.as_secs_f64() * 1e6 / f64::from(EVALUATIONS),
            "us",
        );
        tell(
            &format!("{name}: memory of the worker at the end"),
            course.memory_kib.last().map_or(0.0, |kib| *kib as f64),
            "KiB",
        );
        is_met &= print(
            &format!("{name}: memory of the last third beside the second"),
            course.growth(),
            "times",
            "≤ 1.02",
            course.growth() <= GROWTH_MAX,
        );
        let left = course.descriptors[1].abs_diff(course.descriptors[0]) + own.abs_diff(own_after);
        is_met &= print(&format!("{name}: descriptors left open"), left as f64, "", "0", left == 0);
    }
    is_met
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_third_is_compared_with_the_second() {
        let course =
            |memory_kib: Vec<u64>, descriptors| Course { memory_kib, descriptors, elapsed: Duration::ZERO };
        assert!(course(vec![1, 1, 100, 100, 101, 101], [5, 5]).is_flat());
        assert!(!course(vec![1, 1, 100, 100, 103, 103], [5, 5]).is_flat());
        assert!(!course(vec![1, 1, 1], [5, 6]).is_flat());
    }
}
