//! Scripts that are wrong: a clear error, a harmless verdict, nothing left running.

use std::time::{Duration, Instant};

use dr_watchdog_tests::eval::Bench;
use dr_watchdog_tests::{program, wait};

/// One verdict, as a script prints it.
const NOTHING: &str =
    r#"echo '{"state":"standby","action":"nothing","description":"fine","payload":{"waitTime":""}}'"#;

fn script(body: &str) -> String {
    format!("#!/bin/sh\n{body}\n")
}

#[track_caller]
fn fails(body: &str, kinds: &[&str], says: &[&str]) {
    let bench = Bench::new();
    let file = bench.policy("policy", &script(body));
    bench.fails(&file, kinds, says);
}

/// Demands that nothing with this word in its command line runs.
#[track_caller]
fn is_gone(word: &str) {
    let gone = || {
        let found = program::run(
            program::clean(&dr_watchdog_tests::needs::program("pgrep")).args(["-f", "-l", word]),
        );
        wait::holds(found.code() == 1, || format!("still running: {}", found.stdout))
    };
    wait::until("nothing of the script is left", Duration::from_secs(5), gone, String::new);
}

#[test]
fn a_script_that_prints_one_verdict_among_other_lines_is_fine() {
    let bench = Bench::new();
    let file = bench.policy("policy", &script(&format!("echo hello\n{NOTHING}\necho bye")));
    let answer = bench.eval(&file).expect(0).json();
    assert_eq!((&answer["ok"], &answer["engine"]), (&true.into(), &"script".into()), "{answer}");
    assert_eq!(answer["verdict"]["description"], "fine", "{answer}");
}

#[test]
fn a_script_that_may_not_be_executed_says_how_to_allow_it() {
    let bench = Bench::new();
    let file = bench.policy("policy.sh", &script(NOTHING));
    bench.fails(&file, &["load", "denied"], &["policy.sh", "chmod"]);
}

#[test]
fn a_script_without_an_interpreter_is_named() {
    let bench = Bench::new();
    let file = bench.policy("policy", "#!/nonexistent/interpreter\n");
    bench.fails(&file, &["load", "runtime"], &["policy"]);
}

#[test]
fn output_without_an_object_or_with_two_is_no_verdict() {
    fails("echo hello", &["verdict", "runtime"], &["no JSON object", "hello"]);
    fails("true", &["verdict", "runtime"], &["no JSON object"]);
    fails(&format!("{NOTHING}\n{NOTHING}"), &["verdict", "runtime"], &["2 JSON objects"]);
}

#[test]
fn a_gigabyte_of_output_is_cut_off() {
    fails("head -c 1000000000 /dev/zero | tr '\\0' 'x'", &["verdict"], &["65536 bytes"]);
    fails("yes '{}' | head -c 1000000000", &["verdict"], &["65536 bytes"]);
}

#[test]
fn a_status_other_than_0_is_no_verdict_even_with_one_printed() {
    fails(&format!("{NOTHING}\necho 'disk is gone' >&2\nexit 3"), &["runtime"], &["3", "disk is gone"]);
    fails(&format!("{NOTHING}\nkill -SEGV $$"), &["crash", "runtime"], &["SEGV"]);
}

#[test]
fn a_script_that_ignores_term_is_killed_with_its_children() {
    let began = Instant::now();
    fails("trap '' TERM\nsleep 977.1 &\nwhile true; do sleep 977.2; done", &["timeout"], &[]);
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    is_gone("sleep 977");
}

/// The verdict counts, whoever still holds the pipe; what was left behind is ended.
#[test]
fn a_grandchild_that_holds_the_pipe_delays_nothing() {
    let bench = Bench::new();
    let file = bench.policy("policy", &script(&format!("{NOTHING}\nsleep 978.1 &\nexit 0")));
    let began = Instant::now();
    let run = bench.eval(&file);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}\n{}", began.elapsed(), run.all());
    assert_eq!(run.json()["verdict"]["action"], "nothing", "{}", run.all());
    is_gone("sleep 978");
}

#[test]
fn an_unknown_key_of_an_old_script_is_a_warning() {
    let bench = Bench::new();
    let body = r#"echo '{"state":"standby","action":"nothing","description":"","payload":{"waitTime":""},"version":1}'"#;
    let run = bench.eval(&bench.policy("policy", &script(body))).expect(0);
    assert!(run.all().contains("version"), "{}", run.all());
}

/// An old script asks by the manual's own name, and gets the arbiters' credentials in the manual's shape.
#[test]
fn host_calls_by_their_old_names_work_inside_a_script() {
    let bench = Bench::new();
    let body = format!(
        "jmp-dr api v1 config --include role,core >&2\n\
         jmp-dr api v1 config --include core --text | grep -q '^core.peerVip 192.0.2.10$' || exit 4\n\
         dr-watchdog arbiters sessions --text | grep -q '^reachable 3$' || exit 5\n\
         dr-watchdog arbiters ping --text | grep -q '^arbiter 203.0.113.1 ping true' || exit 6\n\
         dr-watchdog ping 192.0.2.99 --text | grep -q '^host 192.0.2.99 ping false' || exit 7\n\
         cat >/dev/null\n{NOTHING}"
    );
    bench.eval(&bench.policy("policy", &script(&body))).expect(0);
}

/// Goal: what a script says is fit for a log: no escape sequence that a terminal obeys, no secret that it was shown.
#[test]
fn what_a_script_says_is_made_harmless_and_holds_no_secret() {
    let bench = Bench::new();
    let mut sections = dr_watchdog_tests::eval::sections("standby");
    sections["watchdog"]["failureDetection"]["arbiters"][0]["password"] = "hunter2secret".into();
    bench.scratch.write("sections.json", sections.to_string());
    let body = "p=$(jmp-dr api v1 config --include watchdog | grep -o 'hunter2secret' | head -1)\n\
                test \"$p\" = hunter2secret || exit 9\n\
                printf '\\033[2Jlogging in with %s\\n' \"$p\" >&2\n\
                printf 'said \\033]0;%s\\007\\n' \"$p\"\nexit 3";
    let run = bench.eval(&bench.policy("policy", &script(body)));
    assert!(!run.all().contains("hunter2secret") && !run.all().contains('\u{1b}'), "{}", run.all());
    let error = &run.json()["error"]["message"];
    assert!(error.as_str().unwrap().contains("logging in with ***"), "{}", run.all());
    assert!(!error.to_string().contains("\\u001b"), "{error}");
}

#[test]
fn a_byte_order_mark_before_the_verdict_is_named() {
    fails(&format!("printf '\\357\\273\\277'; {NOTHING}"), &["verdict"], &["byte order mark", "without"]);
}

/// Nothing of the caller's environment reaches a script but the allow-list.
#[test]
fn the_environment_is_an_allow_list() {
    let bench = Bench::new();
    let file = bench
        .policy("policy", &script(&format!("test -z \"$LD_LIBRARY_PATH$MY_SECRET\" || exit 9\n{NOTHING}")));
    let mut command = program::command(["policy", "eval"]);
    command.arg(&file).arg("--sections").arg(bench.scratch.join("sections.json"));
    command.args(["--json", "--probes"]).arg(bench.scratch.join("probes.json"));
    command.env("MY_SECRET", "x").env("LD_LIBRARY_PATH", "/nonexistent");
    program::run(&mut command).expect(0);
}

/// `setsid` leaves the group in one call; the run's environment goes along.
#[test]
fn what_leaves_the_process_group_is_ended_too() {
    let bench = Bench::new();
    let body = format!(
        "setsid -f sleep 271828 >/dev/null 2>&1\nsetsid -f sh -c 'sleep 271829; :' >/dev/null 2>&1\n{NOTHING}"
    );
    let file = bench.policy("policy", &script(&body));
    let answer = bench.eval(&file).expect(0).json();
    assert!(answer["warnings"].to_string().contains("left the script's process group"), "{answer}");
    is_gone("sleep 27182[89]");
}

#[test]
fn a_script_finds_the_policys_configuration_in_its_environment() {
    let bench = Bench::new();
    let config = bench.scratch.write("config.json", r#"{"least": 2}"#);
    let echo = r#"printf '{"state":"standby","action":"nothing","description":"","payload":{"waitTime":"","details":{"config":%s}}}\n' "$DR_WATCHDOG_POLICY_CONFIG""#;
    let file = bench.policy("policy", &script(echo));
    let answer = bench.eval_with(&file, &["--config", config.to_str().unwrap()]).expect(0).json();
    assert_eq!(answer["verdict"]["payload"]["details"]["config"]["least"], 2, "{answer}");
    let answer = bench.eval(&file).expect(0).json();
    assert_eq!(answer["verdict"]["payload"]["details"]["config"], serde_json::json!({}), "{answer}");
}
