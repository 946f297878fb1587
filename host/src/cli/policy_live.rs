//! A question to a policy about what is to be seen from this site now.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dr_watchdog_core::evidence::Evidence;
use dr_watchdog_sdk::Situation;
use serde_json::Value;

use super::policy_question::{Asking, Seen, Stale};
use crate::config::{self, Config};
use crate::daemon;
use crate::probe::ping::Pinger;

/// Looks at the arbiters of the configuration once, by ping and by SSH, as a watchdog whose other site is silent would.
/// The policy's own probes send packets, too.
///
/// # Errors
/// When nothing can be pinged from here, or the sections are none.
pub(super) async fn asking(
    config: Config,
    sections: Value,
    deadline: Duration,
) -> Result<(Asking, Stale), String> {
    let stale = Stale::of(&config, "exclusion.wait of the configuration".to_owned());
    let pinger = Pinger::open(config.site.source_address).await.map_err(|error| config::chain(&error))?;
    let (pinger, config) = (Arc::new(pinger), Rc::new(config));
    let (events, _unheard) = tokio::sync::mpsc::unbounded_channel();
    let settings = daemon::settings(&config);
    let arbiters = Rc::new(daemon::build_arbiters(&config, &pinger, &events));
    let nothing = Evidence::default();
    let evidence = daemon::evidence(&arbiters, &settings, daemon::now(), true, &nothing).await;
    let seen = Seen {
        now: evidence.time,
        situation: Situation::PeerLost,
        wait_time: None,
        arbiters: evidence.arbiters,
    };
    let network = Box::new(daemon::live_network(&config, &pinger, &arbiters));
    Ok((Asking::of_seen(sections, seen, &stale, deadline, network)?, stale))
}
