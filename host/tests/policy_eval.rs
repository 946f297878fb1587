//! Every bad policy gives a named kind beside a legal verdict.

#![allow(clippy::unwrap_used, reason = "what a test calls fails by panicking, like the test itself")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A folder with sections, probes and policies.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        bench.write("s.json", &sections().to_string());
        bench.write("p.json", &probes().to_string());
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.write(name, text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// `policy eval --json`, checked for what always holds.
    fn eval(&self, policy: &Path, more: &[&str]) -> Value {
        let output = self.run(policy, &[&["--json"], more].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(text.lines().count(), 1, "one line of JSON: {text} {errors}");
        let report: Value = serde_json::from_str(&text).unwrap();
        let ok = report["ok"].as_bool().unwrap();
        assert_eq!(output.status.code(), Some(i32::from(!ok)), "{report} {errors}");
        let verdict = &report["verdict"];
        assert_eq!(verdict["state"], "standby", "{report}");
        assert!(verdict["payload"]["waitTime"].is_string(), "{report}");
        if !ok {
            assert_eq!(verdict["action"], "nothing", "{report}");
            assert!(!report["error"]["message"].as_str().unwrap().is_empty());
        }
        report
    }

    fn run(&self, policy: &Path, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_dr-watchdog"))
            .args(["policy", "eval"])
            .arg(policy)
            .arg("--sections")
            .arg(self.path("s.json"))
            .arg("--probes")
            .arg(self.path("p.json"))
            .args(more)
            .output()
            .unwrap()
    }
}

fn sections() -> Value {
    json!({"role": "standby", "failover": "",
        "core": {"peerVip": "192.0.2.10", "peerLoadBalancerNodes": "192.0.2.11"},
        "watchdog": {"failureDetection": {"isCustom": true, "script": "x",
            "threshold": {"failover": 0.5, "adjustManaged": 0.5, "warning": 0.7}, "waitDuration": "8h",
            "arbiters": [{"host": "203.0.113.1", "username": "watch", "password": "***"}, {"host": "203.0.113.2"}]}}})
}

fn probes() -> Value {
    json!({"now": "2026-01-01T00:00:00+00:00", "ping": {"192.0.2.9": true},
        "arbiters": {"203.0.113.1": {"ping": true, "ssh": "ok", "sessions": [{"from": "192.0.2.11"}]},
                     "203.0.113.2": {"ping": false, "ssh": "timeout"}}})
}

/// Goal: what a Lua author gets wrong is named. Each row: what `evaluate` does, the kind, a part of the message.
#[test]
fn every_lua_mistake_has_a_kind_a_line_and_a_sentence() {
    let bench = Bench::new();
    for (body, kind, says) in [
        ("local x = nil; return x.y", "runtime", "attempt to index a nil value (local 'x')"),
        ("error('boom')", "runtime", "boom"),
        ("return dr.config.core.peerVp", "runtime", "did you mean \"peerVip\"?"),
        ("return dr.confg", "runtime", "did you mean \"config\"?"),
        ("return ctx.rol", "runtime", "did you mean \"role\"?"),
        ("dr.config.core.peerVip = 'x'", "runtime", "read-only"),
        ("return dr.ping({'192.0.2.1'}, {timeout = 5})", "runtime", "timeoutMs"),
        ("return dr.verdict.wait('tomorrow', '')", "runtime", "no UTC instant"),
        ("load('return 1')()", "runtime", "global 'load'"),
        ("io.open('/etc/passwd')", "runtime", "global 'io'"),
        ("while true do end", "timeout", "deadline"),
        ("return coroutine.wrap(function() while true do end end)()", "timeout", "deadline"),
        ("while true do pcall(function() while true do end end) end", "timeout", "killed"),
        ("return ('x'):rep(50):find(('x*'):rep(50) .. 'y')", "timeout", "killed"),
        ("return ('x'):rep(1 << 30)", "memory", "not enough memory"),
        ("local t = {} for i = 1, 1e9 do t[i] = {} end", "memory", "not enough memory"),
        ("local function f() return 1 + f() end return f()", "runtime", "stack overflow"),
        ("return nil", "verdict", "found null"),
        ("return 3", "verdict", "found 3"),
        ("return function() end", "verdict", "function"),
        ("local t = {} t.t = t return t", "verdict", "nested"),
        ("local v = dr.verdict.nothing('') v.action = 'promote' return v", "verdict", "action"),
        ("local v = dr.verdict.nothing('') v.state = '' return v", "verdict", "state"),
        ("local v = dr.verdict.nothing('') v.state = 'active' return v", "verdict", "the role of this site"),
        ("local v = dr.verdict.nothing('') v.action = 'wait' return v", "verdict", "payload.waitTime"),
        (
            "local v = dr.verdict.nothing('') v.desciption = '' return v",
            "verdict",
            "did you mean \"description\"?",
        ),
        ("return dr.verdict.nothing('', {x = 0/0})", "verdict", "payload.details.x"),
    ] {
        let policy = bench.write("x.lua", &format!("return {{ evaluate = function(ctx)\n{body}\nend }}\n"));
        // Short only where the deadline is the point: a busy machine must not turn another mistake into a late answer.
        let deadline = if kind == "timeout" { "2s" } else { "60s" };
        let report = bench.eval(&policy, &["--deadline", deadline]);
        let error = &report["error"];
        assert_eq!(error["kind"], kind, "{body}: {report}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(says), "{body}: {message}");
        if kind == "runtime" {
            assert_eq!(error["line"], 2, "{body}: {message}");
            assert!(message.contains("stack traceback"), "{body}: {message}");
        }
    }
}

#[test]
fn what_cannot_be_loaded_says_why() {
    let bench = Bench::new();
    for (policy, kind, says) in [
        (bench.path("missing.lua"), "load", "missing.lua"),
        (bench.write("notes.txt", "x"), "load", "chmod a+x"),
        (bench.script("no-interpreter", "exit 0"), "load", "names its interpreter"),
        (bench.script("lost-interpreter", "#!/nonexistent/sh\n"), "load", "could not be run"),
    ] {
        let report = bench.eval(&policy, &["--deadline", "2s"]);
        let error = report["error"].to_string();
        assert_eq!(report["error"]["kind"], kind, "{error}");
        assert!(error.contains(says), "{policy:?}: {error}");
    }
    for (text, kind, says) in [
        ("return {\nevaluate = function( end }", "syntax", "load.lua:2:"),
        ("\u{1b}Lua", "syntax", "binary"),
        ("return 7", "load", "it returned integer"),
        ("return {}", "load", "function evaluate"),
        ("x = dr.config.core", "runtime", "inside evaluate"),
        ("while true do end", "timeout", "deadline"),
    ] {
        let deadline = if kind == "timeout" { "2s" } else { "60s" };
        let report = bench.eval(&bench.write("load.lua", text), &["--deadline", deadline]);
        let error = report["error"].to_string();
        assert_eq!(report["error"]["kind"], kind, "{text}: {error}");
        assert!(error.contains(says), "{text}: {error}");
    }
}

/// Goal: a script cannot hang, flood or confuse the host. Each row: the script, the kind ("" = a good verdict).
#[test]
fn every_script_mistake_has_a_kind() {
    let bench = Bench::new();
    let good = r#"{"state":"standby","action":"nothing","description":"","payload":{"waitTime":""}}"#;
    for (body, kind, says) in [
        ("echo hello", "verdict", "no JSON object; its last line was: hello"),
        ("", "verdict", "nor anything else"),
        (&format!("echo '{good}'\necho '{good}'"), "verdict", "2 JSON objects"),
        ("while :; do echo 0123456789012345678901234567890123456789; done", "verdict", "65536 bytes"),
        (
            &format!("echo '{good}'\necho 'disk is full' >&2\nexit 3"),
            "runtime",
            "exited with status 3; its last words: disk is full",
        ),
        ("kill -9 $$", "runtime", "SIGKILL"),
        ("sleep 60", "timeout", "no verdict within"),
        (&format!("echo '{}'", good.replace("standby", "active")), "verdict", "the role of this site"),
        (&format!("echo '{}'", good.replace("nothing", "")), "verdict", "action"),
        (
            &format!("echo '{}'", good.replace("\"action\"", "\"action\":\"beActive\",\"action\"")),
            "verdict",
            "stands twice",
        ),
        (
            &format!("echo '{}'", good.replace("description", "descripton")),
            "verdict",
            "did you mean \"description\"?",
        ),
        (&format!("echo working\necho '{good}'\necho done"), "", ""),
        (&format!("sleep 60 &\necho '{good}'"), "", ""),
        (&format!("setsid sleep 3 &\necho '{good}'"), "", ""),
        (&format!("cat >/dev/null\nhead -c 300000 /dev/zero >&2\necho '{good}'"), "", ""),
        (&format!("exec <&-\necho '{good}'"), "", ""),
    ] {
        let policy = bench.script("policy", &format!("#!/bin/sh\n{body}\n"));
        let begun = Instant::now();
        let deadline = if kind == "timeout" { "2s" } else { "15s" };
        let report = bench.eval(&policy, &["--deadline", deadline]);
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(20), "{body}: took {took:?}: {report}");
        assert_eq!(report["error"]["kind"].as_str().unwrap_or(""), kind, "{body}: {report}");
        assert!(report["error"]["message"].as_str().unwrap_or("").contains(says), "{body}: {report}");
    }
}

#[test]
fn a_script_that_ignores_term_is_killed_with_its_children() {
    let bench = Bench::new();
    let text = "#!/bin/sh\ntrap '' TERM\nsleep 976.25 &\nwhile :; do sleep 976.75; done\n";
    let policy = bench.script("stubborn", text);
    let report = bench.eval(&policy, &["--deadline", "500ms"]);
    assert_eq!(report["error"]["kind"], "timeout", "{report}");
    // By their words: the numbers that the script knows them by are those of its own pid namespace.
    let limit = Instant::now() + Duration::from_secs(5);
    while let Some(running) = running("sleep\0976.") {
        // A signal that was sent takes a moment to be obeyed; whoever reaps orphans may not have come yet.
        assert!(Instant::now() < limit, "{running} still runs");
        std::thread::yield_now();
    }
}

/// A process whose command line begins so.
fn running(words: &str) -> Option<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok())
        .find(|line| line.starts_with(words))
}

/// Goal: an old script finds `jmp-dr` in its path, its sections on standard input, and no network but the host calls.
#[test]
fn a_script_is_given_what_design_promises_and_nothing_else() {
    let bench = Bench::new();
    let text = r#"#!/bin/sh
test "$(command -v jmp-dr)" = "${DR_WATCHDOG_SOCKET%/*}/jmp-dr" || { echo "no jmp-dr" >&2; exit 4; }
test -x "$(command -v dr-watchdog)" || { echo "no dr-watchdog" >&2; exit 5; }
test -z "$SECRET_OF_THE_PARENT" || { echo "leaked environment" >&2; exit 6; }
test "$(pwd)" = / || exit 7
grep -q '"situation":"peerLost"' || { echo "no situation in the sections" >&2; exit 8; }
test "$(ls /proc/self/fd | wc -l)" -le 4 || { ls -l /proc/self/fd >&2; exit 9; }
grep -q 'NoNewPrivs:	1' /proc/self/status || exit 10
test "$(cut -d: -f1 /proc/net/dev | grep -vc -e Inter -e face -e lo)" = 0 || { cat /proc/net/dev >&2; exit 11; }
echo '{"state":"standby","action":"nothing","description":"all there","payload":{"waitTime":""}}'
"#;
    let policy = bench.script("look", text);
    let output = Command::new(env!("CARGO_BIN_EXE_dr-watchdog"))
        .env("SECRET_OF_THE_PARENT", "x")
        .args(["policy", "eval", "--json", "--sections"])
        .arg(bench.path("s.json"))
        .arg("--probes")
        .arg(bench.path("p.json"))
        .arg(&policy)
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let warned_of_network = report["warnings"].to_string().contains("network could not be cut");
    assert!(
        report["ok"] == true || warned_of_network,
        "{report} {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_good_lua_policy_sees_the_evidence_and_answers_in_whole_numbers() {
    let bench = Bench::new();
    let policy = bench.write(
        "good.lua",
        r#"#!/usr/bin/env lua
return { version = "1.2", evaluate = function(ctx)
  local fd, report = dr.config.watchdog.failureDetection, dr.arbiters.sessions()
  assert(ctx.role == "standby" and ctx.situation == "peerLost" and ctx.waitTime == nil and ctx.previous == nil)
  assert(dr.config.states.heartbeat.service.situation == "peerLost")
  assert(dr.config.mysql == nil and #fd.arbiters == 2 and fd.arbiters[2].port == nil)
  assert(dr.ping({ "192.0.2.9" })["192.0.2.9"].ping and not dr.tcp("192.0.2.9:443").open)
  assert(dr.ssh("203.0.113.1", "show version").error == "timeout")
  assert(dr.remaining_ms() > 0 and dr.now() == "2026-01-01T00:00:00+00:00")
  assert(not pcall(dr.ssh, "nobody", "x"))
  local names = {}
  for index, arbiter in ipairs(fd.arbiters) do names[index] = arbiter.host end
  for key, value in pairs(fd.threshold) do names[#names + 1] = key .. "=" .. value end
  dr.log("info", "hello", { n = 1 })
  print("to the log")
  return dr.verdict.wait(dr.after(dr.now(), dr.duration(fd.waitDuration)), "later",
    { managed = report.managed, half = report.total / 4, whole = report.total / 2, names = names, none = {}, core = dr.config.core })
end }
"#,
    );
    let report = bench.eval(&policy, &["--repeat", "20"]);
    assert_eq!(report["ok"], true, "{report}");
    let payload = &report["verdict"]["payload"];
    assert_eq!(payload["waitTime"], "2026-01-01T08:00:00+00:00");
    let details = &payload["details"];
    assert_eq!(
        (&details["managed"], &details["half"], &details["none"]),
        (&json!(1), &json!(0.5), &json!({}))
    );
    assert_eq!(details["whole"].to_string(), "1");
    assert_eq!(details["names"][0], "203.0.113.1");
    assert_eq!(details["core"]["peerVip"], "192.0.2.10");
    assert_eq!(report["repeat"]["n"], 20);
}

#[test]
fn usage_errors_exit_with_2_and_check_with_0_or_1() {
    let bench = Bench::new();
    let policy = bench.write("ok.lua", "return { evaluate = function() return dr.verdict.nothing('') end }");
    let program = || Command::new(env!("CARGO_BIN_EXE_dr-watchdog"));
    let status = |command: &mut Command| command.output().unwrap().status.code();
    let check = |policy: &Path| status(program().args(["policy", "check"]).arg(policy));
    assert_eq!(check(&policy), Some(0));
    assert_eq!(check(&bench.path("missing.lua")), Some(1));
    let eval = |sections: &Path, probes: Option<&Path>| {
        let mut command = program();
        command.args(["policy", "eval"]).arg(&policy).arg("--sections").arg(sections);
        if let Some(probes) = probes {
            command.arg("--probes").arg(probes);
        }
        status(&mut command)
    };
    let (s, p) = (bench.path("s.json"), bench.path("p.json"));
    assert_eq!(eval(&s, Some(&p)), Some(0));
    assert_eq!(eval(&s, Some(&bench.write("empty.json", "{}"))), Some(0));
    assert_eq!(eval(&s, None), Some(2));
    assert_eq!(eval(&bench.path("nothing.json"), Some(&p)), Some(2));
    assert_eq!(eval(&bench.write("norole.json", "{}"), Some(&p)), Some(2));
    assert_eq!(eval(&bench.write("bad.json", "{"), Some(&p)), Some(2));
    assert_eq!(eval(&s, Some(&bench.write("odd.json", r#"{"arbitres": {}}"#))), Some(2));
    assert_eq!(status(program().args(["policy", "eval"])), Some(2));
}
