//! The sinks that the host hands to a plugin: looked up by address, never followed.
//!
//! A plugin may keep the pointer to a sink and push into it a week later, from another thread. Only an address that
//! is in the register is a sink; everything else is refused.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::c_void;
use std::mem::size_of;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dr_watchdog_sdk::abi::{ANSWER_BYTES_MAX, Bytes, Sink, kind, status};

/// Closed sinks whose memory is kept, so that the next ones lie elsewhere: a pointer that a plugin kept from one
/// evaluation must not happen to be the sink of the next.
const CLOSED_MAX: usize = 64;

static OPEN: Mutex<BTreeMap<usize, Collected>> = Mutex::new(BTreeMap::new());

thread_local! {
    static CLOSED: RefCell<VecDeque<Box<Sink>>> = const { RefCell::new(VecDeque::new()) };
}

fn open() -> MutexGuard<'static, BTreeMap<usize, Collected>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a plugin pushed during one call.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// The result.
    pub(super) result: Option<Vec<u8>>,
    /// The error object.
    pub(super) error: Option<Vec<u8>>,
    /// The rule that the plugin broke while it pushed, in a sentence.
    pub(super) problem: Option<String>,
}

/// A sink of the host for one call.
#[derive(Debug)]
pub(super) struct HostSink {
    /// `None` only while it is dropped.
    sink: Option<Box<Sink>>,
}

impl HostSink {
    /// Opens a sink.
    pub(super) fn new() -> Self {
        let mut sink = Box::new(Sink {
            size: size_of::<Sink>() as u32,
            reserved: 0,
            owner: std::ptr::null_mut(),
            on_bytes: Some(on_bytes),
        });
        let address = &raw mut *sink;
        sink.owner = address.cast();
        open().insert(address as usize, Collected::default());
        Self { sink: Some(sink) }
    }

    /// The pointer for the plugin.
    pub(super) fn as_ptr(&self) -> *const Sink {
        self.sink.as_deref().map_or(std::ptr::null(), std::ptr::from_ref)
    }

    /// Closes the sink; what was pushed into it.
    pub(super) fn close(self) -> Collected {
        open().remove(&(self.as_ptr() as usize)).unwrap_or_default()
    }
}

impl Drop for HostSink {
    fn drop(&mut self) {
        open().remove(&(self.as_ptr() as usize));
        CLOSED.with_borrow_mut(|closed| {
            closed.extend(self.sink.take());
            let excess = closed.len().saturating_sub(CLOSED_MAX);
            closed.drain(..excess);
        });
    }
}

unsafe extern "C" fn on_bytes(owner: *mut c_void, kind: i32, bytes: Bytes) -> i32 {
    // SAFETY: passed on as it came.
    unsafe { emit(owner.cast_const().cast(), kind, bytes) }
}

/// The host table's `emit`.
///
/// # Safety
/// `bytes` must be readable. The sink may be anything.
pub(super) unsafe extern "C" fn emit(sink: *const Sink, pushed: i32, bytes: Bytes) -> i32 {
    let mut open = open();
    let Some(collected) = open.get_mut(&(sink as usize)) else {
        return status::BAD_ARGUMENT;
    };
    if bytes.len > ANSWER_BYTES_MAX {
        let text =
            format!("its answer of {} bytes is longer than the limit of {ANSWER_BYTES_MAX}", bytes.len);
        collected.problem = Some(text);
        return status::BAD_ARGUMENT;
    }
    if collected.result.is_some() || collected.error.is_some() {
        collected.problem = Some("it answered one call twice".to_owned());
        return status::BAD_ARGUMENT;
    }
    // SAFETY: the caller's bytes are readable until this call returns, and not longer than the limit.
    let copied = unsafe { bytes.as_slice() }.to_vec();
    match pushed {
        kind::RESULT => collected.result = Some(copied),
        kind::ERROR => collected.error = Some(copied),
        _ => return status::UNSUPPORTED,
    }
    status::OK
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(sink: *const Sink, pushed: i32, text: &[u8]) -> i32 {
        // SAFETY: a slice is readable.
        unsafe { emit(sink, pushed, Bytes::of(text)) }
    }

    #[test]
    fn one_answer_is_taken_and_a_second_one_is_refused() {
        let sink = HostSink::new();
        assert_eq!(push(sink.as_ptr(), kind::RESULT, b"{}"), status::OK);
        assert_eq!(push(sink.as_ptr(), kind::ERROR, b"{}"), status::BAD_ARGUMENT);
        let collected = sink.close();
        assert_eq!(collected.result.as_deref(), Some(b"{}".as_slice()));
        assert_eq!(collected.problem.as_deref(), Some("it answered one call twice"));
    }

    #[test]
    fn a_closed_sink_and_a_made_up_one_are_refused() {
        let sink = HostSink::new();
        let address = sink.as_ptr();
        sink.close();
        assert_eq!(push(address, kind::RESULT, b"{}"), status::BAD_ARGUMENT);
        assert_eq!(push(std::ptr::null(), kind::RESULT, b"{}"), status::BAD_ARGUMENT);
        assert_eq!(push(std::ptr::without_provenance(0xdead), kind::RESULT, b"{}"), status::BAD_ARGUMENT);
    }

    #[test]
    fn the_next_sink_never_lies_where_the_last_one_did() {
        let mut last = HostSink::new().as_ptr();
        for _ in 0..100 {
            let sink = HostSink::new();
            assert_ne!(sink.as_ptr(), last);
            last = sink.as_ptr();
        }
    }

    #[test]
    fn an_answer_beyond_the_limit_is_refused_before_it_is_copied() {
        let sink = HostSink::new();
        assert_eq!(
            push(sink.as_ptr(), kind::RESULT, &vec![b' '; ANSWER_BYTES_MAX + 1]),
            status::BAD_ARGUMENT
        );
        assert!(sink.close().problem.unwrap().contains("1048577 bytes"));
    }
}
