//! Performs the host calls of one evaluation, within limits, with a record of each.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use dr_watchdog_sdk::HostError;
use dr_watchdog_sdk::host::method;
use serde_json::Value;

use super::guest_text::one_line;
use super::state::State;
use super::terms::{Grant, line_for};
use super::{CallRecord, HostCalls};

/// Host calls of one evaluation; a policy that needs more is in a loop.
const CALLS_MAX: usize = 1_000;
/// Log lines of one evaluation.
const LOG_LINES_MAX: usize = 200;
/// Writes of the policy's state in one evaluation: each of them waits for the disk.
const PUTS_MAX: usize = 16;

/// The host calls of one evaluation.
pub(super) struct Recorder<'a> {
    policy: &'a str,
    calls: &'a dyn HostCalls,
    granted: &'a BTreeSet<Grant>,
    state: &'a State,
    puts: Cell<usize>,
    records: RefCell<Vec<CallRecord>>,
    performed: Cell<usize>,
    log_lines: Cell<usize>,
}

impl<'a> Recorder<'a> {
    /// Nothing asked yet.
    pub(super) fn new(
        policy: &'a str,
        calls: &'a dyn HostCalls,
        granted: &'a BTreeSet<Grant>,
        state: &'a State,
    ) -> Self {
        Self {
            policy,
            calls,
            granted,
            state,
            puts: Cell::default(),
            records: RefCell::default(),
            performed: Cell::default(),
            log_lines: Cell::default(),
        }
    }

    /// Name of the policy that asks.
    pub(super) const fn policy(&self) -> &'a str {
        self.policy
    }

    /// Performs one call. [`Recorder::record`] its answer once it was passed on.
    pub(super) async fn perform(&self, name: &str, request: &Value) -> Result<Value, HostError> {
        if self.performed.get() >= CALLS_MAX {
            return Err(HostError::Denied(format!(
                "an evaluation may make {CALLS_MAX} host calls, not more"
            )));
        }
        self.performed.set(self.performed.get() + 1);
        if let Some(needed) = Grant::of_call(name)
            && !self.granted.contains(&needed)
        {
            let line = line_for(&[needed.word().to_owned()], self.granted).unwrap_or_default();
            return Err(HostError::Denied(format!("the call \"{name}\" is not granted; write {line}")));
        }
        match name {
            method::LOG => self.log(request),
            method::STATE_GET => self.state.get(),
            method::STATE_PUT => {
                self.puts.set(self.puts.get() + 1);
                if self.puts.get() > PUTS_MAX {
                    return Err(HostError::Denied(format!(
                        "an evaluation may put its state {PUTS_MAX} times, not more"
                    )));
                }
                self.state.put(request).await
            }
            _ => self.calls.call(name, request).await,
        }
    }

    /// Remembers a call. Sections are not repeated: a decision's record holds them already.
    pub(super) fn record(&self, name: String, request: Value, answer: Result<Value, HostError>) {
        if name == method::CONFIG {
            return;
        }
        let (answer, error) = match answer {
            Ok(answer) => (answer, None),
            Err(error) => (Value::Null, Some(error.to_string())),
        };
        self.records.borrow_mut().push(CallRecord { method: name, request, answer, error });
    }

    /// Name of the last call, for a crash report.
    pub(super) fn last_call(&self) -> Option<String> {
        self.records.borrow().last().map(|record| record.method.clone())
    }

    /// Every call, in order.
    pub(super) fn into_records(self) -> Vec<CallRecord> {
        self.records.into_inner()
    }

    fn log(&self, request: &Value) -> Result<Value, HostError> {
        let wrong = |key: &str, expected: &str| {
            Err(HostError::BadRequest(format!("log: {key}: expected {expected}")))
        };
        let Some(text) = request.get("text").and_then(Value::as_str) else {
            return wrong("text", "a text");
        };
        let level = request.get("level").and_then(Value::as_str).unwrap_or_default();
        if !["debug", "info", "warn", "error"].contains(&level) {
            return wrong("level", "debug, info, warn or error");
        }
        let lines = self.log_lines.get();
        self.log_lines.set(lines + 1);
        if lines == LOG_LINES_MAX {
            let policy = self.policy;
            tracing::warn!(
                policy,
                "the policy logs more than {LOG_LINES_MAX} lines in one evaluation; the rest is dropped"
            );
        }
        if lines < LOG_LINES_MAX {
            let fields = request.get("fields").filter(|fields| !fields.is_null());
            let shown = fields.map(|fields| format!(" {fields}")).unwrap_or_default();
            log_line(self.policy, level, &format!("{text}{shown}"));
        }
        Ok(Value::Null)
    }
}

/// Writes one line of a guest's to the log, made harmless: one line, not endless, no control characters.
pub(super) fn log_line(policy: &str, level: &str, text: &str) {
    let text = one_line(text);
    match level {
        "debug" => tracing::debug!(policy, "{text}"),
        "info" => tracing::info!(policy, "{text}"),
        "warn" => tracing::warn!(policy, "{text}"),
        _ => tracing::error!(policy, "{text}"),
    }
}
