//! The operator's switch between two sites.

use std::time::Duration;

use dr_watchdog_sdk::sections::Role;

use super::{Site, settings};
use crate::automatic::Turn;
use crate::durable::{Durable, Found, OperatorOff};
use crate::effect::Trigger;
use crate::event::{Beat, Event};
use crate::settings::Settings;
use crate::transitions::Phase;

fn off(site: &Site, until_s: Option<u64>) -> Option<OperatorOff> {
    let since = site.now.wall;
    let until = until_s.map(|seconds| since.plus_s(seconds));
    Some(OperatorOff { until, reason: "work".to_owned(), by: "ops at site a".to_owned(), since })
}

fn disabled() -> Event {
    Event::OperatorDisabled {
        span: Some(Duration::from_secs(6_000)),
        reason: "work".to_owned(),
        by: "ops".to_owned(),
    }
}

/// The other site's next heartbeat.
fn hear(site: &mut Site, turn: Turn) {
    let (site_index, heard) = (1 - site.watchdog.settings().site_index, site.now.wall);
    site.give(Event::HeartbeatHeard(Beat {
        site_index,
        epoch: 2,
        phase: Phase::Active,
        config_equal: None,
        automatic_failover: turn.off.is_none(),
        turn: Some(turn),
        heard,
    }));
}

fn told(site: &Site, trigger: Trigger) -> usize {
    site.notices.iter().filter(|notice| notice.trigger == trigger).count()
}

#[test]
fn a_turn_at_the_other_site_is_taken_stored_and_said() {
    let mut site = Site::standby();
    let turn = Turn { count: 1, site_index: 0, off: off(&site, None) };
    hear(&mut site, turn.clone());
    assert!(!site.watchdog.automatic().is_on());
    assert_eq!(site.watchdog.is_switch_agreed(), Some(true));
    assert_eq!(site.watchdog.turn_said(), Some(&turn));
    let stored = site.stored.clone().unwrap();
    assert_eq!((stored.switch.count, stored.operator_off.is_some()), (1, true));
    assert_eq!(told(&site, Trigger::AutomaticFailoverDisabled), 1);
    let heartbeats = site.count("heartbeat");
    hear(&mut site, turn);
    assert_eq!(site.count("heartbeat"), heartbeats, "sites that agree do not answer each other");
    hear(&mut site, Turn { count: 2, site_index: 0, off: None });
    assert!(site.watchdog.automatic().is_on());
    assert_eq!(told(&site, Trigger::AutomaticFailoverEnabled), 1);
}

#[test]
fn a_turn_while_the_other_site_is_away_is_pending_over_a_restart_until_it_is_heard_again() {
    let mut site = Site::standby();
    hear(&mut site, Turn::default());
    assert_eq!(site.watchdog.is_switch_agreed(), Some(true), "it was never turned");
    site.is_peer_up = false;
    site.run_for(100);
    site.give(disabled());
    assert_eq!(site.watchdog.is_switch_agreed(), Some(false));

    let stored = site.stored.clone().unwrap();
    let mut site = Site::boot_beside(settings(), Found::Good(Box::new(stored)), None, false);
    site.run_for(1_000);
    assert_eq!(site.watchdog.is_switch_agreed(), Some(false));
    let before = site.count("heartbeat");
    hear(&mut site, Turn::default());
    assert_eq!(site.count("heartbeat"), before + 1, "who does not know yet is told at once");
    assert_eq!(site.watchdog.is_switch_agreed(), Some(false));
    let said = site.watchdog.turn_said().cloned().unwrap();
    assert!(said.off.is_some());
    hear(&mut site, said);
    assert_eq!(site.watchdog.is_switch_agreed(), Some(true));
    assert!(site.stored.as_ref().is_some_and(|stored| stored.switch.is_agreed));
    site.run_for(200);
    assert_eq!(site.watchdog.is_switch_agreed(), Some(true), "its word still counts");
}

#[test]
fn of_two_turns_at_the_same_instant_both_sites_end_with_the_one_of_site_1() {
    let mut one = Site::standby();
    one.give(disabled());
    hear(&mut one, Turn { count: 1, site_index: 0, off: None });
    assert!(!one.watchdog.automatic().is_on(), "it is site 1");
    let settings = Settings { site_index: 0, ..settings() };
    let found = Found::Good(Box::new(Durable::new(Role::Standby, "boot-1")));
    let mut zero = Site::boot(settings, found, None);
    zero.give(Event::OperatorEnabled);
    let theirs = Turn { count: 1, site_index: 1, off: off(&zero, Some(60)) };
    hear(&mut zero, theirs);
    assert!(!zero.watchdog.automatic().is_on());
    zero.run_for(70);
    assert!(zero.watchdog.automatic().is_on(), "a turn that was taken over ends by itself too");
}

#[test]
fn an_old_turn_and_a_turn_whose_time_is_over_switch_nothing_off() {
    let mut site = Site::standby();
    let over = Turn { count: 3, site_index: 0, off: off(&site, Some(0)) };
    hear(&mut site, over);
    assert!(site.watchdog.automatic().is_on());
    assert_eq!(told(&site, Trigger::AutomaticFailoverDisabled), 0);
    site.give(Event::OperatorEnabled);
    let old = Turn { count: 2, site_index: 0, off: off(&site, None) };
    hear(&mut site, old);
    assert!(site.watchdog.automatic().is_on(), "turn 4 is the later one");
}

#[test]
fn a_turn_that_is_not_on_disk_is_not_said() {
    let mut site = Site::standby();
    site.disk_error = Some("disk full".to_owned());
    site.give(disabled());
    site.run_for(10);
    assert_eq!(site.watchdog.turn_said().map(|turn| turn.count), Some(0));
    assert!(!site.watchdog.automatic().is_on(), "here it counts at once");
    site.disk_error = None;
    site.run_for(60);
    assert_eq!(site.watchdog.turn_said().map(|turn| turn.count), Some(1));
}
