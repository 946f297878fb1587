//! One site on virtual time: the real core, the real rules of arbitration, scripted surroundings.

use std::collections::BTreeMap;
use std::time::Duration;

use dr_watchdog_arbitration::{Arbitration, Config};
use dr_watchdog_core::durable::{Durable, Found};
use dr_watchdog_core::effect::{Ask, Decision, Effect, PingTargets, Trigger};
use dr_watchdog_core::event::{Beat, Event};
use dr_watchdog_core::evidence::ManagedRule;
use dr_watchdog_core::settings::{Exclusion, Heartbeat, Mode, OnFailure, Settings, Step};
use dr_watchdog_core::transitions::Phase;
use dr_watchdog_core::{Moment, Now, Watchdog};
use dr_watchdog_sdk::evidence::{Session, SshOutcome};
use dr_watchdog_sdk::sections::{FailureDetection, LastFailover, Role, Sections, Thresholds};
use dr_watchdog_sdk::testing::ScriptedHost;
use dr_watchdog_sdk::{Context, Policy, Utc, Verdict};

const PEER: &str = "192.0.2.10";
/// 2026-01-01T00:00:00+00:00 in milliseconds.
const START_MS: i64 = 1_767_225_600_000;
/// From one look to the next.
const LOOK: Duration = Duration::from_secs(5);
/// More events than any case here needs.
const EVENTS_MAX: usize = 100_000;

/// What answers at the other site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// Its VIP answers, and its watchdog says that it is in this phase.
    Answers(Phase),
    /// Its VIP is silent, another load-balancer node answers.
    NodeAnswers,
    /// Nothing.
    Silent,
}

/// Arbiters as this site sees them: managed by the other site, free, mute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arbiters(pub(super) usize, pub(super) usize, pub(super) usize);

/// The surroundings of a site.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around {
    pub(super) peer: Peer,
    pub(super) arbiters: Arbiters,
}

/// A site under test.
pub(super) struct Site {
    pub(super) watchdog: Watchdog,
    pub(super) around: Around,
    pub(super) decisions: Vec<Decision>,
    pub(super) triggers: Vec<Trigger>,
    now: Now,
    is_looking: bool,
    next_look: Moment,
    due: BTreeMap<(Moment, usize), Event>,
    count: usize,
}

fn settings(arbiters: usize) -> Settings {
    let step = |name: &str| Step { name: name.to_owned(), idempotent: true, on_failure: OnFailure::Stop };
    Settings {
        site_index: 1,
        initial_role: Role::Standby,
        mode: Mode::Enforce,
        heartbeat: Heartbeat { interval: Duration::from_secs(30), timeout: Duration::from_secs(5), tries: 5 },
        has_peer_nodes: true,
        thresholds: Thresholds::default(),
        wait_duration_s: Some(8 * 3_600),
        arbiters: (0..arbiters).map(|number| format!("r{number:02}")).collect(),
        managed_rule: ManagedRule { peer_addresses: vec![PEER.to_owned()], stale_ms: 80_000 },
        look_round: Duration::from_secs(5),
        exclusion: Exclusion::Verdict { wait: Duration::from_secs(80) },
        verifies_at_boot: false,
        be_active: vec![step("start")],
        be_standby: vec![step("stop")],
    }
}

impl Site {
    /// A settled site of this role. An active one is made by a promotion that was interrupted on the same boot.
    pub(super) fn settled(role: Role, failover: LastFailover, around: Around) -> Self {
        let Arbiters(managed, free, mute) = around.arbiters;
        let mut durable = Durable { epoch: 3, failover, ..Durable::new(role, "boot-1") };
        if role == Role::Active {
            durable.plan = Some(dr_watchdog_core::durable::DurablePlan {
                kind: dr_watchdog_core::effect::PlanKind::BeActive,
                step: 0,
                step_name: "start".to_owned(),
                purpose: dr_watchdog_core::durable::Purpose::FirstStart,
            });
        }
        let now = Now { mono: Moment::from_us(1_000_000), wall: Utc::from_unix_ms(START_MS) };
        let settings = settings(managed + free + mute);
        let other = if role == Role::Active { Phase::Standby } else { Phase::Active };
        let well = Around { peer: Peer::Answers(other), arbiters: Arbiters(0, managed + free + mute, 0) };
        let mut site = Self {
            watchdog: Watchdog::boot(now, settings, "boot-1", Found::Good(Box::new(durable))),
            around: well,
            decisions: Vec::new(),
            triggers: Vec::new(),
            now,
            is_looking: false,
            next_look: now.mono,
            due: BTreeMap::new(),
            count: 0,
        };
        site.perform();
        site.run_for(120);
        assert_eq!(site.watchdog.role(), role);
        assert!(site.decisions.is_empty(), "nothing was to be decided yet");
        site.around = around;
        site
    }

    /// The same site after its machine restarted.
    pub(super) fn rebooted(role: Role, around: Around) -> Self {
        let durable = Durable { epoch: 3, ..Durable::new(role, "boot-0") };
        let mut site = Self::settled(Role::Standby, LastFailover::None, around);
        let Arbiters(managed, free, mute) = around.arbiters;
        let settings = settings(managed + free + mute);
        site.watchdog = Watchdog::boot(site.now, settings, "boot-1", Found::Good(Box::new(durable)));
        site.due.clear();
        site.is_looking = false;
        site.perform();
        site
    }

    /// Gives an event.
    pub(super) fn give(&mut self, event: Event) {
        self.watchdog.handle_event(self.now, event);
        self.perform();
    }

    /// Lets virtual time run.
    pub(super) fn run_for(&mut self, seconds: u64) {
        let end = self.now.mono.plus(Duration::from_secs(seconds));
        for _ in 0..EVENTS_MAX {
            let look = self.is_looking.then_some(self.next_look);
            let event = self.due.keys().next().map(|(at, _)| *at);
            let next = [self.watchdog.poll_timeout(), event, look].into_iter().flatten().min();
            let Some(next) = next.map(|next| next.max(self.now.mono)).filter(|next| *next <= end) else {
                self.move_to(end);
                return;
            };
            self.move_to(next);
            if let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= next) {
                let event = entry.remove();
                self.give(event);
            } else if look.is_some_and(|look| look <= next) {
                self.look();
            } else {
                self.give(Event::TimePassed);
            }
        }
        panic!("the watchdog turns without end");
    }

    fn move_to(&mut self, mono: Moment) {
        let wall_ms = START_MS + i64::try_from(mono.us() / 1_000).unwrap();
        self.now = Now { mono, wall: Utc::from_unix_ms(wall_ms) };
    }

    fn later(&mut self, ms: u64, event: Event) {
        self.count += 1;
        self.due.insert((self.now.mono.plus(Duration::from_millis(ms)), self.count), event);
    }

    fn perform(&mut self) {
        while let Some(effect) = self.watchdog.poll_effect() {
            self.perform_one(effect);
        }
    }

    fn perform_one(&mut self, effect: Effect) {
        match effect {
            Effect::PingPeer { ping, targets, timeout, tries } => {
                let answered = match targets {
                    PingTargets::Vip => matches!(self.around.peer, Peer::Answers(_)),
                    PingTargets::Nodes => self.around.peer != Peer::Silent,
                };
                let whole_ms = u64::try_from((timeout * tries).as_millis()).unwrap();
                self.later(if answered { 1 } else { whole_ms }, Event::PeerPingEnded { ping, answered });
            }
            Effect::SendHeartbeat => self.hear(),
            Effect::StartLooking => {
                self.is_looking = true;
                self.look();
            }
            Effect::StopLooking => self.is_looking = false,
            Effect::SweepArbiters { sweep } => {
                self.ping_arbiters();
                self.later(20, Event::SweepEnded { sweep });
            }
            Effect::AskPolicy(ask) => {
                let verdict = self.verdict(&ask);
                self.later(10, Event::VerdictReturned { ask: ask.id, verdict, failure: None });
            }
            Effect::Persist { write, .. } => {
                self.watchdog.handle_event(self.now, Event::Persisted { write });
            }
            Effect::RunStep { plan, step, .. } => {
                self.later(1_000, Event::StepEnded { plan, step, result: Ok(()) });
            }
            Effect::Record(decision) => self.decisions.push(*decision),
            Effect::Notify(notice) => self.triggers.push(notice.trigger),
            Effect::HoldArbiters | Effect::ReleaseArbiters | Effect::Changed(_) => {}
            other => panic!("nothing here needs {other:?}"),
        }
    }

    /// The other site's heartbeat comes once for each of ours.
    fn hear(&mut self) {
        let is_waiting = self.due.values().any(|event| matches!(event, Event::HeartbeatHeard(_)));
        if let (Peer::Answers(phase), false) = (self.around.peer, is_waiting) {
            let beat = Beat {
                site_index: 0,
                epoch: 2,
                phase,
                config_equal: Some(true),
                automatic_failover: true,
                turn: None,
                heard: self.now.wall,
            };
            self.later(20_000, Event::HeartbeatHeard(beat));
        }
    }

    fn ping_arbiters(&mut self) {
        let Arbiters(managed, free, mute) = self.around.arbiters;
        for arbiter in 0..managed + free + mute {
            let answer = if arbiter < managed + free { Ok(0.5) } else { Err("timeout".to_owned()) };
            self.later(10, Event::ArbiterPinged { arbiter, answer });
        }
    }

    fn look(&mut self) {
        self.next_look = self.now.mono.plus(LOOK);
        self.ping_arbiters();
        let Arbiters(managed, free, mute) = self.around.arbiters;
        for arbiter in 0..managed + free + mute {
            let result = match arbiter {
                held if held < managed => Ok(vec![Session { from: PEER.to_owned(), age_ms: Some(900) }]),
                open if open < managed + free => Ok(Vec::new()),
                _ => Err((SshOutcome::Timeout, "no answer".to_owned())),
            };
            self.later(15, Event::ArbiterLooked { arbiter, result });
        }
    }

    fn verdict(&self, ask: &Ask) -> Verdict {
        let watchdog = dr_watchdog_sdk::sections::Watchdog {
            failure_detection: FailureDetection::default(),
            ..dr_watchdog_sdk::sections::Watchdog::default()
        };
        let sections = Sections {
            role: Some(self.watchdog.role()),
            failover: Some(self.watchdog.failover()),
            watchdog: Some(watchdog),
            ..Sections::default()
        };
        let context = Context {
            role: self.watchdog.role(),
            situation: ask.situation,
            wait_time: ask.wait_time,
            previous: ask.previous.clone(),
            deadline_ms: 10_000,
            now: self.now.wall,
        };
        let host = ScriptedHost::new(sections, ask.evidence.arbiters.clone());
        Arbitration::create(Config::default()).unwrap().evaluate(&context, &host).unwrap()
    }
}
