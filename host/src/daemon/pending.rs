//! A change of the configuration that waits for the other site: it is made when that one can be asked.

use std::process::Stdio;
use std::time::Duration;

use dr_watchdog_core::heartbeat::Reach;
use dr_watchdog_core::{Moment, Now, Watchdog};
use tokio::process::Command;
use tokio::task::JoinHandle;

use super::effects::World;
use super::health::Problem;
use crate::config::chain;
use crate::config::pending::{Pending, PendingError};
use crate::paths::Paths;

/// Longest run of the command that makes the change: a log-in and two commands at the other site.
const RUN_LIMIT: Duration = Duration::from_secs(180);

/// When it is tried.
#[derive(Debug, Default)]
pub(super) struct Completing {
    next: Moment,
    was_up: bool,
    running: Option<JoinHandle<()>>,
}

/// Tries once a heartbeat interval while the other site answers, and at once when it answers again.
pub(super) fn look(world: &mut World, now: Now, core: &Watchdog) {
    let is_up = matches!(core.reach(), Reach::Up { .. });
    let completing = &mut world.completing;
    let is_new = is_up && !std::mem::replace(&mut completing.was_up, is_up);
    let is_running = completing.running.as_ref().is_some_and(|running| !running.is_finished());
    if !is_up || is_running || (completing.next > now.mono && !is_new) {
        return;
    }
    completing.next = now.mono.plus(core.settings().heartbeat.interval);
    if world.paths.pending_file.exists() {
        completing.running = Some(tokio::task::spawn_local(complete(world.paths.clone())));
    }
}

/// By the command itself, which knows how a file is changed with its comments kept; it tells this daemon to read it.
async fn complete(paths: Paths) {
    let mut command = Command::new("/proc/self/exe");
    command.arg("--root").arg(&paths.root).args(["toolkit", "config", "update", "--complete"]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(RUN_LIMIT, command.output()).await {
        Ok(Ok(output)) if output.status.success() => {
            tracing::info!(
                "the change of the configuration that waited for the other site is made at both sites"
            );
        }
        Ok(Ok(output)) => {
            let why = String::from_utf8_lossy(&output.stderr);
            tracing::warn!("a change of the configuration waits for the other site: {}", why.trim());
        }
        Ok(Err(error)) => tracing::error!(%error, "the command that changes the configuration did not start"),
        Err(_) => tracing::warn!("the other site did not take the change within {} s", RUN_LIMIT.as_secs()),
    }
}

/// What is wrong with it.
pub(super) fn problem(found: &Result<Option<Pending>, PendingError>, peer: &str) -> Option<Problem> {
    let drop_it = "`toolkit config update --forget` drops it";
    match found {
        Ok(None) => None,
        Ok(Some(pending)) => {
            let keys = pending.keys().join(", ");
            let (since, by) = (pending.since, &pending.by);
            Some(match &pending.refused {
                None => Problem::warning(
                    format!(
                        "a change of {keys} by {by} is pending since {since}: site {peer} does not have it"
                    ),
                    format!("nothing: it is made at both sites when site {peer} can be asked; {drop_it}"),
                ),
                Some(why) => Problem::warning(
                    format!(
                        "a change of {keys} by {by} is pending since {since}, and site {peer} refuses it: {why}"
                    ),
                    format!("mend that there, or {drop_it}"),
                ),
            })
        }
        Err(error) => Some(Problem::warning(chain(error), drop_it)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dr_watchdog_sdk::Utc;

    #[test]
    fn a_pending_change_is_told_with_its_keys_its_author_and_why_it_is_refused() {
        let pending = |refused: Option<&str>| {
            Ok(Some(Pending {
                since: Utc::default(),
                by: "ops".to_owned(),
                here: [("a.b".to_owned(), "1".to_owned())].into(),
                there: [("a.b".to_owned(), "1".to_owned())].into(),
                refused: refused.map(str::to_owned),
            }))
        };
        let waits = problem(&pending(None), "b").unwrap();
        assert!(waits.message.contains("a change of a.b by ops is pending"), "{waits:?}");
        let refused = problem(&pending(Some("no such key")), "b").unwrap();
        assert!(refused.message.contains("site b refuses it: no such key"), "{refused:?}");
        assert!(problem(&Ok(None), "b").is_none());
    }
}
