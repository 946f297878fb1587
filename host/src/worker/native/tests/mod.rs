//! Plugins that misbehave, each compiled from one C file.

mod arbitration;
mod panics;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use dr_watchdog_sdk::testing::{ScriptedHost, context};
use dr_watchdog_sdk::{Level, Role, Situation};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::PluginFile;
use crate::policy::{Failure, FailureKind};
use crate::worker::Guest;

/// Compiles the fixture with these definitions.
fn compile(folder: &TempDir, defines: &[&str]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = folder.path().join("fixture.so");
    let done = Command::new("cc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Wno-unused-function", "-shared", "-fPIC", "-pthread"])
        .args(defines)
        .arg("-I")
        .arg(root.join("../sdk/include"))
        .arg(root.join("src/worker/native/tests/fixture.c"))
        .arg("-o")
        .arg(&output)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    output
}

fn load(path: &Path, config: &Value) -> Result<Box<dyn Guest>, Failure> {
    super::load(PluginFile { path, descriptor: None }, None, config, None)
}

fn refusal(path: &Path) -> Failure {
    let failure = load(path, &json!({})).err().unwrap();
    assert_eq!(failure.kind, FailureKind::Load, "{failure}");
    assert!(failure.hint.as_deref().is_some_and(|hint| !hint.is_empty()), "{failure} needs a hint");
    failure
}

fn guest(folder: &TempDir, behaviour: &str) -> Box<dyn Guest> {
    load(&compile(folder, &[]), &json!({ "do": behaviour })).unwrap()
}

fn evaluate(guest: &mut dyn Guest, host: &ScriptedHost) -> Result<Value, Failure> {
    guest.evaluate(&context(Role::Standby, Situation::PeerLost), host)
}

/// What a plugin that behaves like this answers.
fn answer(behaviour: &str) -> Result<Value, Failure> {
    let folder = TempDir::new().unwrap();
    evaluate(&mut *guest(&folder, behaviour), &ScriptedHost::new(Default::default(), Default::default()))
}

#[test]
fn a_file_that_is_no_library_is_refused_in_words() {
    let folder = TempDir::new().unwrap();
    let text = folder.path().join("text.so");
    std::fs::write(&text, "not a plugin\n").unwrap();
    let other = folder.path().join("other.so");
    let mut header = [0_u8; 64];
    header[..20].copy_from_slice(b"\x7fELF\x02\x02\x01\0\0\0\0\0\0\0\0\0\0\x03\0\x16");
    std::fs::write(&other, header).unwrap();
    let pipe = folder.path().join("pipe.so");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
    let cut = folder.path().join("cut.so");
    let whole = std::fs::read(compile(&folder, &[])).unwrap();
    std::fs::write(&cut, &whole[..200]).unwrap();
    for (path, expected) in [
        (folder.path().join("absent.so"), "it cannot be read"),
        (folder.path().to_owned(), "it is no regular file"),
        (pipe, "it is no regular file"),
        (text, "it is no shared library"),
        (other, "it was built for s390x"),
        (cut, "the dynamic loader says"),
    ] {
        let failure = refusal(&path);
        assert!(failure.message.contains(expected), "{failure}");
        assert!(failure.message.contains(&*path.display().to_string()), "{failure}");
    }
}

#[test]
fn a_library_whose_numbers_do_not_fit_is_told_which_number_and_what_to_do() {
    for (defines, expected) in [
        (&["-DNO_MANIFEST"][..], "no \"drw_plugin_manifest\""),
        (&["-DNO_OPEN"], "no \"drw_plugin_open\""),
        (&["-DMAGIC={'E'}"], "its manifest begins with E"),
        (&["-DMAJOR=0"], "built for ABI major 0, this host speaks ABI major 1"),
        (&["-DMAJOR=7", "-DMANIFEST_SIZE=24"], "built for ABI major 7"),
        (&["-DMINOR=9"], "needs ABI 1.9 or later, this host speaks ABI 1.0"),
        (&["-DMANIFEST_SIZE=64"], "its manifest says it has 64 bytes"),
        (&["-DTABLE_SIZE=16"], "its table says it has 16 bytes"),
        (&["-DCANCEL=NULL"], "no function \"cancel\""),
        (&["-DOPEN_STATUS=4"], "refuses this host with status 4"),
    ] {
        let folder = TempDir::new().unwrap();
        let failure = refusal(&compile(&folder, defines));
        assert!(failure.message.contains(expected), "{defines:?}: {failure}");
    }
}

#[test]
fn a_plugin_of_a_later_minor_with_longer_tables_is_run() {
    let folder = TempDir::new().unwrap();
    let path = compile(&folder, &["-DMANIFEST_SIZE=200", "-DTABLE_SIZE=96"]);
    assert!(load(&path, &json!({})).is_ok());
}

#[test]
fn names_come_from_the_manifest_and_the_rest_from_describe() {
    let folder = TempDir::new().unwrap();
    let description = guest(&folder, "good").describe();
    assert_eq!(
        description,
        json!({"name": "fixture", "configSchema": {}, "version": "0.1", "contact": "nobody@example.com"})
    );
}

#[test]
fn a_configuration_that_the_plugin_refuses_is_a_failure_with_its_words() {
    let folder = TempDir::new().unwrap();
    let failure = load(&compile(&folder, &[]), &json!({ "do": "refuse" })).err().unwrap();
    assert_eq!(failure.kind, FailureKind::Load);
    assert_eq!(failure.message, "the policy fixture 0.1 cannot be used: do: no");
    assert_eq!(failure.hint.as_deref(), Some("say something else"));
}

#[test]
fn every_wrong_answer_is_a_failure_that_says_what_is_wrong_with_it() {
    use FailureKind::{Runtime, Verdict};
    for (behaviour, kind, expected) in [
        ("nothing at all", Verdict, "gave no answer"),
        ("huge", Verdict, "its answer of 2097152 bytes is longer than the limit of 1048576"),
        ("twice", Verdict, "it answered one call twice"),
        ("latin", Verdict, "its answer is no UTF-8 from byte 6 on"),
        ("half", Verdict, "its answer is no JSON"),
        ("plain error", Runtime, "it rains"),
        ("mute error", Runtime, "it failed with status 77, and gave no reason"),
    ] {
        let failure = answer(behaviour).unwrap_err();
        assert_eq!(failure.kind, kind, "{behaviour}: {failure}");
        assert!(failure.message.contains(expected), "{behaviour}: {failure}");
    }
}

#[test]
fn wrong_host_calls_are_answered_and_the_plugin_goes_on() {
    assert_eq!(answer("wrong calls").unwrap()["action"], "nothing");
}

#[test]
fn an_evaluation_that_is_over_is_refused_and_not_followed() {
    let folder = TempDir::new().unwrap();
    let mut guest = guest(&folder, "late");
    let host = ScriptedHost::new(Default::default(), Default::default());
    evaluate(&mut *guest, &host).unwrap();
    evaluate(&mut *guest, &host).unwrap();
    assert!(host.lines().is_empty(), "{:?}", host.lines());
    assert!(host.calls().is_empty(), "{:?}", host.calls());
}

#[test]
fn a_thread_of_the_plugin_may_log_and_look_at_the_time_and_not_call() {
    let folder = TempDir::new().unwrap();
    let host = ScriptedHost::new(Default::default(), Default::default());
    evaluate(&mut *guest(&folder, "thread"), &host).unwrap();
    assert_eq!(host.lines(), [(Level::Warn, "from a thread {\"n\":1}".to_owned())]);
}

#[test]
fn cancel_from_another_thread_ends_an_evaluation() {
    let folder = TempDir::new().unwrap();
    let mut guest = guest(&folder, "wait");
    let canceller = guest.canceller().unwrap();
    let (began, begun) = mpsc::channel();
    let thread = thread::spawn(move || {
        begun.recv().unwrap();
        // The plugin waits for both the flag and the call; whichever side is late, this goes on until it is done.
        while begun.try_recv() == Err(mpsc::TryRecvError::Empty) {
            canceller();
            thread::yield_now();
        }
    });
    began.send(()).unwrap();
    let host = ScriptedHost::new(Default::default(), Default::default());
    let failure = evaluate(&mut *guest, &host).unwrap_err();
    drop(began);
    thread.join().unwrap();
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert_eq!(evaluate_after_cancel(&mut *guest).kind, FailureKind::Timeout);
}

/// The deadline of the host ends the next one: the flag of the first evaluation must not be needed for it.
fn evaluate_after_cancel(guest: &mut dyn Guest) -> Failure {
    let host = ScriptedHost::new(Default::default(), Default::default());
    host.is_cancelled.set(true);
    evaluate(guest, &host).unwrap_err()
}

#[test]
fn the_c_example_of_the_sdk_answers_from_its_host_call() {
    let folder = TempDir::new().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk");
    let path = folder.path().join("policy.so");
    let done = Command::new("cc")
        .args(["-std=c99", "-shared", "-fPIC", "-I"])
        .args([root.join("include"), root.join("examples/policy.c")])
        .arg("-o")
        .arg(&path)
        .status()
        .unwrap();
    assert!(done.success());
    let mut guest = load(&path, &Value::Null).unwrap();
    let host = ScriptedHost::new(Default::default(), Default::default());
    let verdict = guest.evaluate(&context(Role::Active, Situation::PeerLost), &host).unwrap();
    assert_eq!(verdict["action"], "beStandby");
    assert_eq!(host.methods(), ["arbiters.ping"]);
    host.is_cancelled.set(true);
    let failure = guest.evaluate(&context(Role::Active, Situation::PeerLost), &host).unwrap_err();
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Timeout, "the evaluation is over"));
}
