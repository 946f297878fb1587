//! How late this program was while it waited, so that its own silence is not taken for an arbiter's.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;

/// Into so many parts a span is divided to notice lateness in the middle of it.
const PARTS: u32 = 4;

/// Awaits something that should take no longer than `span`; how it ended, and for how long this program was stopped if
/// that was so large a part of the span that a time-out says nothing about the other side.
pub(super) async fn attended<T>(span: Duration, doing: impl Future<Output = T>) -> (T, Option<Duration>) {
    let part = (span / PARTS).max(Duration::from_millis(1));
    let mut doing = pin!(doing);
    let mut late = Duration::ZERO;
    let mut due = Instant::now() + part;
    loop {
        let ended = tokio::time::timeout_at(due, &mut doing).await;
        // A busy program is late by a little all the time, and hears everybody nevertheless.
        late += Some(due.elapsed()).filter(|late| *late > part / PARTS).unwrap_or_default();
        match ended {
            Ok(value) => return (value, Some(late).filter(|late| *late > part)),
            Err(_) => due = Instant::now() + part,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_millis(400);

    #[tokio::test]
    async fn a_program_that_was_stopped_knows_it() {
        let stopped = attended(SPAN, async {
            let begun = std::time::Instant::now();
            while begun.elapsed() < SPAN {
                std::hint::spin_loop();
            }
        });
        assert!(stopped.await.1.is_some());
    }

    #[tokio::test]
    async fn a_program_that_only_waited_does_not_claim_to_have_been_stopped() {
        let waiting = tokio::time::sleep_until(Instant::now() + SPAN / 10);
        assert_eq!(attended(SPAN * 100, waiting).await.1, None);
    }
}
