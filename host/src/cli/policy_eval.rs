//! `policy eval`: asks a policy one question, with what it sees from files or from the arbiters of this site.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dr_watchdog_sdk::{Role, VerdictState};
use serde_json::Value;

use super::policy_probes::Probes;
use super::policy_question::{Asking, Bench, Stale, read, role_of};
use super::policy_replay::{Recorded, Tape};
use super::policy_report::{Report, Then};
use super::{Globals, exit, output, policy, policy_live};
use crate::config::{self, Config};
use crate::policy::{Failure, FailureKind, Outcome, PolicySpec, Runner};

/// Most evaluations of one command.
const REPEAT_MAX: u32 = 1_000_000;
/// Longest deadline.
const DEADLINE_MAX: Duration = Duration::from_secs(3_600);

/// Arguments of `policy eval`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A .lua file, a .so plugin, an executable script, or the word "default".
    #[arg(value_name = "FILE")]
    policy: PathBuf,
    /// The sections, as `api v1 config --list` prints them.
    #[arg(long, value_name = "FILE", required_unless_present = "at")]
    sections: Option<PathBuf>,
    /// What the network answers; `{}` is a network where nothing does. Left out, the arbiters of this site's
    /// configuration are looked at, as its watchdog would.
    #[arg(long, value_name = "FILE")]
    probes: Option<PathBuf>,
    /// Ask again what was asked at this decision of the history, with the answers and the clock it had.
    #[arg(long, value_name = "ID", conflicts_with_all = ["sections", "probes"])]
    at: Option<u64>,
    /// What `[policy.config]` would hold, as a JSON file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Ask so many times, and print how long the answers took.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(REPEAT_MAX)))]
    repeat: Option<u32>,
    /// Longest evaluation: seconds, or a number with ms or s.
    #[arg(long, value_name = "TIME", value_parser = span)]
    deadline: Option<Duration>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command; its exit status.
pub async fn eval(globals: &Globals, args: &Args) -> u8 {
    let prepared = match prepare(globals, args).await {
        Ok(prepared) => prepared,
        Err(unusable) => {
            let message = format!("policy eval: {}", unusable.message);
            output::failed(&message);
            if args.json {
                // Whoever reads the answer finds a legal verdict on every path.
                let failure = Failure::new(FailureKind::Load, unusable.message);
                let found = policy::spec(&args.policy, Path::new("/"));
                let path = found.map_or_else(|_| args.policy.clone(), |spec| spec.path);
                output::json(&Report::without_answer(&path, unusable.state, failure).json());
            }
            return exit::USAGE;
        }
    };
    let mut report = match Runner::load(prepared.bench.spec.clone()).await {
        Ok(mut runner) => {
            if !prepared.is_live {
                runner.cut_network();
            }
            let (outcome, times) = ask(&mut runner, &prepared.asking, args.repeat).await;
            let mut warnings = runner.warnings().to_vec();
            warnings.extend(outcome.warnings.iter().cloned());
            Report { outcome, warnings, times, then: None, stale: None }
        }
        Err(failure) => Report::without_answer(&prepared.bench.spec.path, prepared.role().into(), failure),
    };
    report.stale = prepared.stale;
    report.warnings.extend(prepared.warnings);
    report.then = prepared.then.map(|(recorded, tape)| Then::new(&recorded, &tape, &report.outcome));
    if args.json {
        output::json(&report.json());
    } else {
        output::line(report.text().trim_end());
    }
    if report.outcome.failure.is_none() { exit::OK } else { exit::FAILED }
}

/// Answers a command line of `policy eval --json` that is wrong: whoever reads the answer finds a legal verdict there,
/// too. Any other command line is left alone.
pub(super) fn misused(args: &[OsString], message: &str) {
    let words: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
    let Some(at) = words.windows(2).position(|pair| pair == ["policy", "eval"]) else { return };
    if !words.contains(&"--json") {
        return;
    }
    let policy =
        words[at + 2..].iter().find(|word| !word.starts_with('-')).copied().unwrap_or(policy::DEFAULT);
    let failure = Failure::new(FailureKind::Load, message);
    output::json(&Report::without_answer(Path::new(policy), VerdictState::Standby, failure).json());
}

struct Prepared {
    bench: Bench,
    asking: Asking,
    /// The decision that is asked again.
    then: Option<(Recorded, Tape)>,
    /// How sessions are counted; a decision of the past has counted them already.
    stale: Option<Stale>,
    warnings: Vec<String>,
    /// Whether the policy's own probes send packets.
    is_live: bool,
}

impl Prepared {
    const fn role(&self) -> Role {
        self.asking.question.context.role
    }
}

/// Why nothing was asked, and the state that the verdict of that speaks for.
struct Unusable {
    message: String,
    state: VerdictState,
}

impl From<String> for Unusable {
    fn from(message: String) -> Self {
        Self { message, state: VerdictState::Standby }
    }
}

async fn prepare(globals: &Globals, args: &Args) -> Result<Prepared, Unusable> {
    let mut bench = Bench::new(&args.policy)?;
    if let Some(file) = &args.config {
        bench.spec.config = read(file)?;
    }
    bench.spec.deadline = args.deadline.unwrap_or(bench.spec.deadline);
    if let Some(id) = args.at {
        return Ok(replay(globals, args, bench, id)?);
    }
    let Some(file) = &args.sections else {
        return Err("--sections is needed: what `api v1 config --list` prints".to_owned().into());
    };
    let sections: Value = read(file)?;
    let state = role_of(&sections).map_or(VerdictState::Standby, Into::into);
    let prepared = of_files(globals, args, bench, sections, file).await;
    prepared.map_err(|message| Unusable { message, state })
}

async fn of_files(
    globals: &Globals,
    args: &Args,
    mut bench: Bench,
    sections: Value,
    file: &Path,
) -> Result<Prepared, String> {
    let named = |why: String| format!("{}: {why}", file.display());
    let Some(probes_file) = &args.probes else {
        let config = config::load(&globals.paths()).map(|(config, _)| config).map_err(|errors| {
            format!("without --probes the arbiters of this site's configuration are looked at; {errors}; give --probes FILE ({{}} is a network where nothing answers), or --root DIR")
        })?;
        if args.config.is_none() {
            bench.spec.config = config.policy.config.clone();
        }
        as_configured(&mut bench.spec, &config, args);
        let deadline = bench.spec.deadline;
        let (asking, stale) = policy_live::asking(config, sections, deadline).await.map_err(named)?;
        return Ok(Prepared {
            bench,
            asking,
            then: None,
            stale: Some(stale),
            warnings: Vec::new(),
            is_live: true,
        });
    };
    let probes: Probes = read(probes_file)?;
    let (stale, warnings) = at_hand(globals, args, &mut bench.spec);
    // No packet leaves: a guest that was granted a network has an empty one.
    bench.spec.terms.is_network_cut = true;
    let deadline = bench.spec.deadline;
    let asking = Asking::of_probes(sections, probes, &stale, deadline).map_err(named)?;
    Ok(Prepared { bench, asking, then: None, stale: Some(stale), warnings, is_live: false })
}

/// How this site runs a policy: what it grants, how long and with how much memory; `--deadline` comes before it.
fn as_configured(spec: &mut PolicySpec, config: &Config, args: &Args) {
    let set = &config.policy;
    spec.deadline = args.deadline.unwrap_or(set.deadline);
    spec.memory_bytes = set.memory_bytes;
    spec.terms.grants.clone_from(&set.terms.grants);
    spec.terms.script_memory_bytes = set.terms.script_memory_bytes;
    spec.terms.is_script_among_others = set.terms.is_script_among_others;
    spec.script_user.clone_from(&set.script_user);
    spec.script_env.clone_from(&set.script_env);
    spec.script_secrets = set.script_secrets;
    if args.config.is_none() && set.custom.as_ref() == Some(&spec.path) {
        spec.config = set.config.clone();
    }
}

/// F of the configuration at hand, which also says how the policy runs; else that of the reference timers.
fn at_hand(globals: &Globals, args: &Args, spec: &mut PolicySpec) -> (Stale, Vec<String>) {
    let paths = globals.paths();
    match config::load(&paths) {
        Ok((config, _)) => {
            as_configured(spec, &config, args);
            (of_config(&config, &paths.config_file), Vec::new())
        }
        Err(errors) if errors.unreadable && !paths.config_file.exists() => (Stale::reference(), Vec::new()),
        Err(errors) => (
            Stale::reference(),
            vec![format!(
                "this site's configuration is not used, neither its exclusion.wait nor its [policy]: {errors}"
            )],
        ),
    }
}

fn of_config(config: &Config, file: &Path) -> Stale {
    Stale::of(config, format!("exclusion.wait of {}", file.display()))
}

fn replay(globals: &Globals, args: &Args, mut bench: Bench, id: u64) -> Result<Prepared, String> {
    let recorded = Recorded::find(&globals.paths().history_file, id)?;
    at_hand(globals, args, &mut bench.spec);
    bench.spec.terms.is_network_cut = true;
    bench.spec.deadline = args.deadline.unwrap_or_else(|| recorded.deadline());
    if args.config.is_none() {
        bench.spec.config = recorded.policy_config();
    }
    if let Some(state) = recorded.state() {
        bench.remember(state)?;
    }
    let (asking, tape) = recorded.asking(bench.spec.deadline)?;
    let then = Some((recorded, tape));
    Ok(Prepared { bench, asking, then, stale: None, warnings: Vec::new(), is_live: false })
}

async fn ask(runner: &mut Runner, asking: &Asking, repeat: Option<u32>) -> (Outcome, Option<Vec<u64>>) {
    let mut times = Vec::new();
    loop {
        let outcome = asking.ask(runner).await;
        times.push(u64::try_from(outcome.elapsed.as_micros()).unwrap_or(u64::MAX));
        let enough = times.len() >= repeat.unwrap_or(1) as usize;
        if enough || outcome.failure.is_some() {
            return (outcome, repeat.map(|_| times));
        }
    }
}

fn span(text: &str) -> Result<Duration, String> {
    let (digits, ms_each) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => (text.strip_suffix('s').unwrap_or(text), 1_000),
    };
    let count: u64 = digits.trim().parse().map_err(|_| "write 10, 10s or 500ms".to_owned())?;
    let span = Duration::from_millis(count.saturating_mul(ms_each));
    if span.is_zero() || span > DEADLINE_MAX { Err("write 1ms to 3600s".to_owned()) } else { Ok(span) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_have_units() {
        assert_eq!(span("10"), Ok(Duration::from_secs(10)));
        assert_eq!(span("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(span("500ms"), Ok(Duration::from_millis(500)));
        for wrong in ["", "0", "-1", "1h", "99999999999999999999"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
