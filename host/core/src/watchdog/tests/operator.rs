//! Operators' commands in mode `verdict`.

use dr_watchdog_sdk::Action;
use dr_watchdog_sdk::sections::{LastFailover, Role};

use super::{Arbiter, Site, settings};
use crate::durable::{Durable, Found, Standing};
use crate::event::Event;
use crate::exclusion::fact::{Command, Fact};
use crate::settings::{Mode, Settings};
use crate::transitions::Phase;

fn command(site: &mut Site, command: Command) {
    site.give(Event::Exclusion(Fact::Operator(command)));
}

fn become_active(site: &mut Site, is_forced: bool) {
    command(site, Command::BecomeActive { is_forced });
    site.run_for(10);
}

fn refusal(site: &Site, is_forced: bool) -> String {
    site.watchdog.why_not_active(site.now, is_forced).unwrap_or_default()
}

/// An active site whose watchdog was stopped with the other site's word, started again.
pub(super) fn restarted_after_stop(boot_id: &str) -> Site {
    let mut durable = Durable { epoch: 3, ..Durable::new(Role::Active, boot_id) };
    durable.standing.is_stopped = true;
    let mut site = Site::boot(settings(), Found::Good(Box::new(durable)), Some((Phase::Standby, 2)));
    site.run_for(10);
    site
}

#[test]
fn a_site_that_was_handed_over_stays_standby_until_the_other_one_served() {
    let mut site = Site::active();
    command(&mut site, Command::HandOver);
    site.run_for(10);
    assert_eq!(site.watchdog.phase(), Phase::Standby);
    assert_eq!(site.watchdog.failover(), LastFailover::ActiveToStandby);
    site.answer(Action::BeActive);
    site.run_for(120);
    assert_eq!(site.watchdog.phase(), Phase::Standby, "both are standby, and the policy wants it back");
    assert!(site.last_stop().unwrap().why.contains("an operator made this site standby"));

    site.beat = Some((Phase::Active, 40));
    site.run_for(40);
    site.arbiters = vec![Arbiter::Free; 3];
    site.lose_peer();
    assert_eq!(site.watchdog.phase(), Phase::Active, "the other site served and is lost");
}

#[test]
fn an_operator_makes_a_standby_active_when_the_other_site_says_that_it_stands_by() {
    let mut site = Site::standby();
    assert!(refusal(&site, false).contains("says that it is active"));
    become_active(&mut site, false);
    assert_eq!(site.watchdog.phase(), Phase::Standby);
    site.beat = Some((Phase::Standby, 2));
    site.run_for(31);
    become_active(&mut site, false);
    assert_eq!(site.watchdog.phase(), Phase::Active);
    assert_eq!(site.watchdog.epoch(), 5);
    assert_eq!(refusal(&site, false), "", "active already is no refusal");
}

#[test]
fn a_silent_other_site_needs_f_and_free_arbiters_or_force() {
    let mut site = Site::standby();
    // One of its words is fresh when it falls silent.
    site.beat = Some((Phase::Active, 4));
    site.run_for(31);
    site.is_peer_up = false;
    site.run_for(58);
    assert!(refusal(&site, false).contains("less than 80 s ago"), "{}", refusal(&site, false));
    site.run_for(90);
    site.look();
    site.run_for(1);
    assert!(refusal(&site, false).contains("3 are held by it"), "{}", refusal(&site, false));
    site.arbiters = vec![Arbiter::Mute; 3];
    site.look();
    site.run_for(1);
    assert!(refusal(&site, false).contains("3 could not be asked"), "{}", refusal(&site, false));
    assert_eq!(refusal(&site, true), "");
    site.arbiters = vec![Arbiter::Free; 3];
    site.look();
    site.run_for(1);
    assert_eq!(refusal(&site, false), "");
    become_active(&mut site, false);
    assert_eq!(site.watchdog.phase(), Phase::Active);
}

#[test]
fn force_does_not_open_the_sites_own_gates() {
    let booting = Site::boot(settings(), Found::Absent, None);
    assert!(refusal(&booting, true).contains("booting"));
    let observing = Settings { mode: Mode::Observe, ..settings() };
    let observing = Site::boot(observing, Found::Absent, None);
    assert!(refusal(&observing, true).contains("observe"));
    let standalone = Settings { initial_role: Role::Standalone, ..settings() };
    let standalone = Site::boot(standalone, Found::Absent, None);
    assert!(refusal(&standalone, true).contains("standalone"));
}

#[test]
fn an_active_site_that_was_stopped_with_the_other_sites_word_goes_on_only_on_the_same_boot() {
    let site = restarted_after_stop("boot-1");
    assert_eq!((site.watchdog.phase(), site.watchdog.epoch()), (Phase::Active, 3));
    assert_eq!((site.count("beStandby 0"), site.count("beActive 0"), site.count("hold")), (0, 0, 1));
    assert!(!site.stored.unwrap().standing.is_stopped, "once only");
    let site = restarted_after_stop("boot-0");
    assert_eq!((site.watchdog.phase(), site.count("beStandby 1")), (Phase::Standby, 1));
}

#[test]
fn a_standby_that_gave_its_word_keeps_it_until_it_hears_the_other_site() {
    let mut durable = Durable::new(Role::Standby, "boot-1");
    durable.standing = Standing { is_promised: true, ..Standing::default() };
    let mut site = Site::boot_beside(settings(), Found::Good(Box::new(durable)), None, false);
    site.arbiters = vec![Arbiter::Free; 3];
    site.answer(Action::BeActive);
    site.run_for(200);
    assert_eq!(site.watchdog.phase(), Phase::Standby);
    assert!(site.last_stop().unwrap().why.contains("gave its word"));
    site.is_peer_up = true;
    site.beat = Some((Phase::Active, 2));
    site.run_for(61);
    site.lose_peer();
    site.run_for(60);
    assert_eq!(site.watchdog.phase(), Phase::Active);
}

#[test]
fn that_the_other_site_is_off_holds_until_its_first_word() {
    let mut site = Site::standby();
    site.is_peer_up = false;
    site.run_for(61);
    command(&mut site, Command::PeerIsOff);
    assert_eq!(refusal(&site, false), "");
    site.is_peer_up = true;
    site.run_for(31);
    assert!(refusal(&site, false).contains("says that it is active"));
    assert!(!site.watchdog.durable().standing.is_peer_off);
}
