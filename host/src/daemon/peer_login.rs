//! Whether the other site can be logged in to, tried now and then (`domain.md` row 92).

use std::rc::Rc;
use std::time::Duration;

use dr_watchdog_core::heartbeat::Reach;
use dr_watchdog_core::{Now, Watchdog};
use tokio::sync::{mpsc, watch};

use super::effects::World;
use super::mailing;
use crate::config::{self, Config};
use crate::notify::kind::Kind;
use crate::peer::remote::{self, Remote, RemoteError};

/// From one log-in to the next, in heartbeats: ten minutes with the manual's, which no log of the other site minds.
const LOGIN_HEARTBEATS: u32 = 20;

/// Tries for ever, and reports each time; without a key to log in with there is nothing to try.
pub(super) fn start(config: watch::Receiver<Rc<Config>>, ends: mpsc::UnboundedSender<Result<(), String>>) {
    tokio::task::spawn_local(async move {
        loop {
            let current = Rc::clone(&config.borrow());
            tokio::time::sleep(period(&current)).await;
            let current = Rc::clone(&config.borrow());
            if current.peer.identity.is_none() {
                continue;
            }
            let result = log_in(&current).await.map_err(|error| config::chain(&error));
            if ends.send(result).is_err() {
                // The daemon ends.
                return;
            }
        }
    });
}

fn period(config: &Config) -> Duration {
    config.watchdog.heartbeat.interval.duration() * LOGIN_HEARTBEATS
}

async fn log_in(config: &Config) -> Result<(), RemoteError> {
    let destination = remote::destination(config)?;
    Remote::connect(&destination).await.map(|_| ())
}

/// Takes how a try ended. While the other site does not even answer ping, that is the news, and not this.
pub(super) fn ended(world: &mut World, now: Now, core: &Watchdog, result: Result<(), String>) {
    match result {
        Ok(()) => {
            mailing::end(world, now, core, Kind::PeerLogInFailed, "a log-in at the other site succeeded")
        }
        Err(why) => {
            tracing::warn!("the other site cannot be logged in to: {why}");
            if matches!(core.reach(), Reach::Up { .. }) {
                mailing::alarm(world, now, core, Kind::PeerLogInFailed, &why);
            }
        }
    }
}
