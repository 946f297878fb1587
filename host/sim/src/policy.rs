//! The policies that a simulated site asks.

use dr_watchdog_arbitration::rules::{self, Counts, Facts};
use dr_watchdog_core::effect::Ask;
use dr_watchdog_sdk::sections::{LastFailover, Role, Thresholds};
use dr_watchdog_sdk::{Action, Utc, Verdict, VerdictState};

use crate::random::Random;

/// What a policy may know of its site beside the question.
#[derive(Debug, Clone)]
pub struct Site {
    /// 0 or 1.
    pub index: usize,
    /// The role.
    pub role: Role,
    /// The kind of failover that happened last.
    pub failover: LastFailover,
    /// Shares of arbiters.
    pub thresholds: Thresholds,
    /// Length of the grace period in seconds.
    pub wait_duration_s: u64,
}

/// Answers the questions of both sites.
pub trait Policy: std::fmt::Debug {
    /// One verdict, or why there is none.
    ///
    /// # Errors
    /// When the policy failed, or asked for something that is not simulated.
    fn decide(&mut self, site: &Site, ask: &Ask) -> Result<Verdict, String>;
}

/// The default policy: the real rules.
#[derive(Debug, Clone, Copy, Default)]
pub struct Arbitration;

impl Policy for Arbitration {
    fn decide(&mut self, site: &Site, ask: &Ask) -> Result<Verdict, String> {
        let evidence = &ask.evidence;
        let total = evidence.total();
        let facts = Facts {
            role: site.role,
            situation: ask.situation,
            was_last_active: site.failover == LastFailover::ActiveToStandby,
            counts: Counts {
                total,
                pinged: evidence.pinged(),
                managed: evidence.managed(),
                unreachable: total - evidence.ssh_reachable(),
            },
            failover: site.thresholds.failover,
            adjust_managed: site.thresholds.adjust_managed,
            now: evidence.time,
            wait_until: ask.wait_time.unwrap_or_else(|| evidence.time.plus_s(site.wait_duration_s)),
        };
        let rule = rules::decide(&facts).ok_or_else(|| "no rule applies".to_owned())?;
        Ok(verdict(site.role, rule.action, facts.wait_until, rule.name))
    }
}

/// Answers anything at any time: what no policy should do, and none may break the exclusion by.
#[derive(Debug, Clone)]
pub struct Dice(pub Random);

impl Policy for Dice {
    fn decide(&mut self, site: &Site, _ask: &Ask) -> Result<Verdict, String> {
        let action = match (site.role, self.0.percent(50)) {
            (Role::Standby, true) => Action::BeActive,
            (Role::Active, true) if self.0.percent(20) => Action::BeStandby,
            _ => Action::Nothing,
        };
        Ok(verdict(site.role, action, Utc::default(), "dice"))
    }
}

fn verdict(role: Role, action: Action, until: Utc, text: &str) -> Verdict {
    let state = if role == Role::Active { VerdictState::Active } else { VerdictState::Standby };
    if action == Action::Wait { Verdict::wait(state, until, text) } else { Verdict::new(state, action, text) }
}
