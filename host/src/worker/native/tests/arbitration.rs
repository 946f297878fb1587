//! The default policy through the C ABI gives exactly what the plain Rust call gives.

use std::path::PathBuf;

use dr_watchdog_arbitration::Arbitration;
use dr_watchdog_sdk::Policy;
use dr_watchdog_sdk::testing::cases;
use serde_json::{Value, json};

use super::load;
use crate::policy::FailureKind;
use crate::worker::Guest;

/// The library that cargo built beside this test, because the test depends on its crate.
fn library() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().join("libdr_watchdog_arbitration.so");
    assert!(path.is_file(), "{} was not built", path.display());
    path
}

#[test]
fn every_case_gives_the_same_verdict_and_makes_the_same_host_calls() {
    let mut guest = load(&library(), &Value::Null).unwrap();
    let policy = Arbitration::create(Default::default()).unwrap();
    for case in cases::all() {
        let (direct, through) = (case.host(), case.host());
        let expected = json!(policy.evaluate(&case.context, &direct).unwrap());
        let found = guest.evaluate(&case.context, &through).unwrap();
        assert_eq!(found, expected, "{}", case.name);
        assert_eq!(through.calls(), direct.calls(), "{}", case.name);
    }
}

#[test]
fn it_describes_itself_with_the_schema_of_its_configuration() {
    let description = load(&library(), &json!({})).unwrap().describe();
    assert_eq!(description["name"], Arbitration::NAME);
    assert_eq!(description["version"], Arbitration::VERSION);
    assert_eq!(description["configSchema"]["additionalProperties"], false);
    assert_eq!(description["deadlineMs"], 10_000);
    assert_eq!(description["capabilities"], json!([]));
}

#[test]
fn an_unknown_setting_and_an_ended_evaluation_are_failures_with_a_kind() {
    let failure = load(&library(), &json!({"quorum": 3})).err().unwrap();
    assert_eq!(failure.kind, FailureKind::Load);
    assert!(failure.message.contains("quorum"), "{failure}");
    let mut guest = load(&library(), &json!({})).unwrap();
    let [case] = &cases::sample(1)[..] else { panic!("one case") };
    let host = case.host();
    host.is_cancelled.set(true);
    let failure = guest.evaluate(&case.context, &host).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Timeout);
}

#[test]
fn two_instances_of_one_library_live_side_by_side() {
    let mut guests: Vec<Box<dyn Guest>> = (0..2).map(|_| load(&library(), &json!({})).unwrap()).collect();
    let [case] = &cases::sample(1)[..] else { panic!("one case") };
    let first = guests[0].evaluate(&case.context, &case.host()).unwrap();
    drop(guests.remove(0));
    assert_eq!(guests[0].evaluate(&case.context, &case.host()).unwrap(), first);
}
