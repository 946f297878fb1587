//! After a start: the settings that both sites must share are compared with the other site's, key by key.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::config::{self, Config, safety_settings};
use crate::peer::remote::{self, Remote};

use super::health::Problem;

/// Longest answer of the other site.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// From one try to the next, while the other site cannot be asked, and how many there are: half a day.
const TRY_INTERVAL: Duration = Duration::from_secs(60);
const TRIES_MAX: u32 = 720;

/// What came of it; shared with the task that asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Verification(Rc<RefCell<Option<Problem>>>);

impl Verification {
    /// Begins to ask. Without a key to log in with there is nobody to ask; the hash in the heartbeats still tells
    /// whether the settings are equal.
    pub(super) fn begin(config: &Rc<Config>) -> Self {
        let verification = Self::default();
        if config.peer.identity.is_some() {
            tokio::task::spawn_local(ask_until_answered(Rc::clone(config), verification.clone()));
        }
        verification
    }

    /// What is wrong, if anything is.
    pub(super) fn problem(&self) -> Option<Problem> {
        self.0.borrow().clone()
    }
}

async fn ask_until_answered(config: Rc<Config>, verification: Verification) {
    for attempt in 1..=TRIES_MAX {
        match ask(&config).await {
            Ok(theirs) => {
                let differences = differences(&safety_settings(&config), &theirs);
                if differences.is_empty() {
                    tracing::info!("the settings that both sites must share are the same at the other site");
                } else {
                    tracing::error!("settings differ between the sites: {}", differences.join("; "));
                }
                *verification.0.borrow_mut() = told(&config, &differences);
                return;
            }
            Err(why) if attempt == 1 => {
                tracing::warn!(
                    "the configuration could not be compared with the other site's: {why}; it is tried again"
                );
            }
            Err(_) => {}
        }
        tokio::time::sleep(TRY_INTERVAL).await;
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

fn told(config: &Config, differences: &[String]) -> Option<Problem> {
    (!differences.is_empty()).then(|| {
        Problem::warning(
            format!("settings differ from those of site {}: {}", config.peer.name, differences.join("; ")),
            "make them the same with `toolkit config update`, which changes both sites",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
