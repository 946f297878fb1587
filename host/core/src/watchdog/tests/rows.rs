//! Every row of the transition table, each reached the way it is reached in life.

use dr_watchdog_sdk::Action;
use dr_watchdog_sdk::sections::{LastFailover, Role};

use super::{Arbiter, Site, settings};
use crate::durable::{Durable, DurablePlan, Found, Purpose};
use crate::effect::{PlanKind, Trigger};
use crate::transitions::{Phase, TRANSITIONS};

fn promoted() -> Site {
    let mut site = Site::standby();
    site.arbiters = vec![Arbiter::Free; 3];
    site.answer(Action::BeActive);
    site.lose_peer();
    site
}

fn demoted() -> Site {
    let mut site = Site::active();
    site.arbiters = vec![Arbiter::Mute; 3];
    site.answer(Action::BeStandby);
    site.lose_peer();
    site
}

fn promotion_failed() -> Site {
    let mut site = Site::standby();
    site.step_result = Box::new(|kind, step| match (kind, step) {
        (PlanKind::BeActive, 1) => Some(Err("exit status 1".to_owned())),
        _ => Some(Ok(())),
    });
    site.answer(Action::BeActive);
    site.lose_peer();
    site
}

fn disk_full() -> Site {
    let mut site = Site::standby();
    site.answer(Action::BeActive);
    site.disk_error = Some("no space left on device".to_owned());
    site.lose_peer();
    site
}

fn yields_while_active() -> Site {
    let mut site = Site::active();
    site.beat = Some((Phase::Active, 40));
    site.run_for(60);
    site
}

fn yields_while_promoting() -> Site {
    let mut site = Site::standby();
    site.step_result = Box::new(|kind, _| (kind == PlanKind::BeStandby).then_some(Ok(())));
    site.answer(Action::BeActive);
    site.lose_peer();
    assert_eq!(site.watchdog.phase(), Phase::Promoting);
    site.is_peer_up = true;
    site.beat = Some((Phase::Active, 40));
    site.run_for(60);
    site
}

fn demotion_stuck() -> Site {
    let mut site = Site::active();
    site.step_result = Box::new(|kind, _| {
        let is_failing = kind == PlanKind::BeStandby;
        Some(if is_failing { Err("exit status 3".to_owned()) } else { Ok(()) })
    });
    site.beat = Some((Phase::Active, 40));
    site.run_for(70);
    site
}

pub(super) fn restarted(role: Role, plan: Option<(PlanKind, usize, &str)>, boot_id: &str) -> Site {
    let mut durable = Durable::new(role, boot_id);
    durable.epoch = 3;
    durable.plan = plan.map(|(kind, step, name)| DurablePlan {
        kind,
        step,
        step_name: name.to_owned(),
        purpose: Purpose::Failover,
    });
    let mut site = Site::boot(settings(), Found::Good(Box::new(durable)), Some((Phase::Active, 2)));
    site.run_for(10);
    site
}

#[test]
fn a_verdict_of_be_active_runs_the_plan_and_makes_the_site_active() {
    let site = promoted();
    assert_eq!(site.watchdog.phase(), Phase::Active);
    assert_eq!(site.watchdog.failover(), LastFailover::StandbyToActive);
    assert_eq!(site.watchdog.epoch(), 5, "one more than the counter of epoch 2 heard, with index 1");
    let done: Vec<&str> = site.effects.iter().map(String::as_str).filter(|e| *e != "heartbeat").collect();
    assert_eq!(done, ["look", "hold", "beActive 0", "beActive 1"]);
    assert!(site.notices.iter().any(|notice| notice.trigger == Trigger::BecameActive));
    let stored = site.stored.unwrap();
    assert_eq!((stored.role, stored.epoch, stored.plan), (Role::Active, 5, None));
}

#[test]
fn a_verdict_of_be_standby_stops_services_and_releases_the_arbiters_last() {
    let site = demoted();
    assert_eq!(site.watchdog.phase(), Phase::Standby);
    assert_eq!(site.watchdog.failover(), LastFailover::ActiveToStandby);
    let position = |effect: &str| site.effects.iter().rposition(|done| done == effect).unwrap();
    assert!(position("beStandby 1") < position("release"));
}

#[test]
fn a_failed_promotion_is_taken_back_and_blocks_the_next_one() {
    let site = promotion_failed();
    assert_eq!(site.watchdog.phase(), Phase::Standby);
    assert_eq!(site.watchdog.failover(), LastFailover::None, "no failover has happened");
    assert_eq!(site.count("beActive 1"), 1, "blocked for F = 80 s");
    assert!(site.notices.iter().any(|notice| notice.trigger == Trigger::StepFailed));
}

#[test]
fn an_epoch_that_cannot_be_written_starts_nothing() {
    let site = disk_full();
    assert_eq!(site.watchdog.phase(), Phase::Standby);
    assert_eq!(site.count("beActive 0"), 0);
    assert_eq!(site.count("hold"), 0);
    assert!(site.notices.iter().any(|notice| notice.trigger == Trigger::StateNotWritten));
}

#[test]
fn a_disk_that_fills_up_does_not_stop_a_demotion() {
    let mut site = Site::active();
    site.disk_error = Some("no space left on device".to_owned());
    site.beat = Some((Phase::Active, 40));
    site.run_for(60);
    assert_eq!(site.watchdog.phase(), Phase::Standby);
    assert_eq!(site.count("beStandby 1"), 1);
}

#[test]
fn an_active_that_hears_an_active_with_a_higher_epoch_stops_being_one() {
    let site = yields_while_active();
    assert_eq!(site.watchdog.phase(), Phase::Standby);
    let site = yields_while_promoting();
    assert_eq!(site.watchdog.phase(), Phase::Standby);
    assert_eq!(site.count("cancel"), 1, "the running step is ended first");
}

#[test]
fn an_active_that_hears_an_active_with_a_lower_epoch_stays_and_says_so() {
    let mut site = Site::active();
    let before = site.count("heartbeat");
    site.beat = Some((Phase::Active, 0));
    site.run_for(31);
    assert_eq!(site.watchdog.phase(), Phase::Active);
    assert!(site.count("heartbeat") > before + 1);
}

#[test]
fn a_demotion_that_fails_is_tried_again_and_the_role_stays_active_until_it_is_done() {
    let mut site = demotion_stuck();
    assert!(site.count("beStandby 0") >= 2);
    assert_eq!(site.watchdog.role(), Role::Active, "services may still be serving");
    site.step_result = Box::new(|_, _| Some(Ok(())));
    site.run_for(70);
    assert_eq!(site.watchdog.phase(), Phase::Standby);
}

#[test]
fn every_row_is_hit() {
    let sites = [
        promoted(),
        demoted(),
        promotion_failed(),
        disk_full(),
        yields_while_active(),
        yields_while_promoting(),
        demotion_stuck(),
        Site::active(),
        Site::boot(settings(), Found::Bad("cut off".to_owned()), None),
        restarted(Role::Active, None, "boot-1"),
        super::operator::restarted_after_stop("boot-1"),
        restarted(Role::Active, Some((PlanKind::BeActive, 1, "two")), "boot-1"),
        restarted(Role::Active, Some((PlanKind::BeActive, 1, "two")), "boot-0"),
        restarted(Role::Active, Some((PlanKind::BeStandby, 0, "undo two")), "boot-0"),
    ];
    let hit: Vec<_> = sites.iter().flat_map(|site| site.rows.iter().copied()).collect();
    let unhit: Vec<_> = TRANSITIONS.iter().filter(|row| !hit.contains(row)).map(|row| row.sentence).collect();
    assert!(unhit.is_empty(), "no test takes these rows: {unhit:#?}");
}
