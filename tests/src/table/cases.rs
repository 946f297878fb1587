//! The cases: every split of 0 to 6 arbiters, role, situation, threshold.

use dr_watchdog_core::evidence::{Evidence, ManagedRule};
use dr_watchdog_sdk::evidence::{ArbiterEvidence, Session, SshOutcome};
use dr_watchdog_sdk::{Context, Role, Situation, Utc};
use serde_json::{Value, json};

/// Most arbiters of a case.
const ARBITERS_MAX: u64 = 6;
/// `threshold.failover`.
const THRESHOLDS: [f64; 5] = [0.0, 0.3, 0.5, 0.7, 1.0];
/// How far `adjustManaged` lies below `failover` in the lower half of the cases.
const LOWER_BY: f64 = 0.2;
/// The instant of every question.
const NOW: &str = "2026-01-01T00:00:00+00:00";
/// `waitDuration`.
const WAIT_DURATION: &str = "8h";
/// Address of the other site.
const PEER: &str = "192.0.2.10";

/// Where the grace period stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It begins now.
    Begins,
    /// It ends later.
    Open,
    /// It has ended.
    Over,
}

impl Wait {
    /// Its end, as the question names it.
    pub fn time(self) -> Option<Utc> {
        match self {
            Self::Begins => None,
            Self::Open => Some(now().plus_s(60)),
            Self::Over => Some(Utc::from_unix_ms(now().unix_ms() - 60_000)),
        }
    }
}

/// The instant of every question.
pub fn now() -> Utc {
    Utc::parse(NOW).unwrap()
}

/// One case.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Role of the site.
    pub role: Role,
    /// Why the policy is asked.
    pub situation: Situation,
    /// Where the grace period stands.
    pub wait: Wait,
    /// Whether this site was the last active.
    pub was_last_active: bool,
    /// Arbiters in all.
    pub total: u64,
    /// Arbiters that answer ping.
    pub pinged: u64,
    /// Arbiters that the other site manages.
    pub managed: u64,
    /// Arbiters that could not be logged in to.
    pub unreachable: u64,
    /// `threshold.failover`.
    pub failover: f64,
    /// `threshold.adjustManaged`.
    pub adjust_managed: f64,
}

/// Every case, in a fixed order.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for role in [Role::Active, Role::Standby] {
        for (situation, wait, was_last_active) in settings() {
            for failover in THRESHOLDS {
                for adjust_managed in [failover, lower(failover)] {
                    for (total, pinged, managed, unreachable) in splits() {
                        cases.push(Case {
                            role,
                            situation,
                            wait,
                            was_last_active,
                            total,
                            pinged,
                            managed,
                            unreachable,
                            failover,
                            adjust_managed,
                        });
                    }
                }
            }
        }
    }
    cases
}

/// About `count` cases spread evenly over all of them.
pub fn sample(count: usize) -> Vec<Case> {
    let all = all();
    // A step that shares no factor with the lengths of the inner loops, so that every value of each occurs.
    let step = (all.len() / count).max(1) | 1;
    all.into_iter().step_by(step).collect()
}

/// A standby of many free arbiters: the question of the measurements.
pub fn large(total: u64) -> Case {
    Case {
        role: Role::Standby,
        situation: Situation::PeerLost,
        wait: Wait::Begins,
        was_last_active: false,
        total,
        pinged: total,
        managed: total / 3,
        unreachable: total / 10,
        failover: 0.5,
        adjust_managed: 0.5,
    }
}

fn settings() -> Vec<(Situation, Wait, bool)> {
    let mut settings = vec![(Situation::PeerLost, Wait::Begins, false)];
    for wait in [Wait::Begins, Wait::Open, Wait::Over] {
        settings.push((Situation::Waiting, wait, false));
        settings.extend([false, true].map(|was_last| (Situation::BothStandby, wait, was_last)));
    }
    settings
}

fn lower(failover: f64) -> f64 {
    // Rounded to the four decimals that a threshold may have.
    ((failover - LOWER_BY).max(0.0) * 10_000.0).round() / 10_000.0
}

/// `(total, pinged, managed, unreachable)`.
fn splits() -> Vec<(u64, u64, u64, u64)> {
    let mut splits = Vec::new();
    for total in 0..=ARBITERS_MAX {
        for managed in 0..=total {
            for unreachable in 0..=total - managed {
                splits.extend((0..=total).map(|pinged| (total, pinged, managed, unreachable)));
            }
        }
    }
    splits
}

fn host(index: u64) -> String {
    format!("203.0.113.{}", index + 1)
}

impl Case {
    /// What was seen at the arbiters.
    pub fn evidence(&self) -> Evidence {
        let rule = ManagedRule { peer_addresses: vec![PEER.to_owned()], stale_ms: 80_000 };
        let names: Vec<String> = (0..self.total).map(host).collect();
        let seen = |index: u64| {
            let (ssh, sessions) = if index < self.managed {
                (SshOutcome::Ok, vec![Session { from: PEER.to_owned(), age_ms: Some(100) }])
            } else if index < self.managed + self.unreachable {
                (SshOutcome::Timeout, Vec::new())
            } else {
                (SshOutcome::Ok, Vec::new())
            };
            // The last ones answer, so that pings and sessions do not go by the same arbiters.
            let ping = index + self.pinged >= self.total;
            ArbiterEvidence {
                ping: Some(ping),
                ssh: Some(ssh),
                sessions: Some(sessions),
                ..ArbiterEvidence::default()
            }
        };
        let arbiters = (0..self.total).map(|index| (host(index), seen(index))).collect();
        Evidence { time: now(), arbiters }.completed(&names, &rule)
    }

    /// The sections, as the host hands them to a policy.
    pub fn sections(&self) -> Value {
        let arbiter = |index| json!({"username": "user1", "password": "***", "host": host(index), "port": 22, "privateKey": ""});
        json!({
            "role": self.role,
            "failover": if self.was_last_active { "active_to_standby" } else { "" },
            "core": {"peerVip": PEER, "adminPass": "***", "scpTimeout": 120, "peerLoadBalancerNodes": "",
                "peerBusinessLogicNodes": "", "peerDeviceMgtIps": ""},
            "watchdog": {
                "heartbeat": {"retries": 4, "timeout": 5, "interval": 30},
                "notification": {"email": "", "interval": 3600},
                "failureDetection": {"isCustom": true, "script": "",
                    "threshold": {"failover": self.failover, "adjustManaged": self.adjust_managed, "warning": 0.7},
                    "waitDuration": WAIT_DURATION,
                    "arbiters": (0..self.total).map(arbiter).collect::<Vec<_>>()}},
            "states": {"heartbeat": {"progress": "running",
                "msg": {"service": "heartbeat", "description": "", "state": true, "force": false,
                    "progress": "unknown", "payload": {"localFailover": false}, "time": NOW},
                "service": {"booting": false, "bootEndTime": null, "waitTime": self.wait.time(),
                    "automaticFailover": true, "automaticFailoverEndTime": null,
                    "now": NOW, "situation": self.situation}}},
        })
    }

    /// The question's context.
    pub fn context(&self, deadline_ms: u64) -> Context {
        Context {
            role: self.role,
            situation: self.situation,
            wait_time: self.wait.time(),
            previous: None,
            deadline_ms,
            now: now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cases_are_as_many_as_they_must_be_and_say_what_they_mean() {
        assert_eq!(splits().len(), 462);
        assert_eq!(all().len(), 2 * 10 * 5 * 2 * 462);
        for case in sample(200) {
            let evidence = case.evidence();
            let found = (evidence.total(), evidence.pinged(), evidence.managed(), evidence.ssh_reachable());
            assert_eq!(
                found,
                (case.total, case.pinged, case.managed, case.total - case.unreachable),
                "{case:?}"
            );
        }
    }

    #[test]
    fn a_sample_has_every_role_situation_and_threshold() {
        let sample = sample(200);
        assert!(sample.len() >= 200);
        for failover in THRESHOLDS {
            for role in [Role::Active, Role::Standby] {
                assert!(sample.iter().any(|case| case.failover == failover && case.role == role));
            }
        }
        for situation in [Situation::PeerLost, Situation::BothStandby, Situation::Waiting] {
            assert!(sample.iter().any(|case| case.situation == situation));
        }
    }
}
