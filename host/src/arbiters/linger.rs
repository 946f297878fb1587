//! How long a device keeps the session of a dead client, measured.
//!
//! A client that reads nothing any more is dead to the server's own questions, and no firewall is needed for that. A
//! second connection watches when its row is gone.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::Shared;
use super::parse::{Families, Row};
use super::survey::is_at;
use crate::probe::ssh::Connection;

/// Longest measurement.
pub const LINGER_LIMIT: Duration = Duration::from_secs(300);
/// From one look at the row to the next.
const LOOK: Duration = Duration::from_millis(500);

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linger {
    /// The row was gone after so long.
    Kept(Duration),
    /// The row was still there.
    Longer(Duration),
}

/// Measures; why it could not, in a sentence.
pub(super) async fn measure(shared: &Shared, arbiter: usize, limit: Duration) -> Result<Linger, String> {
    let (victim, watcher) = tokio::join!(open(shared, arbiter), open(shared, arbiter));
    let (victim, watcher) = (victim?, watcher?);
    let measured = watch(shared, arbiter, victim.as_ref(), watcher.as_ref(), limit).await;
    // The victim is cut off by dropping it: it cannot say goodbye any more.
    drop(victim);
    watcher.close().await;
    measured
}

async fn open(shared: &Shared, arbiter: usize) -> Result<Box<dyn Connection>, String> {
    let deadline = Instant::now() + shared.settings.look_timeout;
    let to = shared.look_at(arbiter);
    shared.connect(arbiter, &to, deadline).await.map_err(|error| error.to_string())
}

async fn watch(
    shared: &Shared,
    arbiter: usize,
    victim: &dyn Connection,
    watcher: &dyn Connection,
    limit: Duration,
) -> Result<Linger, String> {
    let local = victim.local().ok_or("this way of SSH does not tell its own address")?;
    let ask = async || {
        let deadline = Instant::now() + shared.settings.look_timeout;
        let rows = shared.devices[arbiter].ask(watcher, Families::only(local.ip()), deadline).await;
        rows.map(|rows| count(&rows, local)).map_err(|error| error.to_string())
    };
    let before = ask().await?;
    if before == 0 {
        return Err("its table does not show our own session".to_owned());
    }
    if !victim.fall_silent() {
        return Err("this way of SSH cannot fall silent".to_owned());
    }
    let begun = Instant::now();
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while begun.elapsed() < limit {
        ticks.tick().await;
        if ask().await? < before {
            return Ok(Linger::Kept(begun.elapsed()));
        }
    }
    Ok(Linger::Longer(limit))
}

/// The rows that may be this session: it alone where the device shows ports, else all from its address.
fn count(rows: &[Row], local: SocketAddr) -> usize {
    let ip = local.ip().to_canonical();
    let is_it = |row: &&Row| is_at(row, ip) && row.port.is_none_or(|port| port == local.port());
    rows.iter().filter(is_it).count()
}
