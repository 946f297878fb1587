//! `simulate`: thousands of disasters in virtual time, for the default rules or for a policy file.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use dr_watchdog_sim::options::Options;
use dr_watchdog_sim::run::Plan;
use dr_watchdog_sim::scenario::Scenario;
use dr_watchdog_sim::shrink::shrink_by;
use dr_watchdog_sim::tally::{Tally, seed_of};
use dr_watchdog_sim::{svg, timeline};
use serde_json::{Value, json};

pub(super) use super::simulate_args::Args;
use super::simulate_report::{Report, head, table};
use super::simulate_series::{Chosen, Complaints, Player, Series};
use super::{exit, output};

/// Failing runs that are shrunk and saved.
const SAVED_MAX: usize = 3;
/// Longest world or scenario file.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Runs the command.
pub(super) fn run(args: &Args) -> ExitCode {
    let result = match (&args.replay, &args.scenario) {
        (Some(file), _) => super::simulate_replay::replay(file, args.json),
        (None, Some(file)) => scenario(args, file),
        (None, None) => series(args),
    };
    exit::code(result.unwrap_or_else(|message| {
        output::failed(&format!("simulate: {message}"));
        exit::USAGE
    }))
}

/// Reads `--world`; without one nothing is named.
fn world(args: &Args) -> Result<Value, String> {
    args.world.as_deref().map_or_else(
        || Ok(json!({})),
        |file| {
            let text = read(file)?;
            serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))
        },
    )
}

fn read(file: &Path) -> Result<String, String> {
    let told = |error: std::io::Error| format!("{}: {error}", file.display());
    let bytes = fs::metadata(file).map_err(told)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(format!("{}: {bytes} bytes, at most {FILE_BYTES_MAX}", file.display()));
    }
    fs::read_to_string(file).map_err(told)
}

fn fresh_seed() -> Result<u64, String> {
    let mut bytes = [0; 4];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| format!("no random seed: {error}; give one with --seed"))?;
    Ok(u64::from(u32::from_le_bytes(bytes)))
}

fn series(args: &Args) -> Result<u8, String> {
    let options = args.options()?;
    let world = world(args)?;
    let seed = args.seed.map_or_else(fresh_seed, Ok)?;
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let jobs = args.jobs.unwrap_or(cores).min(args.schedules);
    let mut played = Vec::new();
    for file in std::iter::once(args.policy.as_ref()).chain(args.against.iter().map(Some)) {
        let chosen = Chosen::of(file);
        // A policy that answers at random keeps no promise of liveness; only the exclusion is asked of it.
        let options = Options { is_dice: chosen == Chosen::Dice, ..options.clone() };
        say(args, &head(&options, seed, args.schedules, &chosen.name()));
        let (schedules, world) = (args.schedules, &world);
        let begun = Instant::now();
        let series = Series {
            options: &options,
            seed,
            schedules,
            jobs,
            chosen: &chosen,
            world,
            is_bar_wanted: !args.json,
        };
        let (tally, complaints) = series.play()?;
        let per_second = (args.schedules as f64 / begun.elapsed().as_secs_f64()) as u64;
        if let Some(missing) = &complaints.missing {
            return Err(format!("{}: {missing}", chosen.name()));
        }
        tell_failures(&chosen, &complaints);
        let player = Player::new(&options, &chosen, world)?;
        let saved = save(args, &options, &player, &tally)?;
        drop(player);
        played.push((options, chosen, tally, per_second, saved));
    }
    let reports: Vec<_> = played
        .iter()
        .map(|(options, chosen, tally, per_second, saved)| {
            let (policy, saved) = (chosen.name(), saved.clone());
            Report { options, seed, policy, tally, per_second: *per_second, saved }
        })
        .collect();
    if !args.json {
        output::line(&table(&reports.iter().collect::<Vec<_>>()));
    }
    // The first series is the one that was asked about; the other one is what it is compared with.
    let (options, chosen, tally, ..) = &played[0];
    worst(args, options, &Player::new(options, chosen, &world)?, (seed, tally))?;
    if args.json {
        reports.iter().rev().for_each(|report| output::json(&report.json()));
    } else {
        tell_saved(&reports[0]);
    }
    Ok(if tally.failing == 0 { exit::OK } else { exit::FAILED })
}

fn say(args: &Args, line: &str) {
    if args.json {
        output::json(&json!({"type": "begin", "text": line}));
    } else {
        output::line(line);
    }
}

fn tell_failures(chosen: &Chosen, complaints: &Complaints) {
    if complaints.failures > 0 {
        let why = complaints.last_failure.clone().unwrap_or_default();
        let (name, times) = (chosen.name(), complaints.failures);
        output::failed(&format!(
            "{name} gave no verdict {times} times, and the site did nothing then; the last time: {why}"
        ));
    }
}

/// Shrinks the first failing runs, and saves each as a scenario file.
fn save(
    args: &Args,
    options: &Options,
    player: &Player<'_>,
    tally: &Tally,
) -> Result<Vec<Option<String>>, String> {
    // The manual's rules break the promise by design; a file per run would say nothing new.
    if !options.exclusion.is_lease() {
        return Ok(Vec::new());
    }
    let mut saved = Vec::new();
    for failed in tally.failed.iter().take(SAVED_MAX) {
        let is_same = |plan: &Plan| {
            player
                .play(plan, false)
                .violations
                .iter()
                .any(|violation| violation.invariant == failed.invariant)
        };
        let plan = shrink_by(&failed.plan, is_same);
        let about = format!("{}: {} (schedule {})", failed.invariant, failed.text, failed.index);
        let file = args.save.join(format!("simulate-{}.json", plan.seed));
        let text = serde_json::to_string_pretty(&Scenario::of(plan, options, about))
            .map_err(|error| error.to_string())?;
        fs::write(&file, text + "\n").map_err(|error| format!("{}: {error}", file.display()))?;
        saved.push(Some(file.display().to_string()));
    }
    Ok(saved)
}

fn tell_saved(report: &Report<'_>) {
    for (index, failed) in report.tally.failed.iter().enumerate() {
        let file = report.saved.get(index).cloned().flatten();
        let file = file.map_or_else(String::new, |file| format!("; saved as {file}"));
        output::line(&format!("schedule {}: {}: {}{file}", failed.index, failed.invariant, failed.text));
    }
}

/// Tells the worst run of a series, and draws it where that is wanted.
fn worst(
    args: &Args,
    options: &Options,
    player: &Player<'_>,
    (seed, tally): (u64, &Tally),
) -> Result<(), String> {
    let Some(worst) = tally.worst.filter(|_| !args.json || args.svg.is_some()) else { return Ok(()) };
    let index = worst.index.0;
    let plan = Plan::draw(seed_of(seed, index), options);
    let outcome = player.play(&plan, true);
    if !args.json {
        output::line(&format!("\nthe worst run is schedule {index}:"));
        timeline::lines(&plan, &outcome).iter().for_each(|line| output::line(line));
    }
    draw(args, || svg::draw(&plan, &outcome))
}

fn draw(args: &Args, drawing: impl FnOnce() -> String) -> Result<(), String> {
    let Some(file) = &args.svg else { return Ok(()) };
    fs::write(file, drawing()).map_err(|error| format!("{}: {error}", file.display()))
}

/// Plays one scenario file.
fn scenario(args: &Args, file: &Path) -> Result<u8, String> {
    let told = |error: &dyn std::error::Error| format!("{}: {}", file.display(), crate::config::chain(error));
    let scenario = Scenario::read(&read(file)?).map_err(|error| told(&error))?;
    let options = scenario.options();
    let chosen = Chosen::of(args.policy.as_ref());
    let player = Player::new(&options, &chosen, &world(args)?)?;
    let outcome = player.play(&scenario.plan, true);
    if let Some(missing) = player.complaints().missing {
        return Err(format!("{}: {missing}", chosen.name()));
    }
    if !args.json {
        output::line(&scenario.about);
        timeline::lines(&scenario.plan, &outcome).iter().for_each(|line| output::line(line));
    }
    draw(args, || svg::draw(&scenario.plan, &outcome))?;
    let is_met = scenario.is_met(&outcome);
    if args.json {
        let mut tally = Tally::default();
        tally.add(0, &scenario.plan, &outcome, dr_watchdog_sim::run::failover_bound_us(&options));
        let (seed, policy) = (scenario.plan.seed, chosen.name());
        let report =
            Report { options: &options, seed, policy, tally: &tally, per_second: 0, saved: Vec::new() };
        output::json(&report.json());
    } else {
        output::line(if is_met { "as expected" } else { "not as expected" });
    }
    Ok(if is_met { exit::OK } else { exit::FAILED })
}
