//! The C ABI between the host and a compiled policy, as Rust sees it; `include/drw_policy.h` is the same in C.
//!
//! Size first, append only: every table begins with its own size, a field is used only where the size covers it,
//! and new fields go to the end. JSON bytes cross, Rust types do not. Ownership, threads and deadlines: the header.
#![allow(unsafe_code)]

use std::ffi::c_void;

pub mod version;
pub mod wrappers;

/// Name of the constant that a plugin exports.
pub const MANIFEST_SYMBOL: &str = "drw_plugin_manifest";
/// Name of the function that a plugin exports.
pub const OPEN_SYMBOL: &str = "drw_plugin_open";
/// The header for C, for whoever writes it beside a new policy.
pub const HEADER: &str = include_str!("../../include/drw_policy.h");
/// First bytes of a manifest.
pub const MAGIC: [u8; 8] = *b"DRWPLUG\x01";

/// Longest answer that a host takes from a plugin, in bytes: a verdict of 1,000 arbiters with details is 200 KB.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Outcomes of a call, in either direction.
pub mod status {
    /// Done; the sink holds a result, where the call has one.
    pub const OK: i32 = 0;
    /// Failed; the sink holds an error object.
    pub const ERROR: i32 = 1;
    /// The evaluation was cancelled, or its time is over.
    pub const CANCELLED: i32 = 2;
    /// The policy has no grant for this call.
    pub const DENIED: i32 = 3;
    /// The other side does not know this call.
    pub const UNSUPPORTED: i32 = 4;
    /// An argument is wrong.
    pub const BAD_ARGUMENT: i32 = 5;
    /// The plugin panicked, and its SDK caught it.
    pub const PANIC: i32 = 6;
}

/// What is pushed into a sink.
pub mod kind {
    /// The JSON of the result.
    pub const RESULT: i32 = 0;
    /// The JSON of an error object: `{"code", "message", "field"?, "hint"?}`.
    pub const ERROR: i32 = 1;
}

/// UTF-8 or JSON bytes that belong to the caller and die when the call returns.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Bytes {
    /// First byte; may be null where `len` is 0.
    pub ptr: *const u8,
    /// Number of bytes; there is no terminating NUL.
    pub len: usize,
}

impl Bytes {
    /// These bytes.
    pub const fn of(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), len: bytes.len() }
    }

    /// The bytes.
    ///
    /// # Safety
    /// `ptr` must point to `len` readable bytes that live as long as `'a`, or `len` must be 0.
    pub const unsafe fn as_slice<'a>(self) -> &'a [u8] {
        if self.ptr.is_null() || self.len == 0 {
            return &[];
        }
        // SAFETY: the caller promises `len` readable bytes; null was sorted out above.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
    }
}

/// One evaluation, opaque to the plugin; it dies when `evaluate` returns, and the host refuses it from then on.
#[derive(Debug)]
#[repr(C)]
pub struct Ctx {
    _opaque: [u8; 0],
}

/// An instance of a policy, opaque to the host.
#[derive(Debug)]
#[repr(C)]
pub struct Instance {
    _opaque: [u8; 0],
}

/// Where the answer of a call goes: a callback of whoever asked.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Sink {
    /// Size of this struct.
    pub size: u32,
    /// Zero.
    pub reserved: u32,
    /// Handed back to `on_bytes`.
    pub owner: *mut c_void,
    /// Takes the bytes: owner, [`kind`], bytes → [`status`]. It copies them before it returns.
    pub on_bytes: Option<unsafe extern "C" fn(owner: *mut c_void, kind: i32, bytes: Bytes) -> i32>,
}

/// One question: the argument of `evaluate`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Call {
    /// Size of this struct.
    pub size: u32,
    /// Zero.
    pub reserved: u32,
    /// The evaluation, for host calls.
    pub ctx: *mut Ctx,
    /// JSON of the [`crate::Context`].
    pub context_json: Bytes,
}

/// What the host offers. It lives until the process ends.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct HostTable {
    /// Size of this struct.
    pub size: u32,
    /// ABI major of the host.
    pub abi_major: u32,
    /// ABI minor of the host.
    pub abi_minor: u32,
    /// Zero.
    pub reserved: u32,
    /// Writes a log line: evaluation, level (0 debug … 3 error), text, JSON object of fields or nothing.
    pub log: Option<unsafe extern "C" fn(ctx: *mut Ctx, level: i32, text: Bytes, fields_json: Bytes)>,
    /// Milliseconds until the deadline; 0 after the evaluation.
    pub remaining_ms: Option<unsafe extern "C" fn(ctx: *mut Ctx) -> u64>,
    /// 1 when the host wants no answer any more, and after the evaluation.
    pub is_cancelled: Option<unsafe extern "C" fn(ctx: *mut Ctx) -> i32>,
    /// Performs a host call by name; the answer goes to the plugin's own sink.
    pub call: Option<
        unsafe extern "C" fn(ctx: *mut Ctx, method: Bytes, request_json: Bytes, sink: *const Sink) -> i32,
    >,
    /// Answers the host: pushes bytes into a sink that the host handed over.
    pub emit: Option<unsafe extern "C" fn(sink: *const Sink, kind: i32, bytes: Bytes) -> i32>,
}

/// What a plugin offers. The host fills in `size` with what it knows, the plugin with what it filled.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct PluginTable {
    /// Size of this struct.
    pub size: u32,
    /// Zero.
    pub reserved: u32,
    /// Tells about the policy: one JSON object.
    pub describe: Option<unsafe extern "C" fn(sink: *const Sink) -> i32>,
    /// Makes an instance from the JSON of `[policy.config]`; null after an error.
    pub create: Option<unsafe extern "C" fn(config_json: Bytes, sink: *const Sink) -> *mut Instance>,
    /// Answers one question with the JSON of a verdict.
    pub evaluate:
        Option<unsafe extern "C" fn(instance: *mut Instance, call: *const Call, sink: *const Sink) -> i32>,
    /// The host wants no answer any more; from another thread, at any time between create and destroy.
    pub cancel: Option<unsafe extern "C" fn(instance: *mut Instance)>,
    /// Ends the instance; no call of it is running then.
    pub destroy: Option<unsafe extern "C" fn(instance: *mut Instance)>,
}

/// Constant data that is read before any code of the plugin runs.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Manifest {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// Size of this struct.
    pub size: u32,
    /// ABI major that the plugin speaks.
    pub abi_major: u32,
    /// Lowest ABI minor of a host that it can live with.
    pub abi_minor_required: u32,
    /// Zero: no flags are defined.
    pub flags: u32,
    /// Name of the policy.
    pub name: Bytes,
    /// Version of the policy.
    pub version: Bytes,
    /// Who made it.
    pub vendor: Bytes,
    /// Where to ask about it.
    pub contact: Bytes,
    /// Its licence.
    pub license: Bytes,
    /// Version of the SDK it was built with; empty without one.
    pub sdk_version: Bytes,
    /// Target triple it was built for; empty if not known.
    pub target: Bytes,
}

// SAFETY: a manifest is constant data, and what it points to is constant data of the same library.
unsafe impl Sync for Manifest {}

/// The function behind [`OPEN_SYMBOL`].
pub type OpenFn = unsafe extern "C" fn(host: *const HostTable, plugin: *mut PluginTable) -> i32;
