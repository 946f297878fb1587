//! Calls into a plugin, with what comes back turned into a value or a failure.

use std::mem::size_of;
use std::str;
use std::sync::atomic::{AtomicUsize, Ordering};

use dr_watchdog_sdk::abi::{self, Bytes, status};
use dr_watchdog_sdk::{Context, Host, strict};
use serde_json::{Value, json};

use super::evaluations::{Entered, Evaluation};
use super::loader::{Functions, Library};
use super::sinks::{Collected, HostSink};
use crate::policy::{Failure, FailureKind, schema};

/// Characters of an error that is no error object, as far as they are repeated.
const RAW_ERROR_CHARS_MAX: usize = 500;

/// What the plugin says of itself. Its names come from the manifest, which is read without running it.
pub(super) fn describe(library: &Library) -> Result<Value, Failure> {
    let sink = HostSink::new();
    // SAFETY: the function is the plugin's, the sink lives until it is closed below.
    let status = unsafe { (library.functions.describe)(sink.as_ptr()) };
    let mut description = match outcome(status, sink.close(), &library.contact) {
        Ok(Value::Object(description)) => description,
        Ok(other) => {
            let message = format!("its description is no JSON object but {other}");
            return Err(unusable(library, failure(FailureKind::Load, message)));
        }
        Err(failure) => return Err(unusable(library, failure)),
    };
    for (key, text) in [("name", &library.name), ("version", &library.version), ("contact", &library.contact)]
    {
        description.insert(key.to_owned(), json!(text));
    }
    Ok(Value::Object(description))
}

/// Makes the instance.
pub(super) fn create(library: &Library, config: &Value) -> Result<Instance, Failure> {
    match config {
        Value::Null => create_raw(library, "{}"),
        config => create_raw(library, &config.to_string()),
    }
}

/// Makes instances of a text that no schema has seen, and ends them again; how the last attempt went.
pub(super) fn attempt(library: &Library, config: &str, times: u32) -> Value {
    let mut last = json!({ "accepted": true, "message": null });
    for _ in 0..times {
        if let Err(failure) = create_raw(library, config) {
            last = json!({ "accepted": false, "message": failure.message });
        }
    }
    last
}

fn create_raw(library: &Library, config: &str) -> Result<Instance, Failure> {
    let sink = HostSink::new();
    // SAFETY: the function is the plugin's; configuration and sink live until it returned.
    let pointer = unsafe { (library.functions.create)(Bytes::of(config.as_bytes()), sink.as_ptr()) };
    let collected = sink.close();
    if pointer.is_null() {
        let failed = outcome(status::ERROR, collected, &library.contact);
        return Err(unusable(
            library,
            failed.err().unwrap_or_else(|| failure(FailureKind::Load, "it made no instance".to_owned())),
        ));
    }
    let contact = library.contact.clone();
    Ok(Instance { functions: library.functions, pointer, evaluation: AtomicUsize::new(0), contact })
}

fn unusable(library: &Library, failure: Failure) -> Failure {
    let message = format!("the policy {} {} cannot be used: {failure}", library.name, library.version);
    Failure { kind: FailureKind::Load, message, ..failure }
}

/// Its configuration breaks the schema that it publishes.
pub(super) fn misconfigured(library: &Library, wrong: &schema::Mismatch) -> Failure {
    let found = failure(FailureKind::Load, format!("policy.config{wrong}"));
    let hint = match &wrong.nearest {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "correct [policy.config]; `plugin describe` shows what it may hold".to_owned(),
    };
    unusable(library, found).with_hint(hint)
}

/// An instance of a policy.
#[derive(Debug)]
pub(super) struct Instance {
    functions: Functions,
    pointer: *mut abi::Instance,
    /// Number of the evaluation that runs; 0 is none.
    evaluation: AtomicUsize,
    contact: String,
}

// SAFETY: the header's rule on threads: an instance may be used from any thread, one evaluation at a time, and cancel
// from another one meanwhile. Only `Native::evaluate`, which needs it mutably, evaluates.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

impl Instance {
    /// Answers one question.
    pub(super) fn evaluate(&self, context: &Context, host: &dyn Host) -> Result<Value, Failure> {
        let context_json = serde_json::to_vec(context).map_err(|error| {
            failure(FailureKind::Runtime, format!("the question cannot be written: {error}"))
        })?;
        let sink = HostSink::new();
        let status = {
            let entered = Entered::begin(host);
            let call = abi::Call {
                size: size_of::<abi::Call>() as u32,
                reserved: 0,
                ctx: entered.ctx(),
                context_json: Bytes::of(&context_json),
            };
            self.evaluation.store(entered.id(), Ordering::Release);
            // SAFETY: the instance is alive until `drop`; call, context and sink live until the plugin returned.
            let status = unsafe { (self.functions.evaluate)(self.pointer, &raw const call, sink.as_ptr()) };
            self.evaluation.store(0, Ordering::Release);
            status
        };
        outcome(status, sink.close(), &self.contact)
    }

    /// Tells the plugin that nobody waits for its answer any more.
    pub(super) fn cancel(&self) {
        Evaluation::cancel(self.evaluation.load(Ordering::Acquire));
        // SAFETY: cancel may come from any thread while the instance lives, which `self` says.
        unsafe { (self.functions.cancel)(self.pointer) }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: create made it, nobody else holds it, and no call of it runs.
        unsafe { (self.functions.destroy)(self.pointer) }
    }
}

fn failure(kind: FailureKind, message: String) -> Failure {
    Failure { kind, message, line: None, hint: None }
}

/// What a call came to. A broken rule wins over the status: a plugin that ignored a refusal says "ok" afterwards.
fn outcome(status: i32, collected: Collected, contact: &str) -> Result<Value, Failure> {
    if let Some(problem) = collected.problem {
        return Err(failure(FailureKind::Verdict, problem));
    }
    if status == status::OK {
        let answer = collected.result.ok_or_else(|| {
            failure(FailureKind::Verdict, "it says that all is well and gave no answer".to_owned())
        })?;
        return json_of(&answer);
    }
    let (kind, verb) = match status {
        status::CANCELLED => (FailureKind::Timeout, "it gave up"),
        status::DENIED => (FailureKind::Denied, "it was denied a host call"),
        status::UNSUPPORTED => (FailureKind::Runtime, "it needs what this host does not offer"),
        status::BAD_ARGUMENT => (FailureKind::Runtime, "it refuses an argument"),
        status::PANIC => (FailureKind::Runtime, "it panicked"),
        _ => (FailureKind::Runtime, "it failed"),
    };
    let object = collected.error.map(|error| error_object(&error)).unwrap_or_default();
    let reason = object["message"].as_str().filter(|message| !message.is_empty());
    let message = match (reason, object["field"].as_str()) {
        (None, _) => format!("{verb} with status {status}, and gave no reason"),
        (Some(reason), Some(field)) if !reason.contains(field) => format!("{field}: {reason}"),
        (Some(reason), _) => reason.to_owned(),
    };
    let told = object["hint"].as_str().map(str::to_owned);
    let vendor =
        || (status == status::PANIC && !contact.is_empty()).then(|| format!("tell its vendor: {contact}"));
    Err(Failure { kind, message, line: None, hint: told.or_else(vendor) })
}

fn json_of(answer: &[u8]) -> Result<Value, Failure> {
    let text = str::from_utf8(answer).map_err(|error| {
        failure(FailureKind::Verdict, format!("its answer is no UTF-8 from byte {} on", error.valid_up_to()))
    })?;
    strict::parse(text.as_bytes())
        .map_err(|error| failure(FailureKind::Verdict, format!("its answer is no JSON: {error}")))
}

/// The error object; one that is none is taken as the message.
fn error_object(error: &[u8]) -> Value {
    let raw = || {
        let text: String = String::from_utf8_lossy(error).chars().take(RAW_ERROR_CHARS_MAX).collect();
        json!({ "message": text })
    };
    serde_json::from_slice(error).ok().filter(Value::is_object).unwrap_or_else(raw)
}
