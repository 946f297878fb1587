//! The watchdog of one site as a state machine.
//!
//! The caller's contract, in this order: `handle_event(now, event)` for whatever happened; then `poll_effect()`
//! until it returns `None`, performing each effect before the next is polled; then `poll_timeout()`, and
//! `handle_event(now, Event::TimePassed)` when that moment comes. Getters may be called at any time.

mod boot;
mod change;
mod decide;
mod exclusion;
mod operator;
mod peer;
mod status;
mod switch;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use dr_watchdog_sdk::{Situation, Utc, Verdict};

use crate::arbiters::View;
use crate::automatic::{Automatic, Turn};
use crate::durable::Durable;
use crate::effect::{Effect, Notice, Trigger};
use crate::event::{Beat, Event};
use crate::exclusion::state::State;
use crate::heartbeat::Rounds;
use crate::settings::Settings;
use crate::time::{Moment, Now};
use crate::transitions::{self, Cause, Phase, Row};

use change::{AfterWrite, Rewrite, RunningPlan};
pub use exclusion::Boot;

/// From this share of a round of looks on, lateness of this program makes a silence say nothing.
const LATE_SHARE: u32 = 4;

/// The watchdog of one site.
#[derive(Debug)]
pub struct Watchdog {
    settings: Settings,
    boot_id: String,
    durable: Durable,
    phase: Phase,
    /// When the boot time is over; `None` = it is.
    boot_until: Option<(Moment, Utc)>,
    /// Whether the settings have been compared with the other site's since the start.
    is_verified: bool,
    /// Whether they were told to differ.
    has_told_difference: bool,
    /// The turn of the operator's switch that is on disk, so that it may be said.
    turn_said: Turn,
    /// Whether the end of the boot time makes this site the initial active.
    is_first_start: bool,
    /// Whether that has been said to wait for the switch of automatic failover.
    is_first_start_stopped: bool,
    rounds: Rounds,
    view: View,
    automatic: Automatic,
    peer: Option<Beat>,
    /// First and last heartbeat of an unbroken series in which the other site said that it stands by.
    peer_standby: Option<(Moment, Moment)>,
    asking: Asking,
    sweep: u64,
    is_below_warning: bool,
    plan: Option<RunningPlan>,
    writes: BTreeMap<u64, AfterWrite>,
    rewrite: Rewrite,
    /// When a demotion that failed is tried again.
    retry_at: Option<Moment>,
    /// A promotion that failed blocks the next one until then.
    blocked_until: Option<Moment>,
    /// Until then the arbiters are looked at for an operator.
    look_until: Option<Moment>,
    last_id: u64,
    last_now: Now,
    /// What only `lease` knows; `None` in every other mode.
    lease: Option<Box<State>>,
    effects: VecDeque<Effect>,
}

/// The earlier of two moments, where there are any. This runs after every event.
fn earlier(one: Option<Moment>, other: Option<Moment>) -> Option<Moment> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// When the policy is asked.
#[derive(Debug, Default)]
struct Asking {
    situation: Option<Situation>,
    /// Next regular question.
    next: Moment,
    last: Option<Moment>,
    running: Option<(u64, Situation)>,
    previous: Option<Verdict>,
    /// Whether the arbiters stood free at the last look.
    were_free: bool,
}

impl Watchdog {
    /// Takes what happened.
    pub fn handle_event(&mut self, now: Now, event: Event) {
        self.excuse_own_lateness(now.mono);
        self.last_now = now;
        self.check_lease(now);
        match event {
            Event::TimePassed => {}
            Event::PeerPingEnded { ping, answered } => self.peer_ping_ended(now, ping, answered),
            Event::HeartbeatHeard(beat) => self.heartbeat_heard(now, beat),
            Event::ArbiterPinged { arbiter, answer } => self.view.pinged(now.wall, arbiter, answer),
            Event::AddressAged { arbiter, old } => self.view.address_aged(arbiter, old),
            Event::SweepEnded { sweep } => self.sweep_ended(now, sweep),
            Event::ArbiterLooked { arbiter, result } => {
                self.view.looked(now.wall, arbiter, result, &self.settings.managed_rule);
                self.looked(now);
            }
            Event::HoldChanged { arbiter, is_open } => self.view.hold_changed(arbiter, is_open),
            Event::HostKeyChanged { arbiter, why } => self.host_key_changed(arbiter, why),
            Event::VerdictReturned { ask, verdict, failure } => {
                self.verdict_returned(now, ask, verdict, failure)
            }
            Event::PolicyQuarantined { policy, why } => self.policy_quarantined(&policy, &why),
            Event::Persisted { write } => self.persisted(now, write),
            Event::PersistFailed { write, why } => self.persist_failed(now, write, &why),
            Event::StepEnded { plan, step, result } => self.step_ended(now, plan, step, result),
            Event::SettingsCompared { differences } => self.settings_compared(&differences),
            Event::OperatorDisabled { span, reason, by } => self.operator_disabled(now, span, reason, by),
            Event::OperatorEnabled => self.operator_enabled(now),
            Event::Reloaded(settings) => self.reloaded(*settings),
            Event::Exclusion(fact) => self.exclusion_fact(now, fact),
        }
        self.advance(now);
    }

    /// The next effect to perform.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Effects that wait to be polled.
    pub fn pending_effects(&self) -> usize {
        self.effects.len()
    }

    /// When `TimePassed` is due at the latest.
    pub fn poll_timeout(&self) -> Option<Moment> {
        if self.phase == Phase::Standalone {
            return None;
        }
        let operator_end = self.automatic.ends().map(|end| {
            // One millisecond later, because the wall clock is read in whole milliseconds.
            self.last_now.moment_of(end).plus(std::time::Duration::from_millis(1))
        });
        let boot_end = self.boot_until.map(|(moment, _)| moment);
        let common = earlier(earlier(boot_end, self.rounds.due()), earlier(self.retry_at, operator_end));
        let common = earlier(earlier(common, self.rewrite.at), self.look_until);
        earlier(earlier(common, self.ask_due()), self.exclusion_timeout())
    }

    /// Whoever was stopped in the middle of a look cannot tell who was silent.
    fn excuse_own_lateness(&mut self, now: Moment) {
        if !self.view.is_looking() {
            return;
        }
        let before = self.last_now.mono;
        let expected = self.poll_timeout().map_or(before, |due| due.max(before));
        if now.since(expected) > self.settings.look_round / LATE_SHARE {
            self.view.excuse(before, now, &self.settings);
        }
    }

    /// Does whatever is due.
    fn advance(&mut self, now: Now) {
        if self.phase == Phase::Standalone {
            return;
        }
        if self.automatic.expire(now.wall) {
            self.durable.operator_off = None;
            self.turn_said.off = None;
            self.persist(AfterWrite::Nothing);
            self.notify(
                Trigger::AutomaticFailoverEnabled,
                "the operator's disable of automatic failover has ended".to_owned(),
            );
        }
        if self.boot_until.is_some_and(|(moment, _)| moment <= now.mono) {
            self.boot_ended();
        }
        self.start_first();
        if self.rounds.due().is_some_and(|due| due <= now.mono) {
            self.round_due(now);
        }
        self.rewrite_if_due(now);
        self.update_situation(now);
        self.update_looking(now);
        if self.retry_at.is_some_and(|due| due <= now.mono) {
            self.retry_demotion();
        }
        self.advance_exclusion(now);
        self.ask_if_due(now);
    }

    /// Changes the phase by a row of the table.
    ///
    /// # Panics
    /// When the table has no such row: a programmer error.
    fn change(&mut self, cause: Cause) -> &'static Row {
        let row = transitions::find(self.phase, cause);
        let row = row.unwrap_or_else(|| panic!("no transition from {:?} by {cause:?}", self.phase));
        self.phase = row.to;
        self.effects.push_back(Effect::Changed(row));
        row
    }

    fn notify(&mut self, trigger: Trigger, text: String) {
        self.effects.push_back(Effect::Notify(Notice { trigger, text }));
    }

    fn host_key_changed(&mut self, arbiter: usize, why: String) {
        let Some(name) = self.settings.arbiters.get(arbiter) else { return };
        let text = format!("ALARM: arbiter {name}: {why}");
        if self.view.key_changed(arbiter, why) {
            self.notify(Trigger::HostKeyChanged, text);
        }
    }

    const fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The new settings take effect; a plan that runs is never changed under its feet, so the caller reloads only
    /// when the phase is settled.
    fn reloaded(&mut self, settings: Settings) {
        if settings.managed_rule.peer_addresses != self.settings.managed_rule.peer_addresses {
            self.addresses_changed(&settings.managed_rule.peer_addresses);
        }
        if self.lease.is_some() {
            // The agreed arbiters count, whatever the file says; a new list is a proposal.
            let mut kept = settings;
            kept.arbiters.clone_from(&self.settings.arbiters);
            self.settings = kept;
            self.asking.previous = None;
            return;
        }
        if settings.arbiters != self.settings.arbiters {
            self.view = View::new(settings.arbiters.len());
        }
        self.settings = settings;
        self.asking.previous = None;
    }
}
