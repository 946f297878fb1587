//! Scripts that attack: the watchdog, its machine and the next evaluation go on. Each runs in a pid namespace of its own.

use std::time::{Duration, Instant};

use dr_watchdog_tests::eval::Bench;
use dr_watchdog_tests::needs;
use serde_json::Value;

/// One verdict, as a script prints it.
const NOTHING: &str =
    r#"echo '{"state":"standby","action":"nothing","description":"fine","payload":{"waitTime":""}}'"#;

/// What the program answers to a script with this body.
#[track_caller]
fn answer(body: &str) -> Value {
    needs::root();
    let bench = Bench::new();
    let file = bench.policy("policy", &format!("#!/bin/bash\n{body}\n"));
    let run = bench.eval_apart(&file);
    let answer = run.json();
    assert_eq!(answer["verdict"]["action"], "nothing", "{}", run.all());
    answer
}

/// Goal: the watchdog outlives what the script sends to its parent; the script itself goes on.
#[test]
fn a_script_that_kills_its_parent_kills_nobody() {
    for signal in ["KILL", "STOP", "INT", "SEGV", "ABRT", "CHLD"] {
        let answer = answer(&format!("kill -{signal} $PPID\n{NOTHING}"));
        assert_eq!(
            (&answer["ok"], &answer["verdict"]["description"]),
            (&true.into(), &"fine".into()),
            "{answer}"
        );
    }
}

#[test]
fn a_script_that_kills_everything_reaches_only_its_own_children() {
    let answer = answer(&format!("sleep 1000 &\nkill -KILL -1\nwait\n{NOTHING}"));
    assert_eq!(answer["ok"], true, "{answer}");
    let grandchild = format!("sh -c 'kill -KILL -1' &\nwait\n{NOTHING}");
    let answer = self::answer(&grandchild);
    assert_eq!(
        answer["error"]["kind"], "runtime",
        "the script itself is one of its grandchild's victims: {answer}"
    );
    assert!(answer["error"]["message"].as_str().unwrap().contains("SIGKILL"), "{answer}");
}

#[test]
fn a_script_that_multiplies_is_ended_long_before_its_deadline() {
    let began = Instant::now();
    let answer = answer("bomb() { bomb | bomb & }\nbomb 2>/dev/null\nsleep 1000");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(answer["error"]["kind"], "runtime", "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("256 processes"), "{answer}");
}

#[test]
fn a_script_that_fills_the_memory_is_ended_by_name_whether_one_process_does_it_or_ten() {
    let one = "python3 -c 'a = []\nwhile True: a.append(bytearray(8 << 20))'";
    let ten = "for i in 1 2 3 4 5 6 7 8 9 10; do python3 -c 'import time; a = bytearray(90 << 20); time.sleep(1000)' & done; wait";
    for body in [one, ten] {
        let answer = answer(body);
        assert_eq!(answer["error"]["kind"], "memory", "{answer}");
        assert!(answer["error"]["hint"].as_str().unwrap().contains("policy.script.memory"), "{answer}");
    }
}

/// Goal: what daemonises with an environment of its own, holding the output open, ends with the script.
#[test]
fn a_daemon_of_a_script_ends_with_it_whatever_it_does() {
    let began = Instant::now();
    let body = format!(
        "env -i setsid -f sh -c \"trap '' TERM HUP; while true; do sleep 1000; done\"\n\
         until pgrep -f 'sleep 100[0]' >/dev/null; do :; done\n{NOTHING}"
    );
    let answer = answer(&body);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(answer["ok"], true, "{answer}");
    assert!(answer["warnings"].to_string().contains("left the script's process group"), "{answer}");
}

/// Goal: TERM reaches every process of the run, its handler may speak, and the one that ignores it is killed.
#[test]
fn a_script_is_asked_to_end_before_it_is_ended() {
    let began = Instant::now();
    let answer = answer("trap 'echo goodbye >&2; exit 0' TERM\nsleep 1000 &\nwait");
    assert_eq!(answer["error"]["kind"], "timeout", "{answer}");
    assert!(began.elapsed() < Duration::from_secs(16), "{:?}", began.elapsed());
    let answer = self::answer("trap '' TERM\nwhile true; do sleep 1000; done");
    assert_eq!(answer["error"]["kind"], "timeout", "{answer}");
}

/// Goal: root's files are the script's, root's power over the kernel and over the machine's processes is not.
#[test]
fn a_script_of_roots_has_no_power_over_the_kernel() {
    let body = format!(
        "unshare -m true 2>/dev/null && exit 11\n\
         umount /proc 2>/dev/null && exit 12\n\
         mount -t tmpfs none /mnt 2>/dev/null && exit 13\n\
         date -s 2001-01-01 >/dev/null 2>&1 && exit 14\n\
         test \"$(ulimit -c) $(ulimit -n)\" = '0 256' || exit 15\n\
         test \"$HOME\" = /root || exit 16\n\
         test \"$(ps -e -o pid= | grep -cw $$)\" = 1 || exit 17\n\
         test \"$(cat /proc/self/oom_score_adj)\" = 1000 || exit 18\n{NOTHING}"
    );
    let answer = answer(&body);
    assert_eq!(answer["ok"], true, "{answer}");
}

/// Goal: a lock file with the number of a script that was killed does not look like the lock of the next one.
#[test]
fn the_numbers_of_a_scripts_processes_differ_from_run_to_run() {
    let body = "printf '{\"state\":\"standby\",\"action\":\"nothing\",\"description\":\"%s\",\"payload\":{\"waitTime\":\"\"}}' $$";
    let bench = Bench::new();
    let file = bench.policy("policy", &format!("#!/bin/sh\n{body}\n"));
    let number = || bench.eval(&file).expect(0).json()["verdict"]["description"].clone();
    assert_ne!(number(), number());
}
