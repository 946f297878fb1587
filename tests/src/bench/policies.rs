//! Verdicts: Lua, the compiled plugin, Python, plain Rust, all with the same 50 arbiters.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dr_watchdog_sdk::{Host, Policy};
use serde_json::Value;

use super::{median, print, tell};
use crate::program::{self, arbitration_plugin, in_repository};
use crate::scratch::Scratch;
use crate::table::cases::large;
use crate::table::engines::{Loaded, PlainHost, plain};
use crate::{needs, table};

/// Arbiters of the question: about 5 KB of sections.
const ARBITERS: u64 = 50;
/// Rounds in which every engine is asked once, so that all see the same machine.
const ROUNDS: usize = 200;
/// Plain calls that are timed together: one alone is as short as the clock's own cost.
const PLAIN_CALLS: u32 = 20;
/// Rounds from one run of Python to the next; each takes as long as fifty of the others.
const ROUNDS_PER_PYTHON: usize = 8;

/// Measures; whether every bar is met.
///
/// # Panics
/// When a policy does not answer.
pub fn measure() -> bool {
    // The product itself is what becomes a worker, and what a script calls.
    dr_watchdog::policy::use_executable(program::twin());
    let case = large(ARBITERS);
    let sections = case.sections().to_string();
    println!("verdicts: {ARBITERS} arbiters, {} bytes of sections, medians", sections.len());
    let scratch = Scratch::new("bench");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let files = PythonFiles {
        sections: scratch.write("sections.json", sections),
        answers: scratch.write("answers.json", answers(&case).to_string()),
    };
    let engines = engines(&case, &files, scratch.path());
    let [lua, native, rust, python, old] = tokio::task::LocalSet::new().block_on(&runtime, engines);
    tell("plain Rust call, JSON in and out", rust, "us");
    tell("compiled plugin in the worker", native, "us");
    tell("Lua in the worker, a fresh state each time", lua, "us");
    tell("python3 -I, the same rules, JSON on stdin", python, "us");
    tell("the old form: a script in Python that calls the command once", old, "us");
    let is_lua_met =
        print("Lua is faster than python3 -I by", python / lua, "times", "≥ 50", python / lua >= 50.0);
    let is_old_met =
        print("Lua is faster than the old form by", old / lua, "times", "≥ 150", old / lua >= 150.0);
    let ratio = native / rust;
    print("a compiled plugin takes as long as plain Rust calls", ratio, "times", "≤ 8", ratio <= 8.0)
        && is_lua_met
        && is_old_met
}

/// Microseconds of Lua, the compiled plugin, plain Rust, Python, the old form.
async fn engines(case: &table::Case, files: &PythonFiles, run_dir: &Path) -> [f64; 5] {
    let mut lua = Loaded::load(&in_repository("scripts/arbitration.lua"), run_dir).await.unwrap();
    let mut native = Loaded::load(&arbitration_plugin(), run_dir).await.unwrap();
    let mut old = Loaded::load(&in_repository("scripts/legacy/arbitration.py"), run_dir).await.unwrap();
    let (mut lua_us, mut native_us, mut rust_us) = (Vec::new(), Vec::new(), Vec::new());
    let (mut python_us, mut old_us) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        if round % ROUNDS_PER_PYTHON == 0 {
            python_us.push(python(files));
            old_us.push(us(old.ask(case).await.unwrap().1));
        }
        lua_us.push(us(lua.ask(case).await.unwrap().1));
        native_us.push(us(native.ask(case).await.unwrap().1));
        rust_us.push(rust(case));
    }
    [lua_us, native_us, rust_us, python_us, old_us].map(median)
}

fn us(span: Duration) -> f64 {
    span.as_secs_f64() * 1e6
}

/// One call as the ABI makes it, without the ABI: JSON text in, JSON text out.
fn rust(case: &table::Case) -> f64 {
    let (policy, host) = (plain(), PlainHost::new(case));
    let context = serde_json::to_string(&case.context(host.remaining_ms())).unwrap();
    let begun = Instant::now();
    for _ in 0..PLAIN_CALLS {
        let context = serde_json::from_str(&context).unwrap();
        let verdict = policy.evaluate(&context, &host).unwrap();
        std::hint::black_box(serde_json::to_string(&verdict).unwrap());
    }
    us(begun.elapsed()) / f64::from(PLAIN_CALLS)
}

/// The whole process, as the floor of any script: the rules of the shipped file, its host calls answered from a file.
fn python(files: &PythonFiles) -> f64 {
    let mut command = Command::new(needs::program("python3"));
    command
        .args(["-I", "-c", SAME_RULES])
        .arg(in_repository("scripts/legacy/arbitration.py"))
        .arg(&files.answers);
    command.stdin(File::open(&files.sections).unwrap()).stdout(Stdio::null());
    let begun = Instant::now();
    assert!(command.status().unwrap().success(), "the Python rules do not answer");
    us(begun.elapsed())
}

struct PythonFiles {
    sections: PathBuf,
    answers: PathBuf,
}

/// Loads the shipped script and answers its host calls from a file, so that Python alone is measured.
const SAME_RULES: &str = "
import subprocess, sys
answers = open(sys.argv[2], 'rb').read()
class Done:
    returncode = 0
    stdout = answers
subprocess.run = lambda *words, **options: Done
source = open(sys.argv[1]).read()
exec(compile(source, sys.argv[1], 'exec'), {'__name__': '__main__'})
";

/// What the host answers to the one host call of a standby.
fn answers(case: &table::Case) -> Value {
    serde_json::json!(case.evidence().sessions_report(case.role))
}
