//! How a site under `lease` starts: as standby, unless its guard has kept the lease of the same boot.

use std::time::Duration;

use dr_watchdog_sdk::sections::Role;

use super::super::Watchdog;
use crate::durable::{Durable, Found};
use crate::effect::{Effect, PlanKind, Trigger};
use crate::exclusion::agreed::Versions;
use crate::exclusion::fact::GuardFound;
use crate::exclusion::memory::{Memory, NO_CLUSTER};
use crate::exclusion::request::Request;
use crate::exclusion::rules::Rule;
use crate::exclusion::state::{Joining, State};
use crate::settings::{Exclusion, Settings};
use crate::time::Now;
use crate::transitions::Cause;

/// What the daemon finds when it starts, beside the stored state.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Boot {
    /// The kernel's boot id.
    pub id: String,
    /// A number that no other run of the program has.
    pub run: u64,
    /// The guard.
    pub guard: GuardFound,
}

impl Watchdog {
    /// A site under `lease` that starts.
    ///
    /// In every other mode it is [`Watchdog::boot`].
    pub fn boot_leased(now: Now, settings: Settings, boot: &Boot, found: Found) -> Self {
        let Exclusion::Lease(lease) = &settings.exclusion else {
            return Self::boot(now, settings, &boot.id, found);
        };
        let (proposal, rules) = (lease.proposal.clone(), lease.rules);
        let stored = match &found {
            Found::Good(durable) => durable.exclusion.as_deref().cloned(),
            Found::Absent | Found::Bad(_) => None,
        };
        let is_joined = stored.is_some() || !rules.has(Rule::Amnesia);
        let mut memory = stored.unwrap_or_else(|| Memory::new(NO_CLUSTER, Versions::single(proposal)));
        if memory.calibrated_with != settings.managed_rule.peer_addresses {
            memory.calibrated.clear();
            memory.calibrated_with.clone_from(&settings.managed_rule.peer_addresses);
        }
        if !rules.has(Rule::Amnesia) && memory.calibrated.is_empty() {
            // Without the rule the lost state is taken for a whole one.
            memory.calibrated = memory.versions.names();
        }
        let joining = if is_joined { Joining::Joined } else { Joining::Lost { told: None } };
        let mut settings = settings;
        for name in memory.versions.names() {
            if !settings.arbiters.contains(&name) {
                settings.arbiters.push(name);
            }
        }
        let mut state = State::new(now.mono, boot.run, &settings.arbiters, memory, joining, rules);
        state.is_fenced = boot.guard == GuardFound::Idle;
        if state.memory.is_data_doubtful {
            state.doubt_until = settings.wait_duration_s.map(|s| now.mono.plus(Duration::from_secs(s)));
        }
        let found = match found {
            // Under `lease` no site serves for the first time alone: it asks for the other one's vote.
            Found::Absent => Found::Good(Box::new(Durable::new(Role::Standby, &boot.id))),
            other => other,
        };
        Self::boot_with(now, settings, &boot.id, found, Some((Box::new(state), boot.guard)))
    }

    /// Goes on in the same role and epoch, if the guard has kept the lease of this boot.
    pub(in super::super) fn adopt(&mut self, now: Now, guard: GuardFound) -> bool {
        let is_same_boot = self.durable.boot_id == self.boot_id;
        let is_active = self.durable.role == Role::Active;
        let plan = self.durable.plan.as_ref().map(|plan| plan.kind);
        let epoch = self.durable.epoch;
        let off = self.automatic.operator.clone();
        let Some(state) = self.lease.as_mut() else { return false };
        // A guard that is armed for longer than a lease rests on an agreed release or on force. Neither outlives the
        // program: from its first word on the other site takes this one to owe its duty again.
        let lease_end = now.mono.plus(state.timers.lease);
        match guard {
            GuardFound::Armed { epoch: armed, until }
                if is_same_boot && is_active && armed == epoch && until > now.mono && plan.is_none() =>
            {
                state.evidence.grant(until.min(lease_end));
                state.guard_wanted = Some((armed, until));
                state.guard_armed = state.guard_wanted;
                state.is_fenced = false;
                state.reckon();
                self.change(Cause::Adopted);
                self.boot_until = None;
                self.effects.push_back(Effect::Exclusion(Request::Mark { epoch, is_claim: false }));
                self.effects.push_back(Effect::HoldArbiters);
                match off {
                    // The operator's off goes on, so its release is asked for anew.
                    Some(off) => {
                        let left = off.until.map(|until| now.moment_of(until).since(now.mono));
                        self.ask_release(now, left);
                    }
                    None => self.announce(),
                }
                true
            }
            GuardFound::Armed { epoch: armed, until }
                if is_same_boot && armed == epoch && until > now.mono && plan == Some(PlanKind::BeActive) =>
            {
                // The plan goes on with the lease ahead; the caller resumes it.
                state.evidence.grant(until.min(lease_end));
                state.reckon();
                self.effects.push_back(Effect::Exclusion(Request::Mark { epoch, is_claim: false }));
                false
            }
            _ if is_active && !state.rules.has(Rule::BootAsStandby) && plan.is_none() => {
                state.evidence.grant(now.mono.plus(state.timers.lease));
                state.is_fenced = false;
                state.reckon();
                self.change(Cause::Adopted);
                self.effects.push_back(Effect::HoldArbiters);
                true
            }
            // Whoever was stopped by an operator has left its services running, and its guard released.
            GuardFound::Idle if !(is_same_boot && is_active) => false,
            GuardFound::Idle | GuardFound::Armed { .. } | GuardFound::Fired => {
                self.fence();
                false
            }
        }
    }

    /// The site was active and does not go on: the other one may serve from now on, so its own data may grow old.
    pub(in super::super) fn doubt_data(&mut self, now: Now) {
        let wait_duration = self.settings.wait_duration_s.map(Duration::from_secs);
        if let Some(state) = self.lease.as_mut() {
            state.memory.is_data_doubtful = true;
            state.doubt_until = wait_duration.map(|span| now.mono.plus(span));
        }
    }

    /// Whether a plan to become active may go on over a restart.
    pub(in super::super) fn may_resume_promotion(&self, now: Now) -> bool {
        match self.lease() {
            None => true,
            Some(state) => state.end.is_some_and(|end| end > now.mono),
        }
    }

    /// Takes the state of this site away, as an operator asked: only a standby may.
    pub(super) fn reset(&mut self) {
        if self.role() != Role::Standby {
            self.notify(
                Trigger::Exclusion,
                "reset is refused: this site serves; hand over first, or use stop".to_owned(),
            );
            return;
        }
        // What only this site knows is not thrown away: the other one would wait for newer data that nobody claims.
        let is_unheard = self.lease().is_some_and(|state| {
            let heard = state.peer.map_or(0, |peer| peer.seen_of_us);
            state.joining == Joining::Joined && state.memory.served_epoch > heard
        });
        if is_unheard {
            self.notify(
                Trigger::Exclusion,
                "reset is refused: this site served last, and the other site has not heard so; join the sites first, or start the other site with manualFailover -a".to_owned(),
            );
            return;
        }
        self.close_claim(self.last_now.mono);
        self.durable.failover = dr_watchdog_sdk::sections::LastFailover::None;
        if let Some(state) = self.lease.as_mut() {
            state.joining = Joining::Lost { told: None };
            state.memory.calibrated.clear();
            state.wish = None;
            state.asking = None;
        }
        self.persist(super::super::change::AfterWrite::Nothing);
    }
}
