//! `policy test`: asks a policy every question of its cases file, with no packet sent.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::json_diff::Difference;
use super::policy_cases::{Case, parse};
use super::policy_question::{Asking, Bench, Stale};
use super::{exit, output};
use crate::policy::runner::nothing;
use crate::policy::{Failure, Outcome, Runner, engine_of};

/// Longest cases file.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// What the cases file beside a policy ends with, in place of the policy's own ending.
const ENDING: &str = "cases.json";

/// Arguments of `policy test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A .lua file, a .so plugin, an executable script, or the word "default".
    #[arg(value_name = "FILE")]
    policy: PathBuf,
    /// The cases; NAME.cases.json beside the policy NAME.lua if left out.
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
    /// Only cases whose name contains this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command; its exit status.
pub async fn test(args: &Args) -> u8 {
    let file = args.cases.clone().unwrap_or_else(|| beside(&args.policy));
    let cases = match read(&file) {
        Ok(cases) => cases,
        Err(message) => {
            output::failed(&format!("policy test: {message}"));
            return exit::USAGE;
        }
    };
    let is_wanted = |case: &&Case| args.only.as_deref().is_none_or(|only| case.name.contains(only));
    let wanted: Vec<&Case> = cases.iter().filter(is_wanted).collect();
    if wanted.is_empty() {
        let only = args.only.as_deref().unwrap_or_default();
        output::failed(&format!("policy test: no case of {} has \"{only}\" in its name", file.display()));
        return exit::USAGE;
    }
    let mut results = Vec::new();
    for case in wanted {
        match run(&args.policy, case).await {
            Ok(result) => results.push(result),
            Err(message) => {
                output::failed(&format!(
                    "policy test: {}: case \"{}\": {message}",
                    file.display(),
                    case.name
                ));
                return exit::USAGE;
            }
        }
    }
    if args.json {
        output::json(&shown(&args.policy, &file, &results));
    } else {
        output::line(&table(&args.policy, &file, &results));
    }
    if results.iter().all(Tested::is_passed) { exit::OK } else { exit::FAILED }
}

/// `x.cases.json` for `x.lua`, `x.so` or `x`.
fn beside(policy: &Path) -> PathBuf {
    policy.with_extension(ENDING)
}

fn read(file: &Path) -> Result<Vec<Case>, String> {
    let shown = file.display();
    let failed = |error: std::io::Error| {
        format!(
            "the cases {shown} cannot be read: {error}; name them with --cases, or begin with `policy new`"
        )
    };
    let length = file.metadata().map_err(failed)?.len();
    if length > FILE_BYTES_MAX {
        return Err(format!("the cases {shown} have {length} bytes, more than {FILE_BYTES_MAX}"));
    }
    let text = std::fs::read_to_string(file).map_err(failed)?;
    parse(&text).map_err(|why| format!("{shown}: {why}"))
}

/// One case with what came of it.
struct Tested {
    name: String,
    outcome: Outcome,
    unmet: Vec<Difference>,
}

impl Tested {
    const fn is_passed(&self) -> bool {
        self.unmet.is_empty()
    }
}

/// Every case has a policy of its own, freshly loaded, so that none feels the one before.
async fn run(policy: &Path, case: &Case) -> Result<Tested, String> {
    let mut bench = Bench::new(policy)?;
    bench.spec.config = case.config.clone();
    bench.spec.terms.is_network_cut = true;
    bench.remember(&case.state)?;
    let asking = Asking::of_probes(
        case.sections.clone(),
        case.probes.clone(),
        &Stale::reference(),
        bench.spec.deadline,
    )
    .map_err(|why| format!("sections: {why}"))?;
    let outcome = match Runner::load(bench.spec.clone()).await {
        Ok(mut runner) => {
            runner.cut_network();
            asking.ask(&mut runner).await
        }
        Err(failure) => unloaded(&bench, &asking, failure),
    };
    let unmet = case.judge(&outcome, &bench.remembered()?);
    Ok(Tested { name: case.name.clone(), outcome, unmet })
}

fn unloaded(bench: &Bench, asking: &Asking, failure: Failure) -> Outcome {
    let path = &bench.spec.path;
    Outcome {
        engine: engine_of(path),
        policy: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        verdict: nothing(asking.question.context.role.into(), &failure),
        failure: Some(failure),
        elapsed: std::time::Duration::ZERO,
        calls: Vec::new(),
        warnings: Vec::new(),
    }
}

fn shown(policy: &Path, file: &Path, results: &[Tested]) -> Value {
    let passed = results.iter().filter(|tested| tested.is_passed()).count();
    let cases = results.iter().map(|tested| {
        let unmet = tested.unmet.iter();
        json!({
            "name": tested.name,
            "ok": tested.is_passed(),
            "verdict": tested.outcome.verdict,
            "error": tested.outcome.failure,
            "unmet": unmet
                .map(|found| json!({"path": found.path, "expected": found.first, "found": found.second}))
                .collect::<Vec<_>>(),
            "elapsedUs": u64::try_from(tested.outcome.elapsed.as_micros()).unwrap_or(u64::MAX),
        })
    });
    json!({
        "ok": passed == results.len(),
        "policy": policy,
        "casesFile": file,
        "passed": passed,
        "failed": results.len() - passed,
        "cases": cases.collect::<Vec<_>>(),
    })
}

fn table(policy: &Path, file: &Path, results: &[Tested]) -> String {
    let passed = results.iter().filter(|tested| tested.is_passed()).count();
    let wide = results.iter().map(|tested| tested.name.chars().count()).max().unwrap_or(0);
    let mut text = format!("{}: {} cases of {}\n", policy.display(), results.len(), file.display());
    for tested in results {
        let mark = if tested.is_passed() { "ok  " } else { "FAIL" };
        let (name, action) = (&tested.name, tested.outcome.verdict.action.word());
        let answer = match &tested.outcome.failure {
            Some(failure) => format!("{action} ({})", failure.kind.word()),
            None => action.to_owned(),
        };
        let us = tested.outcome.elapsed.as_micros();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {mark}  {name:wide$}  {answer:<20} {us:>8} µs");
        for found in &tested.unmet {
            let place = if found.path.is_empty() { "verdict" } else { &found.path };
            let _ = writeln!(text, "        - {place}: {}", found.first);
            let _ = writeln!(text, "        + {place}: {}", found.second);
        }
    }
    match results.len() - passed {
        0 => text.push_str("every case passed"),
        failed => {
            let _ = write!(text, "{failed} of {} failed (- expected, + found)", results.len());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cases_lie_beside_the_policy() {
        for (policy, cases) in
            [("a/x.lua", "a/x.cases.json"), ("x.so", "x.cases.json"), ("x", "x.cases.json")]
        {
            assert_eq!(beside(Path::new(policy)), Path::new(cases));
        }
    }
}
