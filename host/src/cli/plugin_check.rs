//! `plugin check`: the conformance suite of compiled policies.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use dr_watchdog_sdk::testing::cases;
use dr_watchdog_sdk::{HostError, Role};
use serde_json::{Value, json};

use super::plugin_findings as findings;
use super::plugin_findings::{Finding, Usage, finding};
use super::policy_probes::Probes;
use super::policy_question::{Asking, Stale, read};
use super::{exit, output, plugin};
use crate::policy::protocol::Trial;
use crate::policy::runner::State;
use crate::policy::{Failure, Grant, HostCalls, PolicySpec, Runner};

/// Questions of the decision table that are asked.
const QUESTIONS: usize = 60;
/// Evaluations of the endurance run.
const EVALUATIONS: u32 = 1_000;
/// How often an instance is made and ended.
const INSTANCES: u32 = 100;
/// Time that a plugin has before it is cancelled.
const CANCEL_AFTER: Duration = Duration::from_millis(300);
/// Configurations that are none. A host checks a configuration before `create`, and a plugin that is handed garbage
/// all the same must say so, not die.
const GARBAGE: [&str; 6] = ["{", "[]", "\"text\"", "1e999", "{\"\\u0000\":{\"a\":[[[[[]]]]]}}", ""];

/// Arguments of `plugin check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A .so plugin, or the word "default".
    #[arg(value_name = "FILE")]
    plugin: PathBuf,
    /// What `[policy.config]` would hold, as a JSON file; else the schema's first example, else nothing.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// One check: its name, and how it ended; None if an earlier one made it senseless.
struct Checked {
    name: &'static str,
    result: Option<Result<String, Finding>>,
}

/// Every check, in order.
const NAMES: [&str; 12] = [
    "loads",
    "description",
    "schema",
    "instances",
    "unknown key",
    "garbage",
    "verdicts",
    "blind",
    "cancel",
    "refusals",
    "endurance",
    "silence",
];

/// Runs the command; its exit status.
pub async fn check(args: &Args) -> u8 {
    let given = match args.config.as_deref().map(read::<Value>).transpose() {
        Ok(given) => given,
        Err(message) => return usage(&message),
    };
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => return usage(&format!("no temporary folder could be made: {error}")),
    };
    let mut results = Vec::new();
    let name = suite(&args.plugin, folder.path(), given, &mut results).await;
    let checked: Vec<Checked> = NAMES
        .into_iter()
        .map(|name| {
            let at = results.iter().position(|(done, _)| *done == name);
            Checked { name, result: at.map(|at| results.swap_remove(at).1) }
        })
        .collect();
    let is_well = checked.iter().all(|checked| matches!(checked.result, Some(Ok(_))));
    if args.json {
        output::json(&shown(&args.plugin, &name, &checked, is_well));
    } else {
        output::line(&table(&args.plugin, &name, &checked, is_well));
    }
    if is_well { exit::OK } else { exit::FAILED }
}

fn usage(message: &str) -> u8 {
    output::failed(&format!("plugin check: {message}"));
    exit::USAGE
}

type Results = Vec<(&'static str, Result<String, Finding>)>;

/// Runs the checks until one makes the rest senseless; the plugin's name, as far as it is known.
async fn suite(plugin: &Path, folder: &Path, given: Option<Value>, results: &mut Results) -> String {
    let unknown = plugin.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut spec = match plugin::spec(plugin, folder) {
        Ok(spec) => spec,
        Err(failure) => {
            results.push(("loads", Err(of(&failure))));
            return unknown;
        }
    };
    spec.config = given.clone().unwrap_or_else(|| json!({}));
    spec.terms.trial = Some(Trial::Describe);
    let description = match Runner::load(spec.clone()).await {
        Ok(runner) => runner.describe(),
        Err(failure) => {
            results.push(("loads", Err(of(&failure))));
            return unknown;
        }
    };
    results.push(("loads", Ok("its numbers fit, and it has all functions".to_owned())));
    let described = findings::description(&description);
    let name = described.clone().unwrap_or(unknown);
    results.push(("description", described));
    let schema = &description["configSchema"];
    spec.config = findings::configuration(given, schema);
    let is_schema = findings::config_schema(schema, &spec.config);
    let is_usable = is_schema.is_ok();
    results.push(("schema", is_schema));
    if !is_usable {
        return name;
    }
    spec.terms.trial = None;
    // What it asks for is granted, but for a network: nothing of this check leaves the machine.
    let asked = description["capabilities"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let granted = asked.filter_map(Grant::from_word).filter(|grant| *grant != Grant::Network);
    spec.terms.grants = Some(granted.collect());
    let instances = instances(&spec).await;
    let is_reusable = instances.is_ok();
    results.push(("instances", instances));
    // Both make an instance beside the one that is used.
    if is_reusable {
        results.push(("unknown key", unknown_key(&spec, schema).await));
        results.push(("garbage", garbage(&spec).await));
    }
    questions(&spec, &description, results).await;
    name
}

fn of(failure: &Failure) -> Finding {
    finding(failure.message.clone(), failure.hint.clone().unwrap_or_else(|| "see drw_policy.h".to_owned()))
}

/// What `create` makes of a text that no schema has seen.
async fn attempt(spec: &PolicySpec, config: &str, times: u32) -> Result<Value, Failure> {
    let mut spec = spec.clone();
    spec.terms.trial = Some(Trial::Create { config: config.to_owned(), times });
    Ok(Runner::load(spec).await?.describe()["trial"].clone())
}

async fn unknown_key(spec: &PolicySpec, schema: &Value) -> Result<String, Finding> {
    let changed = findings::with_unknown_key(&spec.config);
    let trial = attempt(spec, &changed.to_string(), 1).await.map_err(|failure| of(&failure))?;
    findings::unknown_key(schema, &changed, &trial)
}

async fn garbage(spec: &PolicySpec) -> Result<String, Finding> {
    for config in GARBAGE {
        if let Err(failure) = attempt(spec, config, 1).await {
            let what = format!("create dies of the configuration {}: {}", json!(config), failure.message);
            return Err(finding(what, "answer NULL with an error object in the sink"));
        }
    }
    Ok(format!("{} configurations that are none do it no harm", GARBAGE.len()))
}

async fn instances(spec: &PolicySpec) -> Result<String, Finding> {
    let remedy = "keep what belongs to an instance in the instance, and free it in destroy";
    let failed = |why: String| finding(format!("{INSTANCES} instances, one after the other: {why}"), remedy);
    let trial = attempt(spec, &spec.config.to_string(), INSTANCES).await;
    let trial = trial.map_err(|failure| failed(failure.message))?;
    if trial["accepted"] == false {
        return Err(failed(trial["message"].as_str().unwrap_or_default().to_owned()));
    }
    Ok(format!("{INSTANCES} instances made and ended"))
}

/// Everything that one loaded plugin is asked.
async fn questions(spec: &PolicySpec, description: &Value, results: &mut Results) {
    let mut runner = match Runner::load(spec.clone()).await {
        Ok(runner) => runner,
        Err(failure) => {
            results.push(("verdicts", Err(of(&failure))));
            return;
        }
    };
    let recommended = Duration::from_millis(description["deadlineMs"].as_u64().unwrap_or(u64::MAX));
    let verdicts = verdicts(&mut runner, spec, recommended).await;
    let is_answering = verdicts.is_ok();
    results.push(("verdicts", verdicts));
    results.push(("blind", blind(&mut runner, spec).await));
    results.push(("cancel", cancel(&mut runner, spec).await));
    results.push(("refusals", refusals(&mut runner, spec).await));
    if is_answering {
        results.push(("endurance", endurance(&mut runner, spec).await));
    }
    let bytes = runner.written_bytes();
    results.push((
        "silence",
        if bytes == 0 {
            Ok("nothing on standard output or error".to_owned())
        } else {
            let what = format!("it wrote {bytes} bytes to standard output or error");
            Err(finding(what, "log through the host: it adds the policy's name and keeps the lines apart"))
        },
    ));
}

fn asking(case: &cases::Case, spec: &PolicySpec) -> Result<Asking, Finding> {
    let defect = |why: String| finding(why, "this is a defect of dr-watchdog");
    let probes: Probes =
        serde_json::from_value(case.probes()).map_err(|error| defect(format!("the probes: {error}")))?;
    Asking::of_probes(json!(case.sections), probes, &Stale::reference(), spec.deadline).map_err(defect)
}

async fn verdicts(runner: &mut Runner, spec: &PolicySpec, recommended: Duration) -> Result<String, Finding> {
    let asked = cases::sample(QUESTIONS);
    let mut slowest = Duration::ZERO;
    for case in &asked {
        let asking = asking(case, spec)?;
        let first = asking.ask(runner).await;
        findings::answer(&case.name, &first)?;
        slowest = slowest.max(first.elapsed);
        let second = asking.ask(runner).await;
        findings::repeated(&first, &second)?;
    }
    if slowest > recommended {
        let what = format!(
            "an answer took {} ms, and its deadlineMs says {}",
            slowest.as_millis(),
            recommended.as_millis()
        );
        return Err(finding(what, "be quicker, or recommend a longer deadline"));
    }
    Ok(format!("{} questions, each twice; the slowest answer took {} µs", asked.len(), slowest.as_micros()))
}

/// A standby with arbiters that reaches none of them.
async fn blind(runner: &mut Runner, spec: &PolicySpec) -> Result<String, Finding> {
    let all = cases::all();
    let is_blind = |case: &&cases::Case| {
        case.context.role == Role::Standby
            && case.context.situation == dr_watchdog_sdk::Situation::PeerLost
            && case.arbiters.len() == 3
            // The middle of the table: thresholds of one half.
            && case.name.contains("f=0.5 a=0.5")
    };
    let Some(case) = all.iter().find(is_blind) else {
        return Err(finding("the decision table has no such case", "this is a defect of dr-watchdog"));
    };
    let mut case = case.clone();
    case.arbiters.clear();
    findings::blind(&asking(&case, spec)?.ask(runner).await.verdict)
}

/// A host that never answers.
struct Mute;

impl HostCalls for Mute {
    fn call<'a>(
        &'a self,
        _: &'a str,
        _: &'a Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, HostError>> + 'a>> {
        Box::pin(std::future::pending())
    }
}

/// A host that answers everything the same.
struct Always(Result<Value, HostError>);

impl HostCalls for Always {
    fn call<'a>(
        &'a self,
        _: &'a str,
        _: &'a Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, HostError>> + 'a>> {
        Box::pin(std::future::ready(self.0.clone()))
    }
}

async fn cancel(runner: &mut Runner, spec: &PolicySpec) -> Result<String, Finding> {
    for case in cases::sample(4) {
        let mut question = asking(&case, spec)?.question;
        question.context.deadline_ms = u64::try_from(CANCEL_AFTER.as_millis()).unwrap_or(u64::MAX);
        let outcome = runner.evaluate(question, &Mute).await;
        if runner.status().state != State::Running {
            let why = outcome.failure.map(|failure| failure.message).unwrap_or_default();
            let what = format!("{}, cancelled after {} ms: {why}", case.name, CANCEL_AFTER.as_millis());
            return Err(finding(what, "look at is_cancelled, and pass the host's CANCELLED on"));
        }
    }
    Ok("it gives up when it is told to".to_owned())
}

async fn refusals(runner: &mut Runner, spec: &PolicySpec) -> Result<String, Finding> {
    let hosts = [
        ("every host call is denied", Err(HostError::Denied("it is not granted".to_owned()))),
        ("the host knows no call", Err(HostError::Unsupported("it is not known".to_owned()))),
        ("every host call fails", Err(HostError::Failed("the host failed".to_owned()))),
        ("every host call is answered with null", Ok(Value::Null)),
        ("every host call is answered with an empty object", Ok(json!({}))),
    ];
    let count = hosts.len();
    for (what, answer) in hosts {
        let host = Always(answer);
        for case in cases::sample(4) {
            let outcome = runner.evaluate(asking(&case, spec)?.question, &host).await;
            findings::survived(what, &outcome)?;
        }
    }
    Ok(format!("{count} hosts that refuse it do it no harm"))
}

async fn endurance(runner: &mut Runner, spec: &PolicySpec) -> Result<String, Finding> {
    let asked: Vec<Asking> =
        cases::sample(8).iter().map(|case| asking(case, spec)).collect::<Result<_, _>>()?;
    let mut half = None;
    for (number, asking) in (0..EVALUATIONS).zip(asked.iter().cycle()) {
        if number == EVALUATIONS / 2 {
            half = usage_of(runner);
        }
        let outcome = asking.ask(runner).await;
        findings::answer(&format!("evaluation {}", number + 1), &outcome)?;
    }
    match (half, usage_of(runner)) {
        (Some(half), Some(whole)) => findings::growth(EVALUATIONS, half, whole),
        _ => {
            let what = "this machine does not show what its worker uses (/proc)";
            Err(finding(
                what,
                "run the check as the user that owns /proc entries of its own processes, or as root",
            ))
        }
    }
}

fn usage_of(runner: &Runner) -> Option<Usage> {
    let folder = format!("/proc/{}", runner.guest()?);
    let status = fs::read_to_string(format!("{folder}/status")).ok()?;
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    };
    let descriptors = u64::try_from(fs::read_dir(format!("{folder}/fd")).ok()?.count()).ok()?;
    Some(Usage { resident_kib: number("VmRSS:")?, descriptors, threads: number("Threads:")? })
}

fn shown(plugin: &Path, name: &str, checked: &[Checked], is_well: bool) -> Value {
    let checks = checked.iter().map(|checked| match &checked.result {
        Some(Ok(says)) => json!({"name": checked.name, "ok": true, "says": says, "hint": null}),
        Some(Err(found)) => {
            json!({"name": checked.name, "ok": false, "says": found.what, "hint": found.remedy})
        }
        None => json!({"name": checked.name, "ok": null, "says": "not tried", "hint": null}),
    });
    json!({"ok": is_well, "plugin": plugin, "name": name, "checks": checks.collect::<Vec<_>>()})
}

fn table(plugin: &Path, name: &str, checked: &[Checked], is_well: bool) -> String {
    let wide = NAMES.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut text = format!("{} ({name})\n", plugin.display());
    for Checked { name, result } in checked {
        // Writing to a String cannot fail.
        let _ = match result {
            Some(Ok(says)) => writeln!(text, "  ok    {name:wide$}  {says}"),
            Some(Err(found)) => writeln!(
                text,
                "  FAIL  {name:wide$}  {}\n        {:wide$}  hint: {}",
                found.what.replace('\n', "\n        "),
                "",
                found.remedy
            ),
            None => writeln!(text, "  -     {name:wide$}  not tried"),
        };
    }
    text.push_str(if is_well { "this plugin may be shipped" } else { "this plugin is not ready" });
    text
}
