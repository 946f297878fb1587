//! Waiting between two looks at something that changes by itself.

use std::time::Duration;

/// Waits for nothing but the time; a signal ends it early, which only means to look sooner.
pub(super) fn pause(span: Duration) {
    let span = rustix::event::Timespec {
        tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(span.subsec_nanos()),
    };
    let _ = rustix::event::poll(&mut [], Some(&span));
}
