//! Operators' commands in mode `verdict`; under `lease` the tables of `exclusion` weigh them.

use std::time::Duration;

use super::Watchdog;
use super::change::AfterWrite;
use crate::durable::Purpose;
use crate::effect::{PlanKind, Trigger};
use crate::exclusion::fact::Command;
use crate::settings::Mode;
use crate::time::Now;
use crate::transitions::{Cause, Phase};

/// How long the arbiters are looked at for an operator: a few looks, and the time to type a name.
const LOOK_SPAN: Duration = Duration::from_secs(120);

impl Watchdog {
    /// Takes an operator's command.
    pub(super) fn command(&mut self, now: Now, command: Command) {
        match command {
            Command::BecomeActive { is_forced } => match self.why_not_active(now, is_forced) {
                Some(why) => self.notify(Trigger::GateClosed, format!("no role change: {why}")),
                None if self.phase == Phase::Standby => {
                    self.change(Cause::Operator);
                    self.begin_promotion(Purpose::Failover);
                }
                None => {}
            },
            Command::HandOver => self.hand_over_role(),
            Command::Stop if self.phase == Phase::Active => {
                self.remember(|standing| standing.is_stopped = true)
            }
            Command::Promise if self.phase == Phase::Standby => {
                self.remember(|standing| standing.is_promised = true);
            }
            Command::Look => self.look_until = Some(now.mono.plus(LOOK_SPAN)),
            Command::PeerIsOff => {
                self.remember(|standing| standing.is_peer_off = true);
                let text =
                    "an operator vouches that the other site is off; that ends with its first signed message";
                self.notify(Trigger::PeerIsOff, text.to_owned());
            }
            // The two switches come as events of their own; what stops nothing needs no mark.
            Command::Release { .. } | Command::Resume | Command::Reset | Command::Stop | Command::Promise => {
            }
        }
    }

    fn hand_over_role(&mut self) {
        if let Some(why) = self.why_not_standby() {
            self.notify(Trigger::GateClosed, format!("no role change: {why}"));
            return;
        }
        match self.phase {
            Phase::Active => {
                self.change(Cause::Operator);
                self.durable.standing.is_handed_over = true;
                self.clear_waits();
                self.begin_plan(PlanKind::BeStandby, Purpose::Failover);
            }
            Phase::DemotionFailed => {
                self.durable.standing.is_handed_over = true;
                self.retry_demotion();
            }
            // It is on its way already, and stays there once it has arrived.
            Phase::Demoting | Phase::Standby | Phase::Promoting | Phase::Standalone => {
                self.remember(|standing| standing.is_handed_over = true);
            }
        }
    }

    pub(super) fn remember(&mut self, change: impl FnOnce(&mut crate::durable::Standing)) {
        change(&mut self.durable.standing);
        self.persist(AfterWrite::Nothing);
    }

    /// The other site spoke: words that were given until then have ended.
    pub(super) fn peer_spoke(&mut self, claims_active: bool) {
        let before = self.durable.standing;
        self.durable.standing.is_promised = false;
        self.durable.standing.is_peer_off = false;
        self.durable.standing.is_handed_over &= !claims_active;
        if self.durable.standing != before {
            self.persist(AfterWrite::Nothing);
        }
        if before.is_peer_off {
            let text = "the other site spoke, so an operator's word that it is off has ended";
            self.notify(Trigger::PeerIsNotOff, text.to_owned());
        }
    }

    /// Why an operator cannot make this site active, if so (`exclusion-notes.md` 4, the columns of an operator).
    /// Nothing where it is active already or on its way.
    pub fn why_not_active(&self, now: Now, is_forced: bool) -> Option<String> {
        if let Some(why) = self.why_no_command() {
            return Some(why);
        }
        if self.phase.claims_active() {
            return None;
        }
        if self.phase != Phase::Standby {
            return Some(format!("services of this site may still be serving ({})", self.phase.word()));
        }
        if let Some((_, until)) = self.boot_until {
            return Some(format!("this site is booting until {until}; it looks for the other site first"));
        }
        if is_forced || self.durable.standing.is_peer_off {
            return None;
        }
        match self.fresh_peer(now).map(|peer| peer.phase) {
            Some(Phase::Standby | Phase::Standalone) => None,
            Some(phase) => Some(format!("the other site says that it is {}", phase.word())),
            None => self.why_silence_proves_nothing(now),
        }
    }

    /// Why this silent other site may still be serving.
    fn why_silence_proves_nothing(&self, now: Now) -> Option<String> {
        let wait = self.settings.exclusion.wait();
        if self.rounds.heard_within(now.mono, wait) {
            return Some(format!(
                "the other site was heard less than {} s ago; until then it may be serving",
                wait.as_secs()
            ));
        }
        let evidence = self.view.evidence(now, &self.settings);
        let total = evidence.total();
        if total == 0 {
            return Some("the other site is silent, and no arbiter can tell whether it serves".to_owned());
        }
        if !self.view.is_complete(now.mono, &self.settings) {
            return Some("the other site is silent, and the arbiters have not been asked yet".to_owned());
        }
        let unknown = total - evidence.ssh_reachable();
        let managed = evidence.managed();
        self.settings.thresholds.failover.is_met_by(managed + unknown, total).then(|| {
            format!(
                "the other site is silent, and of {total} arbiters {managed} are held by it and {unknown} could not be asked: it may be serving"
            )
        })
    }

    /// Why an operator cannot make this site standby, if so. Nothing where it is standby already or on its way.
    pub fn why_not_standby(&self) -> Option<String> {
        if let Some(why) = self.why_no_command() {
            return Some(why);
        }
        (self.phase == Phase::Promoting)
            .then(|| "this site is just becoming active; repeat the command then".to_owned())
    }

    fn why_no_command(&self) -> Option<String> {
        if self.phase == Phase::Standalone {
            return Some("this site is standalone; it has no other site".to_owned());
        }
        (self.settings.mode == Mode::Observe).then(|| {
            "mode is \"observe\": this site records what it would do, and changes no role".to_owned()
        })
    }
}
