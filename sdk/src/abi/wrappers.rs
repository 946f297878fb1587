//! The plugin's side of the ABI: C functions around one implementation of [`Policy`].
//!
//! Every function catches panics, because an unwinding that leaves the plugin would end the worker.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::mem::size_of;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, Ordering};

use serde_json::{Value, json};

use super::{Bytes, Call, Ctx, HostTable, Instance, Manifest, PluginTable, Sink, kind, status, version};
use crate::context::Context;
use crate::host::{Host, HostError, Level};
use crate::policy::{Policy, PolicyError};
use crate::wording;

/// The host's table. Each plugin has its own copy of this crate, so there is one host behind it.
static HOST: AtomicPtr<HostTable> = AtomicPtr::new(ptr::null_mut());

impl Manifest {
    /// The manifest of a Rust policy.
    pub const fn of<P: Policy>() -> Self {
        Self {
            magic: super::MAGIC,
            size: size_of::<Self>() as u32,
            abi_major: version::MAJOR,
            abi_minor_required: version::MINOR_REQUIRED,
            flags: 0,
            name: Bytes::of(P::NAME.as_bytes()),
            version: Bytes::of(P::VERSION.as_bytes()),
            vendor: Bytes::of(P::VENDOR.as_bytes()),
            contact: Bytes::of(P::CONTACT.as_bytes()),
            license: Bytes::of(P::LICENSE.as_bytes()),
            sdk_version: Bytes::of(env!("CARGO_PKG_VERSION").as_bytes()),
            target: Bytes::of(env!("DRW_TARGET").as_bytes()),
        }
    }
}

/// Writes the two symbols that a host looks for; part of `drw_export!`.
#[doc(hidden)]
#[macro_export]
macro_rules! __drw_symbols {
    ($policy:ty) => {
        #[allow(unsafe_code, non_upper_case_globals, unreachable_pub)]
        const _: () = {
            #[unsafe(no_mangle)]
            pub static drw_plugin_manifest: $crate::abi::Manifest = $crate::abi::Manifest::of::<$policy>();

            /// # Safety
            /// As the header has it: two tables that begin with their size.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn drw_plugin_open(
                host: *const $crate::abi::HostTable,
                plugin: *mut $crate::abi::PluginTable,
            ) -> i32 {
                // SAFETY: passed on as it came; the host promises what the header asks for.
                unsafe { $crate::abi::wrappers::open::<$policy>(host, plugin) }
            }
        };
    };
}

/// Exchanges the tables.
///
/// # Safety
/// `host` must point to a table that lives until the process ends, `plugin` to a writable one; both begin with the
/// size of what is there.
pub unsafe fn open<P: Policy>(host: *const HostTable, plugin: *mut PluginTable) -> i32 {
    if host.is_null() || plugin.is_null() {
        return status::BAD_ARGUMENT;
    }
    // SAFETY: the host promises both tables; each begins with a u32 that says how much of it is there.
    let (host_size, room) = unsafe { ((*host).size as usize, (*plugin).size as usize) };
    if host_size < size_of::<HostTable>() || room < size_of::<PluginTable>() {
        return status::UNSUPPORTED;
    }
    HOST.store(host.cast_mut(), Ordering::Release);
    keep_panics();
    let table = PluginTable {
        size: size_of::<PluginTable>() as u32,
        reserved: 0,
        describe: Some(describe::<P>),
        create: Some(create::<P>),
        evaluate: Some(evaluate::<P>),
        cancel: Some(cancel::<P>),
        destroy: Some(destroy::<P>),
    };
    // SAFETY: the size says that there is room for the whole table.
    unsafe { plugin.write(table) };
    status::OK
}

unsafe extern "C" fn describe<P: Policy>(sink: *const Sink) -> i32 {
    guard(sink, || {
        let schema = serde_json::to_value(schemars::schema_for!(P::Config));
        let schema = schema.map_err(|error| PolicyError::new(error.to_string()))?;
        Ok(json!({
            "name": P::NAME,
            "version": P::VERSION,
            "vendor": P::VENDOR,
            "contact": P::CONTACT,
            "license": P::LICENSE,
            "configSchema": schema,
            "detailsSchema": P::details_schema(),
            "capabilities": P::wanted_capabilities(),
            "deadlineMs": P::RECOMMENDED_DEADLINE_MS,
        }))
    })
}

unsafe extern "C" fn create<P: Policy>(config_json: Bytes, sink: *const Sink) -> *mut Instance {
    let mut instance: *mut Instance = ptr::null_mut();
    guard_with(sink, || {
        // SAFETY: the host's bytes live until this call returns.
        let bytes = unsafe { config_json.as_slice() };
        let config = serde_json::from_slice::<P::Config>(bytes).map_err(|error| {
            Refusal::from(PolicyError::new(format!("its configuration is wrong: {}", wording::of(&error))))
        })?;
        let policy = P::create(config)?;
        instance = Box::into_raw(Box::new(policy)).cast();
        Ok(None)
    });
    instance
}

unsafe extern "C" fn evaluate<P: Policy>(
    instance: *mut Instance,
    call: *const Call,
    sink: *const Sink,
) -> i32 {
    if instance.is_null() || call.is_null() {
        return status::BAD_ARGUMENT;
    }
    guard_with(sink, || {
        // SAFETY: `create` made the instance as a box of P, and the host promises not to destroy it meanwhile; the
        // call and its bytes live until this call returns.
        let (policy, ctx, bytes) =
            unsafe { (&*instance.cast::<P>(), (*call).ctx, (*call).context_json.as_slice()) };
        let context: Context = serde_json::from_slice(bytes)
            .map_err(|error| Refusal::bad_argument(format!("the question is not understood: {error}")))?;
        let host = NativeHost { ctx };
        let verdict = policy.evaluate(&context, &host).map_err(|error| Refusal {
            status: if host.is_cancelled() { status::CANCELLED } else { status::ERROR },
            error,
        })?;
        Ok(Some(serde_json::to_value(verdict).map_err(|error| PolicyError::new(error.to_string()))?))
    })
}

unsafe extern "C" fn cancel<P: Policy>(instance: *mut Instance) {
    if instance.is_null() {
        return;
    }
    // SAFETY: the instance is a living box of P, and P is Sync.
    let policy = unsafe { &*instance.cast::<P>() };
    // There is no sink: a panic here has nobody to be told to.
    let _ = caught(|| policy.cancel());
}

unsafe extern "C" fn destroy<P: Policy>(instance: *mut Instance) {
    if instance.is_null() {
        return;
    }
    // SAFETY: `create` made it, and the host promises to destroy it once, with no call running.
    let policy = unsafe { Box::from_raw(instance.cast::<P>()) };
    let _ = caught(move || drop(policy));
}

/// Why a function of the plugin did not do its work.
struct Refusal {
    status: i32,
    error: PolicyError,
}

impl Refusal {
    fn bad_argument(message: String) -> Self {
        Self { status: status::BAD_ARGUMENT, error: PolicyError::new(message) }
    }
}

impl From<PolicyError> for Refusal {
    fn from(error: PolicyError) -> Self {
        Self { status: status::ERROR, error }
    }
}

fn guard(sink: *const Sink, work: impl FnOnce() -> Result<Value, PolicyError>) -> i32 {
    guard_with(sink, || Ok(Some(work()?)))
}

/// Does the work, pushes what came of it into the sink, and turns a panic into [`status::PANIC`].
fn guard_with(sink: *const Sink, work: impl FnOnce() -> Result<Option<Value>, Refusal>) -> i32 {
    let (status, error) = match caught(work) {
        Ok(Ok(None)) => return status::OK,
        Ok(Ok(Some(value))) => return emit(sink, kind::RESULT, &value),
        Ok(Err(refusal)) => (refusal.status, refusal.error),
        Err(message) => (status::PANIC, PolicyError::new(message)),
    };
    let mut object = error.to_json();
    object["code"] = json!(code(status));
    emit(sink, kind::ERROR, &object);
    status
}

const fn code(status: i32) -> &'static str {
    match status {
        status::CANCELLED => "cancelled",
        status::DENIED => "denied",
        status::UNSUPPORTED => "unsupported",
        status::BAD_ARGUMENT => "badArgument",
        status::PANIC => "panic",
        _ => "error",
    }
}

fn emit(sink: *const Sink, kind: i32, value: &Value) -> i32 {
    let Some(emit) = host().and_then(|host| host.emit) else { return status::UNSUPPORTED };
    let text = value.to_string();
    // SAFETY: the sink is the host's own, the text lives until the call returns.
    unsafe { emit(sink, kind, Bytes::of(text.as_bytes())) }
}

fn host() -> Option<&'static HostTable> {
    let host = HOST.load(Ordering::Acquire);
    // SAFETY: `open` stored a table that lives until the process ends, or nothing was stored and it is null.
    unsafe { host.as_ref() }
}

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs the work; a panic becomes a sentence with its place.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let was_guarded = IS_GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    IS_GUARDED.set(was_guarded);
    result.map_err(|payload| {
        let kept = LAST_PANIC.with(RefCell::take);
        let message = kept.unwrap_or_else(|| format!("panicked: {}", panic_text(&*payload)));
        // A payload may panic once more while it is dropped; it is leaked instead.
        std::mem::forget(payload);
        message
    })
}

/// Keeps message and place of guarded panics for the host, instead of printing them.
fn keep_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = take_hook();
        set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            if !IS_GUARDED.get() {
                return previous(info);
            }
            let place = info.location().map(|at| format!(" at {}:{}", at.file(), at.line()));
            let text = panic_text(info.payload());
            LAST_PANIC.set(Some(format!("panicked{}: {text}", place.unwrap_or_default())));
        }));
    });
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// The host as a policy sees it during one evaluation.
struct NativeHost {
    ctx: *mut Ctx,
}

impl Host for NativeHost {
    fn call(&self, method: &str, request: &Value) -> Result<Value, HostError> {
        serde_json::from_str(&self.call_text(method, request)?)
            .map_err(|error| HostError::Failed(format!("the host's answer is no JSON: {error}")))
    }

    fn call_text(&self, method: &str, request: &Value) -> Result<String, HostError> {
        let unsupported = || HostError::Unsupported("this host offers no calls".to_owned());
        let call = host().and_then(|host| host.call).ok_or_else(unsupported)?;
        let request = request.to_string();
        let mut answer = Answer::default();
        let sink = Sink {
            size: size_of::<Sink>() as u32,
            reserved: 0,
            owner: ptr::from_mut(&mut answer).cast(),
            on_bytes: Some(take_answer),
        };
        // SAFETY: texts and sink live until the call returns, and the host keeps none of them.
        let status = unsafe {
            call(self.ctx, Bytes::of(method.as_bytes()), Bytes::of(request.as_bytes()), &raw const sink)
        };
        answer.into_result(status)
    }

    fn log(&self, level: Level, text: &str) {
        if let Some(log) = host().and_then(|host| host.log) {
            // SAFETY: the text lives until the call returns.
            unsafe { log(self.ctx, level.code(), Bytes::of(text.as_bytes()), Bytes::of(b"")) }
        }
    }

    fn remaining_ms(&self) -> u64 {
        // SAFETY: the handle is the host's own; it refuses one that is over.
        host().and_then(|host| host.remaining_ms).map_or(0, |remaining| unsafe { remaining(self.ctx) })
    }

    fn is_cancelled(&self) -> bool {
        // SAFETY: the handle is the host's own; it refuses one that is over.
        host().and_then(|host| host.is_cancelled).is_none_or(|is| unsafe { is(self.ctx) } != 0)
    }
}

/// What a host call pushed.
#[derive(Default)]
struct Answer {
    result: Vec<u8>,
    error: Vec<u8>,
}

impl Answer {
    fn into_result(self, status: i32) -> Result<String, HostError> {
        if status == status::OK {
            return String::from_utf8(self.result)
                .map_err(|error| HostError::Failed(format!("the host's answer is no UTF-8: {error}")));
        }
        let error: Value = serde_json::from_slice(&self.error).unwrap_or_default();
        let message = error["message"].as_str().unwrap_or("the host gave no reason").to_owned();
        Err(match status {
            status::CANCELLED => HostError::Cancelled,
            status::DENIED => HostError::Denied(message),
            status::UNSUPPORTED => HostError::Unsupported(message),
            status::BAD_ARGUMENT => HostError::BadRequest(message),
            _ => HostError::Failed(message),
        })
    }
}

unsafe extern "C" fn take_answer(owner: *mut c_void, kind: i32, bytes: Bytes) -> i32 {
    // SAFETY: the owner is the `Answer` beside the sink, which is on the stack of the call that is running.
    let answer = unsafe { &mut *owner.cast::<Answer>() };
    // SAFETY: the host's bytes live until this call returns.
    let bytes = unsafe { bytes.as_slice() };
    match kind {
        kind::RESULT => answer.result = bytes.to_vec(),
        kind::ERROR => answer.error = bytes.to_vec(),
        _ => return status::UNSUPPORTED,
    }
    status::OK
}
