//! The policy as a host sees it: its host calls, its answers, its reasons.
#![allow(clippy::unwrap_used, reason = "what a test calls is outside of what the lint exempts")]

use std::collections::BTreeMap;

use dr_watchdog_arbitration::Arbitration;
use dr_watchdog_sdk::evidence::{ArbiterEvidence, Session, SshOutcome};
use dr_watchdog_sdk::sections::{FailureDetection, LastFailover, Sections, Watchdog};
use dr_watchdog_sdk::testing::{ScriptedHost, cases, context};
use dr_watchdog_sdk::verdict::{Action, UnknownKeys};
use dr_watchdog_sdk::{Context, Policy, PolicyError, Role, Situation, Utc, Verdict};
use serde_json::{Value, json};

/// An arbiter: `M`anaged, `F`ree, `U`nreachable; capitals answer ping, small letters do not.
fn arbiters(letters: &str) -> BTreeMap<String, ArbiterEvidence> {
    let seen = |letter: char| ArbiterEvidence {
        ping: Some(letter.is_uppercase()),
        ssh: Some(if letter.eq_ignore_ascii_case(&'u') { SshOutcome::Timeout } else { SshOutcome::Ok }),
        managed: Some(letter.eq_ignore_ascii_case(&'m')),
        ..ArbiterEvidence::default()
    };
    letters.chars().enumerate().map(|(at, letter)| (format!("203.0.113.{at}"), seen(letter))).collect()
}

fn sections(detection: FailureDetection, last: LastFailover) -> Sections {
    Sections {
        failover: Some(last),
        watchdog: Some(Watchdog { failure_detection: detection, ..Watchdog::default() }),
        ..Sections::default()
    }
}

fn host(letters: &str, last: LastFailover) -> ScriptedHost {
    ScriptedHost::new(sections(FailureDetection::default(), last), arbiters(letters))
}

fn ask(host: &ScriptedHost, context: &Context) -> Result<Verdict, PolicyError> {
    let policy = Arbitration::create(serde_json::from_value(json!({})).unwrap()).unwrap();
    policy.evaluate(context, host)
}

fn action(letters: &str, role: Role, situation: Situation, last: LastFailover) -> Action {
    ask(&host(letters, last), &context(role, situation)).unwrap().action
}

#[test]
fn the_expected_outcomes_of_the_manual_hold() {
    use Action::{BeActive, BeStandby, Nothing, Wait};
    use Role::{Active, Standby};
    use Situation::{BothStandby, PeerLost, Waiting};
    let none = LastFailover::None;
    let was_active = LastFailover::ActiveToStandby;
    let cases = [
        ("the active is gone, the arbiters are free", "FFF", Standby, PeerLost, none, BeActive),
        (
            "the standby is gone, the active reaches half of its arbiters",
            "MMmm",
            Active,
            PeerLost,
            none,
            Nothing,
        ),
        ("the standby is gone, the active reaches less than half", "Mmm", Active, PeerLost, none, BeStandby),
        ("the link is lost, the active manages", "MMM", Standby, PeerLost, none, Nothing),
        (
            "the link is lost, the active is cut off from the arbiters",
            "uuu",
            Active,
            PeerLost,
            none,
            BeStandby,
        ),
        ("… and the standby reaches them", "FFF", Standby, PeerLost, none, BeActive),
        ("the link is lost, the standby is cut off", "uuu", Standby, PeerLost, none, Nothing),
        (
            "both standby, the last active reaches its arbiters",
            "FFF",
            Standby,
            BothStandby,
            was_active,
            BeActive,
        ),
        ("both standby, the other waits", "FFF", Standby, BothStandby, none, Wait),
        ("both standby, the last active reaches too few", "Fuu", Standby, BothStandby, was_active, Wait),
        ("a wait is open, the other site is silent", "FFF", Standby, Waiting, was_active, Wait),
        ("exactly half answers", "Mm", Active, PeerLost, none, Nothing),
        ("exactly half is managed", "MMFF", Standby, PeerLost, none, Nothing),
        ("3 of 10 managed, 2 unreachable", "MMMuuFFFFF", Standby, PeerLost, none, Nothing),
        ("3 of 10 managed, 1 unreachable", "MMMuFFFFFF", Standby, PeerLost, none, BeActive),
        ("no arbiters", "", Standby, PeerLost, none, Nothing),
        ("no arbiters", "", Active, PeerLost, none, Nothing),
    ];
    for (what, letters, role, situation, last, expected) in cases {
        assert_eq!(action(letters, role, situation, last), expected, "{what}");
    }
}

#[test]
fn each_kind_of_evidence_is_asked_for_once_and_only_where_it_is_weighed() {
    for (role, situation, calls) in [
        (Role::Active, Situation::PeerLost, &["config", "arbiters.ping"][..]),
        (Role::Active, Situation::BothStandby, &["config", "arbiters.ping"]),
        (Role::Standby, Situation::PeerLost, &["config", "arbiters.sessions"]),
        (Role::Standby, Situation::Waiting, &["config", "arbiters.sessions"]),
        (Role::Standby, Situation::BothStandby, &["config", "arbiters.ping", "arbiters.sessions"]),
    ] {
        let host = host("MFU", LastFailover::None);
        ask(&host, &context(role, situation)).unwrap();
        assert_eq!(host.methods(), calls, "{role:?} {situation:?}");
    }
}

#[test]
fn every_case_of_the_table_gives_a_legal_verdict_for_the_role_that_was_asked() {
    for case in cases::all() {
        let verdict =
            ask(&case.host(), &case.context).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let value = serde_json::to_value(&verdict).unwrap();
        let (read, warnings) = Verdict::check(&value, UnknownKeys::Refuse).unwrap();
        assert!(warnings.is_empty());
        assert_eq!(read.state, case.context.role.into(), "{}", case.name);
        assert!(!read.description.is_empty());
    }
}

#[test]
fn the_wait_ends_where_it_was_set_or_begins_now() {
    let ask_at = |wait_time, duration: &str| {
        let detection =
            FailureDetection { wait_duration: duration.to_owned(), ..FailureDetection::default() };
        let host = ScriptedHost::new(sections(detection, LastFailover::None), arbiters("F"));
        let context = Context { wait_time, ..context(Role::Standby, Situation::BothStandby) };
        ask(&host, &context)
    };
    let until = |wait_time, duration| ask_at(wait_time, duration).unwrap().payload.wait_time;
    assert_eq!(until(None, "8h"), "2026-01-01T08:00:00+00:00");
    assert_eq!(until(None, "30m"), "2026-01-01T00:30:00+00:00");
    assert_eq!(until(None, "0"), "9999-12-31T23:59:59+00:00");
    let set = Utc::parse("2026-01-01T00:00:01Z").unwrap();
    assert_eq!(until(Some(set), "8h"), "2026-01-01T00:00:01+00:00");
    let over = Utc::parse("2026-01-01T00:00:00Z").unwrap();
    let verdict = ask_at(Some(over), "8h").unwrap();
    assert_eq!(verdict.action, Action::Nothing);
    assert!(verdict.payload.details.unwrap().contains_key("problem"));
    let error = ask_at(None, "8 hours").unwrap_err();
    assert_eq!(error.field.as_deref(), Some("watchdog.failureDetection.waitDuration"));
    assert!(error.message.contains("8 hours"), "{error}");
}

#[test]
fn details_list_every_arbiter_the_shares_the_row_and_the_smallest_change() {
    let verdict =
        ask(&host("MFU", LastFailover::None), &context(Role::Standby, Situation::PeerLost)).unwrap();
    let details = Value::Object(verdict.payload.details.unwrap());
    assert_eq!(details["rule"], "unreachableCountAsManaged");
    let shares = json!({"managed": "1/3", "sshReachable": "2/3", "managedOrUnreachable": "2/3"});
    assert_eq!(details["shares"], shares);
    assert_eq!(details["arbiters"]["203.0.113.0"]["managed"], true);
    assert_eq!(details["arbiters"]["203.0.113.2"]["ssh"], "timeout");
    assert_eq!(
        details["flip"],
        "1 more arbiter reached and free, 1 fewer managed by the other site → beActive"
    );
    assert_eq!(details.get("problem"), None);
}

#[test]
fn a_thousand_busy_arbiters_fit_into_one_answer() {
    let session = |at: usize| Session { from: format!("198.51.100.{}", at % 250), age_ms: Some(1_000) };
    let busy = |letter: char| ArbiterEvidence {
        sessions: Some((0..100).map(session).collect()),
        ..arbiters(&letter.to_string()).remove("203.0.113.0").unwrap()
    };
    // None of the splits flips: the threshold 0 is always reached, so the whole search is done.
    let mut detection = FailureDetection::default();
    detection.threshold.failover = serde_json::from_value(json!(0)).unwrap();
    let seen = (0..1_000).map(|at| (format!("arbiter-{at}.example.com"), busy('F'))).collect();
    let host = ScriptedHost::new(sections(detection, LastFailover::None), seen);
    let verdict = ask(&host, &context(Role::Standby, Situation::PeerLost)).unwrap();
    let details = verdict.payload.details.as_ref().unwrap();
    assert_eq!(details["flip"], Value::Null);
    let arbiter = &details["arbiters"]["arbiter-7.example.com"];
    assert_eq!(
        (arbiter["sessionsTotal"].as_u64(), arbiter["sessions"].as_array().unwrap().len()),
        (Some(100), 5)
    );
    let bytes = serde_json::to_vec(&verdict).unwrap().len();
    assert!(bytes < dr_watchdog_sdk::abi::ANSWER_BYTES_MAX, "{bytes}");
}

#[test]
fn no_arbiters_is_a_problem_in_the_verdict_and_no_failure() {
    let verdict = ask(&host("", LastFailover::None), &context(Role::Active, Situation::PeerLost)).unwrap();
    let details = verdict.payload.details.unwrap();
    assert!(details["problem"].as_str().unwrap().starts_with("no arbiters are configured"));
    assert_eq!(details["flip"], Value::Null);
    assert_eq!(details["shares"], json!({}));
}

#[test]
fn a_standalone_site_and_an_ended_evaluation_are_errors() {
    let error =
        ask(&host("F", LastFailover::None), &context(Role::Standalone, Situation::PeerLost)).unwrap_err();
    assert!(error.message.contains("standalone"), "{error}");
    let host = host("F", LastFailover::None);
    host.is_cancelled.set(true);
    let error = ask(&host, &context(Role::Active, Situation::PeerLost)).unwrap_err();
    assert_eq!(error.message, "the evaluation is over");
}

#[test]
fn an_unknown_setting_is_refused() {
    let config: Result<<Arbitration as Policy>::Config, _> = serde_json::from_value(json!({"quorum": 3}));
    assert!(config.unwrap_err().to_string().contains("quorum"));
}
