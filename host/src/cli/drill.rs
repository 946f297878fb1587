//! `drill`: proves that everything a failover needs would work, without changing a role.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::drill_checks::{self, Check, Outcome};
use super::screen::{Look, Page, Tone};
use super::{Globals, exit, output};

/// Arguments of `drill`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Do not ask the other site to try its own half.
    #[arg(long)]
    local: bool,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command: 0 everything would work, 1 something would not, 2 the configuration cannot be used.
pub fn run(globals: &Globals, args: &Args) -> ExitCode {
    let paths = globals.paths();
    let config = match globals.config() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let (runtime, local) = match super::runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::failed(&format!("no runtime: {error}"));
            return exit::code(exit::FAILED);
        }
    };
    let checks = local.block_on(&runtime, drill_checks::all(&paths, &config, !args.local));
    let failed = checks.iter().filter(|check| check.outcome == Outcome::Fail).count();
    if args.json {
        output::json(&report(&config.site.name, &checks));
    } else {
        page(&config.site.name, &checks).iter().for_each(|line| output::line(line));
    }
    exit::code(if failed == 0 { exit::OK } else { exit::FAILED })
}

fn report(site: &str, checks: &[Check]) -> Value {
    let is_ok = checks.iter().all(|check| check.outcome != Outcome::Fail);
    let rows = checks.iter().map(|check| {
        json!({
            "site": check.site,
            "name": check.name,
            "result": check.outcome.word(),
            "text": check.text,
            "elapsedMs": check.elapsed_ms,
        })
    });
    json!({"ok": is_ok, "site": site, "checks": rows.collect::<Vec<_>>()})
}

fn page(site: &str, checks: &[Check]) -> Vec<String> {
    let mut page = Page::new(Look::of_stdout());
    let count = |outcome| checks.iter().filter(|check| check.outcome == outcome).count();
    let (failed, warned) = (count(Outcome::Fail), count(Outcome::Warn));
    let (tone, verdict) = match (failed, warned) {
        (0, 0) => (Tone::Good, "everything a failover needs would work".to_owned()),
        (0, warned) => (Tone::Warning, format!("a failover would work; warnings: {warned}")),
        (1, _) => (Tone::Bad, "1 thing would not work".to_owned()),
        (failed, _) => (Tone::Bad, format!("{failed} things would not work")),
    };
    for check in checks {
        let (mark, tone) = match check.outcome {
            Outcome::Pass => ("pass", Tone::Plain),
            Outcome::Warn => ("warn", Tone::Warning),
            Outcome::Fail => ("FAIL", Tone::Bad),
        };
        let name =
            if check.site == site { check.name.clone() } else { format!("{} ({})", check.name, check.site) };
        page.item(mark, tone, &format!("{name}: {} [{} ms]", check.text, check.elapsed_ms));
    }
    page.line(tone, &format!("site {site}: {verdict}; no role was changed"));
    page.into_lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(site: &str, outcome: Outcome) -> Check {
        Check { site: site.to_owned(), name: "mail".to_owned(), outcome, text: "x".to_owned(), elapsed_ms: 7 }
    }

    #[test]
    fn one_failure_fails_the_drill_and_a_warning_does_not() {
        let (warn, fail) = (check("a", Outcome::Warn), check("b", Outcome::Fail));
        assert_eq!(report("a", std::slice::from_ref(&warn))["ok"], true);
        let both = [warn, fail];
        assert_eq!(report("a", &both)["ok"], false);
        let text = page("a", &both).join("\n");
        assert!(text.contains("FAIL") && text.contains("mail (b): x [7 ms]"), "{text}");
        assert!(text.contains("1 thing would not work; no role was changed"), "{text}");
    }
}
