//! `policy new`: what it writes builds, passes its own check, passes its own cases, in every language.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use dr_watchdog_tests::needs;
use dr_watchdog_tests::program::{Run, clean, command, in_repository, run, run_within};
use dr_watchdog_tests::scratch::Scratch;

/// Longest check or test of one template.
const CHECK_LIMIT: Duration = Duration::from_secs(180);
/// Longest build of the Rust template with everything that it needs.
const BUILD_LIMIT: Duration = Duration::from_secs(900);
/// Cases of every template.
const CASES: u64 = 8;

fn new(scratch: &Scratch, kind: &str) -> Run {
    let mut command = command(["policy", "new", "own-rules", "--kind", kind, "--json", "--dir"]);
    run(command.arg(scratch.path()).arg("--sdk").arg(in_repository("sdk"))).is_orderly()
}

fn passes(policy: &Path, cases: &Path, is_plugin: bool) {
    let check: &[&str] = if is_plugin { &["plugin", "check"] } else { &["policy", "check"] };
    run_within(command(check).arg(policy), CHECK_LIMIT, b"").expect(0);
    let mut test = command(["policy", "test", "--json"]);
    let answer = run_within(test.arg(policy).arg("--cases").arg(cases), CHECK_LIMIT, b"").expect(0).json();
    assert_eq!((answer["passed"].as_u64(), answer["failed"].as_u64()), (Some(CASES), Some(0)), "{answer}");
}

#[test]
fn a_new_lua_policy_passes_its_own_check_and_cases() {
    let scratch = Scratch::new("new");
    let answer = new(&scratch, "lua").expect(0).json();
    assert_eq!(answer["written"].as_array().unwrap().len(), 2, "{answer}");
    passes(&scratch.join("own-rules.lua"), &scratch.join("own-rules.cases.json"), false);
    run(command(["policy", "types"]).arg(scratch.path())).expect(0);
}

#[test]
fn a_new_script_passes_its_own_check_and_cases() {
    let scratch = Scratch::new("new");
    new(&scratch, "script").expect(0);
    passes(&scratch.join("own-rules.sh"), &scratch.join("own-rules.cases.json"), false);
}

#[test]
fn a_new_plugin_in_c_compiles_without_a_warning_and_passes_its_own_check_and_cases() {
    let scratch = Scratch::new("new");
    new(&scratch, "c").expect(0);
    let folder = scratch.join("own-rules");
    let header = fs::read(in_repository("sdk/include/drw_policy.h")).unwrap();
    assert_eq!(fs::read(folder.join("drw_policy.h")).unwrap(), header);
    let makefile = fs::read_to_string(folder.join("Makefile")).unwrap();
    let flags = ["-std=c99", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-fvisibility=hidden"];
    assert!(flags.iter().all(|flag| makefile.contains(flag)), "{makefile}");
    let mut cc = clean(&needs::program("cc"));
    cc.current_dir(&folder).args(flags).args(["-Werror", "-o", "own-rules.so", "own-rules.c"]);
    run(&mut cc).expect(0);
    passes(&folder.join("own-rules.so"), &folder.join("own-rules.cases.json"), true);
}

#[test]
fn a_new_plugin_in_rust_builds_and_passes_its_own_check_and_cases() {
    let scratch = Scratch::new("new");
    new(&scratch, "rust").expect(0);
    let folder = scratch.join("own-rules");
    // The versions of this repository: what it was built with is there without a network.
    fs::copy(in_repository("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    // Built once, and kept for the next time.
    let target = in_repository("target/templates");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(&folder).args(["build", "--offline", "--target-dir"]).arg(&target);
    run_within(&mut cargo, BUILD_LIMIT, b"").expect(0);
    passes(&target.join("debug/libown_rules.so"), &folder.join("own-rules.cases.json"), true);
}

#[test]
fn what_is_there_is_never_written_over() {
    let scratch = Scratch::new("new");
    let own = scratch.write("own-rules.cases.json", "mine");
    new(&scratch, "lua").expect(2).says(&["own-rules.cases.json is there already", "nothing was written"]);
    assert_eq!(fs::read_to_string(own).unwrap(), "mine");
    assert!(!scratch.join("own-rules.lua").exists());
    for name in ["../x", "a b", "2x", ""] {
        run(&mut command(["policy", "new", name, "--kind", "lua"])).expect(2).says(&["a letter first"]);
    }
    run(&mut command(["policy", "new", "x", "--kind", "cobol"])).expect(2).says(&["lua, rust, c, script"]);
}
