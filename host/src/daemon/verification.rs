//! After a start: the settings that both sites must share are compared with the other site's, key by key.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use dr_watchdog_core::Event;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::config::{self, Config, safety_settings};
use crate::peer::remote::{self, Remote};

use super::health::Problem;

/// Longest answer of the other site.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// From one try to the next, while the other site cannot be asked.
const TRY_INTERVAL: Duration = Duration::from_secs(60);
/// Most tries in the boot time, in which decisions wait for the answer.
const BOOT_TRIES: u32 = 10;

/// What is known of the comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// There is nobody to ask; the hash in the heartbeats still tells whether the settings are equal.
    Impossible,
    /// The other site has not answered; why not, after the first try.
    Asking(Option<String>),
    /// What differs.
    Compared(Vec<String>),
}

/// What came of it; shared with the task that asks. Dropping it ends the task.
#[derive(Debug)]
pub(super) struct Verification {
    peer: String,
    state: Rc<RefCell<State>>,
    task: Option<AbortHandle>,
}

impl Verification {
    /// Begins to ask; the core hears of the answer.
    pub(super) fn begin(config: &Rc<Config>, events: &mpsc::UnboundedSender<Event>) -> Self {
        let can_ask = config.peer.identity.is_some();
        let state = if can_ask { State::Asking(None) } else { State::Impossible };
        let state = Rc::new(RefCell::new(state));
        let task = can_ask.then(|| {
            let asking = ask_until_answered(Rc::clone(config), Rc::clone(&state), events.clone());
            tokio::task::spawn_local(asking).abort_handle()
        });
        Self { peer: config.peer.name.clone(), state, task }
    }

    /// What is wrong, if anything is; a site that still boots is not late with its answer.
    pub(super) fn problem(&self, is_booting: bool) -> Option<Problem> {
        problem(&self.state.borrow(), &self.peer, is_booting)
    }
}

impl Drop for Verification {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Ends with the answer. In the boot time, for which decisions wait, the tries follow each other closely.
async fn ask_until_answered(
    config: Rc<Config>,
    state: Rc<RefCell<State>>,
    events: mpsc::UnboundedSender<Event>,
) {
    let boot_time = super::settings(&config).heartbeat.boot_time();
    for attempt in 1_u32.. {
        match ask(&config).await {
            Ok(theirs) => {
                let differences = differences(&safety_settings(&config), &theirs);
                if differences.is_empty() {
                    tracing::info!("the settings that both sites must share are the same at the other site");
                }
                *state.borrow_mut() = State::Compared(differences.clone());
                // The receiver is gone only when the daemon ends.
                let _ = events.send(Event::SettingsCompared { differences });
                return;
            }
            Err(why) => {
                if attempt == 1 {
                    tracing::warn!(
                        "the configuration could not be compared with the other site's: {why}; it is tried again"
                    );
                }
                *state.borrow_mut() = State::Asking(Some(why));
            }
        }
        let pause = if attempt < BOOT_TRIES { boot_time / BOOT_TRIES } else { TRY_INTERVAL };
        tokio::time::sleep(pause).await;
    }
}

async fn ask(config: &Config) -> Result<Vec<(String, String)>, String> {
    let to = remote::destination(config).map_err(|error| config::chain(&error))?;
    let remote = Remote::connect(&to).await.map_err(|error| config::chain(&error))?;
    let words = ["toolkit", "config", "facts"];
    let output = remote.run(&words, b"", ANSWER_TIMEOUT).await.map_err(|error| config::chain(&error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let facts: serde_json::Value = serde_json::from_str(text.lines().last().unwrap_or_default())
        .map_err(|_| format!("it says: {}", String::from_utf8_lossy(&output.stderr).trim()))?;
    serde_json::from_value(facts["safety"].clone()).map_err(|error| error.to_string())
}

/// What differs, each in words.
fn differences(ours: &[(String, String)], theirs: &[(String, String)]) -> Vec<String> {
    let map = |pairs: &[(String, String)]| pairs.iter().cloned().collect::<BTreeMap<String, String>>();
    let (ours, theirs) = (map(ours), map(theirs));
    let keys: std::collections::BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let word = |value: Option<&String>| value.map_or("absent", String::as_str).to_owned();
    keys.into_iter()
        .filter(|key| ours.get(*key) != theirs.get(*key))
        .map(|key| format!("{key} is {} here and {} there", word(ours.get(key)), word(theirs.get(key))))
        .collect()
}

fn problem(state: &State, peer: &str, is_booting: bool) -> Option<Problem> {
    match state {
        State::Compared(differences) if !differences.is_empty() => Some(Problem::warning(
            format!("settings differ from those of site {peer}: {}", differences.join("; ")),
            "make them the same with `toolkit config update`, which changes both sites",
        )),
        State::Asking(Some(why)) if !is_booting => Some(Problem::warning(
            format!("the settings have not been compared with those of site {peer} since the start: {why}"),
            "decisions go on without it, and it is tried again every minute; `drill` tries the log-in",
        )),
        State::Impossible | State::Asking(_) | State::Compared(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_that_cannot_be_asked_is_a_trouble_only_after_the_boot_time() {
        let silent = State::Asking(Some("no SSH connection".to_owned()));
        assert!(problem(&silent, "b", true).is_none());
        let told = problem(&silent, "b", false).unwrap();
        assert!(told.message.contains("site b") && told.message.contains("no SSH connection"));
        let differ = State::Compared(vec!["failover is 1 here and 2 there".to_owned()]);
        assert!(problem(&differ, "b", true).unwrap().message.contains("failover is 1 here"));
        for good in [State::Impossible, State::Asking(None), State::Compared(Vec::new())] {
            assert!(problem(&good, "b", false).is_none());
        }
    }

    #[test]
    fn every_difference_is_named_with_both_values() {
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let ours = pairs(&[("failover", "5000"), ("leaseMs", "60000"), ("arbiter 203.0.113.1 22", "linux")]);
        assert!(differences(&ours, &ours).is_empty());
        let theirs = pairs(&[("failover", "7000"), ("leaseMs", "60000")]);
        assert_eq!(
            differences(&ours, &theirs),
            ["arbiter 203.0.113.1 22 is linux here and absent there", "failover is 5000 here and 7000 there"]
        );
    }
}
