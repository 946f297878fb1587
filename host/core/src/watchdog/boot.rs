//! How a site boots: as standby, with whatever the stored state left to finish.

use std::collections::{BTreeMap, VecDeque};

use dr_watchdog_sdk::sections::Role;

use super::change::{AfterWrite, RunningPlan};
use super::{Asking, Watchdog};
use crate::arbiters::View;
use crate::automatic::{Automatic, Turn};
use crate::durable::{Durable, DurablePlan, Found, Purpose};
use crate::effect::{Effect, PlanKind, Trigger};
use crate::exclusion::fact::GuardFound;
use crate::exclusion::state::State;
use crate::heartbeat::Rounds;
use crate::settings::{Mode, Settings};
use crate::time::Now;
use crate::transitions::{Cause, Phase};

impl Watchdog {
    /// A site that starts, with what was found where its state is stored. `boot_id` is the kernel's.
    pub fn boot(now: Now, settings: Settings, boot_id: &str, found: Found) -> Self {
        Self::boot_with(now, settings, boot_id, found, None)
    }

    /// The same, with what only `lease` knows.
    pub(super) fn boot_with(
        now: Now,
        settings: Settings,
        boot_id: &str,
        found: Found,
        lease: Option<(Box<State>, GuardFound)>,
    ) -> Self {
        let (lease, guard) = lease.map_or((None, GuardFound::Idle), |(state, guard)| (Some(state), guard));
        let is_pair_new = lease.as_ref().is_some_and(|state| state.memory.served_epoch == 0);
        let is_initial_active = settings.initial_role == Role::Active;
        let (durable, is_first_start, unusable) = match found {
            Found::Good(durable) => {
                let is_new = is_pair_new && durable.epoch == 0;
                let is_first = is_initial_active && (is_new || durable.is_first_start_due);
                (*durable, is_first, None)
            }
            Found::Absent => {
                let role =
                    if settings.initial_role == Role::Standalone { Role::Standalone } else { Role::Standby };
                (Durable::new(role, boot_id), is_initial_active, None)
            }
            Found::Bad(why) => (Durable::new(Role::Standby, boot_id), false, Some(why)),
        };
        let until = now.mono.plus(settings.heartbeat.boot_time());
        let until_wall = now.wall.plus_s(settings.heartbeat.boot_time().as_secs());
        let durable = Durable { is_first_start_due: is_first_start && lease.is_none(), ..durable };
        let mut watchdog = Self {
            view: View::new(settings.arbiters.len()),
            automatic: Automatic { operator: durable.operator_off.clone(), connectivity: None },
            is_verified: !settings.verifies_at_boot,
            has_told_difference: false,
            turn_said: Turn {
                count: durable.switch.count,
                site_index: durable.switch.site_index,
                off: durable.operator_off.clone(),
            },
            phase: if durable.role == Role::Standalone { Phase::Standalone } else { Phase::Standby },
            settings,
            boot_id: boot_id.to_owned(),
            durable,
            boot_until: Some((until, until_wall)),
            is_first_start,
            is_first_start_stopped: false,
            rounds: Rounds::new(now.mono),
            peer: None,
            peer_standby: None,
            asking: Asking::default(),
            sweep: 0,
            is_below_warning: false,
            plan: None,
            writes: BTreeMap::new(),
            rewrite: super::change::Rewrite::default(),
            retry_at: None,
            blocked_until: None,
            look_until: None,
            last_id: 0,
            last_now: now,
            lease,
            effects: VecDeque::new(),
        };
        if let Some(why) = &unusable {
            let text = format!(
                "the stored state cannot be used ({why}); nothing is guessed: this site boots as standby"
            );
            watchdog.notify(Trigger::StateUnusable, text);
        }
        if unusable.is_some() && watchdog.lease.is_none() {
            // It may have been active. Under `lease` the guard has ended that.
            watchdog.change(Cause::FoundUnusable);
            watchdog.begin_plan(PlanKind::BeStandby, Purpose::Undo);
        } else if !watchdog.adopt(now, guard) {
            watchdog.resume(now);
            watchdog.stay_released_until_fenced(now);
        }
        watchdog.durable.boot_id = boot_id.to_owned();
        watchdog.advance(now);
        watchdog
    }

    /// Finishes what the stored state left unfinished. The rows begin at what the site was doing when it was stored.
    fn resume(&mut self, now: Now) {
        let is_same_boot = self.durable.boot_id == self.boot_id;
        self.durable.boot_id.clone_from(&self.boot_id);
        match self.durable.plan.clone() {
            Some(plan) if plan.kind == PlanKind::BeStandby => {
                self.phase = Phase::Demoting;
                self.change(Cause::FoundDemotion);
                self.resume_plan(now, &plan);
            }
            Some(plan) if is_same_boot && self.may_resume_promotion(now) => {
                self.phase = Phase::Promoting;
                self.change(Cause::FoundPromotion);
                self.resume_plan(now, &plan);
            }
            Some(_) => {
                self.phase = Phase::Promoting;
                self.change(Cause::FoundPromotionOfEarlierBoot);
                self.begin_plan(PlanKind::BeStandby, Purpose::Undo);
            }
            None if self.durable.role == Role::Active && self.settings.mode == Mode::Observe => {
                // What is only observed was never ours to stop.
                self.phase = Phase::Active;
            }
            // Under `lease` nobody goes on without an armed guard: what still serves is fenced.
            None if self.durable.role == Role::Active
                && self.durable.standing.is_stopped
                && is_same_boot
                && self.lease.is_none() =>
            {
                self.phase = Phase::Active;
                self.change(Cause::FoundStopped);
                self.durable.standing.is_stopped = false;
                self.effects.push_back(Effect::HoldArbiters);
                self.persist(AfterWrite::Nothing);
            }
            None if self.durable.role == Role::Active => {
                self.phase = Phase::Active;
                // Under `lease` the record ends with the fence: until then some node may serve without its guard.
                self.durable.standing.is_stopped &= self.lease.is_some();
                self.change(Cause::FoundActive);
                self.doubt_data(now);
                self.begin_plan(PlanKind::BeStandby, Purpose::Failover);
            }
            None => {}
        }
    }

    /// Takes a plan up at the step that was running. It is found by name, because the configuration may have
    /// changed in between.
    fn resume_plan(&mut self, now: Now, stored: &DurablePlan) {
        let steps = self.steps(stored.kind);
        let found = steps.iter().position(|step| step.name == stored.step_name);
        let may_run = found.is_none_or(|step| steps[step].idempotent);
        let id = self.next_id();
        let mut plan = RunningPlan::new(id, stored.kind, stored.purpose);
        plan.step = found.unwrap_or(0);
        let step = plan.step;
        self.plan = Some(plan);
        match (found, stored.kind) {
            (Some(_), _) if !may_run => {
                let why = "it was running when the watchdog ended, and it may not run twice".to_owned();
                self.step_ended(now, id, step, Err(why));
            }
            (None, PlanKind::BeActive) if !stored.step_name.is_empty() => {
                let why =
                    format!("the step \"{}\" that was running is no longer configured", stored.step_name);
                self.step_ended(now, id, step, Err(why));
            }
            _ => self.persist(AfterWrite::Announce { plan: id }),
        }
    }

    /// Ends the boot time early: the other site was heard, and its settings were compared with this one's. Where that
    /// cannot be had, the boot time passes; a site beside a dead one must take over some time.
    pub(super) fn end_boot_if_verified(&mut self) {
        if self.boot_until.is_some() && self.peer.is_some() && self.is_verified {
            self.boot_ended();
        }
    }

    /// The settings of both sites were compared.
    pub(super) fn settings_compared(&mut self, differences: &[String]) {
        self.is_verified = true;
        if !differences.is_empty() {
            self.has_told_difference = true;
            let text = format!("settings that both sites must share differ: {}", differences.join("; "));
            self.notify(Trigger::SettingsDiffer, text);
        } else if std::mem::take(&mut self.has_told_difference) {
            self.notify(
                Trigger::SettingsAgree,
                "the settings that both sites must share are the same again".to_owned(),
            );
        }
        self.end_boot_if_verified();
    }

    /// The boot time is over, because it passed or because the other site was heard.
    pub(super) fn boot_ended(&mut self) {
        self.boot_until = None;
        self.persist(AfterWrite::Nothing);
    }

    /// The first start of the initial active: a promotion like any other, so the switch of automatic failover stops it
    /// for as long as it is off. It is not forgotten over a restart.
    pub(super) fn start_first(&mut self) {
        // Under `lease` nobody starts alone; the first start is a vote.
        if !self.is_first_start || self.lease.is_some() || self.boot_until.is_some() {
            return;
        }
        let hears_active = self.peer.as_ref().is_some_and(|peer| peer.phase.may_serve());
        if hears_active || self.phase != Phase::Standby {
            self.is_first_start = false;
            self.durable.is_first_start_due = false;
            self.persist(AfterWrite::Nothing);
            return;
        }
        match self.automatic.why_off() {
            Some(_) if self.is_first_start_stopped => {}
            Some(why) => {
                self.is_first_start_stopped = true;
                self.notify(
                    Trigger::GateClosed,
                    format!("the first start of this site waits, so it is standby: {why}; it becomes active when automatic failover is enabled again"),
                );
            }
            None => {
                self.change(Cause::FirstStart);
                self.begin_promotion(Purpose::FirstStart);
            }
        }
    }
}
