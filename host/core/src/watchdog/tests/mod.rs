//! One site in a scripted world on virtual time.

mod boot;
mod gates;
mod operator;
mod rows;
mod situations;
mod switch;

use std::collections::BTreeMap;
use std::time::Duration;

use dr_watchdog_sdk::evidence::{Session, SshOutcome};
use dr_watchdog_sdk::sections::{Role, Thresholds};
use dr_watchdog_sdk::{Action, Utc, Verdict, VerdictState};

use crate::durable::{Durable, Found};
use crate::effect::{Ask, Decision, Effect, Notice, PlanKind};
use crate::event::{Beat, Event};
use crate::evidence::ManagedRule;
use crate::settings::{Exclusion, Heartbeat, Mode, OnFailure, Settings, Step};
use crate::time::{Moment, Now};
use crate::transitions::{Phase, Row};
use crate::watchdog::Watchdog;

/// The address from which the other site manages arbiters.
pub(super) const PEER: &str = "192.0.2.10";
/// 2026-01-01T00:00:00+00:00 in milliseconds.
const START_MS: i64 = 1_767_225_600_000;
/// More events than any scenario here needs; a loop that turns for ever fails the test instead of hanging it.
const EVENTS_MAX: usize = 100_000;

/// Answers a question.
type Policy = Box<dyn Fn(&Ask) -> Result<Verdict, String>>;
/// Ends a step; `None` leaves it running.
type Steps = Box<dyn Fn(PlanKind, usize) -> Option<Result<(), String>>>;

/// What an arbiter shows to this site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arbiter {
    /// Answers, and the other site has a fresh session there.
    Managed,
    /// Answers, and nobody has a session there.
    Free,
    /// Does not answer.
    Mute,
}

/// A site and everything around it.
pub(super) struct Site {
    pub(super) watchdog: Watchdog,
    now: Now,
    pub(super) is_peer_up: bool,
    /// What the other site's heartbeat says; `None` = silent.
    pub(super) beat: Option<(Phase, u64)>,
    pub(super) arbiters: Vec<Arbiter>,
    pub(super) policy: Policy,
    pub(super) step_result: Steps,
    pub(super) disk_error: Option<String>,
    pub(super) stored: Option<Durable>,
    pub(super) rows: Vec<&'static Row>,
    pub(super) decisions: Vec<Decision>,
    pub(super) notices: Vec<Notice>,
    pub(super) effects: Vec<String>,
    pub(super) asks: Vec<Ask>,
    pub(super) ask_times: Vec<Duration>,
    due: BTreeMap<(Moment, usize), Event>,
    count: usize,
}

pub(super) fn settings() -> Settings {
    let step = |name: &str| Step { name: name.to_owned(), idempotent: true, on_failure: OnFailure::Stop };
    Settings {
        site_index: 1,
        initial_role: Role::Standby,
        mode: Mode::Enforce,
        heartbeat: Heartbeat { interval: Duration::from_secs(30), timeout: Duration::from_secs(5), tries: 5 },
        has_peer_nodes: false,
        thresholds: Thresholds::default(),
        wait_duration_s: Some(3_600),
        arbiters: ["r1", "r2", "r3"].map(str::to_owned).to_vec(),
        managed_rule: ManagedRule { peer_addresses: vec![PEER.to_owned()], stale_ms: 80_000 },
        look_round: Duration::from_secs(5),
        exclusion: Exclusion::Verdict { wait: Duration::from_secs(80) },
        verifies_at_boot: false,
        be_active: vec![step("one"), step("two")],
        be_standby: vec![step("undo two"), step("undo one")],
    }
}

/// A stored state of this role, from this boot.
pub(super) fn stored(role: Role) -> Found {
    Found::Good(Box::new(Durable::new(role, "boot-1")))
}

pub(super) fn verdict(state: VerdictState, action: Action) -> Verdict {
    Verdict::new(state, action, "scripted")
}

impl Site {
    /// Boots beside a living peer whose heartbeat says `beat`.
    pub(super) fn boot(settings: Settings, found: Found, beat: Option<(Phase, u64)>) -> Self {
        Self::boot_beside(settings, found, beat, true)
    }

    pub(super) fn boot_beside(
        settings: Settings,
        found: Found,
        beat: Option<(Phase, u64)>,
        is_peer_up: bool,
    ) -> Self {
        let now = Now { mono: Moment::from_us(1_000_000), wall: Utc::from_unix_ms(START_MS) };
        let mut site = Self {
            watchdog: Watchdog::boot(now, settings, "boot-1", found),
            now,
            is_peer_up,
            beat,
            arbiters: vec![Arbiter::Managed; 3],
            policy: Box::new(|_| Ok(verdict(VerdictState::Standby, Action::Nothing))),
            step_result: Box::new(|_, _| Some(Ok(()))),
            disk_error: None,
            stored: None,
            rows: Vec::new(),
            decisions: Vec::new(),
            notices: Vec::new(),
            effects: Vec::new(),
            asks: Vec::new(),
            ask_times: Vec::new(),
            due: BTreeMap::new(),
            count: 0,
        };
        site.perform();
        site
    }

    /// A standby whose other site is active, after its boot.
    pub(super) fn standby() -> Self {
        let mut site = Self::boot(settings(), stored(Role::Standby), Some((Phase::Active, 2)));
        site.run_for(90);
        assert_eq!(site.watchdog.phase(), Phase::Standby);
        site
    }

    /// An active whose other site is standby.
    pub(super) fn active() -> Self {
        let settings = Settings { initial_role: Role::Active, ..settings() };
        let mut site = Self::boot(settings, Found::Absent, Some((Phase::Standby, 0)));
        site.arbiters = vec![Arbiter::Free; 3];
        site.run_for(90);
        assert_eq!(site.watchdog.phase(), Phase::Active);
        site
    }

    pub(super) fn answer(&mut self, action: Action) {
        self.policy = Box::new(move |_| {
            let state =
                if action == Action::BeStandby { VerdictState::Active } else { VerdictState::Standby };
            Ok(verdict(state, action))
        });
    }

    pub(super) fn give(&mut self, event: Event) {
        self.watchdog.handle_event(self.now, event);
        self.perform();
    }

    fn later(&mut self, seconds_ms: u64, event: Event) {
        self.count += 1;
        let at = self.now.mono.plus(Duration::from_millis(seconds_ms));
        self.due.insert((at, self.count), event);
    }

    /// Lets virtual time run for so many seconds.
    pub(super) fn run_for(&mut self, seconds: u64) {
        self.run_for_ms(seconds * 1_000);
    }

    pub(super) fn run_for_ms(&mut self, ms: u64) {
        let end = self.now.mono.plus(Duration::from_millis(ms));
        for _ in 0..EVENTS_MAX {
            let timer = self.watchdog.poll_timeout();
            let event = self.due.keys().next().map(|(at, _)| *at);
            let next = [timer, event].into_iter().flatten().min().map(|next| next.max(self.now.mono));
            let Some(next) = next.filter(|next| *next <= end) else {
                self.move_to(end);
                return;
            };
            self.move_to(next);
            match self.due.first_entry().filter(|entry| entry.key().0 <= next) {
                Some(entry) => {
                    let event = entry.remove();
                    self.give(event);
                }
                None => self.give(Event::TimePassed),
            }
        }
        panic!("the watchdog turns without end");
    }

    /// Stops the whole site for so many seconds; whatever happens in between is heard afterwards.
    pub(super) fn freeze(&mut self, seconds: u64) {
        self.move_to(self.now.mono.plus(Duration::from_secs(seconds)));
    }

    fn move_to(&mut self, mono: Moment) {
        let passed = mono.since(self.now.mono);
        let wall_ms = self.now.wall.unix_ms() + i64::try_from(passed.as_millis()).unwrap();
        // The wall clock keeps the sub-millisecond rest by being derived from the moment, not accumulated.
        let wall_ms = wall_ms.max(START_MS + i64::try_from(mono.us() / 1_000).unwrap() - 1_000);
        self.now = Now { mono, wall: Utc::from_unix_ms(wall_ms) };
    }

    fn perform(&mut self) {
        while let Some(effect) = self.watchdog.poll_effect() {
            self.perform_one(effect);
        }
    }

    fn perform_one(&mut self, effect: Effect) {
        match effect {
            Effect::PingPeer { ping, timeout, tries, .. } => {
                let answered = self.is_peer_up;
                let ms = if answered { 1 } else { u64::try_from((timeout * tries).as_millis()).unwrap() };
                self.later(ms, Event::PeerPingEnded { ping, answered });
            }
            Effect::SendHeartbeat => {
                if let Some((phase, epoch)) = self.beat.filter(|_| self.is_peer_up) {
                    let heard = self.now.wall;
                    let beat = Beat {
                        site_index: 0,
                        epoch,
                        phase,
                        config_equal: None,
                        automatic_failover: true,
                        turn: None,
                        heard,
                    };
                    if self
                        .watchdog
                        .fresh_peer(self.now)
                        .is_none_or(|last| (last.phase, last.epoch) != (phase, epoch))
                        || self.effects.last().is_none_or(|last| last != "heartbeat")
                    {
                        self.later(2, Event::HeartbeatHeard(beat));
                    }
                }
                self.effects.push("heartbeat".to_owned());
            }
            Effect::StartLooking => {
                self.effects.push("look".to_owned());
                self.look();
            }
            Effect::StopLooking => self.effects.push("stop looking".to_owned()),
            Effect::SweepArbiters { sweep } => {
                self.ping_arbiters();
                self.later(20, Event::SweepEnded { sweep });
            }
            Effect::HoldArbiters => self.effects.push("hold".to_owned()),
            Effect::ReleaseArbiters => self.effects.push("release".to_owned()),
            Effect::AskPolicy(ask) => {
                let (verdict, failure) = match (self.policy)(&ask) {
                    Ok(verdict) => (verdict, None),
                    Err(why) => (Verdict::nothing(VerdictState::Standby, ""), Some(why)),
                };
                self.later(10, Event::VerdictReturned { ask: ask.id, verdict, failure });
                self.ask_times.push(self.now.mono.since(Moment::from_us(1_000_000)));
                self.asks.push(*ask);
            }
            Effect::Persist { write, durable } => match self.disk_error.clone() {
                None => {
                    self.stored = Some(*durable);
                    self.watchdog.handle_event(self.now, Event::Persisted { write });
                }
                Some(why) => self.watchdog.handle_event(self.now, Event::PersistFailed { write, why }),
            },
            Effect::RunStep { plan, kind, step } => {
                self.effects.push(format!("{} {step}", kind.word()));
                if let Some(result) = (self.step_result)(kind, step) {
                    self.later(1_000, Event::StepEnded { plan, step, result });
                }
            }
            Effect::CancelStep { .. } => self.effects.push("cancel".to_owned()),
            Effect::Changed(row) => self.rows.push(row),
            Effect::Record(decision) => self.decisions.push(*decision),
            Effect::Notify(notice) => self.notices.push(notice),
            Effect::Exclusion(_) => panic!("only `lease` asks for this"),
        }
    }

    fn ping_arbiters(&mut self) {
        for arbiter in 0..self.arbiters.len() {
            let is_mute = self.arbiters[arbiter] == Arbiter::Mute;
            let answer = if is_mute { Err("timeout".to_owned()) } else { Ok(0.5) };
            self.later(10, Event::ArbiterPinged { arbiter, answer });
        }
    }

    /// One look at every arbiter now.
    pub(super) fn look(&mut self) {
        self.ping_arbiters();
        for arbiter in 0..self.arbiters.len() {
            let result = match self.arbiters[arbiter] {
                Arbiter::Managed => Ok(vec![Session { from: PEER.to_owned(), age_ms: Some(1_000) }]),
                Arbiter::Free => Ok(Vec::new()),
                Arbiter::Mute => Err((SshOutcome::Timeout, "no answer".to_owned())),
            };
            self.later(15, Event::ArbiterLooked { arbiter, result });
        }
    }

    pub(super) fn lose_peer(&mut self) {
        self.is_peer_up = false;
        self.run_for(70);
    }

    pub(super) fn count(&self, effect: &str) -> usize {
        self.effects.iter().filter(|done| done.as_str() == effect).count()
    }

    pub(super) fn last_stop(&self) -> Option<&crate::gates::Stop> {
        self.decisions.last().and_then(|decision| decision.stopped.as_ref())
    }
}
