//! Booting: as standby, and what a stored state leaves to finish.

use dr_watchdog_sdk::Action;
use dr_watchdog_sdk::sections::{LastFailover, Role};

use super::rows::restarted;
use super::{Site, settings, stored};
use crate::durable::{Durable, DurablePlan, Found, Purpose};
use crate::effect::{PlanKind, Trigger};
use crate::event::Event;
use crate::settings::{OnFailure, Settings, Step};
use crate::transitions::Phase;

#[test]
fn a_site_that_was_active_boots_as_standby_and_stops_its_services_first() {
    let site = restarted(Role::Active, None, "boot-1");
    assert_eq!(site.watchdog.phase(), Phase::Standby);
    assert_eq!((site.count("beStandby 0"), site.count("beStandby 1"), site.count("beActive 0")), (1, 1, 0));
    assert_eq!(site.watchdog.failover(), LastFailover::ActiveToStandby);
    assert_eq!(site.rows[0].from, Phase::Active, "the history begins at what was true");
}

#[test]
fn an_interrupted_promotion_goes_on_at_its_step_on_the_same_boot_with_the_same_epoch() {
    let site = restarted(Role::Active, Some((PlanKind::BeActive, 1, "two")), "boot-1");
    assert_eq!(site.watchdog.phase(), Phase::Active);
    assert_eq!((site.count("beActive 0"), site.count("beActive 1")), (0, 1));
    assert_eq!(site.watchdog.epoch(), 3);
}

#[test]
fn an_interrupted_promotion_is_taken_back_after_a_reboot() {
    let site = restarted(Role::Active, Some((PlanKind::BeActive, 1, "two")), "boot-0");
    assert_eq!(site.watchdog.phase(), Phase::Standby);
    assert_eq!((site.count("beActive 1"), site.count("beStandby 0")), (0, 1));
}

#[test]
fn an_interrupted_demotion_goes_on_at_its_step_on_any_boot() {
    for boot_id in ["boot-0", "boot-1"] {
        let site = restarted(Role::Active, Some((PlanKind::BeStandby, 1, "undo one")), boot_id);
        assert_eq!(site.watchdog.phase(), Phase::Standby);
        assert_eq!((site.count("beStandby 0"), site.count("beStandby 1")), (0, 1));
    }
}

fn with_a_step_that_may_not_run_twice(kind: PlanKind) -> Site {
    let step = |name: &str| Step { name: name.to_owned(), idempotent: false, on_failure: OnFailure::Stop };
    let mut durable = Durable::new(Role::Active, "boot-1");
    durable.plan =
        Some(DurablePlan { kind, step: 0, step_name: "once".to_owned(), purpose: Purpose::Failover });
    let settings = match kind {
        PlanKind::BeActive => Settings { be_active: vec![step("once"), step("later")], ..settings() },
        PlanKind::BeStandby => Settings { be_standby: vec![step("once"), step("later")], ..settings() },
    };
    let mut site = Site::boot(settings, Found::Good(Box::new(durable)), Some((Phase::Active, 2)));
    site.run_for(100);
    site
}

#[test]
fn a_step_that_was_running_and_may_not_run_twice_counts_as_failed() {
    let site = with_a_step_that_may_not_run_twice(PlanKind::BeActive);
    assert_eq!(site.watchdog.phase(), Phase::Standby, "the promotion is taken back");
    assert_eq!(site.count("beActive 0"), 0);
    let site = with_a_step_that_may_not_run_twice(PlanKind::BeStandby);
    assert_eq!(site.watchdog.phase(), Phase::DemotionFailed, "an operator is needed");
    assert_eq!((site.count("beStandby 0"), site.count("beStandby 1")), (0, 0));
}

#[test]
fn a_first_start_makes_the_initial_active_active_without_a_failover() {
    let site = Site::active();
    assert_eq!((site.watchdog.epoch(), site.watchdog.failover()), (3, LastFailover::None));
    let settings = Settings { initial_role: Role::Active, ..settings() };
    let mut other = Site::boot(settings, Found::Absent, Some((Phase::Active, 2)));
    other.run_for(90);
    assert_eq!(other.watchdog.phase(), Phase::Standby, "the other site is active already");
}

#[test]
fn a_first_start_with_a_silent_peer_waits_for_the_boot_time() {
    let settings = Settings { initial_role: Role::Active, ..settings() };
    let mut site = Site::boot_beside(settings, Found::Absent, None, false);
    site.run_for(54);
    assert_eq!(site.watchdog.phase(), Phase::Standby);
    site.run_for(5);
    assert_eq!(site.watchdog.phase(), Phase::Active);
}

fn off(seconds: Option<u64>) -> Event {
    let span = seconds.map(std::time::Duration::from_secs);
    Event::OperatorDisabled { span, reason: "maintenance".to_owned(), by: "ops".to_owned() }
}

#[test]
fn a_first_start_waits_while_an_operator_has_automatic_failover_off() {
    let initial = || Settings { initial_role: Role::Active, ..settings() };
    for peer in [None, Some((Phase::Standby, 0))] {
        let mut site = Site::boot_beside(initial(), Found::Absent, peer, peer.is_some());
        site.answer(Action::BeActive);
        site.give(off(Some(600)));
        site.run_for(500);
        assert_eq!(site.watchdog.phase(), Phase::Standby, "{peer:?}");
        assert_eq!((site.count("beActive 0"), site.watchdog.epoch()), (0, 0));
        assert!(site.watchdog.why_first_start_waits().is_some_and(|why| why.contains("maintenance")));
        let said = |notice: &&crate::effect::Notice| notice.text.contains("first start of this site waits");
        assert_eq!(site.notices.iter().filter(said).count(), 1, "said once");
        site.run_for(200);
        assert_eq!((site.watchdog.phase(), site.count("beActive 0")), (Phase::Active, 1), "{peer:?}");
        assert_eq!(site.watchdog.failover(), LastFailover::None, "it was no failover");
        assert!(site.watchdog.why_first_start_waits().is_none());
    }
}

#[test]
fn a_first_start_that_waits_goes_on_when_an_operator_enables_it_even_after_a_restart() {
    let initial = || Settings { initial_role: Role::Active, ..settings() };
    let mut site = Site::boot_beside(initial(), Found::Absent, None, false);
    site.give(off(None));
    let early = site.stored.clone().unwrap();
    site.run_for(300);
    let late = site.stored.clone().unwrap();
    for stored in [early, late] {
        let mut again = Site::boot_beside(initial(), Found::Good(Box::new(stored.clone())), None, false);
        again.run_for(300);
        assert_eq!(again.watchdog.phase(), Phase::Standby);
        again.give(Event::OperatorEnabled);
        again.run_for(10);
        assert_eq!(again.watchdog.phase(), Phase::Active);
        assert!(again.stored.is_some_and(|stored| !stored.is_first_start_due), "there is one first start");
        let mut other = Site::boot_beside(settings(), Found::Good(Box::new(stored)), None, false);
        other.give(Event::OperatorEnabled);
        other.run_for(300);
        assert_eq!(other.watchdog.phase(), Phase::Standby, "no longer configured as the initial active");
    }
}

#[test]
fn a_first_start_that_waits_is_over_when_the_other_site_serves() {
    let settings = Settings { initial_role: Role::Active, ..settings() };
    let mut site = Site::boot(settings, Found::Absent, Some((Phase::Standby, 0)));
    site.give(off(None));
    site.run_for(120);
    site.beat = Some((Phase::Active, 2));
    site.run_for(60);
    site.give(Event::OperatorEnabled);
    site.run_for(60);
    assert_eq!(site.watchdog.phase(), Phase::Standby);
    assert!(site.stored.is_some_and(|stored| !stored.is_first_start_due));
}

#[test]
fn a_state_that_cannot_be_read_is_never_guessed_at() {
    let settings = Settings { initial_role: Role::Active, ..settings() };
    let mut site = Site::boot(settings, Found::Bad("the checksum is wrong".to_owned()), None);
    site.run_for(200);
    assert_eq!(site.watchdog.phase(), Phase::Standby);
    assert_eq!((site.count("beStandby 0"), site.count("beStandby 1")), (1, 1), "it may have been active");
    assert_eq!(site.watchdog.failover(), LastFailover::None);
    assert!(site.notices.iter().any(|notice| notice.trigger == Trigger::StateUnusable));
}

#[test]
fn a_booting_site_decides_nothing() {
    let mut site = Site::boot_beside(settings(), stored(Role::Standby), None, false);
    site.answer(Action::BeActive);
    site.run_for(54);
    assert!(site.asks.is_empty());
    site.run_for(10);
    assert!(!site.asks.is_empty());
}

/// A standby that wants to take over from a silent site, after a start that has to compare the settings.
fn verifying(beat: Option<(Phase, u64)>) -> Site {
    let settings = Settings { verifies_at_boot: true, ..settings() };
    let mut site = Site::boot_beside(settings, stored(Role::Standby), beat, beat.is_some());
    site.arbiters = vec![super::Arbiter::Free; 3];
    site.answer(Action::BeActive);
    site
}

fn compared(differences: &[&str]) -> Event {
    Event::SettingsCompared { differences: differences.iter().map(|text| (*text).to_owned()).collect() }
}

#[test]
fn decisions_are_held_back_until_the_settings_were_compared_with_the_other_sites() {
    let mut site = verifying(Some((Phase::Standby, 2)));
    site.run_for(40);
    assert!(site.watchdog.boot_end().is_some() && site.asks.is_empty(), "the other site was heard long ago");
    site.give(compared(&["failover is 5000 here and 7000 there"]));
    assert!(site.watchdog.boot_end().is_none());
    let told = |trigger: Trigger| site.notices.iter().filter(|notice| notice.trigger == trigger).count();
    assert_eq!(told(Trigger::SettingsDiffer), 1);
    site.run_for(40);
    assert!(!site.asks.is_empty());
    site.give(compared(&[]));
    site.give(compared(&[]));
    let agree = site.notices.iter().filter(|notice| notice.trigger == Trigger::SettingsAgree);
    assert_eq!(agree.count(), 1, "told once");

    let mut site = verifying(Some((Phase::Standby, 2)));
    site.beat = None;
    site.give(compared(&[]));
    assert!(site.watchdog.boot_end().is_some(), "nobody was heard");
}

#[test]
fn a_site_whose_other_site_cannot_be_asked_decides_when_its_boot_time_is_over() {
    let mut dead = verifying(None);
    dead.run_for(54);
    assert!(dead.asks.is_empty());
    dead.run_for(60);
    assert_eq!(dead.watchdog.phase(), Phase::Active, "a dead peer keeps nobody standby");
    let mut mute = verifying(Some((Phase::Standby, 2)));
    mute.run_for(54);
    assert!(mute.watchdog.boot_end().is_some());
    mute.run_for(60);
    assert!(mute.watchdog.boot_end().is_none() && !mute.asks.is_empty(), "it is heard, and cannot be asked");
}

#[test]
fn a_standalone_site_does_nothing_at_all() {
    let mut site = Site::boot_beside(settings(), stored(Role::Standalone), None, false);
    site.run_for(600);
    assert!(site.effects.is_empty() && site.asks.is_empty());
}

#[test]
fn a_step_that_an_operator_has_finished_may_run_once_more_and_the_demotion_ends() {
    let stuck = with_a_step_that_may_not_run_twice(PlanKind::BeStandby);
    let stored = stuck.stored.clone().unwrap();
    let again = |idempotent| {
        let step = |name: &str| Step { name: name.to_owned(), idempotent, on_failure: OnFailure::Stop };
        let settings = Settings { be_standby: vec![step("once"), step("later")], ..settings() };
        let mut site = Site::boot(settings, Found::Good(Box::new(stored.clone())), Some((Phase::Active, 2)));
        site.run_for(100);
        site
    };
    let unchanged = again(false);
    assert_eq!(unchanged.watchdog.phase(), Phase::DemotionFailed, "a restart alone is no operator's word");
    let allowed = again(true);
    assert_eq!(allowed.watchdog.phase(), Phase::Standby);
    assert_eq!((allowed.count("beStandby 0"), allowed.count("beStandby 1")), (1, 1));
}
