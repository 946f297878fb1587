//! The gates: what no verdict can pass by.

use std::time::Duration;

use dr_watchdog_sdk::sections::Role;
use dr_watchdog_sdk::{Action, Utc, VerdictState};

use super::{Arbiter, Site, settings, stored, verdict};
use crate::effect::Trigger;
use crate::event::{Beat, Event};
use crate::gates::Gate;
use crate::settings::{Mode, Settings};
use crate::transitions::Phase;

#[test]
fn a_policy_that_fails_changes_nothing_and_says_why() {
    let mut site = Site::standby();
    site.policy = Box::new(|_| Err("line 3: attempt to index a nil value".to_owned()));
    site.lose_peer();
    assert_eq!(site.watchdog.phase(), Phase::Standby);
    let stop = site.last_stop().unwrap();
    assert_eq!(stop.gate, Gate::Valid);
    assert!(stop.why.contains("line 3"));
    assert!(site.notices.iter().any(|notice| notice.trigger == Trigger::PolicyFailed));
}

#[test]
fn a_policy_in_quarantine_is_one_notice_that_names_it_and_the_way_out() {
    let mut site = Site::standby();
    let why = "the policy's worker was killed by SIGSEGV".to_owned();
    site.give(Event::PolicyQuarantined { policy: "acme".to_owned(), why });
    site.run_for(100);
    let told: Vec<_> =
        site.notices.iter().filter(|notice| notice.trigger == Trigger::PolicyQuarantined).collect();
    assert_eq!(told.len(), 1);
    assert!(["acme", "SIGSEGV", "reload"].iter().all(|word| told[0].text.contains(word)), "{}", told[0].text);
}

#[test]
fn a_verdict_for_another_role_is_refused() {
    let mut site = Site::standby();
    site.policy = Box::new(|_| Ok(verdict(VerdictState::Active, Action::BeActive)));
    site.lose_peer();
    assert_eq!(site.watchdog.phase(), Phase::Standby);
    assert_eq!(site.last_stop().unwrap().gate, Gate::Site);
}

#[test]
fn a_verdict_that_comes_when_the_peer_is_back_is_dropped() {
    let mut site = Site::standby();
    site.answer(Action::BeActive);
    site.is_peer_up = false;
    let asked = site.asks.len();
    while site.asks.len() == asked {
        site.run_for_ms(1);
    }
    // The answer is 10 ms away; the other site speaks first.
    let beat = Beat {
        site_index: 0,
        epoch: 2,
        phase: Phase::Active,
        config_equal: None,
        automatic_failover: true,
        turn: None,
        heard: Utc::default(),
    };
    site.give(Event::HeartbeatHeard(beat));
    site.is_peer_up = true;
    site.run_for(1);
    assert_eq!(site.watchdog.phase(), Phase::Standby);
    let stop = site.last_stop().unwrap();
    assert_eq!((stop.gate, stop.why.contains("is over")), (Gate::Site, true));
}

#[test]
fn observing_records_what_would_have_been_done() {
    let observing = Settings { mode: Mode::Observe, ..settings() };
    let mut site = Site::boot(observing, stored(Role::Standby), Some((Phase::Active, 2)));
    site.run_for(90);
    site.answer(Action::BeActive);
    site.lose_peer();
    assert_eq!(site.watchdog.phase(), Phase::Standby);
    let stop = site.last_stop().unwrap();
    assert_eq!((stop.gate, stop.why.contains("would have done beActive")), (Gate::Enforce, true));
}

#[test]
fn an_operators_disable_stops_both_directions_until_its_end() {
    let off = |seconds| Event::OperatorDisabled {
        span: Some(Duration::from_secs(seconds)),
        reason: "maintenance".to_owned(),
        by: "ops".to_owned(),
    };
    let mut site = Site::standby();
    site.give(off(600));
    site.answer(Action::BeActive);
    site.lose_peer();
    let stop = site.last_stop().unwrap();
    assert_eq!(stop.gate, Gate::Automatic);
    assert!(stop.why.contains("maintenance") && stop.why.contains("ops"), "{}", stop.why);
    assert!(
        site.stored.as_ref().is_some_and(|stored| stored.operator_off.is_some()),
        "it survives a restart"
    );
    site.run_for(600);
    assert_eq!(site.watchdog.phase(), Phase::Active, "it ended by itself");

    let mut site = Site::active();
    site.give(off(600));
    site.arbiters = vec![Arbiter::Mute; 3];
    site.answer(Action::BeStandby);
    site.lose_peer();
    assert_eq!(site.watchdog.phase(), Phase::Active);
    site.give(Event::OperatorEnabled);
    site.run_for(60);
    assert_eq!(site.watchdog.phase(), Phase::Standby);
}

#[test]
fn a_disable_for_ever_ends_only_by_an_operator() {
    let mut site = Site::standby();
    site.give(Event::OperatorDisabled { span: None, reason: "x".to_owned(), by: "ops".to_owned() });
    site.answer(Action::BeActive);
    site.is_peer_up = false;
    site.run_for(100_000);
    assert_eq!(site.watchdog.phase(), Phase::Standby);
    site.give(Event::OperatorEnabled);
    site.run_for(60);
    assert_eq!(site.watchdog.phase(), Phase::Active);
}

#[test]
fn lost_arbiters_disable_the_promotion_of_this_site_and_clear_by_themselves() {
    let mut site = Site::standby();
    site.arbiters = vec![Arbiter::Mute; 3];
    site.run_for(60);
    assert!(!site.watchdog.automatic().is_on());
    site.answer(Action::BeActive);
    site.lose_peer();
    assert_eq!(site.last_stop().unwrap().gate, Gate::Automatic);
    assert_eq!(site.watchdog.phase(), Phase::Standby);
    site.is_peer_up = true;
    site.arbiters = vec![Arbiter::Managed; 3];
    site.run_for(60);
    assert!(site.watchdog.automatic().is_on());
    let triggers: Vec<_> = site.notices.iter().map(|notice| notice.trigger).collect();
    assert!(triggers.contains(&Trigger::AutomaticFailoverDisabled));
    assert!(triggers.contains(&Trigger::AutomaticFailoverEnabled));
}

#[test]
fn lost_arbiters_never_stop_a_demotion() {
    let mut site = Site::active();
    site.arbiters = vec![Arbiter::Mute; 3];
    site.run_for(60);
    assert!(!site.watchdog.automatic().is_on());
    site.answer(Action::BeStandby);
    site.lose_peer();
    assert_eq!(site.watchdog.phase(), Phase::Standby);
}

#[test]
fn an_operators_disable_is_never_cleared_by_answering_arbiters() {
    let mut site = Site::standby();
    site.give(Event::OperatorDisabled { span: None, reason: "x".to_owned(), by: "ops".to_owned() });
    site.arbiters = vec![Arbiter::Mute; 3];
    site.run_for(60);
    site.arbiters = vec![Arbiter::Managed; 3];
    site.run_for(60);
    assert!(site.watchdog.automatic().connectivity.is_none());
    assert!(site.watchdog.automatic().operator.is_some());
}
