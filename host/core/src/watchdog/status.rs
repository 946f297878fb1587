//! What the watchdog says of itself.

use dr_watchdog_sdk::evidence::ArbiterEvidence;
use dr_watchdog_sdk::sections::{LastFailover, Role};
use dr_watchdog_sdk::{Situation, Utc};

use super::Watchdog;
use crate::automatic::Automatic;
use crate::durable::Durable;
use crate::effect::PlanKind;
use crate::event::Beat;
use crate::evidence::Evidence;
use crate::heartbeat::Reach;
use crate::settings::Settings;
use crate::time::Now;
use crate::transitions::Phase;

impl Watchdog {
    /// The role, as the manual has it: active from before the first step that may serve until after the last one
    /// that ends it.
    pub const fn role(&self) -> Role {
        match self.phase {
            Phase::Standalone => Role::Standalone,
            Phase::Standby => Role::Standby,
            Phase::Promoting | Phase::Active | Phase::Demoting | Phase::DemotionFailed => Role::Active,
        }
    }

    /// What the site is doing.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// The highest epoch this site has held.
    pub const fn epoch(&self) -> u64 {
        self.durable.epoch
    }

    /// The kind of failover that happened last.
    pub const fn failover(&self) -> LastFailover {
        self.durable.failover
    }

    /// What would be stored now.
    pub const fn durable(&self) -> &Durable {
        &self.durable
    }

    /// The settings in force.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// End of the boot time; `None` = it is over.
    pub fn boot_end(&self) -> Option<Utc> {
        self.boot_until.map(|(_, wall)| wall)
    }

    /// Why the first start of this site waits, if it does.
    pub fn why_first_start_waits(&self) -> Option<String> {
        let is_due = self.is_first_start && self.lease.is_none() && self.boot_until.is_none();
        is_due.then(|| self.automatic.why_off()).flatten()
    }

    /// The arbiters that showed a wrong host key last, each with what it showed.
    pub fn host_key_alarms(&self) -> impl Iterator<Item = (&str, &str)> {
        self.view.alarms(&self.settings)
    }

    /// What is known of the other site's reachability.
    pub const fn reach(&self) -> Reach {
        self.rounds.reach
    }

    /// The other site's last heartbeat, fresh or not.
    pub const fn peer(&self) -> Option<&Beat> {
        self.peer.as_ref()
    }

    /// The situation, if there is one.
    pub const fn situation(&self) -> Option<Situation> {
        self.asking.situation
    }

    /// End of the wait that is open in this situation.
    pub const fn wait_time(&self) -> Option<Utc> {
        match self.asking.situation {
            Some(Situation::BothStandby) => self.durable.both_standby_until,
            _ => self.durable.wait_until,
        }
    }

    /// The switches of automatic failover.
    pub const fn automatic(&self) -> &Automatic {
        &self.automatic
    }

    /// The plan that runs: which, which step, how many.
    pub fn running_plan(&self) -> Option<(PlanKind, usize, usize)> {
        let plan = self.plan.as_ref()?;
        Some((plan.kind, plan.step, self.steps(plan.kind).len()))
    }

    /// What was last seen at the arbiters.
    pub fn evidence(&self, now: Now) -> Evidence {
        self.view.evidence(now, &self.settings)
    }

    /// What is known of each arbiter: name, evidence, whether a session is held there.
    pub fn arbiters(&self) -> impl Iterator<Item = (&str, ArbiterEvidence, bool)> {
        self.view.known(&self.settings)
    }

    /// Whether the arbiters are being looked at.
    pub const fn is_looking(&self) -> bool {
        self.view.is_looking()
    }

    /// Held sessions that are open.
    pub fn holds_open(&self) -> usize {
        self.view.holds_open()
    }

    /// Arbiters that answered their last ping.
    pub fn pinged(&self) -> u64 {
        self.view.pinged_count().0
    }

    /// Whether both sites stand by, so that nobody serves.
    pub fn peer_and_self_standby(&self, now: Now) -> bool {
        self.phase == Phase::Standby && self.peer_is_standby(now)
    }
}
