//! What a run is made of: everything that is drawn from its seed.

use std::time::Duration;

use dr_watchdog_core::exclusion::agreed::{Agreed, Kind};
use dr_watchdog_core::exclusion::rules::Rules;
use dr_watchdog_core::exclusion::timers::Timers;
use dr_watchdog_core::settings::Heartbeat;
use serde::{Deserialize, Serialize};

use crate::random::Random;

/// Which timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Profile {
    /// Heartbeats of 30 s.
    Reference,
    /// Heartbeats of 5 s.
    Fast,
}

/// How two active sites are excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Exclusion {
    /// The protocol.
    Lease,
    /// The manual's rules, with epochs and boot as standby.
    Verdict,
    /// The manual's rules alone: sites exchange nothing but pings, and a machine that restarts goes on in its role.
    Manual,
}

impl Exclusion {
    /// Whether the protocol excludes.
    pub const fn is_lease(self) -> bool {
        matches!(self, Self::Lease)
    }

    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Verdict => "verdict",
            Self::Manual => "manual",
        }
    }
}

/// Whose sessions an arbiter shows where the verdict alone decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Sessions {
    /// The watchdog's: they are there at once.
    #[default]
    Watchdog,
    /// The application's, as in the manual: they are there when it has started, a minute to five later.
    Application,
}

/// What the caller chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Arbiters.
    pub arbiters: usize,
    /// What they show; empty = drawn per arbiter from mark, age, counter.
    pub kinds: Vec<Kind>,
    /// Seconds for which every arbiter keeps a dead session; `None` = drawn per arbiter.
    pub linger_s: Option<u64>,
    /// T, in ten-thousandths.
    pub threshold: u16,
    /// Timers.
    pub profile: Profile,
    /// Mode.
    pub exclusion: Exclusion,
    /// Sessions in mode `verdict`.
    pub sessions: Sessions,
    /// Whether only faults inside the assumptions are drawn.
    pub is_assumed: bool,
    /// Classes from which faults are drawn; empty = all that the assumptions allow.
    pub classes: Vec<usize>,
    /// Fewest faults of a schedule.
    pub faults_min: u64,
    /// Most faults of a schedule.
    pub faults_max: u64,
    /// Length of a schedule.
    pub hours: u64,
    /// All of them, except in a test build.
    pub rules: Rules,
    /// Whether the policy answers at random.
    pub is_dice: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            arbiters: 5,
            kinds: Vec::new(),
            linger_s: None,
            threshold: 5_000,
            profile: Profile::Reference,
            exclusion: Exclusion::Lease,
            sessions: Sessions::Watchdog,
            is_assumed: true,
            classes: Vec::new(),
            faults_min: 2,
            faults_max: 5,
            hours: 8,
            rules: Rules::default(),
            is_dice: false,
        }
    }
}

/// Seconds for which an arbiter keeps a dead session, as they are drawn: two that forget at once, a common time-out, the
/// default of a kernel.
const LINGERS_S: [u64; 4] = [15, 29, 900, 7_875];

impl Options {
    /// What the arbiters may show.
    pub fn kinds_drawn(&self) -> &[Kind] {
        const MIXED: usize = 3;
        if self.kinds.is_empty() { &Kind::ALL[..MIXED] } else { &self.kinds }
    }

    /// For how many seconds they may keep a dead session.
    pub fn lingers_drawn_s(&self) -> Vec<u64> {
        self.linger_s.map_or_else(|| LINGERS_S.to_vec(), |linger_s| vec![linger_s])
    }

    /// The timers of the profile.
    pub fn timers(&self) -> Timers {
        match self.profile {
            Profile::Reference => Timers::reference(),
            Profile::Fast => Timers::fast(),
        }
    }

    /// The heartbeat of the profile.
    pub fn heartbeat(&self) -> Heartbeat {
        let seconds = Duration::from_secs;
        match self.profile {
            Profile::Reference => Heartbeat { interval: seconds(30), timeout: seconds(5), tries: 5 },
            Profile::Fast => Heartbeat { interval: seconds(5), timeout: seconds(1), tries: 5 },
        }
    }
}

/// What is drawn once per run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drawn {
    /// Error of each site's clock rate, in parts of a million.
    pub rate_ppm: [i64; 2],
    /// Kind of each arbiter.
    pub kinds: Vec<Kind>,
    /// Error of each arbiter's clock rate.
    pub arbiter_ppm: Vec<i64>,
    /// Seconds for which each arbiter keeps a dead row.
    pub linger_s: Vec<u64>,
    /// Percent of fences that take all of D.
    pub slow_fence_percent: u64,
    /// Sites whose pause detector has a second clock to compare with.
    #[serde(default)]
    pub sees_pauses: [bool; 2],
    /// Nodes of each site that serve.
    #[serde(default = "one_node")]
    pub nodes: [usize; 2],
}

/// Most nodes of a site that serve.
pub const NODES_MAX: usize = 3;

const fn one_node() -> [usize; 2] {
    [1, 1]
}

impl Drawn {
    /// Draws.
    pub fn draw(random: &mut Random, options: &Options) -> Self {
        let mut ppm = |is_wild: bool| -> i64 {
            let span = if is_wild { 10_000 } else { 50 };
            i64::try_from(random.between(0, 2 * span)).unwrap_or(0) - i64::try_from(span).unwrap_or(0)
        };
        let rate_ppm = [ppm(true), ppm(true)];
        let arbiter_ppm = (0..options.arbiters).map(|_| ppm(true)).collect();
        let kinds = (0..options.arbiters).map(|i| match options.kinds.get(i % options.kinds.len().max(1)) {
            Some(kind) => *kind,
            None => options.kinds_drawn()[random.index(options.kinds_drawn().len())],
        });
        let kinds: Vec<Kind> = kinds.collect();
        let linger = |drawn: u64| options.linger_s.unwrap_or(drawn);
        let linger_s =
            (0..options.arbiters).map(|_| linger(LINGERS_S[random.index(LINGERS_S.len())])).collect();
        let slow_fence_percent = [0, 30, 100][random.index(3)];
        let sees_pauses = [random.percent(50), random.percent(50)];
        let nodes = [1 + random.index(NODES_MAX), 1 + random.index(NODES_MAX)];
        Self { rate_ppm, kinds, arbiter_ppm, linger_s, slow_fence_percent, sees_pauses, nodes }
    }

    /// How many arbiters a change of their list leaves: the first half.
    pub const fn kept_by_change(&self) -> usize {
        self.kinds.len().div_ceil(2)
    }

    /// The safety settings of version 1.
    pub fn agreed(&self, options: &Options) -> Agreed {
        Agreed {
            version: 1,
            arbiters: self.kinds.iter().enumerate().map(|(i, kind)| (format!("r{i}"), *kind)).collect(),
            threshold: options.threshold,
            timers: options.timers(),
        }
    }
}
