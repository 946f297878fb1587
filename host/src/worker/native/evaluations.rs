//! The evaluations that run, with the functions through which a plugin reaches the host during one.
//!
//! A `drw_ctx` is a number that is looked up. A plugin's thread may use it after its evaluation ended: it is refused.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::mem::{offset_of, size_of};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dr_watchdog_sdk::abi::{Bytes, Ctx, HostTable, Sink, kind, status, version};
use dr_watchdog_sdk::{Host, HostError, Level};
use serde_json::{Value, json};

use super::sinks;

/// Log lines from a plugin's own threads that are kept until its evaluating thread is back in the host.
const LINES_MAX: usize = 1_000;
/// Longest log line that is taken, in bytes.
const LINE_BYTES_MAX: usize = 16 << 10;

/// What the host offers to every plugin.
pub(super) static HOST_TABLE: HostTable = HostTable {
    size: size_of::<HostTable>() as u32,
    abi_major: version::MAJOR,
    abi_minor: version::MINOR,
    reserved: 0,
    log: Some(log),
    remaining_ms: Some(remaining_ms),
    is_cancelled: Some(is_cancelled),
    call: Some(call),
    emit: Some(sinks::emit),
};

static RUNNING: Mutex<BTreeMap<usize, Arc<Evaluation>>> = Mutex::new(BTreeMap::new());
static NEXT: AtomicUsize = AtomicUsize::new(1);

thread_local! {
    /// The evaluation of this thread, and its host.
    static HERE: Cell<Option<(usize, *const dyn Host)>> = const { Cell::new(None) };
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What any thread may know of an evaluation.
#[derive(Debug)]
pub(super) struct Evaluation {
    is_cancelled: AtomicBool,
    /// None where the deadline is beyond what the clock can hold.
    deadline: Option<Instant>,
    lines: Mutex<Vec<(Level, String)>>,
}

impl Evaluation {
    /// Cancels the evaluation of this number, if it still runs.
    pub(super) fn cancel(id: usize) {
        if let Some(evaluation) = lock(&RUNNING).get(&id) {
            evaluation.is_cancelled.store(true, Ordering::Release);
        }
    }

    fn of(ctx: *mut Ctx) -> Option<Arc<Self>> {
        lock(&RUNNING).get(&ctx.addr()).cloned()
    }

    fn is_over(&self) -> bool {
        self.is_cancelled.load(Ordering::Acquire)
            || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// Keeps an evaluation in the register; it is over when this is dropped.
pub(super) struct Entered<'host> {
    id: usize,
    host: &'host dyn Host,
    before: Option<(usize, *const dyn Host)>,
    evaluation: Arc<Evaluation>,
}

impl<'host> Entered<'host> {
    /// Begins an evaluation on this thread.
    pub(super) fn begin(host: &'host dyn Host) -> Self {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let evaluation = Arc::new(Evaluation {
            is_cancelled: AtomicBool::new(false),
            deadline: Instant::now().checked_add(Duration::from_millis(host.remaining_ms())),
            lines: Mutex::default(),
        });
        lock(&RUNNING).insert(id, Arc::clone(&evaluation));
        let pointer: *const (dyn Host + 'host) = host;
        // SAFETY: only the lifetime in the type changes. The pointer is followed through HERE alone, which `drop`
        // puts back before 'host can end.
        let pointer = unsafe { std::mem::transmute::<*const (dyn Host + 'host), *const dyn Host>(pointer) };
        Self { id, host, before: HERE.replace(Some((id, pointer))), evaluation }
    }

    /// Its number.
    pub(super) const fn id(&self) -> usize {
        self.id
    }

    /// Its handle for the plugin.
    pub(super) fn ctx(&self) -> *mut Ctx {
        std::ptr::without_provenance_mut(self.id)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        HERE.set(self.before);
        lock(&RUNNING).remove(&self.id);
        flush(&self.evaluation, self.host);
    }
}

/// The host of this evaluation, if this is its thread.
fn with_host<T>(ctx: *mut Ctx, work: impl FnOnce(&dyn Host) -> T) -> Option<T> {
    let (id, host) = HERE.get()?;
    if id != ctx.addr() {
        return None;
    }
    // SAFETY: the pointer is in HERE only while `Entered`, which borrows the host, is alive on this thread.
    Some(work(unsafe { &*host }))
}

fn flush(evaluation: &Evaluation, host: &dyn Host) {
    for (level, line) in std::mem::take(&mut *lock(&evaluation.lines)) {
        host.log(level, &line);
    }
}

unsafe extern "C" fn log(ctx: *mut Ctx, level: i32, text: Bytes, fields_json: Bytes) {
    let Some(evaluation) = Evaluation::of(ctx) else { return };
    // SAFETY: the plugin's bytes are readable until this call returns; the first ones of a long text are kept.
    let mut line = unsafe { line(text) };
    // SAFETY: as above.
    let fields = unsafe { self::line(fields_json) };
    if !fields.is_empty() {
        line = format!("{line} {fields}");
    }
    let level = Level::from_code(level);
    let is_told = with_host(ctx, |host| {
        flush(&evaluation, host);
        host.log(level, &line);
    });
    if is_told.is_none() {
        let mut lines = lock(&evaluation.lines);
        match lines.len() {
            LINES_MAX => lines.push((Level::Warn, "further lines of its threads are dropped".to_owned())),
            kept if kept < LINES_MAX => lines.push((level, line)),
            _ => {}
        }
    }
}

/// # Safety
/// The bytes must be readable.
unsafe fn line(bytes: Bytes) -> String {
    let bytes = Bytes { ptr: bytes.ptr, len: bytes.len.min(LINE_BYTES_MAX) };
    // SAFETY: the caller's promise.
    String::from_utf8_lossy(unsafe { bytes.as_slice() }).into_owned()
}

unsafe extern "C" fn remaining_ms(ctx: *mut Ctx) -> u64 {
    let Some(evaluation) = Evaluation::of(ctx) else { return 0 };
    with_host(ctx, |host| host.remaining_ms()).unwrap_or_else(|| match evaluation.deadline {
        Some(deadline) => deadline.saturating_duration_since(Instant::now()).as_millis() as u64,
        None => u64::MAX,
    })
}

unsafe extern "C" fn is_cancelled(ctx: *mut Ctx) -> i32 {
    let Some(evaluation) = Evaluation::of(ctx) else { return 1 };
    let by_host = with_host(ctx, |host| host.is_cancelled()).unwrap_or(false);
    i32::from(by_host || evaluation.is_over())
}

unsafe extern "C" fn call(ctx: *mut Ctx, method: Bytes, request_json: Bytes, sink: *const Sink) -> i32 {
    // SAFETY: the plugin's bytes are readable until this call returns.
    let (method, request) = unsafe { (method.as_slice(), request_json.as_slice()) };
    let (status, kind, text) = match answer(ctx, method, request) {
        Ok(text) => (status::OK, kind::RESULT, text),
        Err(error) => {
            let object = json!({ "code": error.kind(), "message": error.message() });
            (status_of(&error), kind::ERROR, object.to_string())
        }
    };
    // SAFETY: the sink is the plugin's own and lives until this call returns.
    let taken = unsafe { push(sink, kind, &text) };
    if taken == status::OK { status } else { taken }
}

fn answer(ctx: *mut Ctx, method: &[u8], request: &[u8]) -> Result<String, HostError> {
    let wrong = |text: String| HostError::BadRequest(text);
    let evaluation = Evaluation::of(ctx).ok_or(HostError::Cancelled)?;
    let method = std::str::from_utf8(method).map_err(|_| wrong("the method is no UTF-8".to_owned()))?;
    let request: Value = match request {
        b"" => json!({}),
        _ => serde_json::from_slice(request)
            .map_err(|error| wrong(format!("the request to {method} is no JSON: {error}")))?,
    };
    let answered = with_host(ctx, |host| {
        flush(&evaluation, host);
        if evaluation.is_cancelled.load(Ordering::Acquire) || host.is_cancelled() {
            return Err(HostError::Cancelled);
        }
        host.call_text(method, &request)
    });
    answered.unwrap_or_else(|| {
        Err(wrong(format!("{method} was called from another thread than the one that evaluates")))
    })
}

const fn status_of(error: &HostError) -> i32 {
    match error {
        HostError::Cancelled => status::CANCELLED,
        HostError::Denied(_) => status::DENIED,
        HostError::Unsupported(_) => status::UNSUPPORTED,
        HostError::BadRequest(_) => status::BAD_ARGUMENT,
        HostError::Failed(_) => status::ERROR,
    }
}

/// # Safety
/// The sink must be null or begin with its size, and live until this returns.
unsafe fn push(sink: *const Sink, kind: i32, text: &str) -> i32 {
    if sink.is_null() || !sink.is_aligned() {
        return status::BAD_ARGUMENT;
    }
    // SAFETY: the caller's promise; the size is read before the rest is believed to be there.
    let is_whole = unsafe { (*sink).size } as usize >= offset_of!(Sink, on_bytes) + size_of::<usize>();
    // SAFETY: the size covers the whole struct.
    let Some((sink, on_bytes)) =
        is_whole.then(|| unsafe { &*sink }).and_then(|sink| Some((sink, sink.on_bytes?)))
    else {
        return status::BAD_ARGUMENT;
    };
    // SAFETY: the plugin's own callback with its own owner; the text lives until the call returns.
    unsafe { on_bytes(sink.owner, kind, Bytes::of(text.as_bytes())) }
}
