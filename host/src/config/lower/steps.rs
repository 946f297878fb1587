//! `[[roleChange.beActive]]`, `[[roleChange.beStandby]]`, lowered.

use std::collections::BTreeMap;
use std::path::Path;

use super::Raw;
use super::site::word;
use crate::config::defaults;
use crate::config::error::quoted;
use crate::config::model::{OnFailure, RoleChange, Step};
use crate::config::reader::{Keys, Reader};

const ROLE_CHANGE: Keys = Keys::new(&["beActive", "beStandby"]);
const STEP: Keys = Keys::new(&["name", "command", "deadline", "idempotent", "onFailure"]);
/// Most steps of a plan.
const STEPS_MAX: usize = 100;
const ON_FAILURE: [(&str, OnFailure); 2] = [("stop", OnFailure::Stop), ("continue", OnFailure::Continue)];

pub(super) fn role_change(root: &Reader<'_>) -> RoleChange {
    let table = root.table("roleChange", ROLE_CHANGE);
    let change = RoleChange { be_active: plan(&table, "beActive"), be_standby: plan(&table, "beStandby") };
    for (key, steps) in [("beActive", &change.be_active), ("beStandby", &change.be_standby)] {
        if steps.is_empty() {
            table.warn(key, "no step: this role changes in name only, nothing is started or stopped");
        }
    }
    change
}

fn plan(table: &Reader<'_>, key: &str) -> Vec<Step> {
    let steps = table.tables(key, STEP);
    if steps.len() > STEPS_MAX {
        table.wrong(key, format!("{} steps", steps.len()), format!("at most {STEPS_MAX}"));
        return Vec::new();
    }
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    steps
        .iter()
        .map(|step| {
            let name = step.required_text("name", "\"start services\"");
            let line = step.line_of("name");
            if let Some(first) = seen.insert(name.to_owned(), line).filter(|_| !name.is_empty()) {
                let found = format!("{}, which line {first} has already", quoted(name));
                step.wrong("name", found, "a name of its own: a resumed plan finds its step by name");
            }
            Step {
                name: name.to_owned(),
                command: command(step),
                deadline: step.span("deadline").unwrap_or(defaults::STEP_DEADLINE),
                idempotent: step.is_true("idempotent").unwrap_or(true),
                on_failure: word(step, "onFailure", &ON_FAILURE).unwrap_or(OnFailure::Stop),
            }
        })
        .collect()
}

/// Program and arguments. One text would need a shell to be split, and a shell is where commands go wrong.
fn command(step: &Reader<'_>) -> Vec<String> {
    let form = "a list: command = [\"/usr/bin/systemctl\", \"start\", \"my.service\"]";
    if step.get("command").is_none() {
        step.missing("command", "[\"/usr/bin/systemctl\", \"start\", \"my.service\"]");
        return Vec::new();
    }
    let command = step.value("command", form, |raw| match raw {
        Raw::List(list) => list
            .iter()
            .map(|node| match &node.value {
                Raw::Text(text) if !text.contains('\0') => Some(text.clone()),
                _ => None,
            })
            .collect::<Option<Vec<_>>>(),
        _ => None,
    });
    let Some(command) = command else { return Vec::new() };
    match command.first() {
        None => step.wrong("command", "an empty list", form),
        Some(program) if !program.starts_with('/') => {
            step.wrong("command", quoted(program), "an absolute path first: PATH is not searched");
        }
        Some(program) => match step.report.around().mode(Path::new(program)) {
            None => step.warn("command", &format!("there is no file {program}; the step will fail")),
            Some(mode) if mode & 0o111 == 0 => {
                step.warn(
                    "command",
                    &format!("{program} is not executable (mode {mode:04o}); the step will fail"),
                );
            }
            Some(_) => {}
        },
    }
    command
}
