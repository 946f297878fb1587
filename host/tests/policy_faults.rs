//! The fault table of compiled plugins: each fault costs one verdict with a named kind, and nobody else is disturbed.
//!
//! Root shows the whole wall here; `policy_wall.rs` shows what is left of it for others.

#![allow(clippy::unwrap_used, reason = "what a test calls fails by panicking, like the test itself")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use dr_watchdog::policy::answers::{Boxed, Network};
use dr_watchdog::policy::runner::State;
use dr_watchdog::policy::terms::Layer;
use dr_watchdog::policy::{
    Answers, FailureKind, Grant, Outcome, Permissions, PolicySpec, Question, Runner, Terms, engine_of,
    use_executable,
};
use dr_watchdog_core::evidence::Evidence;
use dr_watchdog_sdk::evidence::{PingAnswer, SshAnswer, TcpAnswer};
use dr_watchdog_sdk::threshold::Threshold;
use dr_watchdog_sdk::{Context, Role, Situation, Utc};
use serde_json::json;

#[path = "support/faults.rs"]
mod faults;
use faults::compile;

/// Deadline of each question.
const DEADLINE: Duration = Duration::from_millis(1_500);
/// Deadline of the plugin that prints 1 GB: what a slow machine needs to read that away. A deadline that it misses would
/// be as good an end, and would not show that the answer behind the flood is still read.
const PRINT_DEADLINE: Duration = Duration::from_secs(60);
/// Longest answer after the deadline: the grace, the kill, and what a busy machine adds.
const LATE_MAX: Duration = Duration::from_secs(3);

/// The users of the guests whose processes are counted: nobody else's on this machine, another run's of these tests
/// neither.
fn counted_user(without: &BTreeSet<Layer>) -> u32 {
    0x6000_0000 + std::process::id() * 2 + u32::from(without.is_empty())
}

/// Longest time from a guest's kill to its absence from the list of processes.
const GONE_MAX: Duration = Duration::from_secs(10);

/// A network where nothing answers.
struct Silent;

impl Network for Silent {
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

fn spec(path: &Path, harm: &str) -> PolicySpec {
    use_executable(env!("CARGO_BIN_EXE_dr-watchdog").into());
    PolicySpec {
        path: path.to_owned(),
        engine: engine_of(path),
        config: json!({ "do": harm }),
        deadline: Duration::from_secs(5),
        memory_bytes: 128 << 20,
        permissions: Permissions::Warn,
        script_env: Vec::new(),
        script_user: None,
        script_secrets: false,
        run_dir: path.parent().unwrap().to_owned(),
        terms: Terms { grants: Some(BTreeSet::new()), ..Terms::default() },
    }
}

async fn ask(runner: &mut Runner) -> Outcome {
    ask_within(runner, DEADLINE).await
}

async fn ask_within(runner: &mut Runner, deadline: Duration) -> Outcome {
    let deadline_ms = deadline.as_millis() as u64;
    let now = Utc::default();
    let context = Context {
        role: Role::Standby,
        situation: Situation::PeerLost,
        wait_time: None,
        previous: None,
        deadline_ms,
        now,
    };
    let sections = json!({"role": "standby"});
    let answers = Answers {
        sections: sections.clone(),
        evidence: Evidence::default().completed(&["203.0.113.1".to_owned()], &Default::default()),
        role: Role::Standby,
        warning: Threshold::SEVEN_TENTHS,
        now,
        deadline: tokio::time::Instant::now() + deadline,
        network: &Silent,
    };
    let question = Question { context, sections: sections.clone(), sections_with_secrets: sections };
    runner.evaluate(question, &answers).await
}

/// How many processes on this machine run as users that only guests of this test have.
fn guests(user: u32) -> usize {
    let is_guest = |pid: &std::fs::DirEntry| {
        let status = std::fs::read_to_string(pid.path().join("status")).unwrap_or_default();
        status.contains("Name:\tdr-worker")
            && !status.contains("State:\tZ")
            && status.contains(&format!("Uid:\t{user}\t"))
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter(is_guest).count()
}

/// What a fault must come to.
enum Costs {
    /// One verdict, with this kind and this word in its message.
    Verdict(FailureKind, &'static str),
    /// Nothing: the answer has this description.
    Nothing(&'static str),
}

const FAULTS: [(&str, Costs); 20] = [
    ("null", Costs::Verdict(FailureKind::Crash, "SIGSEGV")),
    ("exit", Costs::Verdict(FailureKind::Crash, "exited with status 9")),
    // The first process of a pid namespace cannot send itself SIGABRT; the C library then executes what kills it.
    ("abort", Costs::Verdict(FailureKind::Crash, "was killed by SIG")),
    ("overflow", Costs::Verdict(FailureKind::Crash, "was killed by SIG")),
    // It leaves its group, forgets whom it follows, and is killed all the same.
    ("escape", Costs::Verdict(FailureKind::Timeout, "worker was killed")),
    ("fork", Costs::Verdict(FailureKind::Timeout, "worker was killed")),
    ("spin", Costs::Verdict(FailureKind::Timeout, "worker was killed")),
    ("sleep", Costs::Verdict(FailureKind::Timeout, "nor obeyed its cancellation")),
    ("allocate", Costs::Verdict(FailureKind::Memory, "all the memory it may have")),
    ("hoard", Costs::Verdict(FailureKind::Memory, "all the memory it may have")),
    ("print", Costs::Nothing("good")),
    ("close", Costs::Verdict(FailureKind::Crash, "the policy's worker")),
    ("kill", Costs::Nothing("good")),
    ("look", Costs::Nothing("seen 0 opened 0 reached 0")),
    ("threads", Costs::Nothing("good")),
    ("huge", Costs::Verdict(FailureKind::Verdict, "longer than the limit")),
    ("latin", Costs::Verdict(FailureKind::Verdict, "no UTF-8")),
    ("ungranted", Costs::Verdict(FailureKind::Denied, "denied")),
    ("late", Costs::Nothing("left a thread")),
    ("good", Costs::Nothing("good")),
];

/// Goal: whatever a plugin does, it costs at most its own verdict, in time, and a good policy beside it answers.
#[tokio::test]
async fn every_fault_costs_one_verdict_and_the_good_policy_beside_it_is_undisturbed() {
    table(BTreeSet::new()).await;
}

/// Goal: the same without the further layers: they are none that the others lean on.
#[tokio::test]
async fn the_same_holds_without_seccomp_and_landlock() {
    table(BTreeSet::from(Layer::ALL)).await;
}

async fn table(without: BTreeSet<Layer>) {
    let folder = tempfile::tempdir().unwrap();
    let plugin = compile(folder.path());
    let user = counted_user(&without);
    let load = async |fault: &str| {
        let mut spec = spec(&plugin, fault);
        spec.terms.uid = Some(user);
        spec.terms.without.clone_from(&without);
        Runner::load(spec).await.unwrap()
    };
    let mut good = load("good").await;
    for (fault, costs) in FAULTS {
        let mut runner = load(fault).await;
        let begun = Instant::now();
        let deadline = if fault == "print" { PRINT_DEADLINE } else { DEADLINE };
        let outcome = ask_within(&mut runner, deadline).await;
        assert!(begun.elapsed() < deadline + LATE_MAX, "{fault}: {:?}", begun.elapsed());
        match costs {
            Costs::Verdict(kind, says) => {
                let failure = outcome.failure.unwrap();
                assert_eq!(failure.kind, kind, "{fault}: {failure}");
                assert!(failure.message.contains(says), "{fault}: {failure}");
                assert_eq!(outcome.verdict.action.word(), "nothing", "{fault}");
            }
            Costs::Nothing(says) => {
                assert_eq!(outcome.failure, None, "{fault}");
                assert_eq!(outcome.verdict.description, says, "{fault}");
            }
        }
        let undisturbed = ask(&mut good).await;
        assert_eq!(undisturbed.failure, None, "after {fault}");
        assert!(undisturbed.elapsed < DEADLINE / 2, "after {fault}: {:?}", undisturbed.elapsed);
    }
    let expected = usize::from(nix::unistd::geteuid().is_root());
    // The kernel takes a killed guest's namespaces apart after its runner is gone.
    let begun = Instant::now();
    while guests(user) != expected {
        assert!(
            begun.elapsed() < GONE_MAX,
            "{} guests, and only the good one may outlive its verdict",
            guests(user)
        );
        tokio::task::yield_now().await;
    }
    assert_eq!((good.status().state, good.status().restarts), (State::Running, 0));
}

/// Goal: what a plugin's thread does after its evaluation is refused, and the next evaluation is a good one.
#[tokio::test]
async fn a_call_after_the_end_of_its_evaluation_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut runner = Runner::load(spec(&compile(folder.path()), "late")).await.unwrap();
    assert_eq!(ask(&mut runner).await.verdict.description, "left a thread");
    let outcome = ask(&mut runner).await;
    assert_eq!((outcome.failure, &*outcome.verdict.description), (None, "refused"));
    assert!(outcome.calls.is_empty(), "{:?}", outcome.calls);
}

/// Goal: the guest is nobody, alone, without network, and cannot write a file, while its own file and its folder are
/// closed to everybody but root.
#[tokio::test]
async fn the_guest_is_nobody_without_network_and_needs_no_right_to_its_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let plugin = compile(folder.path());
    std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut runner = Runner::load(spec(&plugin, "who")).await.unwrap();
    let outcome = ask(&mut runner).await;
    assert_eq!(outcome.failure, None);
    let told = outcome.verdict.description;
    assert!(told.ends_with("pid 1 file 0 sent 0"), "{told}");
    let uid: u32 = told.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(uid >= 65_534, "{told}");
    let mut spec = spec(&plugin, "who");
    spec.terms.uid = Some(61_234);
    spec.terms.grants = Some([Grant::Network].into());
    let mut runner = Runner::load(spec).await.unwrap();
    let told = ask(&mut runner).await.verdict.description;
    if nix::unistd::geteuid().is_root() {
        assert!(told.starts_with("uid 61234 gid 61234 pid 1 file 0"), "{told}");
    }
}

/// Goal: the watchdog's own folders are closed to a guest, with the mount alone, with all layers; what lies beside them
/// is open. Needs root to lay mounts.
#[tokio::test]
async fn a_hidden_folder_is_closed_and_the_one_beside_it_is_not() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let plugin = compile(folder.path());
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["hidden", "beside"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("file"), "").unwrap();
    }
    for without in [BTreeSet::new(), BTreeSet::from(Layer::ALL)] {
        for (name, told) in [("hidden", "closed"), ("beside", "open")] {
            let file = folder.path().join(name).join("file");
            let mut spec = spec(&plugin, &format!("read {}", file.display()));
            spec.terms.hidden = vec![folder.path().join("hidden")];
            spec.terms.without.clone_from(&without);
            let outcome = ask(&mut Runner::load(spec).await.unwrap()).await;
            assert_eq!((outcome.failure, &*outcome.verdict.description), (None, told), "{name}, {without:?}");
        }
    }
}

/// Goal: a plugin whose sum is not the pinned one never runs.
#[tokio::test]
async fn a_plugin_that_is_not_the_pinned_one_is_denied() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = compile(folder.path());
    let mut spec = spec(&plugin, "good");
    spec.terms.sha256 = Some(dr_watchdog::policy::pin::sha256(&std::fs::read(&plugin).unwrap()));
    assert_eq!(ask(&mut Runner::load(spec.clone()).await.unwrap()).await.failure, None);
    spec.terms.sha256 = Some("0".repeat(64));
    let failure = Runner::load(spec).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Denied, "{failure}");
}
