//! What `policy eval` says: the answer, its failure, its times.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use dr_watchdog_sdk::VerdictState;
use serde_json::{Value, json};

use super::json_diff::{Difference, differences};
use super::policy_question::Stale;
use super::policy_replay::{Recorded, Tape};
use crate::policy::runner::nothing;
use crate::policy::{Engine, Failure, Outcome, engine_of};

/// What a past decision was, beside what this policy makes of it.
pub(super) struct Then {
    id: u64,
    time: String,
    policy: String,
    verdict: Value,
    differences: Vec<Difference>,
    /// What this policy asked and nobody asked then.
    unknown: Vec<String>,
}

impl Then {
    /// Compares.
    pub(super) fn new(recorded: &Recorded, tape: &Tape, outcome: &Outcome) -> Self {
        Self {
            id: recorded.id,
            time: recorded.time.clone(),
            policy: recorded.policy.clone(),
            verdict: recorded.verdict.clone(),
            differences: in_order(differences(&recorded.verdict, &json!(outcome.verdict))),
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
        let (details, fields): (Vec<_>, Vec<_>) = self.differences.iter().partition(|found| is_detail(found));
        for found in fields {
            let place = if found.path.is_empty() { "verdict" } else { &found.path };
            let _ = writeln!(text, "differs:  {place}: then {}, now {}", found.first, found.second);
        }
        if !details.is_empty() {
            let _ = writeln!(text, "details:  {} (--json lists each place)", summary(&details));
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

/// Where a verdict says what it says in free form.
const DETAILS: &str = "payload.details";
/// What counts of a verdict, in the order in which it counts.
const FIELDS: [&str; 4] = ["state", "action", "payload.waitTime", "description"];
/// Details whose values are shown; of more only the names.
const DETAILS_SHOWN: usize = 4;

/// What the verdict does, before what it says about it.
fn in_order(mut differences: Vec<Difference>) -> Vec<Difference> {
    let rank = |found: &Difference| match FIELDS.iter().position(|field| *field == found.path) {
        Some(rank) => rank,
        None => FIELDS.len() + usize::from(is_detail(found)),
    };
    differences.sort_by_key(rank);
    differences
}

fn is_detail(found: &Difference) -> bool {
    found.path.strip_prefix(DETAILS).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The details that differ on one line: each by its first key, with how often it differs where that is not once.
fn summary(details: &[&Difference]) -> String {
    let mut keys: Vec<(&str, Vec<&Difference>)> = Vec::new();
    for found in details {
        let path = found.path.strip_prefix(DETAILS).unwrap_or_default().trim_start_matches('.');
        let key = path.split('.').next().unwrap_or_default();
        match keys.iter_mut().find(|(known, _)| *known == key) {
            Some((_, places)) => places.push(*found),
            None => keys.push((key, vec![*found])),
        }
    }
    let is_short = keys.len() <= DETAILS_SHOWN;
    let words = keys.into_iter().map(|(key, places)| match places.as_slice() {
        [one] if is_short => {
            let values = [&one.first, &one.second].map(|value| shortened(&value.to_string()));
            let place = one.path.strip_prefix(DETAILS).unwrap_or_default().trim_start_matches('.');
            format!("{place} {} -> {}", values[0], values[1])
        }
        [_] => key.to_owned(),
        several => format!("{key} ({} places)", several.len()),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// What `policy eval` says.
pub(super) struct Report {
    /// What the policy answered.
    pub(super) outcome: Outcome,
    /// What is wrong with its file, or was with its run.
    pub(super) warnings: Vec<String>,
    /// Microseconds of each evaluation, where it was repeated.
    pub(super) times: Option<Vec<u64>>,
    /// The decision that was asked again.
    pub(super) then: Option<Then>,
    /// How sessions were counted; null where they were not.
    pub(super) stale: Option<Stale>,
}

impl Report {
    /// Of a policy that could not be asked: the legal verdict of this state.
    pub(super) fn without_answer(path: &Path, state: VerdictState, failure: Failure) -> Self {
        let outcome = Outcome {
            engine: engine_of(path),
            policy: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            verdict: nothing(state, &failure),
            failure: Some(failure),
            elapsed: Duration::ZERO,
            calls: Vec::new(),
            warnings: Vec::new(),
        };
        Self { outcome, warnings: Vec::new(), times: None, then: None, stale: None }
    }

    fn repeat(&self) -> Option<Value> {
        let mut times = self.times.clone()?;
        times.sort_unstable();
        let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
        Some(json!({ "n": times.len(), "medianUs": at(50), "p99Us": at(99) }))
    }

    /// One line of JSON; what is absent is null.
    pub(super) fn json(&self) -> Value {
        let outcome = &self.outcome;
        json!({
            "ok": outcome.failure.is_none(),
            "engine": outcome.engine,
            "policy": outcome.policy,
            "verdict": outcome.verdict,
            "error": outcome.failure,
            "elapsedUs": u64::try_from(outcome.elapsed.as_micros()).unwrap_or(u64::MAX),
            "repeat": self.repeat(),
            "warnings": self.warnings,
            "staleMs": self.stale.as_ref().map(|stale| stale.ms),
            "staleFrom": self.stale.as_ref().map(|stale| &stale.from),
            "at": self.then.as_ref().map(Then::json),
        })
    }

    /// For people.
    pub(super) fn text(&self) -> String {
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
        if let Some(flip) = verdict.payload.details.as_ref().and_then(|details| details.get("flip"))
            && !flip.is_null()
        {
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
        if let Some(stale) = &self.stale {
            let _ = writeln!(text, "sessions: stale from {} s ({})", stale.ms as f64 / 1_000.0, stale.from);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn differ(first: &Value, second: &Value) -> Vec<Difference> {
        in_order(differences(first, second))
    }

    #[test]
    fn what_a_verdict_does_stands_before_what_it_says_and_the_details_are_one_line() {
        let then = json!({"state": "standby", "action": "wait", "description": "a", "payload": {"waitTime": "x",
            "details": {"arbiters": {"r1": {"ping": true}, "r2": {"ping": true}}, "rule": "one"}}});
        let now = json!({"state": "standby", "action": "nothing", "description": "b", "payload": {"waitTime": "",
            "details": {"arbiters": {"r1": {"ping": false}, "r2": {"ping": false}}, "rule": "two"}}});
        let found = differ(&then, &now);
        let paths: Vec<&str> = found.iter().map(|found| found.path.as_str()).collect();
        assert_eq!(paths[..3], ["action", "payload.waitTime", "description"]);
        let details: Vec<&Difference> = found.iter().filter(|found| is_detail(found)).collect();
        assert_eq!(summary(&details), "arbiters (2 places), rule \"one\" -> \"two\"");
    }

    #[test]
    fn of_many_details_only_the_names_are_shown() {
        let then = json!({"payload": {"details": {"a": 1, "b": 1, "c": 1, "d": 1, "e": 1}}});
        let found = differ(&then, &json!({"payload": {"details": {}}}));
        assert_eq!(summary(&found.iter().collect::<Vec<_>>()), "a, b, c, d, e");
    }
}
