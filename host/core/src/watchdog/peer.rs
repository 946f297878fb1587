//! The other site: rounds, signed heartbeats, and what the sweeps of the arbiters say about this site itself.

use dr_watchdog_sdk::sections::Role;

use super::Watchdog;
use super::change::AfterWrite;
use crate::automatic::{ConnectivityOff, Missing};
use crate::effect::{Effect, Trigger};
use crate::event::Beat;
use crate::heartbeat::{Hearing, Reach, Step};
use crate::time::Now;
use crate::transitions::Phase;

impl Watchdog {
    /// A new round: a ping of the other site, a signed heartbeat to it, and a sweep of the arbiters while it answers.
    pub(super) fn round_due(&mut self, now: Now) {
        let ping = self.rounds.begin(now.mono, &self.settings.heartbeat);
        self.effects.push_back(ping);
        self.announce();
        if !self.view.is_looking() && !self.settings.arbiters.is_empty() {
            self.sweep = self.next_id();
            self.effects.push_back(Effect::SweepArbiters { sweep: self.sweep });
        }
    }

    /// Takes the end of a ping of the other site.
    pub(super) fn peer_ping_ended(&mut self, now: Now, ping: u64, answered: bool) {
        let before = self.rounds.reach;
        let heartbeat = self.settings.heartbeat.clone();
        let has_nodes = self.settings.has_peer_nodes;
        let hearing = self.hearing();
        match self.rounds.ping_ended(now.mono, ping, answered, &heartbeat, has_nodes, hearing) {
            Step::Stale => {}
            Step::Next(effect) => self.effects.push_back(*effect),
            Step::Over => self.reach_changed(before),
        }
    }

    const fn hearing(&self) -> Hearing {
        if self.phase.may_serve() { Hearing::IsNothing } else { Hearing::IsLife }
    }

    fn reach_changed(&mut self, before: Reach) {
        match (before, self.rounds.reach) {
            (Reach::Lost { .. }, Reach::Up { .. }) => {
                self.notify(Trigger::PeerBack, "the other site answers again".to_owned());
            }
            (Reach::Unknown | Reach::Up { .. }, Reach::Lost { .. }) => {
                let tries = self.settings.heartbeat.tries;
                let next = if self.boot_until.is_some() {
                    "the policy is asked when the boot time is over"
                } else {
                    "the policy is asked"
                };
                let text = format!(
                    "the other site does not answer: {tries} pings of its VIP{} were lost; {next}",
                    if self.settings.has_peer_nodes { " and those of its nodes" } else { "" }
                );
                self.peer_standby = None;
                self.notify(Trigger::PeerLost, text);
            }
            _ => {}
        }
    }

    /// Takes a signed heartbeat of the other site.
    pub(super) fn heartbeat_heard(&mut self, now: Now, beat: Beat) {
        if beat.site_index == self.settings.site_index {
            let text = format!(
                "both sites are configured with site.index = {}; the other site's heartbeat is ignored; give one of them {}",
                beat.site_index,
                1 - (beat.site_index & 1)
            );
            self.notify(Trigger::SettingsContradict, text);
            return;
        }
        let before = self.rounds.reach;
        self.rounds.heard(now.mono, self.hearing());
        self.reach_changed(before);
        self.durable.epoch_seen = self.durable.epoch_seen.max(beat.epoch);
        let (peer_claims, peer_epoch) = (beat.phase.claims_active(), beat.epoch);
        let series = self.peer_standby.map_or(now.mono, |(first, _)| first);
        self.peer_standby = (beat.phase == Phase::Standby).then_some((series, now.mono));
        let turn = beat.turn.clone();
        self.peer = Some(beat);
        self.peer_spoke(peer_claims);
        self.peer_turned(now, turn);
        self.end_boot_if_verified();
        if peer_claims {
            if self.durable.both_standby_until.is_some() || self.durable.wait_until.is_some() {
                self.clear_waits();
                self.persist(AfterWrite::Nothing);
            }
            if self.phase.claims_active() && peer_epoch > self.durable.epoch {
                self.yield_to_peer();
            } else if self.phase.claims_active() {
                // It does not know yet that ours is higher.
                self.announce();
            }
        }
    }

    /// Ends what was waited for while both sites were standby.
    pub(super) const fn clear_waits(&mut self) {
        self.durable.both_standby_until = None;
        self.durable.wait_until = None;
    }

    /// Takes the end of a sweep of the arbiters.
    pub(super) fn sweep_ended(&mut self, now: Now, sweep: u64) {
        if sweep != self.sweep {
            return;
        }
        let (answered, total) = (self.view.pinged_count().0, self.settings.arbiters.len() as u64);
        let thresholds = self.settings.thresholds.clone();
        let is_below = !thresholds.warning.is_met_by(answered, total);
        if is_below != self.is_below_warning {
            self.is_below_warning = is_below;
            let why = self.view.silence().map(|why| format!(" ({why})")).unwrap_or_default();
            let text = format!(
                "{answered} of {total} arbiters answer ping{why}; the warning threshold is {}",
                thresholds.warning
            );
            self.notify(if is_below { Trigger::ArbitersBelowWarning } else { Trigger::ArbitersAnswer }, text);
        }
        let is_peer_up = matches!(self.rounds.reach, Reach::Up { .. });
        if !thresholds.failover.is_met_by(answered, total) && is_peer_up {
            let why = self.view.silence().map(|why| format!(" ({why})")).unwrap_or_default();
            let reason = format!(
                "{answered} of {total} arbiters answer ping from here{why}, below the failover threshold {}, while the other site answers",
                thresholds.failover
            );
            self.connectivity_off(now, Missing::Pings, reason);
        } else if thresholds.failover.is_met_by(answered, total) {
            self.connectivity_back();
        }
    }

    /// Blocks this site's own promotion because it sees too few arbiters (reading A5).
    pub(super) fn connectivity_off(&mut self, now: Now, by: Missing, reason: String) {
        if self.automatic.connectivity.is_some() || self.role() == Role::Standalone {
            return;
        }
        let text = format!(
            "automatic failover to this site is disabled: {reason}; it comes back by itself when the arbiters answer again"
        );
        self.automatic.connectivity = Some(ConnectivityOff { reason, since: now.wall, by });
        self.notify(Trigger::AutomaticFailoverDisabled, text);
    }

    /// The arbiters answer again.
    pub(super) fn connectivity_back(&mut self) {
        if self.automatic.connectivity.take().is_some() {
            let text = "automatic failover to this site is enabled again: the arbiters answer".to_owned();
            self.notify(Trigger::AutomaticFailoverEnabled, text);
        }
    }

    /// The other site's last heartbeat, if it is fresh: not older than a boot time, in which a living site is heard.
    pub fn fresh_peer(&self, now: Now) -> Option<&Beat> {
        let span = self.settings.heartbeat.boot_time();
        self.peer.as_ref().filter(|_| self.rounds.heard_within(now.mono, span))
    }

    /// Whether the other site says that it stands by, now. One heartbeat is not enough: the first that comes through a
    /// link that is up again may have lain in a queue since before the other site became active.
    pub(super) fn peer_is_standby(&self, now: Now) -> bool {
        let long_enough = self.settings.heartbeat.interval / 2;
        let said_so = self.peer_standby.is_some_and(|(first, last)| last.since(first) >= long_enough);
        said_so && self.fresh_peer(now).is_some()
    }
}
