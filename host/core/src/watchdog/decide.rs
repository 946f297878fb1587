//! Decisions: the situation, when the policy is asked, and what becomes of its verdict.

use dr_watchdog_sdk::verdict::Action;
use dr_watchdog_sdk::{Situation, Utc, Verdict};

use super::Watchdog;
use super::change::AfterWrite;
use crate::automatic::Missing;
use crate::durable::Purpose;
use crate::effect::{Ask, Decision, Effect, PlanKind, Trigger};
use crate::evidence::Evidence;
use crate::gates::{self, Facts, Gate, Stop};
use crate::heartbeat::Reach;
use crate::time::{Moment, Now};
use crate::transitions::{Cause, Phase};

/// What a grace period "for ever" ends at: far enough that nobody waits for it, near enough to be written.
const FOR_EVER: Utc = Utc::from_unix_ms(253_402_300_799_000);

impl Watchdog {
    pub(super) fn situation_now(&self, now: Now) -> Option<Situation> {
        let is_settled = matches!(self.phase, Phase::Standby | Phase::Active);
        if self.boot_until.is_some() || !is_settled {
            return None;
        }
        match self.rounds.reach {
            Reach::Unknown => None,
            Reach::Lost { .. } if self.durable.wait_until.is_some() => Some(Situation::Waiting),
            Reach::Lost { .. } => Some(Situation::PeerLost),
            Reach::Up { .. } => {
                (self.phase == Phase::Standby && self.peer_is_standby(now)).then_some(Situation::BothStandby)
            }
        }
    }

    /// Follows the situation; a new one is asked about at once.
    pub(super) fn update_situation(&mut self, now: Now) {
        let (before, after) = (self.asking.situation, self.situation_now(now));
        if before == after {
            return;
        }
        self.asking.situation = after;
        let is_same_silence =
            matches!((before, after), (Some(Situation::PeerLost), Some(Situation::Waiting)));
        if is_same_silence {
            return;
        }
        self.asking.previous = None;
        self.asking.were_free = false;
        self.asking.next = now.mono;
        if after == Some(Situation::BothStandby) && self.durable.both_standby_until.is_none() {
            let until = self.settings.wait_duration_s.map_or(FOR_EVER, |seconds| now.wall.plus_s(seconds));
            self.durable.both_standby_until = Some(until);
            self.persist(AfterWrite::Nothing);
            self.notify(
                Trigger::BothStandby,
                format!("both sites are standby: nobody serves; the former active may come back until {until}, then an operator decides"),
            );
        }
    }

    /// Looks at the arbiters from the first missed answer until the situation is over.
    pub(super) fn update_looking(&mut self, now: Now) {
        let is_lost = matches!(self.rounds.reach, Reach::Lost { .. });
        let is_missing = self.rounds.is_missing(&self.settings.heartbeat);
        self.look_until = self.look_until.filter(|until| *until > now.mono);
        let is_wanted = is_lost
            || is_missing
            || self.asking.situation.is_some()
            || self.is_heartbeat_missing(now.mono)
            || self.look_until.is_some();
        if is_wanted && !self.view.is_looking() {
            self.view.begin_looking(now.mono);
            self.looks_begin(now.mono);
            self.effects.push_back(Effect::StartLooking);
        } else if !is_wanted && self.view.is_looking() {
            self.view.end_looking();
            self.effects.push_back(Effect::StopLooking);
        }
    }

    /// When the policy is asked next.
    pub(super) fn ask_due(&self) -> Option<Moment> {
        if self.asking.situation.is_none() || self.asking.running.is_some() {
            return None;
        }
        let spaced = self.asking.last.map(|last| last.plus(self.settings.heartbeat.timeout));
        let complete = match self.view.complete_at(&self.settings) {
            Some(_) if self.view.is_complete(self.last_now.mono, &self.settings) => None,
            other => other,
        };
        [Some(self.asking.next), spaced, complete].into_iter().flatten().max()
    }

    /// Asks the policy if it is time and the evidence is complete.
    pub(super) fn ask_if_due(&mut self, now: Now) {
        let Some(situation) = self.asking.situation else {
            return;
        };
        let is_due = self.ask_due().is_some_and(|due| due <= now.mono);
        if !is_due || !self.view.is_complete(now.mono, &self.settings) {
            return;
        }
        let mut evidence = self.view.evidence(now, &self.settings);
        if let Some(state) = self.lease() {
            // A policy counts the arbiters that are agreed, not those that were or will be.
            let agreed = &state.memory.versions.current.arbiters;
            evidence.arbiters.retain(|name, _| agreed.iter().any(|(known, _)| known == name));
        }
        self.weigh_log_ins(now, situation, &evidence);
        let id = self.next_id();
        let wait_time = match situation {
            Situation::PeerLost => None,
            Situation::BothStandby => self.durable.both_standby_until,
            Situation::Waiting => self.durable.wait_until,
        };
        self.asking.running = Some((id, situation));
        self.asking.last = Some(now.mono);
        self.asking.next = now.mono.plus(self.settings.heartbeat.interval);
        let previous = self.asking.previous.clone();
        self.effects.push_back(Effect::AskPolicy(Box::new(Ask {
            id,
            situation,
            wait_time,
            previous,
            evidence,
        })));
    }

    /// Too few log-ins at a standby disable its automatic failover, and enough of them enable it again.
    fn weigh_log_ins(&mut self, now: Now, situation: Situation, evidence: &Evidence) {
        let thresholds = &self.settings.thresholds;
        let (reached, total) = (evidence.ssh_reachable(), evidence.total());
        let has_log_ins = thresholds.adjust_managed.is_met_by(reached, total);
        let has_pings = thresholds.failover.is_met_by(evidence.pinged(), total);
        let cleared_by = self.automatic.connectivity.as_ref().map(|off| off.by);
        match cleared_by {
            None if !has_log_ins && self.phase == Phase::Standby && situation == Situation::PeerLost => {
                let reason = format!(
                    "{reached} of {total} arbiters could be logged in to from here, below the threshold {}",
                    thresholds.adjust_managed
                );
                self.connectivity_off(now, Missing::LogIns, reason);
            }
            Some(Missing::Pings) if has_pings => self.connectivity_back(),
            Some(Missing::LogIns) if has_pings && has_log_ins => self.connectivity_back(),
            _ => {}
        }
    }

    /// A look ended. If the arbiters have just become free of the other site, the policy is asked at once instead
    /// of up to an interval later (`exclusion-notes.md` 11).
    pub(super) fn looked(&mut self, now: Now) {
        if self.phase != Phase::Standby || !self.view.is_complete(now.mono, &self.settings) {
            return;
        }
        let evidence = self.view.evidence(now, &self.settings);
        let free = evidence.ssh_reachable() - evidence.managed();
        let is_free = !self.settings.thresholds.failover.is_met_by(evidence.total() - free, evidence.total());
        if is_free && !self.asking.were_free {
            self.asking.next = now.mono;
        }
        self.asking.were_free = is_free;
    }

    /// Takes the policy's answer.
    pub(super) fn verdict_returned(&mut self, now: Now, ask: u64, verdict: Verdict, failure: Option<String>) {
        let Some((_, asked_in)) = self.asking.running.filter(|(running, _)| *running == ask) else {
            return;
        };
        self.asking.running = None;
        let stopped = self.first_closed(now, asked_in, &verdict, failure.as_deref());
        self.forget_other_requests(stopped.is_none().then_some(verdict.action));
        let outcome = match &stopped {
            Some(stop) => self.stopped(stop),
            None => self.request(now, &verdict).unwrap_or_else(|| self.granted(&verdict)),
        };
        if failure.is_none() {
            self.asking.previous = Some(verdict.clone());
        }
        self.effects.push_back(Effect::Record(Box::new(Decision {
            ask,
            verdict,
            failure,
            stopped,
            outcome,
        })));
    }

    fn first_closed(
        &self,
        now: Now,
        asked_in: Situation,
        verdict: &Verdict,
        failure: Option<&str>,
    ) -> Option<Stop> {
        let until = self.durable.both_standby_until;
        gates::first_closed(&Facts {
            verdict,
            failure,
            phase: self.phase,
            is_booting: self.boot_until.is_some(),
            asked_in,
            situation: self.situation_now(now),
            mode: self.settings.mode,
            automatic: &self.automatic,
            // Under `lease` the other site's vote decides who of two standbys comes first.
            epochs: (
                self.durable.epoch,
                self.fresh_peer(now).filter(|_| self.lease.is_none()).map(|peer| peer.epoch),
            ),
            is_grace_over: until.is_some_and(|until| until <= now.wall),
            standing: self.durable.standing,
            blocked_for: self.blocked_until.map(|until| until.since(now.mono)).filter(|left| !left.is_zero()),
        })
    }

    /// Told once: the verdicts of a policy that is not asked say the same each time.
    pub(super) fn policy_quarantined(&mut self, policy: &str, why: &str) {
        self.notify(
            Trigger::PolicyQuarantined,
            format!("the policy {policy} crashed too often and is not asked any more, so this site decides nothing by itself; at last: {why}; correct it, then reload (SIGHUP)"),
        );
    }

    fn stopped(&mut self, stop: &Stop) -> String {
        let trigger = match stop.gate {
            Gate::Valid => Some(Trigger::PolicyFailed),
            Gate::Site => None,
            Gate::Enforce | Gate::Automatic | Gate::Exclusion => Some(Trigger::GateClosed),
        };
        if let Some(trigger) = trigger {
            self.notify(trigger, format!("no role change: {}", stop.why));
        }
        format!("no role change: {}", stop.why)
    }

    fn granted(&mut self, verdict: &Verdict) -> String {
        match (verdict.action, self.phase) {
            (Action::BeActive, Phase::Standby) => {
                let row = self.change(Cause::Verdict);
                self.begin_promotion(Purpose::Failover);
                row.sentence.to_owned()
            }
            (Action::BeStandby, Phase::Active) => {
                let row = self.change(Cause::Verdict);
                self.clear_waits();
                self.begin_plan(PlanKind::BeStandby, Purpose::Failover);
                row.sentence.to_owned()
            }
            (Action::BeActive | Action::BeStandby, phase) => format!("this site is already {}", phase.word()),
            (Action::Nothing, phase) => format!("this site stays {}", phase.word()),
            (Action::Wait, phase) => {
                let until = verdict.wait_until();
                if until != self.durable.wait_until {
                    self.durable.wait_until = until;
                    self.persist(AfterWrite::Nothing);
                }
                format!("this site stays {} and waits until {}", phase.word(), verdict.payload.wait_time)
            }
        }
    }
}
