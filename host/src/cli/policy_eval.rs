//! `policy eval`: asks a policy one question, with everything it sees from files.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dr_watchdog_core::evidence::{Evidence, ManagedRule};
use dr_watchdog_sdk::sections::{Role, Sections, Situation};
use dr_watchdog_sdk::{Context, Utc};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::policy_probes::Probes;
use super::{exit, policy};
use crate::config;
use crate::policy::runner::nothing;
use crate::policy::{Answers, Engine, Failure, Outcome, Question, Runner, engine_of};

/// Age from which a session is stale: F of the reference timers (a real site takes its own from `[exclusion]`).
const STALE_MS: u64 = 80_000;
/// Most evaluations of one command.
const REPEAT_MAX: u32 = 1_000_000;
/// Longest deadline.
const DEADLINE_MAX: Duration = Duration::from_secs(3_600);
/// Longest input file.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Arguments of `policy eval`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A .lua file, a .so plugin, an executable script, or the word "default".
    #[arg(value_name = "FILE")]
    policy: PathBuf,
    /// The sections, as `api v1 config --list` prints them.
    #[arg(long, value_name = "FILE")]
    sections: PathBuf,
    /// What the network answers; `{}` is a network where nothing does.
    #[arg(long, value_name = "FILE")]
    probes: Option<PathBuf>,
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
pub async fn eval(args: &Args) -> u8 {
    let prepared = match prepare(args) {
        Ok(prepared) => prepared,
        Err(message) => {
            eprintln!("dr-watchdog policy eval: {message}");
            return exit::USAGE;
        }
    };
    let report = match Runner::load(prepared.spec.clone()).await {
        Ok(mut runner) => {
            runner.cut_network();
            let (outcome, times) = ask(&mut runner, &prepared, args.repeat).await;
            let mut warnings = runner.warnings().to_vec();
            warnings.extend(outcome.warnings.iter().cloned());
            Report { outcome, warnings, times }
        }
        Err(failure) => Report::unloaded(&prepared, failure),
    };
    if args.json {
        println!("{}", report.json());
    } else {
        print!("{}", report.text());
    }
    if report.outcome.failure.is_none() { exit::OK } else { exit::FAILED }
}

struct Prepared {
    spec: crate::policy::PolicySpec,
    /// Removed when the evaluation is over.
    _folder: tempfile::TempDir,
    question: Question,
    evidence: Evidence,
    role: Role,
    probes: Probes,
    warning: dr_watchdog_sdk::threshold::Threshold,
    deadline: Duration,
}

fn prepare(args: &Args) -> Result<Prepared, String> {
    let Some(probes_file) = &args.probes else {
        return Err("--probes is needed: a file with what the network answers ({} is one where nothing does); a \
                    running site is looked at with `arbiters ping` and `arbiters sessions`, whose --json output is such a file"
            .to_owned());
    };
    let mut sections: Value = read(&args.sections)?;
    let probes: Probes = read(probes_file)?;
    let shown = args.sections.display();
    let typed: Sections = serde_json::from_value(sections.clone())
        .map_err(|error| format!("{shown}: these are no sections: {error}"))?;
    let role = typed.role.ok_or_else(|| format!("{shown}: role is missing; it is active or standby"))?;
    let folder =
        tempfile::tempdir().map_err(|error| format!("no temporary folder could be made: {error}"))?;
    let mut spec = policy::spec(&args.policy, folder.path()).map_err(|failure| failure.message)?;
    if let Some(file) = &args.config {
        spec.config = read(file)?;
    }
    let deadline = args.deadline.unwrap_or(spec.deadline);
    spec.deadline = deadline;
    let now = probes.now.unwrap_or_else(wall_clock);
    let situation = probes.situation.unwrap_or(Situation::PeerLost);
    write_service(&mut sections, now, situation, probes.wait_time)?;
    let detection = typed.watchdog.unwrap_or_default().failure_detection;
    let rule = ManagedRule::new(&[], typed.core.as_ref(), STALE_MS);
    let evidence = Evidence { time: now, arbiters: probes.arbiters.clone() }
        .completed(&detection.arbiter_names(), &rule);
    let context = Context {
        role,
        situation,
        wait_time: probes.wait_time,
        previous: None,
        deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
        now,
    };
    Ok(Prepared {
        spec,
        _folder: folder,
        question: Question {
            context,
            sections: config::without_secrets(sections.clone()),
            sections_with_secrets: sections,
        },
        evidence,
        role,
        probes,
        warning: detection.threshold.warning,
        deadline,
    })
}

/// Every engine sees the instant, the situation and the wait in the sections, whatever the file says.
fn write_service(
    sections: &mut Value,
    now: Utc,
    situation: Situation,
    wait_time: Option<Utc>,
) -> Result<(), String> {
    let mut at = sections;
    for key in ["states", "heartbeat", "service"] {
        at = at
            .as_object_mut()
            .ok_or_else(|| format!("the sections: what should hold \"{key}\" is no object"))?
            .entry(key)
            .or_insert_with(|| Value::Object(Map::new()));
    }
    let service = at.as_object_mut().ok_or("the sections: states.heartbeat.service is no object")?;
    service.insert("now".to_owned(), json!(now));
    service.insert("situation".to_owned(), json!(situation));
    service.insert("waitTime".to_owned(), json!(wait_time));
    Ok(())
}

async fn ask(runner: &mut Runner, prepared: &Prepared, repeat: Option<u32>) -> (Outcome, Option<Vec<u64>>) {
    let mut times = Vec::new();
    loop {
        let answers = Answers {
            sections: prepared.question.sections.clone(),
            evidence: prepared.evidence.clone(),
            role: prepared.role,
            warning: prepared.warning,
            now: prepared.question.context.now,
            deadline: Instant::now() + prepared.deadline,
            network: &prepared.probes,
        };
        let outcome = runner.evaluate(prepared.question.clone(), &answers).await;
        times.push(u64::try_from(outcome.elapsed.as_micros()).unwrap_or(u64::MAX));
        let enough = times.len() >= repeat.unwrap_or(1) as usize;
        if enough || outcome.failure.is_some() {
            return (outcome, repeat.map(|_| times));
        }
    }
}

struct Report {
    outcome: Outcome,
    warnings: Vec<String>,
    /// Microseconds of each evaluation, where it was repeated.
    times: Option<Vec<u64>>,
}

impl Report {
    fn unloaded(prepared: &Prepared, failure: Failure) -> Self {
        let path = &prepared.spec.path;
        let outcome = Outcome {
            engine: engine_of(path),
            policy: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            verdict: nothing(prepared.role.into(), &failure),
            failure: Some(failure),
            elapsed: Duration::ZERO,
            calls: Vec::new(),
            warnings: Vec::new(),
        };
        Self { outcome, warnings: Vec::new(), times: None }
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

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    let shown = path.display();
    let length = path.metadata().map_err(|error| format!("{shown} cannot be read: {error}"))?.len();
    if length > FILE_BYTES_MAX {
        return Err(format!("{shown} has {length} bytes, more than {FILE_BYTES_MAX}"));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("{shown}: {error}"))
}

fn wall_clock() -> Utc {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Utc::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
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
    fn the_question_is_written_into_sections_that_have_no_states() {
        let mut sections = json!({"role": "standby"});
        write_service(&mut sections, Utc::default(), Situation::Waiting, None).unwrap();
        let service = &sections["states"]["heartbeat"]["service"];
        assert_eq!(
            *service,
            json!({"now": "1970-01-01T00:00:00+00:00", "situation": "waiting", "waitTime": null})
        );
        assert!(write_service(&mut json!({"states": 3}), Utc::default(), Situation::Waiting, None).is_err());
    }

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
