//! The SDK's guide as a vendor follows it: every block of it is written, compiled and run.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use dr_watchdog_tests::eval::Bench;
use dr_watchdog_tests::plugins::compile;
use dr_watchdog_tests::program::{Run, in_repository, run, run_within, twin};
use dr_watchdog_tests::scratch::Scratch;
use dr_watchdog_tests::vendor::Crate;

const LIMIT: Duration = Duration::from_secs(900);

/// The blocks of the guide behind a fence with these words.
fn blocks(words: &str) -> Vec<String> {
    let guide = std::fs::read_to_string(in_repository("sdk/README.md")).unwrap();
    let fence = format!("```{words}\n");
    let found: Vec<String> =
        guide.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect();
    assert!(!found.is_empty(), "sdk/README.md has no block \"{words}\"");
    found
}

fn block(words: &str) -> String {
    blocks(words).remove(0)
}

fn write_question(folder: &Path) {
    for name in ["config.json", "sections.json", "probes.json"] {
        std::fs::write(folder.join(name), block(&format!("json {name}"))).unwrap();
    }
}

/// Runs commands of the guide, with `dr-watchdog` and the SDK where it says that they are.
fn follow(commands: &str, scratch: &Scratch, prepare: impl FnOnce(&mut Command)) -> Run {
    let programs = scratch.join("bin");
    std::fs::create_dir_all(&programs).unwrap();
    symlink(twin(), programs.join("dr-watchdog")).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-e", "-c", commands]).env("PATH", path).env("SDK", in_repository("sdk"));
    prepare(&mut command);
    run_within(&mut command, LIMIT, b"")
}

#[test]
fn the_guide_takes_a_vendor_in_rust_to_a_checked_plugin() {
    let scratch = Scratch::new("vendor");
    let made = Crate::new("acme-policy", &block("toml Cargo.toml"), &block("rust src/lib.rs"));
    write_question(&made.folder);
    let commands = blocks("sh in-rust").pop().unwrap();
    // Cargo's output lies in one place for all crates of these tests.
    let commands = commands.replace("target/debug", "../target/debug");
    let followed = follow(&commands, &scratch, |command| made.prepare(command)).expect(0);
    followed
        .says(&["an_active_site_that_no_arbiter_answers_stands_down ... ok", "a compiled plugin; it loads"]);
}

#[test]
fn the_guide_takes_a_vendor_in_c_to_a_checked_plugin() {
    let scratch = Scratch::new("vendor");
    write_question(scratch.path());
    let followed = follow(&block("sh in-c"), &scratch, |command| {
        command.current_dir(scratch.path());
    });
    followed.expect(0).says(&["one-ping", "an arbiter answers ping"]);
}

#[test]
fn a_policy_in_rust_does_not_compile_where_its_panics_would_abort() {
    let aborting = block("toml Cargo.toml").replace("acme-policy", "acme-aborting")
        + "\n[profile.dev]\npanic = \"abort\"\n";
    let refused = Crate::new("acme-aborting", &aborting, &block("rust src/lib.rs")).cargo(&["check"]);
    refused.expect(101).says(&["a dr-watchdog policy needs panic = \"unwind\"", "remove panic = \"abort\""]);
}

/// A binary of ABI 1.0 is kept as it was built; elsewhere its source is built with the header of that version.
#[test]
fn a_plugin_that_was_built_for_version_1_0_loads_in_this_host() {
    let bench = Bench::new();
    let built = bench.scratch.join("version-one.so");
    let folder = in_repository("tests/fixtures/plugins/v1_0");
    run(Command::new(folder.join("build")).arg(&built)).expect(0);
    let kept = folder.join(std::env::consts::ARCH).join("policy.so");
    if cfg!(target_arch = "x86_64") {
        assert!(kept.is_file(), "{} is gone", kept.display());
    }
    for library in [built, kept].into_iter().filter(|library| library.is_file()) {
        let answer = bench.eval(&library).expect(0).json();
        assert_eq!(answer["verdict"]["description"], "version 1.0 lives", "{}: {answer}", library.display());
    }
}

/// The plugin in C that is shipped, built by its own small build.
#[test]
fn the_shipped_plugin_in_c_builds_and_decides() {
    let bench = Bench::new();
    let library = bench.scratch.join("gateway.so");
    run(Command::new(in_repository("plugins/gateway/build")).arg(&library)).expect(0);
    let ask = |config: &str, role: &str, probes: &str| {
        let config = bench.scratch.write("gateway.json", config);
        let sections = bench.scratch.write(
            "gateway-sections.json",
            format!(
                "{{\"role\":\"{role}\",\"core\":{{\"peerVip\":\"192.0.2.20\"}},\"watchdog\":{{\"failureDetection\":{{\"arbiters\":[{{\"host\":\"203.0.113.1\"}}]}}}}}}"
            ),
        );
        let probes = bench.scratch.write("gateway-probes.json", probes);
        let mut command = dr_watchdog_tests::program::command(["policy", "eval", "--json"]);
        command.arg(&library).arg("--config").arg(config).arg("--sections").arg(sections);
        run(command.arg("--probes").arg(probes))
    };
    let gateways = r#"{"gateways":["192.0.2.1","192.0.2.2"],"least":1}"#;
    let free = r#""203.0.113.1":{"ssh":"ok","sessions":[]}"#;
    let held = r#""203.0.113.1":{"ssh":"ok","sessions":[{"from":"192.0.2.20","ageMs":1}]}"#;
    let cases = [
        ("active", r#"{"ping":{"192.0.2.2":true}}"#.to_owned(), "nothing"),
        ("active", "{}".to_owned(), "beStandby"),
        ("standby", format!(r#"{{"ping":{{"192.0.2.1":true}},"arbiters":{{{free}}}}}"#), "beActive"),
        ("standby", format!(r#"{{"ping":{{"192.0.2.1":true}},"arbiters":{{{held}}}}}"#), "nothing"),
        ("standby", format!(r#"{{"arbiters":{{{free}}}}}"#), "nothing"),
        ("standby", r#"{"ping":{"192.0.2.1":true}}"#.to_owned(), "nothing"),
    ];
    for (role, probes, action) in cases {
        let answer = ask(gateways, role, &probes).expect(0).json();
        assert_eq!(answer["verdict"]["action"], action, "{role} {probes}: {answer}");
    }
    // Its configuration is checked by its own schema, before it is made.
    for (config, says) in
        [(r#"{"gateway":[]}"#, "gateways"), (r#"{"gateways":[]}"#, "at least one"), ("{}", "gateways")]
    {
        ask(config, "active", "{}").expect(1).says(&[says]);
    }
}

/// Goal: a plugin that is refused a call is told which line would grant it, and so is the operator.
#[test]
fn what_a_plugin_asks_for_and_is_not_granted_is_told_with_the_line_that_grants_it() {
    let bench = Bench::new();
    let library = compile(
        &bench.scratch,
        "tests/fixtures/plugins/policy.c",
        "policy.so",
        &["WANTS=\"\\\"network\\\"\""],
    );
    run(dr_watchdog_tests::program::command(["policy", "check"]).arg(&library))
        .expect(0)
        .says(&["policy.grants = [", "network"]);
}
