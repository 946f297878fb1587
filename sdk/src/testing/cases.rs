//! The decision table as input: every split of a few arbiters in every situation a policy is asked in.
//!
//! It says what goes in, never what comes out, so that it can drive the same rules in several languages.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::ScriptedHost;
use crate::context::Context;
use crate::evidence::{ArbiterEvidence, Session, SshOutcome};
use crate::sections::{
    Arbiter, Core, FailureDetection, HeartbeatService, LastFailover, Role, Sections, ServiceState, Situation,
    States, Thresholds, Watchdog,
};
use crate::threshold::Threshold;
use crate::utc::Utc;

/// Most arbiters of a case.
pub const ARBITERS_MAX: u64 = 6;

/// The VIP of the other site; a session from it makes an arbiter managed.
pub const PEER_VIP: &str = "192.0.2.10";

/// One question with everything that answers its host calls.
#[derive(Debug, Clone)]
pub struct Case {
    /// Tells the case apart in a failure.
    pub name: String,
    /// The question.
    pub context: Context,
    /// The sections, with the question in `states.heartbeat.service` as every engine gets them.
    pub sections: Sections,
    /// What was seen at the arbiters.
    pub arbiters: BTreeMap<String, ArbiterEvidence>,
}

impl Case {
    /// A host that answers for this case.
    pub fn host(&self) -> ScriptedHost {
        let mut host = ScriptedHost::new(self.sections.clone(), self.arbiters.clone());
        host.now = self.context.now;
        host
    }

    /// The case as a probes file of `policy eval`.
    pub fn probes(&self) -> Value {
        json!({
            "now": self.context.now,
            "situation": self.context.situation,
            "waitTime": self.context.wait_time,
            "arbiters": self.arbiters,
        })
    }
}

/// The thresholds: each with an equal and a lower `adjustManaged`.
fn thresholds() -> Vec<(Threshold, Threshold)> {
    let both = [0_u16, 3_000, 5_000, 7_000, 10_000].into_iter().flat_map(|failover| {
        let lower = (failover > 0).then_some((failover, failover / 2));
        [Some((failover, failover)), lower].into_iter().flatten()
    });
    both.filter_map(|(failover, adjust)| {
        Threshold::from_ten_thousandths(failover).zip(Threshold::from_ten_thousandths(adjust))
    })
    .collect()
}

/// How many arbiters the other site manages, and how many cannot be reached.
#[derive(Debug, Clone, Copy)]
struct Split {
    total: u64,
    managed: u64,
    unreachable: u64,
}

fn splits() -> Vec<Split> {
    let totals = 0..=ARBITERS_MAX;
    totals
        .flat_map(|total| {
            (0..=total).flat_map(move |managed| {
                (0..=total - managed).map(move |unreachable| Split { total, managed, unreachable })
            })
        })
        .collect()
}

/// Every case, in a fixed order: splits of 0 to 6 arbiters, both roles, three situations, five thresholds with two
/// guards each, and where both sites are standby the wait (none, ahead, just over) and the last failover.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for split in splits() {
        for role in [Role::Active, Role::Standby] {
            for situation in [Situation::PeerLost, Situation::BothStandby, Situation::Waiting] {
                for shares in thresholds() {
                    for (wait, last) in endings(role, situation) {
                        cases.push(case(split, role, situation, shares, wait, last));
                    }
                }
            }
        }
    }
    cases
}

/// A sample of at most `count` cases, spread evenly over all of them.
pub fn sample(count: usize) -> Vec<Case> {
    let cases = all();
    let step = cases.len().div_ceil(count.max(1)).max(1);
    cases.into_iter().step_by(step).collect()
}

/// Which ends of a wait, and which last failovers, make a difference. The end is in seconds from `now`.
fn endings(role: Role, situation: Situation) -> Vec<(Option<u64>, LastFailover)> {
    let lasts: &[LastFailover] = match (role, situation) {
        (Role::Standby, Situation::BothStandby) => &[LastFailover::None, LastFailover::ActiveToStandby],
        (Role::Standby, _) => &[LastFailover::ActiveToStandby],
        _ => &[LastFailover::StandbyToActive],
    };
    let waits: &[Option<u64>] = match (role, situation) {
        (Role::Standby, Situation::BothStandby | Situation::Waiting) => &[None, Some(3_600), Some(0)],
        _ => &[None],
    };
    lasts.iter().flat_map(|last| waits.iter().map(|wait| (*wait, *last))).collect()
}

fn case(
    split: Split,
    role: Role,
    situation: Situation,
    (failover, adjust_managed): (Threshold, Threshold),
    wait: Option<u64>,
    last: LastFailover,
) -> Case {
    // The last day of February of a leap year, so that "now + waitDuration" has to carry into another month.
    let now = Utc::from_unix_ms(1_835_477_999_000);
    let wait_time = wait.map(|seconds| now.plus_s(seconds));
    let durations = ["8h", "30m", "0", "2"];
    let wait_duration = durations[(split.managed + split.unreachable) as usize % durations.len()].to_owned();
    let thresholds = Thresholds { failover, adjust_managed, ..Thresholds::default() };
    let name = format!(
        "{} {} {}/{}/{} of {} f={failover} a={adjust_managed} wait={wait:?} {wait_duration} {last:?}",
        role.word(),
        situation.word(),
        split.managed,
        split.unreachable,
        split.total - split.managed - split.unreachable,
        split.total
    );
    let detection = FailureDetection {
        threshold: thresholds,
        wait_duration,
        arbiters: (0..split.total).map(|at| Arbiter { host: host(at), ..Arbiter::default() }).collect(),
        ..FailureDetection::default()
    };
    let service =
        HeartbeatService { wait_time, now: Some(now), situation: Some(situation), ..Default::default() };
    let heartbeat = ServiceState { progress: "idle".to_owned(), service, ..Default::default() };
    Case {
        name,
        context: Context { role, situation, wait_time, previous: None, deadline_ms: 10_000, now },
        sections: Sections {
            role: Some(role),
            failover: Some(last),
            core: Some(Core { peer_vip: PEER_VIP.to_owned(), ..Core::default() }),
            watchdog: Some(Watchdog { failure_detection: detection, ..Watchdog::default() }),
            states: Some(States { heartbeat: Some(heartbeat), ..States::default() }),
            ..Sections::default()
        },
        arbiters: (0..split.total).map(|at| (host(at), seen(split, at))).collect(),
    }
}

fn host(at: u64) -> String {
    format!("203.0.113.{}", at + 1)
}

fn seen(split: Split, at: u64) -> ArbiterEvidence {
    let is_managed = at < split.managed;
    let is_reached = at < split.total - split.unreachable;
    let session = Session { from: PEER_VIP.to_owned(), age_ms: Some(1_200) };
    ArbiterEvidence {
        ping: Some(is_reached),
        rtt_ms: is_reached.then_some(0.8),
        why: (!is_reached).then(|| "timeout".to_owned()),
        ssh: Some(if is_reached { SshOutcome::Ok } else { SshOutcome::Timeout }),
        sessions: is_reached.then(|| if is_managed { vec![session] } else { Vec::new() }),
        managed: Some(is_managed),
        ..ArbiterEvidence::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_cases_are_all_different_and_a_sample_is_spread_over_them() {
        let cases = all();
        let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names.len(), cases.len());
        let counted = cases.iter().map(|case| case.arbiters.len()).collect::<BTreeSet<_>>();
        assert_eq!(counted, (0..=6).collect());
        assert!((200..=250).contains(&sample(250).len()));
    }

    #[test]
    fn the_question_stands_in_the_sections_as_it_stands_in_the_context() {
        for case in sample(50) {
            let service = case.sections.states.unwrap().heartbeat.unwrap().service;
            assert_eq!(service.now, Some(case.context.now));
            assert_eq!(service.situation, Some(case.context.situation));
            assert_eq!(service.wait_time, case.context.wait_time);
        }
    }
}
