//! Scenario files: a named run as data, with what is expected of it.

use serde::{Deserialize, Serialize};

use crate::options::{Exclusion, Options, Profile, Sessions};
use crate::run::{Outcome, Plan, run};

/// What a scenario expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Expectation {
    /// No promise is broken.
    Holds,
    /// Both sites serve at once: the scenario shows what a missing rule costs.
    Overlaps,
}

/// A scenario file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// Goal, method, what would be wrong.
    pub about: String,
    /// What is expected with every rule on.
    pub expect: Expectation,
    /// The rule without which both sites serve at once, by its word.
    #[serde(default)]
    pub without: Option<String>,
    /// Timers.
    #[serde(default = "reference")]
    pub profile: Profile,
    /// Mode.
    #[serde(default = "lease")]
    pub exclusion: Exclusion,
    /// Whose sessions the arbiters show in mode `verdict`.
    #[serde(default)]
    pub sessions: Sessions,
    /// T, in ten-thousandths.
    #[serde(default = "half")]
    pub threshold: u16,
    /// Length in hours.
    #[serde(default = "hours")]
    pub hours: u64,
    /// The run.
    pub plan: Plan,
}

const fn reference() -> Profile {
    Profile::Reference
}

const fn lease() -> Exclusion {
    Exclusion::Lease
}

const fn half() -> u16 {
    5_000
}

const fn hours() -> u64 {
    8
}

/// A scenario file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// It is no scenario.
    #[error("the scenario cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// Its arbiters do not fit together.
    #[error(
        "the scenario has {kinds} kinds of arbiters, {clocks} clocks and {lingers} lingers; each needs one per arbiter, at least one"
    )]
    Arbiters {
        /// Kinds.
        kinds: usize,
        /// Clocks.
        clocks: usize,
        /// Lingers.
        lingers: usize,
    },
}

impl Scenario {
    /// Reads one.
    ///
    /// # Errors
    /// When the text is no scenario, or its arbiters do not fit together.
    pub fn read(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = serde_json::from_str(text).map_err(ScenarioError::Unreadable)?;
        let drawn = &scenario.plan.drawn;
        let (kinds, clocks, lingers) = (drawn.kinds.len(), drawn.arbiter_ppm.len(), drawn.linger_s.len());
        if kinds == 0 || kinds != clocks || kinds != lingers {
            return Err(ScenarioError::Arbiters { kinds, clocks, lingers });
        }
        Ok(scenario)
    }

    /// The options under which it runs.
    pub fn options(&self) -> Options {
        Options {
            arbiters: self.plan.drawn.kinds.len(),
            threshold: self.threshold,
            profile: self.profile,
            exclusion: self.exclusion,
            sessions: self.sessions,
            hours: self.hours,
            ..Options::default()
        }
    }

    /// The options under which the rule that it names is off; `None` where it names none that is known. The word
    /// `lease` takes the whole protocol away: the manual's rules decide.
    #[cfg(feature = "ablation")]
    pub fn options_without(&self) -> Option<Options> {
        use dr_watchdog_core::exclusion::rules::{Rule, Rules};
        let word = self.without.as_deref()?;
        if word == "lease" {
            return Some(Options { exclusion: Exclusion::Verdict, ..self.options() });
        }
        let rule = Rule::ALL.into_iter().find(|rule| rule.word() == word)?;
        Some(Options { rules: Rules::without(rule), ..self.options() })
    }

    /// Whether a run shows what the missing rule costs: both sites served, or nobody did for longer than a failover may
    /// take, or the active was well and lost its role.
    pub fn is_shown_by(&self, outcome: &Outcome) -> bool {
        let bound_us = crate::run::failover_bound_us(&self.options());
        !outcome.overlaps.is_empty() || outcome.none_us > bound_us || outcome.needless > 0
    }

    /// Whether a run came out as expected.
    pub fn is_met(&self, outcome: &Outcome) -> bool {
        match self.expect {
            Expectation::Holds => outcome.violations.is_empty(),
            Expectation::Overlaps => !outcome.overlaps.is_empty(),
        }
    }

    /// A failing plan as a scenario, so that it is not forgotten.
    pub fn of(plan: Plan, options: &Options, about: String) -> Self {
        Self {
            about,
            expect: Expectation::Holds,
            without: None,
            profile: options.profile,
            exclusion: options.exclusion,
            sessions: options.sessions,
            threshold: options.threshold,
            hours: options.hours,
            plan,
        }
    }

    /// Runs it.
    pub fn run(&self, options: &Options, is_traced: bool) -> Outcome {
        run(options, &self.plan, is_traced)
    }
}
