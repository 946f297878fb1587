//! Held sessions: what makes an arbiter managed by this site.
//!
//! A session is held as long as this site serves, or may. Each answered keepalive proves that the arbiter was
//! reached since it was sent; a session that does not answer is given up and opened anew.

use std::sync::Arc;
use std::time::Duration;

use dr_watchdog_sdk::evidence::SshOutcome;
use tokio::sync::watch;
use tokio::time::Instant;

use super::attend::attended;
use super::{Report, Shared, stopped};
use crate::probe::ssh::{Connection, SshError};

/// First wait before a session is opened anew.
const BACK_OFF_FIRST: Duration = Duration::from_millis(250);
/// Longest wait after a refusal (host key, log-in): asking again helps nobody, and devices lock users out.
const BACK_OFF_REFUSED: Duration = Duration::from_secs(30);
/// Keepalives that a session may be late with its answer: lost packets are sent again, and that takes a while.
const ANSWER_KEEP_ALIVES: u32 = 2;

/// Holds a session at one arbiter.
pub(super) async fn hold_until_stopped(shared: Arc<Shared>, arbiter: usize, mut stop: watch::Receiver<bool>) {
    let mut hold = Hold { shared: &shared, arbiter, connection: None, back_off: BACK_OFF_FIRST, last: None };
    tokio::select! {
        () = hold.run() => {}
        () = stopped(&mut stop) => {}
    }
    if let Some(connection) = hold.connection {
        connection.close().await;
    }
}

struct Hold<'a> {
    shared: &'a Shared,
    arbiter: usize,
    connection: Option<Box<dyn Connection>>,
    back_off: Duration,
    /// Why there is no session; a reason is reported once.
    last: Option<SshOutcome>,
}

impl Hold<'_> {
    /// Ends only when nobody listens to the reports any more.
    async fn run(&mut self) {
        loop {
            let (lost, is_lost_now) = match self.open().await {
                Ok(connection) => {
                    self.connection = Some(connection);
                    (self.last, self.back_off) = (None, BACK_OFF_FIRST);
                    if !self.report(Report::HoldOpened { arbiter: self.arbiter }).await {
                        return;
                    }
                    let Some(lost) = self.keep().await else { return };
                    self.connection = None;
                    (lost, true)
                }
                Err(error) => (error, false),
            };
            let outcome = lost.outcome();
            if is_lost_now || self.last != Some(outcome) {
                let why = lost.to_string();
                if !self.report(Report::HoldLost { arbiter: self.arbiter, why }).await {
                    return;
                }
            }
            self.last = Some(outcome);
            tokio::time::sleep(self.next_wait(outcome)).await;
        }
    }

    async fn open(&self) -> Result<Box<dyn Connection>, SshError> {
        // The semaphore is never closed; were it, a connection more would do no harm.
        let _permit = self.shared.hold_connects.acquire().await.ok();
        // Looks and holds together are no more than looks alone may be.
        let _place = self.shared.look_connects.acquire().await.ok();
        let settings = &self.shared.settings;
        let deadline = Instant::now() + settings.look_timeout.max(settings.keep_alive);
        self.shared.connect(self.arbiter, &self.shared.hold_at(self.arbiter), deadline).await
    }

    /// Asks for an answer at each interval; why there was none, or `None` once nobody listens.
    async fn keep(&self) -> Option<SshError> {
        let keep_alive = self.shared.settings.keep_alive;
        // Only called while there is a connection.
        let connection = self.connection.as_ref()?;
        let mut is_excused = false;
        loop {
            let sent = Instant::now();
            let span = keep_alive * ANSWER_KEEP_ALIVES;
            let (answer, late) = attended(span, connection.keep_alive(sent + span)).await;
            match answer {
                Ok(_) => {}
                // This program was stopped, so the answer may lie here unread: it asks again, and only a second
                // silence is the arbiter's.
                Err(SshError::Timeout(_)) if late.is_some() && !is_excused => {
                    is_excused = true;
                    continue;
                }
                Err(error) => return Some(error),
            }
            is_excused = false;
            if !self.report(Report::HoldAnswered { arbiter: self.arbiter, sent }).await {
                return None;
            }
            tokio::time::sleep_until(sent + keep_alive).await;
        }
    }

    async fn report(&self, report: Report) -> bool {
        self.shared.reports.send(report).await.is_ok()
    }

    /// Doubles from failure to failure, up to one keepalive; jittered, so that a thousand sessions that broke
    /// together do not come back together.
    fn next_wait(&mut self, outcome: SshOutcome) -> Duration {
        let is_refused = matches!(outcome, SshOutcome::Hostkey | SshOutcome::Auth);
        let longest = if is_refused { BACK_OFF_REFUSED } else { self.shared.settings.keep_alive };
        let wait = self.back_off.min(longest);
        self.back_off = (self.back_off * 2).min(BACK_OFF_REFUSED);
        jittered(wait, random())
    }
}

/// Between half and all of a span; `random` says where.
fn jittered(span: Duration, random: u16) -> Duration {
    span / 2 + (span / 2) * u32::from(random) / u32::from(u16::MAX)
}

fn random() -> u16 {
    let mut bytes = [0; 2];
    // Without randomness there is no jitter, and that is all.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK);
    u16::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jittered_wait_is_between_half_and_all_of_the_span() {
        let span = Duration::from_secs(10);
        assert_eq!(jittered(span, 0), span / 2);
        assert_eq!(jittered(span, u16::MAX), span);
        assert!((span / 2..=span).contains(&jittered(span, 12_345)));
    }
}
