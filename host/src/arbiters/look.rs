//! Looking at arbiters: ping and sessions, on one connection per arbiter that is kept from look to look.

use std::sync::Arc;
use std::time::Duration;

use dr_watchdog_sdk::evidence::{Session, SshOutcome};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::device::AskError;
use super::{Look, Report, Shared, reach, stopped};
use crate::probe::ping::PingOutcome;
use crate::probe::ssh::Connection;

/// Looks at one arbiter at each interval from `begin` on: all arbiters share that beginning, so that one moment's
/// evidence is about one moment.
pub(super) async fn look_until_stopped(
    shared: Arc<Shared>,
    arbiter: usize,
    begin: Instant,
    mut stop: watch::Receiver<bool>,
) {
    let mut looker = Looker { connection: None };
    let mut ticks = tokio::time::interval_at(begin, shared.settings.look);
    // A look that took longer than the interval must not be made up for by two at once.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let looking = async {
        loop {
            ticks.tick().await;
            if !look(&shared, arbiter, &mut looker).await {
                return;
            }
        }
    };
    tokio::select! {
        () = looking => {}
        () = stopped(&mut stop) => {}
    }
    if let Some(connection) = looker.connection {
        connection.close().await;
    }
}

/// One look, each half reported as soon as it is known; false once nobody listens.
async fn look(shared: &Shared, arbiter: usize, looker: &mut Looker) -> bool {
    let pinging = async {
        let begun = Instant::now();
        let outcome = ping(shared, arbiter).await;
        shared.reports.send(Report::Pinged { arbiter, outcome, begun }).await.is_ok()
    };
    let asking = async {
        let seen = looker.look(shared, arbiter).await;
        let report =
            Report::Looked { arbiter, result: seen.result, begun: seen.begun, is_unbroken: seen.is_unbroken };
        shared.reports.send(report).await.is_ok()
    };
    let (is_heard, is_heard_too) = tokio::join!(pinging, asking);
    is_heard && is_heard_too
}

/// One look for an operator, on a connection of its own.
pub(super) async fn look_once(shared: &Shared, arbiter: usize, wants_sessions: bool) -> Look {
    let asking = async {
        if !wants_sessions {
            return None;
        }
        let mut looker = Looker { connection: None };
        let seen = looker.look(shared, arbiter).await;
        if let Some(connection) = looker.connection {
            connection.close().await;
        }
        Some(seen.result)
    };
    let (ping, sessions) = tokio::join!(ping(shared, arbiter), asking);
    Look { ping, sessions }
}

/// As many tries as fit into the deadline of a look.
async fn ping(shared: &Shared, arbiter: usize) -> PingOutcome {
    let settings = &shared.settings;
    let timeout = settings.ping_timeout.min(settings.look_timeout).max(Duration::from_millis(1));
    let fitting = settings.look_timeout.as_nanos() / timeout.as_nanos();
    let tries = u32::try_from(fitting).unwrap_or(u32::MAX).clamp(1, settings.ping_retries + 1);
    reach::ping(shared, arbiter, timeout, tries).await
}

/// Whoever looks at one arbiter.
struct Looker {
    connection: Option<Box<dyn Connection>>,
}

struct Seen {
    result: Result<Vec<Session>, (SshOutcome, String)>,
    begun: Instant,
    is_unbroken: bool,
}

impl Looker {
    /// Asks for the sessions. After a failure the connection is not used again, whatever failed: the next look
    /// begins with a new one.
    async fn look(&mut self, shared: &Shared, arbiter: usize) -> Seen {
        let mut is_unbroken = self.connection.is_some();
        let mut deadline = Instant::now() + shared.settings.look_timeout;
        let mut result = self.try_look(shared, arbiter, &mut deadline).await;
        if is_unbroken && result.as_ref().is_err_and(|(_, error)| error.is_of_the_connection()) {
            // The kept connection died while it lay idle. That says nothing about the arbiter now, so it is asked
            // again at once, by the same deadline.
            is_unbroken = false;
            result = self.try_look(shared, arbiter, &mut deadline).await;
        }
        let begun = result.as_ref().map_or_else(|(begun, _)| *begun, |(begun, _)| *begun);
        let result = match result {
            Ok((_, sessions)) => Ok(sessions),
            Err((_, error)) => {
                tracing::debug!(arbiter = shared.devices[arbiter].target.name, %error, "the look failed");
                Err((error.outcome(), error.to_string()))
            }
        };
        Seen { result, begun, is_unbroken }
    }

    async fn try_look(
        &mut self,
        shared: &Shared,
        arbiter: usize,
        deadline: &mut Instant,
    ) -> Result<(Instant, Vec<Session>), (Instant, AskError)> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let waited = Instant::now();
                // The semaphore is never closed; were it, a connection more would do no harm. The wait for a turn
                // is ours, so it is not held against the arbiter.
                let _permit = shared.look_connects.acquire().await.ok();
                *deadline += waited.elapsed();
                let to = shared.look_at(arbiter);
                shared
                    .connect(arbiter, &to, *deadline)
                    .await
                    .map_err(|error| (Instant::now(), error.into()))?
            }
        };
        let begun = Instant::now();
        let sessions = shared.devices[arbiter].ask(connection.as_ref(), *deadline).await;
        let sessions = sessions.map_err(|error| (begun, error))?;
        self.connection = Some(connection);
        Ok((begun, sessions))
    }
}
