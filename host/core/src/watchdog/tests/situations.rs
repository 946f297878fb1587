//! Situations: when the policy is asked, with what, how often.

use std::time::Duration;

use dr_watchdog_sdk::sections::Role;
use dr_watchdog_sdk::{Action, Situation, Utc, Verdict, VerdictState};

use super::{Arbiter, Site, settings, stored};
use crate::durable::{Durable, Found};
use crate::effect::Trigger;
use crate::gates::Gate;
use crate::heartbeat::Reach;
use crate::settings::Settings;
use crate::transitions::Phase;

#[test]
fn a_lost_peer_is_asked_about_at_once_then_every_interval() {
    let mut site = Site::standby();
    site.is_peer_up = false;
    site.run_for(200);
    assert!(matches!(site.watchdog.reach(), Reach::Lost { .. }));
    assert!(site.asks.iter().all(|ask| ask.situation == Situation::PeerLost && ask.wait_time.is_none()));
    let gaps: Vec<u64> = site.ask_times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    assert!(gaps.iter().all(|gap| *gap == 30), "{gaps:?}");
    let lost = site.ask_times[0].as_secs() % 30;
    assert_eq!(lost, 25, "asked in the moment in which five pings of 5 s were lost");
    assert!(site.asks[0].previous.is_none() && site.asks[1].previous.is_some());
    assert_eq!(site.asks[0].evidence.managed(), 3);
}

#[test]
fn arbiters_that_become_free_are_asked_about_at_once() {
    let mut site = Site::standby();
    site.is_peer_up = false;
    site.run_for(70);
    let asked = site.asks.len();
    site.arbiters = vec![Arbiter::Free; 3];
    site.look();
    site.run_for(1);
    assert_eq!(site.asks.len(), asked + 1);
    assert!(site.asks[asked].evidence.managed() <= 1, "asked as soon as the share is below the threshold");
    site.look();
    site.run_for(1);
    assert_eq!(site.asks.len(), asked + 1, "only when they become free, not as long as they are");
}

#[test]
fn looking_begins_at_the_first_missed_answer_and_ends_when_the_peer_answers() {
    let mut site = Site::standby();
    assert_eq!(site.count("look"), 0);
    site.is_peer_up = false;
    site.run_for(37);
    assert_eq!((site.count("look"), site.count("stop looking")), (1, 0));
    site.is_peer_up = true;
    site.run_for(30);
    assert_eq!((site.count("look"), site.count("stop looking")), (1, 1));
    assert!(site.asks.is_empty(), "a retry answered");
}

#[test]
fn a_peer_that_answers_ping_and_says_nothing_is_no_situation() {
    let mut site = Site::standby();
    site.beat = None;
    site.run_for(600);
    assert!(site.asks.is_empty());
}

fn both_standby(peer_epoch: u64) -> Site {
    let mut durable = Durable::new(Role::Standby, "boot-1");
    durable.epoch = 5;
    Site::boot(settings(), Found::Good(Box::new(durable)), Some((Phase::Standby, peer_epoch)))
}

#[test]
fn two_standbys_are_a_situation_with_an_end_that_is_stored() {
    let mut site = both_standby(4);
    site.run_for(120);
    assert!(site.asks.iter().all(|ask| ask.situation == Situation::BothStandby));
    let until = site.asks[0].wait_time.unwrap();
    assert!(site.asks.iter().all(|ask| ask.wait_time == Some(until)), "it does not move");
    assert_eq!(site.stored.as_ref().unwrap().both_standby_until, Some(until));
    assert_eq!(site.notices.iter().filter(|notice| notice.trigger == Trigger::BothStandby).count(), 1);
    site.answer(Action::BeActive);
    site.run_for(60);
    assert_eq!(site.watchdog.phase(), Phase::Active);
    assert_eq!(site.watchdog.wait_time(), None);
}

#[test]
fn the_site_that_was_active_earlier_does_not_come_back_before_the_later_one() {
    let mut site = both_standby(6);
    site.answer(Action::BeActive);
    site.run_for(120);
    assert_eq!(site.watchdog.phase(), Phase::Standby);
    assert_eq!(site.last_stop().unwrap().gate, Gate::Exclusion);
    site.run_for(3_600);
    assert_eq!(site.watchdog.phase(), Phase::Active, "the grace period is over");
}

#[test]
fn a_wait_that_is_granted_lasts_while_the_peer_is_silent() {
    let mut site = both_standby(4);
    site.policy = Box::new(|ask| {
        let until = ask.wait_time.unwrap_or(Utc::from_unix_ms(1_800_000_000_000));
        Ok(Verdict::wait(VerdictState::Standby, until, "the former active may come back"))
    });
    site.run_for(120);
    let until = site.watchdog.durable().wait_until;
    assert!(until.is_some());
    site.is_peer_up = false;
    site.run_for(120);
    let last = site.asks.last().unwrap();
    assert_eq!((last.situation, last.wait_time), (Situation::Waiting, until));
    site.is_peer_up = true;
    site.beat = Some((Phase::Active, 6));
    site.run_for(60);
    assert_eq!(site.watchdog.durable().wait_until, None, "somebody serves: the wait is over");
    assert_eq!(site.watchdog.situation(), None);
}

#[test]
fn a_wait_in_a_lost_peer_keeps_the_last_verdict() {
    let mut site = Site::standby();
    site.policy = Box::new(|_| {
        Ok(Verdict::wait(VerdictState::Standby, Utc::from_unix_ms(1_800_000_000_000), "a human decides"))
    });
    site.is_peer_up = false;
    site.run_for(120);
    let last = site.asks.last().unwrap();
    assert_eq!(last.situation, Situation::Waiting);
    assert!(last.previous.is_some());
}

#[test]
fn an_active_that_loses_its_peer_is_asked_too() {
    let mut site = Site::active();
    site.policy = Box::new(|_| Ok(super::verdict(VerdictState::Active, Action::Nothing)));
    site.lose_peer();
    assert_eq!(site.asks.last().unwrap().situation, Situation::PeerLost);
    assert_eq!(site.watchdog.phase(), Phase::Active);
    assert!(site.last_stop().is_none());
}

#[test]
fn mute_arbiters_delay_the_question_by_one_deadline_at_most() {
    let mut site = Site::boot(
        Settings { look_round: Duration::from_secs(40), ..settings() },
        stored(Role::Standby),
        Some((Phase::Active, 2)),
    );
    site.run_for(90);
    site.arbiters = vec![Arbiter::Free; 3];
    site.watchdog.settings.arbiters.push("r4".to_owned());
    site.watchdog.view = crate::arbiters::View::new(4);
    site.is_peer_up = false;
    site.run_for(100);
    let first = &site.asks[0];
    assert_eq!((first.evidence.total(), first.evidence.ssh_reachable()), (4, 3));
}

#[test]
fn a_site_that_was_stopped_during_a_look_does_not_take_its_own_silence_for_the_arbiters() {
    let mut site = Site::active();
    site.watchdog.settings.look_round = Duration::from_secs(40);
    site.policy = Box::new(|ask| {
        let is_cut_off = ask.evidence.pinged() == 0;
        let action = if is_cut_off { Action::BeStandby } else { Action::Nothing };
        Ok(super::verdict(VerdictState::Active, action))
    });
    // Nothing is heard of these looks before the site is stopped.
    let arbiters = std::mem::take(&mut site.arbiters);
    site.is_peer_up = false;
    site.run_for(60);
    assert_eq!((site.count("look"), site.asks.len()), (1, 0));
    site.freeze(100);
    site.give(crate::Event::TimePassed);
    assert_eq!(site.asks.len(), 0, "it was this site that was silent");
    site.arbiters = arbiters;
    site.look();
    site.run_for(10);
    assert_eq!((site.asks.len(), site.asks[0].evidence.pinged()), (1, 3));
    assert_eq!(site.watchdog.phase(), Phase::Active);
}

#[test]
fn a_peer_with_our_own_index_is_a_contradiction_that_is_told() {
    let settings = Settings { site_index: 0, ..settings() };
    let mut site = Site::boot(settings, Found::Absent, Some((Phase::Active, 2)));
    site.run_for(60);
    assert!(site.watchdog.peer().is_none());
    assert!(site.notices.iter().any(|notice| notice.trigger == Trigger::SettingsContradict));
}

#[test]
fn a_heartbeat_that_lay_in_a_queue_since_before_the_failover_does_not_make_two_standbys() {
    let mut site = Site::boot(settings(), stored(Role::Standby), Some((Phase::Active, 4)));
    site.run_for(90);
    site.is_peer_up = false;
    site.run_for(120);
    let beat = |phase| crate::event::Beat {
        site_index: 0,
        epoch: 4,
        phase,
        config_equal: None,
        automatic_failover: true,
        turn: None,
        heard: Utc::from_unix_ms(0),
    };
    let asked = site.asks.len();
    for _ in 0..3 {
        site.give(crate::Event::HeartbeatHeard(beat(Phase::Standby)));
    }
    assert_eq!(site.watchdog.situation(), None, "the link is back, and what it says may be old");
    site.give(crate::Event::HeartbeatHeard(beat(Phase::Active)));
    assert_eq!((site.watchdog.situation(), site.asks.len()), (None, asked));
}

#[test]
fn a_wrong_host_key_is_told_once_and_stays_in_health_until_the_right_one_is_shown() {
    let mut site = Site::active();
    let told =
        |site: &Site| site.notices.iter().filter(|notice| notice.trigger == Trigger::HostKeyChanged).count();
    let changed = |why: &str| crate::Event::HostKeyChanged { arbiter: 1, why: why.to_owned() };
    site.give(changed("it shows another key"));
    site.give(changed("it shows another key"));
    assert_eq!(told(&site), 1);
    let last = site.notices.last().unwrap();
    assert_eq!(last.text, "ALARM: arbiter r2: it shows another key");
    assert_eq!(site.watchdog.host_key_alarms().collect::<Vec<_>>(), [("r2", "it shows another key")]);
    site.give(changed("it shows a third key"));
    assert_eq!(told(&site), 2, "another impostor is news");
    site.give(crate::Event::HoldChanged { arbiter: 0, is_open: true });
    assert_eq!(site.watchdog.host_key_alarms().count(), 1, "that was another arbiter");
    site.give(crate::Event::HoldChanged { arbiter: 1, is_open: true });
    assert_eq!(site.watchdog.host_key_alarms().count(), 0);
    site.give(changed("it shows another key"));
    assert_eq!(told(&site), 3, "it had gone");
    let unknown = crate::Event::HostKeyChanged { arbiter: 7, why: "an older configuration".to_owned() };
    site.give(unknown);
    assert_eq!(told(&site), 3);
}
