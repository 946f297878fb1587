//! `plan`: the steps of a role change, as they would run.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::screen::{Look, Page, Tone};
use super::{Globals, exit, output};
use crate::config::model::{OnFailure, Step};
use crate::daemon::history;

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which one; without it, both.
    #[arg(value_parser = ["beActive", "beStandby"])]
    plan: Option<String>,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(globals: &Globals, args: &Args) -> ExitCode {
    let paths = globals.paths();
    let config = match globals.config() {
        Ok(config) => config,
        Err(code) => return code,
    };
    // Without a history nothing has been measured, which is what is shown.
    let measured = history::newest_of(&paths.history_file, "step").unwrap_or_default();
    let change = &config.role_change;
    let plans = [("beActive", &change.be_active), ("beStandby", &change.be_standby)];
    let wanted = plans.into_iter().filter(|(name, _)| args.plan.as_deref().is_none_or(|plan| plan == *name));
    let shown: Vec<Value> = wanted.map(|(name, steps)| plan(name, steps, &measured)).collect();
    if args.json {
        output::json(&json!({"site": config.site.name, "plans": shown}));
    } else {
        page(&shown).iter().for_each(|line| output::line(line));
    }
    exit::code(exit::OK)
}

fn plan(name: &str, steps: &[Step], measured: &[Value]) -> Value {
    let last = |step: &Step| {
        let same =
            |record: &&Value| record["plan"] == name && record["step"] == step.name && record["ok"] == true;
        measured.iter().rev().find(same).and_then(|record| record["elapsedMs"].as_u64())
    };
    let total_s: f64 = steps.iter().map(|step| step.deadline.as_secs_f64()).sum();
    json!({
        "name": name,
        "deadlineS": total_s,
        "steps": steps.iter().enumerate().map(|(number, step)| json!({
            "number": number + 1,
            "name": step.name,
            "command": step.command,
            "deadlineS": step.deadline.as_secs_f64(),
            "idempotent": step.idempotent,
            "onFailure": if step.on_failure == OnFailure::Stop { "stop" } else { "continue" },
            "lastMs": last(step),
        })).collect::<Vec<_>>(),
    })
}

fn page(plans: &[Value]) -> Vec<String> {
    let mut page = Page::new(Look::of_stdout());
    for plan in plans {
        let steps = plan["steps"].as_array().map_or(&[][..], Vec::as_slice);
        let name = plan["name"].as_str().unwrap_or_default();
        page.line(
            Tone::Good,
            &format!(
                "{name}: steps: {}; at most {} s; each is on disk before it runs",
                steps.len(),
                plan["deadlineS"]
            ),
        );
        for step in steps {
            let words: Vec<&str> =
                step["command"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let last = step["lastMs"]
                .as_u64()
                .map_or_else(|| "never measured".to_owned(), |ms| format!("{ms} ms the last time"));
            let failure = match (step["onFailure"].as_str(), name) {
                (Some("continue"), _) => "if it fails the plan goes on",
                (_, "beActive") => "if it fails, what was started is stopped",
                _ => "if it fails the plan stops here",
            };
            let once = if step["idempotent"] == true { "" } else { "; after a crash it counts as failed" };
            page.item(
                &format!("{}.", step["number"]),
                Tone::Plain,
                step["name"].as_str().unwrap_or_default(),
            );
            page.item("  ", Tone::Plain, &words.join(" "));
            page.item(
                "  ",
                Tone::Faint,
                &format!("at most {} s ({last}); {failure}{once}", step["deadlineS"]),
            );
        }
    }
    page.into_lines()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_plan_shows_each_step_with_what_it_took_the_last_time() {
        let step = |name: &str| Step {
            name: name.to_owned(),
            command: vec!["/bin/true".to_owned(), "x y".to_owned()],
            deadline: Duration::from_secs(300),
            idempotent: name != "b",
            on_failure: OnFailure::Stop,
        };
        let record = |ms: u64, ok: bool| json!({"plan": "beActive", "step": "a", "ok": ok, "elapsedMs": ms});
        let shown =
            plan("beActive", &[step("a"), step("b")], &[record(5, true), record(7, true), record(9, false)]);
        assert_eq!((&shown["steps"][0]["lastMs"], &shown["steps"][1]["lastMs"]), (&json!(7), &Value::Null));
        assert_eq!(shown["deadlineS"], 600.0);
        let text = page(&[shown]).join("\n");
        assert!(
            text.contains("after a crash it counts as failed") && text.contains("7 ms the last time"),
            "{text}"
        );
    }
}
