//! The supervisor: a worker that dies costs one verdict, and the next question is answered.

#![allow(clippy::unwrap_used, reason = "what a test calls fails by panicking, like the test itself")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dr_watchdog::policy::answers::{Boxed, Network};
use dr_watchdog::policy::runner::State;
use dr_watchdog::policy::{
    Answers, Engine, FailureKind, Outcome, Permissions, PolicySpec, Question, Runner, use_executable,
};
use dr_watchdog_core::evidence::Evidence;
use dr_watchdog_sdk::evidence::{PingAnswer, SshAnswer, TcpAnswer};
use dr_watchdog_sdk::threshold::Threshold;
use dr_watchdog_sdk::{Context, Role, Situation, Utc};
use serde_json::{Value, json};

/// A network whose first ping kills the worker that asks, and whose TCP never answers.
struct Killer;

impl Network for Killer {
    fn ping<'a>(&'a self, _: &'a [String], _: Duration, _: u32) -> Boxed<'a, BTreeMap<String, PingAnswer>> {
        for worker in workers() {
            kill(worker);
        }
        Box::pin(std::future::ready(BTreeMap::new()))
    }
    fn ssh<'a>(&'a self, _: &'a str, _: &'a str, _: Duration) -> Boxed<'a, SshAnswer> {
        Box::pin(std::future::pending())
    }
    fn tcp<'a>(&'a self, _: &'a str, _: Duration) -> Boxed<'a, TcpAnswer> {
        Box::pin(std::future::pending())
    }
}

fn kill(pid: i32) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
}

/// The processes that this one started.
fn children(process: &str) -> Vec<i32> {
    let children = std::fs::read_to_string(format!("/proc/{process}/children")).unwrap_or_default();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// The outer halves of the workers that this thread started: every test runs in a thread of its own.
fn gates() -> Vec<i32> {
    children("thread-self")
}

/// The inner halves, in which the guests are.
fn workers() -> Vec<i32> {
    gates().into_iter().flat_map(|gate| children(&format!("{gate}/task/{gate}"))).collect()
}

fn spec(path: PathBuf, run_dir: &Path) -> PolicySpec {
    use_executable(env!("CARGO_BIN_EXE_dr-watchdog").into());
    PolicySpec {
        engine: dr_watchdog::policy::engine_of(&path),
        path,
        config: json!({"limit": 3}),
        deadline: Duration::from_secs(5),
        memory_bytes: 32 << 20,
        permissions: Permissions::Warn,
        script_env: vec![("GREETING".to_owned(), "hello".to_owned())],
        script_user: None,
        script_secrets: true,
        run_dir: run_dir.to_owned(),
        terms: Default::default(),
    }
}

fn question(deadline_ms: u64) -> Question {
    let context = Context {
        role: Role::Standby,
        situation: Situation::PeerLost,
        wait_time: None,
        previous: None,
        deadline_ms,
        now: Utc::default(),
    };
    let arbiters = |password: &str| json!([{"host": "203.0.113.1", "password": password}]);
    let sections = |password: &str| json!({"role": "standby", "watchdog": {"failureDetection": {"arbiters": arbiters(password)}}});
    Question { context, sections: sections("***"), sections_with_secrets: sections("geheim") }
}

async fn ask(runner: &mut Runner, deadline_ms: u64) -> Outcome {
    let question = question(deadline_ms);
    let answers = Answers {
        sections: question.sections.clone(),
        evidence: Evidence::default().completed(&["203.0.113.1".to_owned()], &Default::default()),
        role: Role::Standby,
        warning: Threshold::SEVEN_TENTHS,
        now: Utc::default(),
        deadline: tokio::time::Instant::now() + Duration::from_millis(deadline_ms),
        network: &Killer,
    };
    runner.evaluate(question, &answers).await
}

async fn lua(body: &str) -> (tempfile::TempDir, Runner) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.lua");
    std::fs::write(&path, format!("return {{ evaluate = function(ctx) {body} end }}")).unwrap();
    let runner = Runner::load(spec(path, folder.path())).await.unwrap();
    (folder, runner)
}

/// Goal: kill -9 of the worker in the middle of an evaluation is one failure, named with signal and last call.
#[tokio::test]
async fn a_worker_killed_in_the_middle_is_a_crash_and_the_next_question_is_answered() {
    let body =
        "dr.arbiters.ping() if ctx.deadlineMs < 4000 then dr.ping({}) end return dr.verdict.nothing('alive')";
    let (_folder, mut runner) = lua(body).await;
    let outcome = ask(&mut runner, 3_000).await;
    let failure = outcome.failure.unwrap();
    assert_eq!(failure.kind, FailureKind::Crash, "{failure}");
    assert!(failure.message.contains("SIGKILL") && failure.message.contains("\"ping\""), "{failure}");
    assert_eq!(runner.status().state, State::Backoff);
    let outcome = ask(&mut runner, 5_000).await;
    assert_eq!(outcome.failure, None);
    assert_eq!(outcome.verdict.description, "alive");
    assert_eq!((runner.status().state, runner.status().restarts), (State::Running, 1));
    assert_eq!(outcome.calls.len(), 1, "{:?}", outcome.calls);
    assert_eq!(outcome.calls[0].method, "arbiters.ping");
}

#[tokio::test]
async fn a_worker_killed_while_it_is_idle_costs_no_verdict() {
    let (_folder, mut runner) = lua("return dr.verdict.nothing('alive')").await;
    for (worker, gate) in workers().into_iter().zip(gates()) {
        let pid = rustix::process::Pid::from_raw(gate).unwrap();
        let process = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        kill(worker);
        // Until all its threads are dead: a question that reaches a dying worker is a crash.
        let limit = rustix::event::Timespec { tv_sec: 20, tv_nsec: 0 };
        let mut wait = [rustix::event::PollFd::new(&process, rustix::event::PollFlags::IN)];
        assert_eq!(rustix::event::poll(&mut wait, Some(&limit)).unwrap(), 1, "{worker} does not die");
    }
    assert_eq!(ask(&mut runner, 5_000).await.failure, None);
    assert_eq!(runner.status().restarts, 1);
}

#[tokio::test]
async fn five_crashes_quarantine_the_policy_until_it_is_loaded_again() {
    let (_folder, mut runner) = lua("dr.ping({})").await;
    for _ in 0..5 {
        assert_eq!(ask(&mut runner, 5_000).await.failure.unwrap().kind, FailureKind::Crash);
    }
    assert_eq!(runner.status().state, State::Quarantined);
    let failure = ask(&mut runner, 5_000).await.failure.unwrap();
    assert!(failure.message.contains("quarantined") && failure.hint.is_some(), "{failure}");
    assert!(gates().is_empty());
}

/// Goal: the deadline counts host calls; a guest that waits in one is cancelled, not killed.
#[tokio::test]
async fn a_policy_that_waits_in_a_host_call_at_its_deadline_keeps_its_worker() {
    let (_folder, mut runner) =
        lua("if ctx.deadlineMs < 4000 then dr.tcp('192.0.2.1:1', {timeoutMs = 60000}) end return dr.verdict.nothing('')").await;
    let outcome = ask(&mut runner, 300).await;
    assert_eq!(outcome.failure.unwrap().kind, FailureKind::Timeout);
    assert!(outcome.elapsed < Duration::from_millis(700), "{:?}", outcome.elapsed);
    assert_eq!(ask(&mut runner, 5_000).await.failure, None);
    assert_eq!((runner.status().state, runner.status().restarts), (State::Running, 0));
}

/// Goal: no state of one evaluation is seen by the next, and the policy's own configuration is.
#[tokio::test]
async fn every_evaluation_has_a_fresh_state_and_the_policys_configuration() {
    let body = "n = (n or 0) + 1 string.format = nil return dr.verdict.nothing('', {n = n, limit = dr.policy.config.limit, r = math.random(1000)})";
    let (_folder, mut runner) = lua(body).await;
    let first = ask(&mut runner, 5_000).await;
    let second = ask(&mut runner, 5_000).await;
    assert_eq!(first.failure, None);
    assert_eq!(first.verdict, second.verdict);
    assert_eq!(first.verdict.payload.details.unwrap()["limit"], 3);
}

/// Goal: the worker has none of the watchdog's powers. What it is seen to have is read from /proc.
#[tokio::test]
async fn the_worker_leads_its_group_gains_nothing_and_holds_few_descriptors() {
    let (_folder, runner) = lua("return dr.verdict.nothing('')").await;
    let [worker] = workers()[..] else { panic!("one worker: {:?}", workers()) };
    let status = std::fs::read_to_string(format!("/proc/{worker}/status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    let limits = std::fs::read_to_string(format!("/proc/{worker}/limits")).unwrap();
    assert!(limits.lines().any(|line| line.starts_with("Max core file size        0")), "{limits}");
    assert!(limits.lines().any(|line| line.starts_with("Max address space") && !line.contains("unlimited")));
    let group = nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(worker))).unwrap();
    assert_eq!(vec![group.as_raw()], gates());
    for privileges in ["CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "CapAmb:\t0000000000000000"]
    {
        assert!(status.contains(privileges), "{status}");
    }
    for (namespace, what) in [("pid", "processes"), ("net", "network"), ("mnt", "mounts"), ("ipc", "memory")]
    {
        let own = std::fs::read_link(format!("/proc/self/ns/{namespace}")).unwrap();
        assert_ne!(std::fs::read_link(format!("/proc/{worker}/ns/{namespace}")).unwrap(), own, "{what}");
    }
    let open = std::fs::read_dir(format!("/proc/{worker}/fd")).unwrap().count();
    assert!(open <= 5, "standard ones, frames, cancellations: {open}");
    drop(runner);
    assert!(gates().is_empty(), "a dropped runner leaves no worker");
}

async fn sh(body: &str) -> (tempfile::TempDir, Runner) {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy");
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let runner = Runner::load(spec(path, folder.path())).await.unwrap();
    assert_eq!(runner.status().engine, Engine::Script);
    (folder, runner)
}

/// Asks the script's socket from Python; prints what it answered as the details of a verdict.
const ASK: &str = r#"
cat > "$0.py" <<'END'
import json, os, socket, struct
def ask(method, params):
    s = socket.socket(socket.AF_UNIX); s.connect(os.environ["DR_WATCHDOG_SOCKET"])
    body = json.dumps({"id": 1, "method": method, "params": params}).encode()
    s.sendall(struct.pack(">I", len(body)) + body)
    f = s.makefile("rb"); (n,) = struct.unpack(">I", f.read(4)); return json.loads(f.read(n))
details = {"sections": ask("sections", {"include": ["watchdog"]}), "ping": ask("arbiters.ping", {}),
           "unknown": ask("health", {}), "greeting": os.environ.get("GREETING")}
password = details["sections"]["result"]["watchdog"]["failureDetection"]["arbiters"][0]["password"]
details["backwards"] = password[::-1]
print(json.dumps({"state": "standby", "action": "nothing", "description": "", "payload": {"waitTime": "", "details": details}}))
END
"#;

/// Goal: an old script logs in by itself, so what runs inside of it sees the credentials; its record does not.
#[tokio::test]
async fn a_script_sees_the_credentials_with_all_that_it_starts() {
    for run in ["python3 \"$0.py\"", "setsid -w python3 \"$0.py\""] {
        let (_folder, mut runner) = sh(&format!("{ASK}\n{run}")).await;
        let outcome = ask(&mut runner, 5_000).await;
        assert_eq!(outcome.failure, None);
        let details = Value::Object(outcome.verdict.payload.details.unwrap());
        let arbiter = &details["sections"]["result"]["watchdog"]["failureDetection"]["arbiters"][0];
        assert_eq!(details["backwards"], "mieheg", "{details}");
        assert_eq!(arbiter["password"], "***", "what the script was shown does not leave with its verdict");
        assert_eq!(details["ping"]["result"]["total"], 1);
        assert_eq!(details["unknown"]["error"]["kind"], "unsupported");
        assert_eq!(details["greeting"], "hello");
        assert!(!format!("{:?}", outcome.calls).contains("geheim"), "no record holds a secret");
    }
}

/// Goal: who finds the socket of a running script from outside is told no secret, and is not believed to be its keeper.
#[tokio::test]
async fn a_process_outside_of_the_script_sees_no_credentials() {
    let script = "#!/bin/sh\nsocket=$DR_WATCHDOG_SOCKET\necho \"$socket\" > \"$0.tmp\"; mv \"$0.tmp\" \"$0.socket\"\nread line < \"$0.go\"\necho \"$line\"";
    let folder = tempfile::tempdir().unwrap();
    let path = script_file(folder.path(), script);
    let go = path.with_extension("go");
    nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut runner = Runner::load(spec(path.clone(), folder.path())).await.unwrap();
    let found = path.with_extension("socket");
    let outside = tokio::task::spawn_blocking(move || {
        let began = std::time::Instant::now();
        while !found.exists() {
            assert!(began.elapsed().as_secs() < 20, "the script does not say where its socket is");
            std::thread::yield_now();
        }
        let socket = std::fs::read_to_string(found).unwrap();
        let asked = |method: &str| {
            let mut stream = std::os::unix::net::UnixStream::connect(socket.trim()).unwrap();
            let request =
                dr_watchdog::frames::Request { id: 1, method: method.to_owned(), params: json!({}) };
            dr_watchdog::frames::write(&mut stream, &request).unwrap();
            dr_watchdog::frames::read::<Value>(&mut stream).unwrap()
        };
        let answers = ["sections", "launch.born", "launch.failed"].map(asked);
        std::fs::write(go, VERDICT).unwrap();
        answers
    });
    let (outcome, answers) = tokio::join!(ask(&mut runner, 20_000), outside);
    assert_eq!(outcome.failure, None);
    let [sections, born, failed] = answers.unwrap();
    let text = sections["result"].to_string();
    assert!(text.contains("***") && !text.contains("geheim"), "{text}");
    assert!(born["error"].is_object() && failed["error"].is_object(), "{born} {failed}");
}

/// A verdict on one line.
const VERDICT: &str =
    "{\"state\":\"standby\",\"action\":\"nothing\",\"description\":\"\",\"payload\":{\"waitTime\":\"\"}}\n";

/// Goal: a script among the machine's processes sees this test, and may not even ask whether it may signal it.
#[tokio::test]
async fn a_script_among_the_machines_processes_sees_them_and_signals_none() {
    let own = std::process::id();
    let script = format!(
        "#!/bin/sh\nps -p {own} >/dev/null || exit 3\nkill -0 {own} 2>/dev/null && exit 4\nsleep 1000 & kill $! || exit 5\nprintf '%s' '{VERDICT}'"
    );
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec(script_file(folder.path(), &script), folder.path());
    spec.terms.is_script_among_others = true;
    let mut runner = Runner::load(spec).await.unwrap();
    let outcome = ask(&mut runner, 10_000).await;
    assert_eq!(outcome.failure, None);
    assert_eq!(runner.status().missing, Vec::<String>::new());
}

fn script_file(folder: &Path, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("policy");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Goal: a root daemon runs a script as the user it is told to; needs root, which the test command has.
#[tokio::test]
async fn a_script_runs_as_its_configured_user_and_still_reaches_its_socket() {
    use std::os::unix::fs::PermissionsExt;
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not root: the switch of the user cannot be shown here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = folder.path().join("policy");
    let text = format!(
        "#!/bin/sh\ncd /tmp; {}\npython3 /tmp/$$.py; rm -f /tmp/$$.py",
        ASK.replace("$0.py", "/tmp/$$.py")
    );
    let text = text.replace("\"greeting\": os.environ.get(\"GREETING\")", "\"greeting\": os.getuid()");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut spec = spec(path, folder.path());
    spec.script_user = Some("nobody".to_owned());
    let mut runner = Runner::load(spec.clone()).await.unwrap();
    let outcome = ask(&mut runner, 5_000).await;
    assert_eq!(outcome.failure, None);
    let details = outcome.verdict.payload.details.unwrap();
    assert_eq!(details["greeting"], nix::unistd::User::from_name("nobody").unwrap().unwrap().uid.as_raw());
    assert_eq!(details["ping"]["result"]["total"], 1);
    spec.script_user = Some("no-such-user".to_owned());
    let failure = Runner::load(spec).await.unwrap_err();
    assert!(failure.message.contains("no-such-user") && failure.hint.is_some(), "{failure}");
}

#[tokio::test]
async fn a_policy_that_others_may_write_is_refused_where_a_daemon_runs_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    for name in ["x.lua", "x.so", "x"] {
        let path = folder.path().join(name);
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        let mut spec = spec(path.clone(), folder.path());
        spec.permissions = Permissions::Refuse;
        let failure = Runner::load(spec).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Denied, "{failure}");
        assert!(failure.message.contains(&format!("chmod go-w {}", path.display())), "{failure}");
    }
}
