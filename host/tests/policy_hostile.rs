//! Hostile Lua: each attempt ends within its deadline and a second, with a named kind, and the next question is answered.

#![allow(clippy::unwrap_used, reason = "what a test calls fails by panicking, like the test itself")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dr_watchdog::policy::answers::{Boxed, Network};
use dr_watchdog::policy::{
    Answers, FailureKind, Outcome, Permissions, PolicySpec, Question, Runner, Terms, engine_of,
    use_executable,
};
use dr_watchdog_core::evidence::Evidence;
use dr_watchdog_sdk::evidence::{PingAnswer, SshAnswer, TcpAnswer};
use dr_watchdog_sdk::threshold::Threshold;
use dr_watchdog_sdk::{Context, Role, Situation, Utc};
use serde_json::json;

/// Deadline of a hostile question.
const HOSTILE_MS: u64 = 600;
/// Deadline of a good one; the policies tell the two apart by it.
const GOOD_MS: u64 = 5_000;
/// Most resident memory of a worker after a hostile question that it survived.
const RESIDENT_KIB_MAX: u64 = 48 << 10;

/// A network that answers everything at once.
struct Quick;

impl Network for Quick {
    fn ping<'a>(&'a self, _: &'a [String], _: Duration, _: u32) -> Boxed<'a, BTreeMap<String, PingAnswer>> {
        Box::pin(std::future::ready(BTreeMap::new()))
    }
    fn ssh<'a>(&'a self, _: &'a str, _: &'a str, _: Duration) -> Boxed<'a, SshAnswer> {
        Box::pin(std::future::ready(SshAnswer::Ran { exit: 0, stdout: String::new(), stderr: String::new() }))
    }
    fn tcp<'a>(&'a self, _: &'a str, _: Duration) -> Boxed<'a, TcpAnswer> {
        Box::pin(std::future::ready(TcpAnswer { open: true, elapsed_ms: None, why: None }))
    }
}

async fn load(folder: &Path, body: &str) -> Runner {
    use_executable(env!("CARGO_BIN_EXE_dr-watchdog").into());
    let path: PathBuf = folder.join("hostile.lua");
    let text = format!(
        "return {{ evaluate = function(ctx)\nif ctx.deadlineMs > 1000 then return dr.verdict.nothing('good') end\ndo {body} end\nreturn dr.verdict.nothing('harmless') end }}"
    );
    std::fs::write(&path, text).unwrap();
    let spec = PolicySpec {
        engine: engine_of(&path),
        path,
        config: json!({}),
        deadline: Duration::from_secs(5),
        memory_bytes: 16 << 20,
        permissions: Permissions::Warn,
        script_env: Vec::new(),
        script_user: None,
        script_secrets: false,
        run_dir: folder.to_owned(),
        terms: Terms::default(),
    };
    Runner::load(spec).await.unwrap_or_else(|failure| panic!("{body}: {failure}"))
}

async fn ask(runner: &mut Runner, deadline_ms: u64) -> Outcome {
    let now = Utc::default();
    let context = Context {
        role: Role::Standby,
        situation: Situation::PeerLost,
        wait_time: None,
        previous: None,
        deadline_ms,
        now,
    };
    let sections = json!({"role": "standby", "core": {"peerVip": "192.0.2.10"}});
    let answers = Answers {
        sections: sections.clone(),
        evidence: Evidence::default().completed(&["203.0.113.1".to_owned()], &Default::default()),
        role: Role::Standby,
        warning: Threshold::SEVEN_TENTHS,
        now,
        deadline: tokio::time::Instant::now() + Duration::from_millis(deadline_ms),
        network: &Quick,
    };
    let question = Question { context, sections: sections.clone(), sections_with_secrets: sections };
    runner.evaluate(question, &answers).await
}

/// Resident memory of the worker of this thread's only runner beside the good one, in KiB; 0 if it was killed.
fn resident_kib() -> u64 {
    let children = |process: String| {
        let text = std::fs::read_to_string(format!("/proc/{process}/children")).unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let workers = children("thread-self".to_owned()).into_iter().map(|gate| {
        let inner = children(format!("{gate}/task/{gate}")).pop().unwrap_or(gate);
        let status = std::fs::read_to_string(format!("/proc/{inner}/status")).unwrap_or_default();
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB").trim().to_owned();
        line.trim_end_matches(" kB").parse::<u64>().unwrap()
    });
    workers.max().unwrap_or(0)
}

use FailureKind::{Memory, Runtime, Timeout, Verdict};

/// What a policy tries, and what it ends as.
const HOSTILE: [(&str, FailureKind, &str); 44] = [
    ("a loop", Timeout, "while true do end"),
    ("a loop in a coroutine", Timeout, "coroutine.wrap(function() while true do end end)()"),
    ("a loop under pcall", Timeout, "while true do pcall(function() while true do end end) end"),
    ("an error handler that loops", Timeout, "xpcall(error, function() while true do end end)"),
    (
        "handlers that loop in handlers",
        Timeout,
        "local function h() xpcall(error, h) while true do end end xpcall(error, h)",
    ),
    ("a pattern that backtracks for ever", Timeout, "(('a'):rep(40)):find(('a*'):rep(40) .. 'b')"),
    ("a bomb of gsub", Timeout, "while true do ('x'):rep(1000):gsub('.', 'y') end"),
    ("a bomb of format", Timeout, "while true do ('%99.99f'):format(1e300) end"),
    ("a sort whose comparison loops", Timeout, "table.sort({1, 2, 3}, function() while true do end end)"),
    (
        "a metamethod that loops",
        Timeout,
        "local t = setmetatable({}, {__index = function() while true do end end}) return t.x",
    ),
    (
        "a tostring that loops",
        Timeout,
        "tostring(setmetatable({}, {__tostring = function() while true do end end}))",
    ),
    (
        "a finalizer that loops",
        Runtime,
        "setmetatable({}, {__gc = function() while true do end end}) local t = {} while true do t = {t} if #t > 1 then break end end",
    ),
    (
        "a variable whose close loops",
        Timeout,
        "local x <close> = setmetatable({}, {__close = function() while true do end end})",
    ),
    ("a goto that loops", Timeout, "::again:: goto again"),
    ("a loop around the host", Timeout, "while true do dr.now() dr.remaining_ms() end"),
    ("a loop of caught host calls", Timeout, "while true do pcall(dr.tcp, 'h:1') end"),
    ("too many host calls", FailureKind::Denied, "for i = 1, 1001 do dr.arbiters.ping() end"),
    ("too many hosts", Runtime, "local h = {} for i = 1, 65 do h[i] = 'h' .. i end dr.ping(h)"),
    (
        "a storm of coroutines",
        Memory,
        "local t = {} while true do t[#t + 1] = coroutine.create(function() coroutine.yield() end) coroutine.resume(t[#t]) end",
    ),
    ("coroutines that start coroutines", Runtime, "local function f() return coroutine.wrap(f)() end f()"),
    ("a string bomb", Memory, "local s = 'x' while true do s = s .. s end"),
    ("rep of a gigabyte", Memory, "return ('x'):rep(1 << 30)"),
    (
        "concat of a gigabyte",
        Memory,
        "local t = {} for i = 1, 10000 do t[i] = ('x'):rep(1 << 16) end return table.concat(t)",
    ),
    ("a table bomb", Memory, "local t = {} for i = 1, 1e9 do t[i] = {} end"),
    ("a recursion without end", Memory, "local function f() return 1 + f() end return f()"),
    ("a recursion through pcall", Timeout, "local function f() pcall(f) pcall(f) end while true do f() end"),
    ("a write to the sections", Runtime, "dr.config.core.peerVip = 'x'"),
    ("rawset of the sections", Runtime, "rawset(dr.config.core, 'peerVip', 'x')"),
    ("another metatable for the sections", Runtime, "setmetatable(dr.config.core, {})"),
    (
        "a hand on the metatable of the sections",
        Runtime,
        "getmetatable(dr.config.core).__newindex = function() end",
    ),
    (
        "a metatable of all strings that loops",
        Timeout,
        "getmetatable('').__index = function() while true do end end return ('x').y",
    ),
    (
        "an error whose text loops",
        Timeout,
        "error(setmetatable({}, {__tostring = function() while true do end end}))",
    ),
    (
        "a coroutine whose close loops",
        Timeout,
        "local f = function() local x <close> = setmetatable({}, {__close = function() while true do end end}) coroutine.yield() end local c = coroutine.create(f) coroutine.resume(c) coroutine.close(c)",
    ),
    ("a move of all numbers", Timeout, "table.move({}, 1, 1 << 60, 2)"),
    ("a flood of log lines", FailureKind::Denied, "for i = 1, 1e5 do dr.log('info', 'x') end"),
    ("a flood of states", FailureKind::Denied, "for i = 1, 17 do dr.state.put(i) end"),
    ("a state that holds itself", Runtime, "local t = {} t.t = t dr.state.put(t)"),
    ("options that hold themselves", Runtime, "local t = {} t.t = t dr.tcp('h:1', t)"),
    ("a text that is none", Runtime, "return dr.verdict.nothing('\\255')"),
    ("io", Runtime, "io.open('/etc/passwd')"),
    ("os", Runtime, "os.execute('true')"),
    ("debug", Runtime, "debug.getregistry()"),
    ("bytecode", Runtime, "load('\\27Lua')()"),
    ("a verdict that is endless", Verdict, "local t = {} t.t = t return t"),
];

/// Goal: nothing that a Lua policy tries outlives its deadline by a second, or is felt by the next question.
#[tokio::test]
async fn every_hostile_policy_ends_in_time_with_its_kind_and_the_next_question_is_answered() {
    let good_folder = tempfile::tempdir().unwrap();
    let mut good = load(good_folder.path(), "").await;
    for (what, kind, body) in HOSTILE {
        let folder = tempfile::tempdir().unwrap();
        let mut runner = load(folder.path(), body).await;
        let begun = Instant::now();
        let outcome = ask(&mut runner, HOSTILE_MS).await;
        let took = begun.elapsed();
        assert!(took < Duration::from_millis(HOSTILE_MS + 1_000), "{what}: {took:?}");
        let failure = outcome.failure.unwrap_or_else(|| panic!("{what}: {:?}", outcome.verdict));
        assert_eq!(failure.kind, kind, "{what}: {failure}");
        assert_eq!(outcome.verdict.action.word(), "nothing", "{what}");
        let beside = ask(&mut good, GOOD_MS).await;
        assert_eq!((beside.failure, &*beside.verdict.description), (None, "good"), "beside {what}");
        assert!(beside.elapsed < Duration::from_millis(500), "beside {what}: {:?}", beside.elapsed);
        let next = ask(&mut runner, GOOD_MS).await;
        assert_eq!((next.failure, &*next.verdict.description), (None, "good"), "after {what}");
        assert!(resident_kib() < RESIDENT_KIB_MAX, "after {what}: {} KiB", resident_kib());
    }
}

/// Goal: what cannot do harm is no failure either: the sandbox has no false alarms.
#[tokio::test]
async fn what_only_looks_hostile_is_answered() {
    for body in [
        "local ok = pcall(error, 'x') assert(not ok)",
        "assert(getmetatable('').__index == string)",
        "string.rep = nil assert(('x').rep == nil)",
        "for i = 1, 100 do dr.log('debug', 'line', {i = i}) end",
        "local t = {} for i = 1, 1e5 do t[i] = i end",
        "dr.state.put({n = 1}) assert(dr.state.get().n == 1)",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut runner = load(folder.path(), body).await;
        let outcome = ask(&mut runner, HOSTILE_MS).await;
        assert_eq!((outcome.failure, &*outcome.verdict.description), (None, "harmless"), "{body}");
    }
}

/// Goal: a value that a policy puts is there for the next evaluation, and after the watchdog was started again.
#[tokio::test]
async fn what_a_policy_remembers_outlives_its_worker() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("counts.lua");
    let body = "local seen = dr.state.get() or {n = 0} seen.n = seen.n + 1 dr.state.put(seen) return dr.verdict.nothing(tostring(seen.n))";
    std::fs::write(&path, format!("return {{ evaluate = function() {body} end }}")).unwrap();
    let mut spec = PolicySpec {
        engine: engine_of(&path),
        path: path.clone(),
        config: json!({}),
        deadline: Duration::from_secs(5),
        memory_bytes: 16 << 20,
        permissions: Permissions::Warn,
        script_env: Vec::new(),
        script_user: None,
        script_secrets: false,
        run_dir: folder.path().to_owned(),
        terms: Terms { state_file: Some(folder.path().join("state/counts.json")), ..Terms::default() },
    };
    use_executable(env!("CARGO_BIN_EXE_dr-watchdog").into());
    for expected in ["1", "2", "3"] {
        let mut runner = Runner::load(spec.clone()).await.unwrap();
        assert_eq!(ask(&mut runner, GOOD_MS).await.verdict.description, expected);
    }
    let body =
        "local ok, why = pcall(dr.state.put, ('x'):rep(70000)) return dr.verdict.nothing(tostring(why))";
    std::fs::write(&path, format!("return {{ evaluate = function() {body} end }}")).unwrap();
    spec.terms.sha256 = None;
    let mut runner = Runner::load(spec).await.unwrap();
    let told = ask(&mut runner, GOOD_MS).await.verdict.description;
    assert!(told.contains("expected at most 65536"), "{told}");
}
