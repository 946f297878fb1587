//! `policy eval`: asks a policy one question, with everything it sees from files.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use dr_watchdog_sdk::Role;
use serde_json::{Value, json};

use super::json_diff::{Difference, differences};
use super::policy_probes::Probes;
use super::policy_question::{Asking, Bench, read};
use super::policy_replay::{Recorded, Tape};
use super::{Globals, exit};
use crate::policy::runner::nothing;
use crate::policy::{Engine, Failure, Outcome, Runner, engine_of};

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
    /// What the network answers; `{}` is a network where nothing does.
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
    let prepared = match prepare(globals, args) {
        Ok(prepared) => prepared,
        Err(message) => {
            eprintln!("dr-watchdog policy eval: {message}");
            return exit::USAGE;
        }
    };
    let mut report = match Runner::load(prepared.bench.spec.clone()).await {
        Ok(mut runner) => {
            runner.cut_network();
            let (outcome, times) = ask(&mut runner, &prepared.asking, args.repeat).await;
            let mut warnings = runner.warnings().to_vec();
            warnings.extend(outcome.warnings.iter().cloned());
            Report { outcome, warnings, times, then: None }
        }
        Err(failure) => Report::unloaded(&prepared, failure),
    };
    report.then = prepared.then.map(|(recorded, tape)| Then::new(&recorded, &tape, &report.outcome));
    if args.json {
        println!("{}", report.json());
    } else {
        print!("{}", report.text());
    }
    if report.outcome.failure.is_none() { exit::OK } else { exit::FAILED }
}

struct Prepared {
    bench: Bench,
    asking: Asking,
    /// The decision that is asked again.
    then: Option<(Recorded, Tape)>,
}

impl Prepared {
    const fn role(&self) -> Role {
        self.asking.question.context.role
    }
}

fn prepare(globals: &Globals, args: &Args) -> Result<Prepared, String> {
    let mut bench = Bench::new(&args.policy)?;
    if let Some(file) = &args.config {
        bench.spec.config = read(file)?;
    }
    bench.spec.deadline = args.deadline.unwrap_or(bench.spec.deadline);
    if let Some(id) = args.at {
        return replay(globals, args, bench, id);
    }
    let (Some(sections_file), Some(probes_file)) = (&args.sections, &args.probes) else {
        return Err("--probes is needed: a file with what the network answers ({} is one where nothing does); a \
                    running site is looked at with `arbiters ping` and `arbiters sessions`, whose --json output is such a file"
            .to_owned());
    };
    let sections: Value = read(sections_file)?;
    let probes: Probes = read(probes_file)?;
    let asking = Asking::of_probes(sections, probes, bench.spec.deadline)
        .map_err(|error| format!("{}: {error}", sections_file.display()))?;
    Ok(Prepared { bench, asking, then: None })
}

fn replay(globals: &Globals, args: &Args, mut bench: Bench, id: u64) -> Result<Prepared, String> {
    let recorded = Recorded::find(&globals.paths().history_file, id)?;
    bench.spec.deadline = args.deadline.unwrap_or_else(|| recorded.deadline());
    if args.config.is_none() {
        bench.spec.config = recorded.policy_config();
    }
    if let Some(state) = recorded.state() {
        bench.remember(state)?;
    }
    let (asking, tape) = recorded.asking(bench.spec.deadline)?;
    Ok(Prepared { bench, asking, then: Some((recorded, tape)) })
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

/// What a past decision was, beside what this policy makes of it.
struct Then {
    id: u64,
    time: String,
    policy: String,
    verdict: Value,
    differences: Vec<Difference>,
    /// What this policy asked and nobody asked then.
    unknown: Vec<String>,
}

impl Then {
    fn new(recorded: &Recorded, tape: &Tape, outcome: &Outcome) -> Self {
        Self {
            id: recorded.id,
            time: recorded.time.clone(),
            policy: recorded.policy.clone(),
            verdict: recorded.verdict.clone(),
            differences: differences(&recorded.verdict, &json!(outcome.verdict)),
            unknown: tape.unknown(),
        }
    }

    fn json(&self) -> Value {
        let differences = self.differences.iter();
        json!({
            "id": self.id,
            "time": self.time,
            "policy": self.policy,
            "verdict": self.verdict,
            "differences": differences
                .map(|found| json!({"path": found.path, "then": found.first, "now": found.second}))
                .collect::<Vec<_>>(),
            "notAskedThen": self.unknown,
        })
    }

    fn text(&self) -> String {
        let (id, time, policy) = (self.id, &self.time, &self.policy);
        let mut text = format!("then:     decision {id} of {time} by {policy}\n");
        if self.differences.is_empty() {
            text.push_str("compared: the same verdict\n");
        }
        for found in &self.differences {
            let place = if found.path.is_empty() { "verdict" } else { &found.path };
            let _ = writeln!(text, "differs:  {place}: then {}, now {}", found.first, found.second);
        }
        for call in &self.unknown {
            let _ = writeln!(
                text,
                "warning:  {call}: not asked at that decision, so it is answered by a silence"
            );
        }
        text
    }
}

struct Report {
    outcome: Outcome,
    warnings: Vec<String>,
    /// Microseconds of each evaluation, where it was repeated.
    times: Option<Vec<u64>>,
    then: Option<Then>,
}

impl Report {
    fn unloaded(prepared: &Prepared, failure: Failure) -> Self {
        let path = &prepared.bench.spec.path;
        let outcome = Outcome {
            engine: engine_of(path),
            policy: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            verdict: nothing(prepared.role().into(), &failure),
            failure: Some(failure),
            elapsed: Duration::ZERO,
            calls: Vec::new(),
            warnings: Vec::new(),
        };
        Self { outcome, warnings: Vec::new(), times: None, then: None }
    }

    fn repeat(&self) -> Option<Value> {
        let mut times = self.times.clone()?;
        times.sort_unstable();
        let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
        Some(json!({ "n": times.len(), "medianUs": at(50), "p99Us": at(99) }))
    }

    fn json(&self) -> Value {
        let outcome = &self.outcome;
        let mut report = json!({
            "ok": outcome.failure.is_none(),
            "engine": outcome.engine,
            "policy": outcome.policy,
            "verdict": outcome.verdict,
        });
        if let Some(failure) = &outcome.failure {
            report["error"] = json!(failure);
        }
        report["elapsedUs"] = json!(u64::try_from(outcome.elapsed.as_micros()).unwrap_or(u64::MAX));
        if let Some(repeat) = self.repeat() {
            report["repeat"] = repeat;
        }
        if !self.warnings.is_empty() {
            report["warnings"] = json!(self.warnings);
        }
        if let Some(then) = &self.then {
            report["at"] = then.json();
        }
        report
    }

    fn text(&self) -> String {
        let outcome = &self.outcome;
        let verdict = &outcome.verdict;
        let mut text = String::new();
        let engine = match outcome.engine {
            Engine::Lua => "Lua",
            Engine::Native => "compiled plugin",
            Engine::Script => "script",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} ({engine})", outcome.policy);
        if let Some(failure) = &outcome.failure {
            let _ = writeln!(text, "failed:   {} - {}", failure.kind.word(), indented(&failure.message));
            if let Some(hint) = &failure.hint {
                let _ = writeln!(text, "hint:     {hint}");
            }
        }
        let until = match verdict.payload.wait_time.as_str() {
            "" => String::new(),
            until => format!(" until {until}"),
        };
        let _ = writeln!(text, "verdict:  {}{until} (as {})", verdict.action.word(), verdict.state.word());
        if !verdict.description.is_empty() && outcome.failure.is_none() {
            let _ = writeln!(text, "why:      {}", verdict.description);
        }
        if let Some(flip) = verdict.payload.details.as_ref().and_then(|details| details.get("flip")) {
            let flip = flip.as_str().map_or_else(|| flip.to_string(), str::to_owned);
            let _ = writeln!(text, "flip:     {flip}");
        }
        let _ = writeln!(text, "time:     {} µs", outcome.elapsed.as_micros());
        if let Some(repeat) = self.repeat() {
            let (n, median, p99) = (&repeat["n"], &repeat["medianUs"], &repeat["p99Us"]);
            let _ = writeln!(text, "repeated: {n} times, median {median} µs, 99 % within {p99} µs");
        }
        for call in &outcome.calls {
            let answer = call.error.clone().unwrap_or_else(|| call.answer.to_string());
            let _ = writeln!(text, "call:     {} {} -> {}", call.method, call.request, shortened(&answer));
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "warning:  {warning}");
        }
        if let Some(then) = &self.then {
            text.push_str(&then.text());
        }
        text
    }
}

/// Characters of an answer that the report for people shows.
const ANSWER_CHARS_MAX: usize = 120;

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(ANSWER_CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn indented(text: &str) -> String {
    text.replace('\n', "\n          ")
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
