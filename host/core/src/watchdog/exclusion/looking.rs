//! Looks at the arbiters: when each is due, and what each one changes.

use dr_watchdog_sdk::evidence::{Session, SshOutcome};

use super::super::Watchdog;
use super::super::change::AfterWrite;
use super::Next;
use crate::effect::{Effect, Trigger};
use crate::exclusion::agreed::Kind;
use crate::exclusion::lpc::{Contact, Look};
use crate::exclusion::request::Request;
use crate::exclusion::state::State;
use crate::time::{Moment, Now};
use crate::transitions::Phase;

/// From one look at the rows of a healthy peer to the next (`arbiterMonitor`).
const MONITOR_INTERVAL: std::time::Duration = std::time::Duration::from_secs(300);

impl Watchdog {
    /// Whether a signed heartbeat of the other site is missing: an answer, or one of its own.
    pub(in super::super) fn is_heartbeat_missing(&self, now: Moment) -> bool {
        let Some(state) = self.lease() else { return false };
        if state.peer.is_none() {
            return false;
        }
        let grace = self.answer_grace();
        let overdue = self.settings.heartbeat.interval + grace;
        state.unanswered.is_some_and(|sent| now.since(sent) >= grace)
            || state.regular_heard.is_some_and(|heard| now.since(heard) >= overdue)
    }

    /// A series of looks begins: every arbiter is due.
    pub(in super::super) fn looks_begin(&mut self, now: Moment) {
        if let Some(state) = self.lease.as_mut() {
            state.looks.iter_mut().for_each(|look| look.due = now);
            state.were_open = false;
            state.has_met_other = false;
        }
    }

    /// Starts the looks that are due.
    pub(super) fn look_if_due(&mut self, now: Now) {
        let is_looking = self.view.is_looking();
        let is_standby = self.phase == Phase::Standby;
        let Some(state) = self.lease.as_mut() else { return };
        if !is_looking {
            if !is_standby || state.monitor_due > now.mono {
                return;
            }
            state.monitor_due = now.mono.plus(MONITOR_INTERVAL);
            state.looks.iter_mut().for_each(|look| look.due = now.mono);
        }
        let (id_base, timeout) = (self.last_id, state.timers.look_timeout);
        let mut id = id_base;
        for (arbiter, look) in state.looks.iter_mut().enumerate() {
            if look.running.is_none() && look.due <= now.mono {
                id += 1;
                look.running = Some((id, now.mono));
                self.effects.push_back(Effect::Exclusion(Request::Look { look: id, arbiter, timeout }));
            }
        }
        self.last_id = id;
    }

    pub(super) fn looks_due(&self, state: &State, next: &mut Next) {
        if self.view.is_looking() {
            state.looks.iter().filter(|look| look.running.is_none()).for_each(|look| next.at(Some(look.due)));
            return;
        }
        if self.phase == Phase::Standby {
            next.at(Some(state.monitor_due));
        }
        if state.peer.is_some() {
            let grace = self.answer_grace();
            next.at(state.unanswered.map(|sent| sent.plus(grace)));
            next.at(state.regular_heard.map(|heard| heard.plus(self.settings.heartbeat.interval + grace)));
        }
    }

    /// A look ended.
    pub(super) fn arbiter_looked(
        &mut self,
        now: Now,
        look: u64,
        arbiter: usize,
        ping: Result<f64, String>,
        result: Result<Look, (SshOutcome, String)>,
    ) {
        let interval = match self.phase {
            // An active looks for its policy's sake only.
            Phase::Active | Phase::Promoting => self.settings.heartbeat.interval,
            _ => self.lease().map_or_else(Default::default, |state| state.timers.look),
        };
        let Some(state) = self.lease.as_mut() else { return };
        let Some(looking) = state.looks.get_mut(arbiter) else { return };
        let Some((_, sent)) = looking.running.filter(|(running, _)| *running == look) else { return };
        looking.running = None;
        looking.done = Some(sent);
        looking.due = if looking.due > sent { looking.due } else { sent.plus(interval).max(now.mono) };
        let (timers, rules) = (state.timers, state.rules);
        let Some(contact) = state.contacts.get_mut(arbiter) else { return };
        match &result {
            Ok(seen) => {
                let change = contact.looked(now.mono, sent, seen, &timers, rules);
                if seen.mark.is_some_and(|mark| mark.epoch > self.durable.epoch_seen) {
                    self.durable.epoch_seen = seen.mark.map_or(0, |mark| mark.epoch);
                }
                let counts = state.quorum.sets().iter().any(|set| set.members.contains(&arbiter));
                let is_met = counts && change.is_peer_seen && state.claim.has_holds();
                state.has_met_other |= is_met;
            }
            Err(_) => contact.failed(now.mono, rules),
        }
        self.calibrate(now.mono, arbiter, result.is_ok());
        self.show_look(now, arbiter, ping, result);
    }

    /// The other site's addresses changed: nothing seen under the old ones counts.
    pub(in super::super) fn addresses_changed(&mut self, addresses: &[String]) {
        let now = self.last_now.mono;
        let Some(state) = self.lease.as_mut() else { return };
        state.memory.calibrated.clear();
        state.memory.calibrated_with = addresses.to_vec();
        state.contacts.iter_mut().for_each(|contact| contact.lose_calibration(now));
        self.close_claim(now);
        self.persist(AfterWrite::Nothing);
    }

    /// Compares the look with what the other site says that it holds.
    fn calibrate(&mut self, now: Moment, arbiter: usize, is_good: bool) {
        // Only a peer that is heard regularly has said so after the look before; one that fell silent may be dead.
        let is_peer_fresh =
            self.talking(now).is_some() && !self.view.is_looking() && !self.is_heartbeat_missing(now);
        let Some(state) = self.lease.as_mut() else { return };
        let members = state.quorum.sets().first().map(|set| set.members.as_slice()).unwrap_or_default();
        let position = members.iter().position(|member| *member == arbiter);
        let is_held = position.is_some_and(|i| state.peer_holds.get(i) == Some(&true));
        let timers = state.timers;
        let Some(contact) = state.contacts.get_mut(arbiter).filter(|_| is_good && is_peer_fresh) else {
            return;
        };
        if !contact.calibrate(now, is_held, &timers).is_calibration_changed {
            return;
        }
        let is_calibrated = contact.is_calibrated();
        let name = self.settings.arbiters.get(arbiter).cloned().unwrap_or_default();
        state.memory.calibrated.retain(|known| *known != name);
        if is_calibrated {
            state.memory.calibrated.push(name);
        } else {
            let text = format!(
                "the other site says that it holds a session at arbiter {name}, and this site does not see it: the arbiter counts as unknown; check exclusion.peerHoldAddresses"
            );
            self.notify(Trigger::Exclusion, text);
        }
        self.persist(AfterWrite::Nothing);
    }

    /// Shows the look to policies, as sessions with the age that this site reckons.
    fn show_look(
        &mut self,
        now: Now,
        arbiter: usize,
        ping: Result<f64, String>,
        result: Result<Look, (SshOutcome, String)>,
    ) {
        if !self.view.is_looking() {
            return;
        }
        self.view.pinged(now.wall, arbiter, ping);
        let peer = self.settings.managed_rule.peer_addresses.first();
        let contact = self.lease.as_ref().and_then(|state| state.contacts.get(arbiter));
        let sessions = result.map(|look| match contact {
            Some(contact) => sessions(now.mono, contact, &look, peer),
            None => Vec::new(),
        });
        self.view.looked(now.wall, arbiter, sessions, &self.settings.managed_rule);
    }
}

fn sessions(now: Moment, contact: &Contact, look: &Look, peer: Option<&String>) -> Vec<Session> {
    let ms = |span: std::time::Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    if contact.kind() == Kind::Mark {
        let age_ms = look.mark.and_then(|mark| mark.age).map(ms);
        let marked = age_ms.zip(peer).map(|(age, peer)| Session { from: peer.clone(), age_ms: Some(age) });
        return marked.into_iter().collect();
    }
    let since_trace = contact.last_trace().map(|trace| ms(now.since(trace)));
    let age = |row: &crate::exclusion::lpc::Row| match contact.kind() {
        Kind::Mark | Kind::Age => row.age.map(ms),
        Kind::Counter => since_trace,
        Kind::Presence => None,
    };
    look.rows.iter().map(|row| Session { from: row.from.0.to_string(), age_ms: age(row) }).collect()
}
