//! Effects: the one place that knows every room.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use dr_watchdog_core::effect::{Ask, Decision, Notice, PingTargets, PlanKind, Trigger};
use dr_watchdog_core::gates::Gate;
use dr_watchdog_core::{Effect, Event, Now, Watchdog};
use dr_watchdog_sdk::Context;
use dr_watchdog_sdk::verdict::Action;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use super::health::Problem;
use super::history::History;
use super::live_network::LiveNetwork;
use super::mailing;
use super::policy_desk::{Answered, Desk, Job};
use super::state_file::StateFile;
use super::steps::Steps;
use super::watched::Watched;
use super::{records, sections, settings};
use crate::arbiters::Arbiters;
use crate::config::{self, Config};
use crate::frames::Response;
use crate::notify::Notifier;
use crate::paths::Paths;
use crate::peer::link::Link;
use crate::policy::Question;
use crate::probe::ping::Pinger;

/// Everything the daemon can do.
#[derive(Debug)]
pub(super) struct World {
    pub(super) paths: Paths,
    pub(super) config: Rc<Config>,
    pub(super) arbiters: Rc<Arbiters>,
    pub(super) pinger: Arc<Pinger>,
    pub(super) link: Option<Link>,
    pub(super) desk: Desk,
    pub(super) steps: Steps,
    pub(super) state_file: StateFile,
    pub(super) history: History,
    pub(super) notifier: Notifier,
    pub(super) watched: Watched,
    /// Tells tasks that go on over a reload.
    configured: watch::Sender<Rc<Config>>,
    pub(super) events: mpsc::UnboundedSender<Event>,
    /// Questions whose decision is not yet in the history, with what was asked and answered.
    pub(super) open: BTreeMap<u64, records::Asked>,
    pub(super) last_decision: Option<Value>,
    pub(super) problems: BTreeMap<Trigger, Problem>,
    /// Callers who changed what is stored and wait until it is on disk, with what a failure means.
    pub(super) switching: Vec<(u64, &'static str, oneshot::Sender<Response>)>,
    /// How the settings compare with the other site's.
    pub(super) verification: super::verification::Verification,
    /// A change of the configuration that waits for the other site.
    pub(super) completing: super::pending::Completing,
    /// Why the configuration on disk is not the running one, if it is not.
    pub(super) reload_problem: Option<Problem>,
    /// The states as they were last written, without their instants.
    shown: Value,
    pub(super) is_ending: bool,
}

impl World {
    /// Everything the daemon can do, at its start.
    #[expect(clippy::too_many_arguments, reason = "a list of rooms, built in one place")]
    pub(super) fn new(
        paths: Paths,
        config: Rc<Config>,
        arbiters: Rc<Arbiters>,
        pinger: Arc<Pinger>,
        link: Option<Link>,
        desk: Desk,
        steps: Steps,
        state_file: StateFile,
        history: History,
        notifier: Notifier,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        let verification = super::verification::Verification::begin(&config, &events);
        let configured = watch::Sender::new(Rc::clone(&config));
        let watched = Watched::read(&paths.history_file);
        Self {
            verification,
            paths,
            config,
            arbiters,
            pinger,
            link,
            desk,
            steps,
            state_file,
            history,
            notifier,
            watched,
            configured,
            events,
            open: BTreeMap::new(),
            last_decision: None,
            problems: BTreeMap::new(),
            switching: Vec::new(),
            completing: super::pending::Completing::default(),
            reload_problem: None,
            shown: Value::Null,
            is_ending: false,
        }
    }

    /// The configuration in force, now and after each reload.
    pub(super) fn configured(&self) -> watch::Receiver<Rc<Config>> {
        self.configured.subscribe()
    }

    /// Puts a configuration in force.
    pub(super) fn configure(&mut self, config: &Rc<Config>) {
        self.config = Rc::clone(config);
        self.notifier.set_server(mailing::server(config));
        self.configured.send_replace(Rc::clone(config));
    }

    /// Whether a request ended the daemon.
    pub(super) const fn is_ending(&self) -> bool {
        self.is_ending
    }

    /// Performs one effect. What is done at once is answered at once; everything else reports to the loop later.
    pub(super) async fn perform(&mut self, now: Now, core: &Watchdog, effect: Effect) -> Option<Event> {
        match effect {
            Effect::PingPeer { ping, targets, timeout, tries } => {
                let hosts = match targets {
                    PingTargets::Vip => {
                        self.watched.pings_vip(ping);
                        vec![self.config.core.peer_vip.clone()]
                    }
                    PingTargets::Nodes => settings::peer_nodes(&self.config.core),
                };
                let (pinger, events) = (Arc::clone(&self.pinger), self.events.clone());
                tokio::spawn(async move {
                    let answered = super::peer_ping::any_answers(&pinger, hosts, timeout, tries).await;
                    // The receiver is gone only when the daemon ends.
                    let _ = events.send(Event::PeerPingEnded { ping, answered });
                });
            }
            Effect::SendHeartbeat => self.send_heartbeat(core),
            Effect::StartLooking => self.arbiters.start_looking(),
            Effect::StopLooking => self.arbiters.stop_looking(),
            Effect::SweepArbiters { sweep } => self.arbiters.sweep(sweep),
            Effect::HoldArbiters => self.arbiters.hold(),
            Effect::ReleaseArbiters => self.arbiters.release(),
            Effect::AskPolicy(ask) => self.ask(now, core, *ask),
            Effect::Persist { write, durable } => {
                return Some(match self.state_file.write(&durable) {
                    Ok(()) => {
                        self.problems.remove(&Trigger::StateNotWritten);
                        Event::Persisted { write }
                    }
                    Err(error) => Event::PersistFailed { write, why: config::chain(&error) },
                });
            }
            Effect::RunStep { plan, kind, step } => self.run_step(core, plan, kind, step),
            Effect::CancelStep { plan } => self.steps.cancel(plan).await,
            Effect::Changed(row) => {
                tracing::info!(
                    from = row.from.word(),
                    to = row.to.word(),
                    epoch = core.epoch(),
                    "{}",
                    row.sentence
                );
                self.append(records::transition(now, core, row));
            }
            Effect::Record(decision) => self.record(now, core, &decision),
            Effect::Notify(notice) => self.notify(now, core, &notice),
            // The daemon runs in mode `verdict`; a core in that mode never asks for these.
            Effect::Exclusion(request) => {
                tracing::error!(?request, "asked for by a mode that this daemon does not run")
            }
        }
        None
    }

    fn ask(&mut self, now: Now, core: &Watchdog, ask: Ask) {
        let context = Context {
            role: core.role(),
            situation: ask.situation,
            wait_time: ask.wait_time,
            previous: ask.previous,
            deadline_ms: u64::try_from(self.config.policy.deadline.as_millis()).unwrap_or(u64::MAX),
            now: now.wall,
        };
        let complete = sections::complete(config::sections(&self.config), now, core);
        let asked = sections::asked(complete, now.wall, ask.situation, ask.wait_time);
        let shown = json!(asked);
        let with_secrets = config::with_secrets(&self.config, shown.clone());
        let role = core.role();
        let (evidence, config) = (ask.evidence.clone(), self.config.policy.config.clone());
        self.open.insert(ask.id, records::Asked::new(now, context.clone(), shown.clone(), evidence, config));
        tracing::info!(situation = ask.situation.word(), "the policy is asked");
        self.desk.ask(Job {
            ask: ask.id,
            question: Question { context, sections: shown, sections_with_secrets: with_secrets },
            evidence: ask.evidence,
            role,
            warning: core.settings().thresholds.warning,
        });
    }

    /// Takes the policy's answer.
    pub(super) fn answered(&mut self, answered: Answered) -> Event {
        let outcome = answered.outcome;
        let failure = outcome.failure.as_ref().map(|failure| failure.message.clone());
        let verdict = outcome.verdict.clone();
        if answered.is_newly_quarantined {
            let why = failure.clone().unwrap_or_default();
            // The receiver is gone only when the daemon ends.
            let _ = self.events.send(Event::PolicyQuarantined { policy: outcome.policy.clone(), why });
        }
        if let Some(asked) = self.open.get_mut(&answered.ask) {
            asked.outcome = Some(outcome);
        }
        Event::VerdictReturned { ask: answered.ask, verdict, failure }
    }

    fn record(&mut self, now: Now, core: &Watchdog, decision: &Decision) {
        let Some(asked) = self.open.remove(&decision.ask) else {
            tracing::error!(
                ask = decision.ask,
                "a decision without its question; this is a defect of the watchdog"
            );
            return;
        };
        let (action, why) = (decision.verdict.action.word(), &decision.verdict.description);
        tracing::info!(verdict = action, "{why}: {}", decision.outcome);
        let asked_in = asked.situation();
        let record = records::decision(now, core, decision, asked);
        self.last_decision = Some(records::short(&record));
        let id = self.append(record);
        if let (Some(id), Some(last)) = (id, &mut self.last_decision) {
            last["id"] = json!(id);
        }
        let would_have = decision.stopped.as_ref().is_some_and(|stop| stop.gate == Gate::Enforce);
        if would_have && decision.verdict.action == Action::BeActive {
            self.watched.observing.would_have_taken_over(now.wall, id, core.peer());
        }
        mailing::decision(self, now, core, decision, asked_in, id);
        if decision.failure.is_none() {
            self.problems.remove(&Trigger::PolicyFailed);
        }
    }

    pub(super) fn append(&mut self, record: serde_json::Map<String, Value>) -> Option<u64> {
        match self.history.append(record) {
            Ok(id) => Some(id),
            Err(error) => {
                tracing::error!(error = config::chain(&error), "the history could not be written");
                None
            }
        }
    }

    fn run_step(&mut self, core: &Watchdog, plan: u64, kind: PlanKind, index: usize) {
        let steps = match kind {
            PlanKind::BeActive => &self.config.role_change.be_active,
            PlanKind::BeStandby => &self.config.role_change.be_standby,
        };
        let Some(step) = steps.get(index) else {
            tracing::error!(index, "a step that is not configured; this is a defect of the watchdog");
            return;
        };
        tracing::info!(step = step.name, "{} step {} of {}", kind.word(), index + 1, steps.len());
        let environment = vec![
            ("DR_WATCHDOG_SITE".to_owned(), self.config.site.name.clone()),
            ("DR_WATCHDOG_PLAN".to_owned(), kind.word().to_owned()),
            ("DR_WATCHDOG_EPOCH".to_owned(), core.epoch().to_string()),
        ];
        self.watched.runs_step(kind, &step.name);
        self.steps.start(plan, index, step, environment);
    }

    fn send_heartbeat(&mut self, core: &Watchdog) {
        if let Some(link) = &mut self.link {
            link.send(core.phase(), core.epoch(), core.automatic().is_on(), core.turn_said());
        }
    }

    /// What is mailed goes to the log and the history too.
    fn notify(&mut self, now: Now, core: &Watchdog, notice: &Notice) {
        let is_good = matches!(
            notice.trigger,
            Trigger::PeerBack
                | Trigger::AutomaticFailoverEnabled
                | Trigger::ArbitersAnswer
                | Trigger::SettingsAgree
                | Trigger::PeerIsNotOff
        );
        if is_good {
            tracing::info!(notice = notice.trigger.word(), "{}", notice.text);
        } else {
            tracing::warn!(notice = notice.trigger.word(), "{}", notice.text);
        }
        if let Some(problem) = records::problem(notice) {
            self.problems.insert(notice.trigger, problem);
        }
        let record = self.append(records::notice(now, core, notice));
        mailing::notice(self, now, core, notice, record);
    }

    /// Puts the states where `api v1 config` finds them when the daemon is down (reading A31).
    pub(super) fn show(&mut self, now: Now, core: &Watchdog) {
        let states = json!(sections::states(now, core));
        self.watched.since.look(now.wall, &states);
        let timeless = records::without_times(&states);
        if timeless == self.shown {
            return;
        }
        let text = states.to_string();
        let temporary = self.paths.states_file.with_extension("tmp");
        // By rename, so that no reader sees half of it; not fsynced: after a power loss they are out of date anyway.
        let written = std::fs::write(&temporary, text)
            .and_then(|()| std::fs::rename(&temporary, &self.paths.states_file));
        if let Err(error) = written {
            tracing::warn!(%error, file = %self.paths.states_file.display(), "the states could not be written");
        }
        self.shown = timeless;
    }

    /// The network that a policy's host calls reach.
    pub(super) fn network(
        config: &Rc<Config>,
        pinger: &Arc<Pinger>,
        arbiters: &Rc<Arbiters>,
    ) -> Rc<LiveNetwork> {
        Rc::new(LiveNetwork::new(Rc::clone(config), Arc::clone(pinger), Rc::clone(arbiters)))
    }

    /// Closes what can be closed. Held sessions end with the process.
    pub(super) async fn end(self) {
        self.arbiters.shutdown().await;
        tracing::info!("the watchdog has ended");
    }
}
