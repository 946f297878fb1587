//! The arguments of `simulate`, as the options of a series.

use std::path::PathBuf;

use dr_watchdog_core::exclusion::agreed::Kind;
use dr_watchdog_core::exclusion::quorum::ARBITERS_MAX;
use dr_watchdog_sdk::threshold::Threshold;
use dr_watchdog_sim::fault;
use dr_watchdog_sim::options::{Exclusion, Options, Profile, Sessions};

/// Most schedules of one command.
const SCHEDULES_MAX: u64 = 100_000_000;
/// Longest schedule.
const HOURS_MAX: u64 = 720;
/// Most faults of one schedule.
const FAULTS_MAX: u64 = 50;

/// Arguments of `simulate`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Schedules to run.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=SCHEDULES_MAX))]
    pub(super) schedules: u64,
    /// Seed of the series; a fresh one if absent. The same seed gives the same runs.
    #[arg(long, value_name = "S")]
    pub(super) seed: Option<u64>,
    /// Which faults are drawn.
    #[arg(long, value_enum, default_value_t = Faults::Assumed)]
    pub(super) faults: Faults,
    /// Draw only these faults, by their verbs in scenario files, separated by commas: powerLoss,cutPeer.
    #[arg(long, value_name = "VERB", value_delimiter = ',', value_parser = class)]
    pub(super) only: Vec<usize>,
    /// Faults in a schedule: a number, or the fewest and the most.
    #[arg(long, value_name = "N[-M]", default_value = "2-5", value_parser = count)]
    pub(super) count: (u64, u64),
    /// Length of a schedule; one whose faults last longer is longer.
    #[arg(long, value_name = "H", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=HOURS_MAX))]
    pub(super) hours: u64,
    /// Ask this policy (.lua, .so, an executable, "default", "dice") instead of the default rules.
    #[arg(long, value_name = "FILE")]
    pub(super) policy: Option<PathBuf>,
    /// Run the same schedules with this policy too, and compare.
    #[arg(long, value_name = "FILE", conflicts_with = "scenario")]
    pub(super) against: Option<PathBuf>,
    /// What the network answers to a policy beyond the other site and the arbiters, as a probes file.
    #[arg(long, value_name = "FILE")]
    pub(super) world: Option<PathBuf>,
    /// Number of arbiters.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=ARBITERS_MAX as u64))]
    pub(super) arbiters: u64,
    /// What every arbiter shows of a session; mixed draws mark, age or counter for each.
    #[arg(long, value_enum, default_value_t = Freshness::Mixed)]
    pub(super) freshness: Freshness,
    /// threshold.failover and threshold.adjustManaged.
    #[arg(long, value_name = "T", default_value_t = 0.5)]
    pub(super) threshold: f64,
    /// Timers of the sites.
    #[arg(long, value_enum, default_value_t = Timers::Reference)]
    pub(super) profile: Timers,
    /// How two active sites are excluded.
    #[arg(long, value_enum, default_value_t = Mode::Lease)]
    pub(super) exclusion: Mode,
    /// Whose sessions the arbiters show without leases: those of the watchdog, or of an application that needs one to
    /// five minutes to open them.
    #[arg(long, value_enum, default_value_t = Holder::Watchdog)]
    pub(super) sessions: Holder,
    /// Seconds for which every arbiter keeps the session of a site that is gone; drawn for each if absent.
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) linger: Option<u64>,
    /// Run this scenario file, and tell its story.
    #[arg(long, value_name = "FILE")]
    pub(super) scenario: Option<PathBuf>,
    /// Give the events of this journal of a watchdog to the decision again; it must ask for the same effects.
    #[arg(long, value_name = "LOG", conflicts_with_all = ["scenario", "policy", "against", "svg"])]
    pub(super) replay: Option<PathBuf>,
    /// Threads; all cores if absent.
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u64).range(1..=256))]
    pub(super) jobs: Option<u64>,
    /// Draw the worst run, or the scenario, to this file.
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,
    /// Folder for scenario files of runs that broke a promise.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(super) save: PathBuf,
    /// Print JSON, the summary as the last line.
    #[arg(long)]
    pub(super) json: bool,
}

/// Which faults are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Faults {
    /// Only those under which the exclusion promises no overlap.
    Assumed,
    /// Stopped machines and clocks, `--force`, lying arbiters, restored images too.
    All,
}

/// What every arbiter shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Freshness {
    /// Drawn for each from mark, age, counter.
    Mixed,
    /// A mark in a file.
    Mark,
    /// The age of the last byte.
    Age,
    /// A counter.
    Counter,
    /// Only that a session is there.
    Presence,
}

/// Timers of the sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Timers {
    /// Heartbeats of 30 s.
    Reference,
    /// Heartbeats of 5 s.
    Fast,
}

/// Whose sessions the arbiters show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Holder {
    /// The watchdog's.
    Watchdog,
    /// The application's.
    Application,
}

/// How two active sites are excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Mode {
    /// By leases.
    Lease,
    /// By the verdict alone, with epochs and boot as standby.
    Verdict,
    /// By the verdict alone and nothing else, as the manual has it.
    Manual,
}

impl Args {
    /// The options of the series.
    pub(super) fn options(&self) -> Result<Options, String> {
        let threshold =
            Threshold::from_number(self.threshold).map_err(|error| format!("--threshold: {error}"))?;
        let threshold = u16::try_from(threshold.ten_thousandths()).unwrap_or(u16::MAX);
        if threshold == 0 && self.exclusion == Mode::Lease {
            return Err("--threshold is 0, and under \"lease\" the active would then serve on no arbiter at all; give one above 0".to_owned());
        }
        let kinds = match self.freshness {
            Freshness::Mixed => Vec::new(),
            Freshness::Mark => vec![Kind::Mark],
            Freshness::Age => vec![Kind::Age],
            Freshness::Counter => vec![Kind::Counter],
            Freshness::Presence => vec![Kind::Presence],
        };
        Ok(Options {
            arbiters: usize::try_from(self.arbiters).unwrap_or(ARBITERS_MAX),
            kinds,
            threshold,
            profile: if self.profile == Timers::Fast { Profile::Fast } else { Profile::Reference },
            exclusion: match self.exclusion {
                Mode::Lease => Exclusion::Lease,
                Mode::Verdict => Exclusion::Verdict,
                Mode::Manual => Exclusion::Manual,
            },
            sessions: if self.sessions == Holder::Application {
                Sessions::Application
            } else {
                Sessions::Watchdog
            },
            linger_s: self.linger,
            is_assumed: self.faults == Faults::Assumed
                && self.only.iter().all(|class| *class < fault::ASSUMED),
            classes: self.only.clone(),
            faults_min: self.count.0,
            faults_max: self.count.1,
            hours: self.hours,
            ..Options::default()
        })
    }
}

/// A class of faults by its verb.
fn class(verb: &str) -> Result<usize, String> {
    fault::class_of(verb).ok_or_else(|| {
        format!("no fault is drawn under this verb; those that are: {}", fault::VERBS.join(", "))
    })
}

/// How many faults a schedule has.
fn count(text: &str) -> Result<(u64, u64), String> {
    let (fewest, most) = text.split_once('-').unwrap_or((text, text));
    let number = |part: &str| part.parse().ok().filter(|count| (1..=FAULTS_MAX).contains(count));
    match (number(fewest), number(most)) {
        (Some(fewest), Some(most)) if fewest <= most => Ok((fewest, most)),
        _ => Err(format!("give a number from 1 to {FAULTS_MAX}, or the fewest and the most as 2-5")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_a_number_or_a_range_and_a_verb_is_one_of_those_in_scenario_files() {
        assert_eq!(count("3"), Ok((3, 3)));
        assert_eq!(count("2-5"), Ok((2, 5)));
        for wrong in ["", "0", "5-2", "2-", "-3", "1-51", "two"] {
            assert!(count(wrong).is_err(), "{wrong}");
        }
        assert_eq!(class("cutPeer"), Ok(2));
        assert!(class("cutpeer").unwrap_err().contains("cutPeer"));
    }
}
