//! The story: two sites, a cut, a failover, the return of the old site.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::configuration::{self, Facts};
use super::ground;
use super::measure::{Clock, Marks};
use super::policy_file::Placed;
use super::site::Site;
use super::stage::Stage;
use super::stop::Stop;
use super::summary::Outcome;
use super::telling::{self, Names, Teller};
use super::timeline::{Kind, Timeline};
use super::timers;

/// Longest wait until both sites stand as they should.
const START_LIMIT: Duration = Duration::from_secs(20);
/// Longest wait from the cut until the other site serves: F, a look, a question, the steps, and as
/// much again and more for a machine that is so busy that looks at the arbiters fail.
const TAKEOVER_LIMIT: Duration = Duration::from_secs(40);
/// Longest wait from the restored links until both sites agree.
const RETURN_LIMIT: Duration = Duration::from_secs(15);
/// Heartbeats of each site that are shown before the cut.
const HEARTBEATS_SHOWN: usize = 2;
/// From one look at the sites to the next.
const POLL: Duration = Duration::from_millis(50);

/// Why the story ended early.
#[derive(Debug, thiserror::Error)]
pub enum StoryError {
    /// The user, or the end of the process that started it.
    #[error("interrupted")]
    Interrupted,
    /// The machine refused something.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// Something did not come about.
    #[error("{what} did not come about within {} s\n{seen}", limit.as_secs())]
    TooLong {
        /// What was awaited.
        what: &'static str,
        /// For how long.
        limit: Duration,
        /// What the sites say.
        seen: String,
    },
    /// A daemon or an arbiter failed.
    #[error("{0}")]
    Failed(String),
}

impl StoryError {
    /// Whether the machine forbids what the demo needs.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Io { source, .. } if ground::is_forbidden(source))
    }
}

/// Adds to an I/O failure what was tried.
pub fn doing<T>(what: &'static str, result: io::Result<T>) -> Result<T, StoryError> {
    result.map_err(|source| StoryError::Io { doing: what, source })
}

/// The story, and where it stands.
#[derive(Debug)]
pub struct Story {
    timeline: Timeline,
    stop: Stop,
    marks: Marks,
    tellers: [Teller; 2],
    outcome: Outcome,
}

impl Story {
    /// A story that has not begun.
    pub fn new(timeline: Timeline, clock: Clock, stop: Stop) -> Self {
        Self {
            timeline,
            stop,
            marks: Marks::new(clock),
            tellers: Default::default(),
            outcome: Outcome::default(),
        }
    }

    /// Tells it, and says how it ended. Whatever happens, the daemons are ended.
    pub fn tell(mut self, folder: &Path, policy: &Placed) -> Outcome {
        let mut stage = match self.build(folder) {
            Ok(stage) => stage,
            Err(error) => return Outcome::failed(error.to_string(), error.is_forbidden()),
        };
        let told = self.play(&mut stage, policy);
        self.marks.write(&stage, &mut self.outcome);
        // Every site is stopped, even if an earlier one had to be forced.
        let forced: Vec<String> = stage.sites.iter_mut().filter_map(|site| site.stop().err()).collect();
        self.outcome.failure = match told {
            Err(error) => Some(error.to_string()),
            Ok(()) => forced.into_iter().next(),
        };
        self.outcome
    }

    fn show(&self, site: &str, kind: Kind, text: &str) -> Result<(), StoryError> {
        doing("the timeline could not be shown", self.timeline.show(site, kind, text))
    }

    fn build(&mut self, folder: &Path) -> Result<Stage, StoryError> {
        let stage = Stage::build(folder)?;
        for (site, text) in stage.described() {
            self.show(site, Kind::Start, &text)?;
        }
        for line in timers::arithmetic() {
            self.show("", Kind::Timers, &line)?;
        }
        Ok(stage)
    }

    fn play(&mut self, stage: &mut Stage, policy: &Placed) -> Result<(), StoryError> {
        self.start(stage, policy)?;
        self.cut_and_take_over(stage)?;
        self.restore_and_agree(stage)
    }

    fn start(&mut self, stage: &mut Stage, policy: &Placed) -> Result<(), StoryError> {
        self.show("", Kind::Start, &format!("both sites ask the policy: {}", policy.note))?;
        let key = doing("no random bytes", super::stage::random_text())?;
        let addresses = [stage.sites[0].machine.address, stage.sites[1].machine.address];
        for index in [0, 1] {
            let other = 1 - index;
            let service = stage.sites[index].service();
            let text = configuration::text(&Facts {
                names: [stage.sites[index].name, stage.sites[other].name],
                addresses: [addresses[index], addresses[other]],
                index: u8::from(index == 1),
                heartbeat_key: &key,
                arbiters: &stage.known,
                policy: policy.path.as_deref(),
                service: &service,
            });
            doing("a daemon could not be started", stage.sites[index].start(&text))?;
        }
        let is_up = |health: &[Value; 2]| {
            let (a, b) = (&health[0], &health[1]);
            a["role"] == "active"
                && a["serving"] == true
                && a["arbiters"]["held"] == 3
                && b["role"] == "standby"
                && b["booting"] == false
                && a["peer"]["role"] == "standby"
                && b["peer"]["role"] == "active"
                && a["peer"]["reachable"] == true
                && b["peer"]["reachable"] == true
        };
        let what = "an active site a with a session at each arbiter, and a standby site b";
        let health = self.wait(stage, what, START_LIMIT, is_up)?;
        for (site, health) in stage.sites.iter().zip(&health) {
            if let Some(why) = health["policy"]["failure"].as_str() {
                return Err(StoryError::Failed(format!("site {} cannot ask the policy: {why}", site.name)));
            }
        }
        self.outcome.active_before = stage.serving().map(str::to_owned);
        self.show("a", Kind::Settled, "serves, and holds an SSH session at each of the three arbiters")?;
        self.show("b", Kind::Settled, "stands by")?;
        self.watch_heartbeats(stage)?;
        self.show_sessions(stage, 1)
    }

    /// Lets a site look at the arbiters now, as `arbiters sessions` does.
    fn show_sessions(&mut self, stage: &Stage, site: usize) -> Result<(), StoryError> {
        let report = stage.sites[site].ask("arbiters.sessions");
        let Some(report) = report else {
            return Err(StoryError::Failed(format!(
                "the daemon of site {} does not answer",
                stage.sites[site].name
            )));
        };
        let text = telling::evidence(&report["arbiters"], true, &stage.names[site]);
        self.show(stage.sites[site].name, Kind::Evidence, &text)
    }

    fn cut_and_take_over(&mut self, stage: &mut Stage) -> Result<(), StoryError> {
        doing("the links could not be cut", stage.cut_a())?;
        self.marks.cut();
        let is_silent = doing("the link cannot be looked at", stage.sites[0].machine.has_carrier())?;
        let carrier = if is_silent {
            "its network card still has a carrier: nothing tells it"
        } else {
            "its card lost the carrier"
        };
        self.show(
            "",
            Kind::Cut,
            &format!("the links of site a are cut: no way to b, none to the arbiters; {carrier}"),
        )?;
        let is_over = |health: &[Value; 2]| {
            let (a, b) = (&health[0], &health[1]);
            let b_serves = b["role"] == "active" && b["serving"] == true && b["arbiters"]["held"] == 3;
            // Asked again as the active site, its policy lets it stay that.
            a["phase"] == "standby" && b_serves && b["lastDecision"]["action"] == "nothing"
        };
        self.wait(stage, "a standby site a and an active site b", TAKEOVER_LIMIT, is_over)?;
        self.show("b", Kind::Settled, "serves")
    }

    fn restore_and_agree(&mut self, stage: &mut Stage) -> Result<(), StoryError> {
        doing("the links could not be restored", stage.restore_a())?;
        self.show("", Kind::Restored, "the links of site a are restored")?;
        let agree = |health: &[Value; 2]| {
            let (a, b) = (&health[0], &health[1]);
            a["role"] == "standby"
                && a["peer"]["reachable"] == true
                && a["peer"]["role"] == "active"
                && a["epoch"].as_u64() <= b["epoch"].as_u64()
                && b["role"] == "active"
                && b["peer"]["reachable"] == true
                && b["peer"]["role"] == "standby"
        };
        let what = "a site a that hears the active b and stays standby";
        let health = self.wait(stage, what, RETURN_LIMIT, agree)?;
        self.show("a", Kind::Settled, "finds that b is active with a higher epoch, and stands by")?;
        self.show_sessions(stage, 0)?;
        self.outcome.active_after = stage.serving().map(str::to_owned);
        self.outcome.old_site = health[0]["role"].as_str().map(str::to_owned);
        Ok(())
    }

    /// Follows the sites until they are as awaited; what they said then.
    fn wait(
        &mut self,
        stage: &mut Stage,
        what: &'static str,
        limit: Duration,
        is_there: impl Fn(&[Value; 2]) -> bool,
    ) -> Result<[Value; 2], StoryError> {
        let begun = Instant::now();
        loop {
            let health = self.follow(stage)?;
            if is_there(&health) {
                return Ok(health);
            }
            if begun.elapsed() > limit {
                return Err(StoryError::TooLong { what, limit, seen: seen(stage, &health) });
            }
            if self.stop.wait(POLL) {
                return Err(StoryError::Interrupted);
            }
        }
    }

    /// Shows what is new at both sites.
    fn follow(&mut self, stage: &mut Stage) -> Result<[Value; 2], StoryError> {
        stage.check_arbiters().map_err(StoryError::Failed)?;
        let mut health = [Value::Null, Value::Null];
        for (index, site) in stage.sites.iter_mut().enumerate() {
            site.check_alive().map_err(StoryError::Failed)?;
            // Asked before the records are read: what the answer shows is then in the records, too.
            health[index] = site.ask("health").unwrap_or_default();
            self.follow_site(index, site, &stage.names[index])?;
            if let Some(phase) = health[index]["phase"].as_str() {
                self.timeline.phase(site.name, phase);
            }
        }
        self.marks.sample(stage);
        Ok(health)
    }

    fn follow_site(&mut self, index: usize, site: &mut Site, names: &Names) -> Result<(), StoryError> {
        let records = doing("the history cannot be read", site.new_records())?;
        let mut steps = doing("the log of the steps cannot be read", site.new_steps())?;
        for record in telling::in_order(records) {
            self.marks.record(site.name, &record);
            if let Some(phase) = record["to"].as_str() {
                // A plan has ended: what it ran comes before.
                if !matches!(phase, "promoting" | "demoting") {
                    self.show_steps(site.name, &mut steps)?;
                }
                self.timeline.phase(site.name, phase);
            }
            for (kind, text) in self.tellers[index].tell(&record, names) {
                self.show(site.name, kind, &text)?;
            }
        }
        self.show_steps(site.name, &mut steps)
    }

    fn show_steps(&self, site: &str, steps: &mut Vec<String>) -> Result<(), StoryError> {
        steps.drain(..).try_for_each(|step| self.show(site, Kind::Step, &format!("runs a step, {step}")))
    }

    /// Watches a few heartbeats of both sites: what is cut later is seen to work first.
    fn watch_heartbeats(&mut self, stage: &mut Stage) -> Result<(), StoryError> {
        for _ in 0..HEARTBEATS_SHOWN {
            let last = self.follow(stage)?.map(|health| health["peer"]["lastHeard"].clone());
            let is_newer = |health: &[Value; 2]| {
                health.iter().zip(&last).all(|(now, last)| now["peer"]["lastHeard"] != *last)
            };
            let heard = self.wait(stage, "a heartbeat from each site", START_LIMIT, is_newer)?;
            for (index, health) in heard.iter().enumerate() {
                let (role, epoch) = (&health["peer"]["role"], &health["peer"]["epoch"]);
                let role = role.as_str().unwrap_or("nothing");
                let text = format!(
                    "{} answers ping and says in a signed heartbeat: {role}, epoch {epoch}",
                    stage.sites[1 - index].name
                );
                self.show(stage.sites[index].name, Kind::Heartbeat, &text)?;
            }
        }
        Ok(())
    }
}

/// What the sites say, for a failure.
fn seen(stage: &Stage, health: &[Value; 2]) -> String {
    let mut text = String::new();
    for (site, health) in stage.sites.iter().zip(health) {
        let said =
            if health.is_null() { "its daemon does not answer".to_owned() } else { health.to_string() };
        text.push_str(&format!("site {}: {said}\n{}\n", site.name, site.log_end()));
    }
    text
}
