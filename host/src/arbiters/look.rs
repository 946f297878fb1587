//! Looking at arbiters: ping and sessions, on one connection per arbiter that is kept from look to look.

use std::sync::Arc;
use std::time::Duration;

use dr_watchdog_sdk::evidence::{Session, SshOutcome};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::attend::attended;
use super::device::AskError;
use super::movement::Shown;
use super::parse::Row;
use super::{Look, Report, Shared, lock, reach, stopped};
use crate::probe::ping::PingOutcome;
use crate::probe::ssh::Connection;

/// Looks that are taken again because this program was late, and not the arbiter.
const FREE_LOOKS_MAX: u32 = 1;

/// Looks at one arbiter at each interval from `begin` on: all arbiters share that beginning, so that one moment's
/// evidence is about one moment.
pub(super) async fn look_until_stopped(
    shared: Arc<Shared>,
    arbiter: usize,
    begin: Instant,
    mut stop: watch::Receiver<bool>,
) {
    let mut looker = Looker::default();
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
        let (begun, is_unbroken) = (seen.begun, seen.is_unbroken);
        seen.note(shared, arbiter);
        let report = Report::Looked { arbiter, result: seen.sessions(shared, arbiter), begun, is_unbroken };
        shared.reports.send(report).await.is_ok()
    };
    let (is_heard, is_heard_too) = tokio::join!(pinging, asking);
    is_heard && is_heard_too
}

/// One look for an operator, on a connection of its own.
pub(super) async fn look_once(shared: &Shared, arbiter: usize) -> Look {
    let asking = async {
        let mut looker = Looker::default();
        let seen = looker.look(shared, arbiter).await;
        if let Some(connection) = looker.connection {
            connection.close().await;
        }
        seen.sessions(shared, arbiter)
    };
    let (ping, sessions) = tokio::join!(ping(shared, arbiter), asking);
    let old_address = *lock(&shared.devices[arbiter].old_address);
    Look { ping, sessions: Some(sessions), old_address }
}

/// As many tries as fit into the deadline of a look.
async fn ping(shared: &Shared, arbiter: usize) -> PingOutcome {
    let (timeout, tries) = shared.settings.ping_in_look();
    reach::ping(shared, arbiter, timeout, tries).await
}

/// Whoever looks at one arbiter.
#[derive(Default)]
pub(super) struct Looker {
    pub(super) connection: Option<Box<dyn Connection>>,
    /// Whether the look before this one failed.
    has_failed: bool,
}

pub(super) struct Seen {
    pub(super) result: Result<Vec<Row>, (SshOutcome, String)>,
    begun: Instant,
    answered: Instant,
    pub(super) is_unbroken: bool,
}

impl Seen {
    /// Lets the next looks of the series compare their counts with these.
    fn note(&self, shared: &Shared, arbiter: usize) {
        let mut movement = lock(&shared.devices[arbiter].movement);
        let shown = Shown { begun: self.begun, answered: self.answered, is_unbroken: self.is_unbroken };
        match &self.result {
            Ok(rows) => movement.looked(rows, shown, shared.settings.gap_max()),
            Err(_) => movement.broken(),
        }
    }

    /// What policies see of it.
    fn sessions(self, shared: &Shared, arbiter: usize) -> Result<Vec<Session>, (SshOutcome, String)> {
        let device = &shared.devices[arbiter];
        let movement = lock(&device.movement);
        self.result.map(|rows| movement.sessions(rows, device.target.freshness, self.answered))
    }
}

type Tried = Result<(Instant, Vec<Row>), (Instant, AskError)>;

impl Looker {
    /// Asks for the sessions. After a failure the connection is not used again, whatever failed: the next look
    /// begins with a new one.
    pub(super) async fn look(&mut self, shared: &Shared, arbiter: usize) -> Seen {
        let mut is_unbroken = self.connection.is_some();
        let mut span = shared.settings.look_timeout;
        let mut free_looks = FREE_LOOKS_MAX;
        let result = loop {
            let looking = self.try_twice(shared, arbiter, span, &mut is_unbroken);
            let (result, late) = attended(span, looking).await;
            let is_timeout = matches!(&result, Err((_, error)) if error.outcome() == SshOutcome::Timeout);
            let Some(late) = late.filter(|_| is_timeout && free_looks > 0) else { break result };
            tracing::warn!(
                arbiter = shared.devices[arbiter].target.name,
                "the watchdog itself was stopped during a look; it is taken again"
            );
            // What was taken from the arbiter is given back, and no more: others may wait for its place.
            span = span.min(late);
            free_looks -= 1;
            is_unbroken = false;
        };
        self.has_failed = result.is_err();
        let begun = result.as_ref().map_or_else(|(begun, _)| *begun, |(begun, _)| *begun);
        let result = match result {
            Ok((_, rows)) => Ok(rows),
            Err((_, error)) => {
                tracing::debug!(arbiter = shared.devices[arbiter].target.name, %error, "the look failed");
                Err((error.outcome(), error.to_string()))
            }
        };
        Seen { result, begun, answered: Instant::now(), is_unbroken }
    }

    /// By one deadline. A kept connection that died while it lay idle says nothing about the arbiter now, so it is
    /// asked again at once.
    async fn try_twice(
        &mut self,
        shared: &Shared,
        arbiter: usize,
        span: Duration,
        is_unbroken: &mut bool,
    ) -> Tried {
        let mut deadline = Instant::now() + span;
        let result = self.try_look(shared, arbiter, &mut deadline).await;
        if *is_unbroken && result.as_ref().is_err_and(|(_, error)| error.is_of_the_connection()) {
            *is_unbroken = false;
            return self.try_look(shared, arbiter, &mut deadline).await;
        }
        result
    }

    async fn try_look(&mut self, shared: &Shared, arbiter: usize, deadline: &mut Instant) -> Tried {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let waited = Instant::now();
                // The semaphores are never closed; were they, a connection more would do no harm. The wait for a
                // turn is ours, so it is not held against the arbiter. Those that were mute before leave places to
                // those that were not: a living one must not stand behind hundreds of dead ones for long.
                let _second =
                    if self.has_failed { shared.second_connects.acquire().await.ok() } else { None };
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
        let asked = shared.devices[arbiter].ask(connection.as_ref(), shared.settings.families, *deadline);
        let rows = asked.await.map_err(|error| (begun, error))?;
        self.connection = Some(connection);
        Ok((begun, rows))
    }
}
