//! SIGHUP: a new configuration, good or bad, while the watchdog runs.

use std::fs;
use std::time::Duration;

use dr_watchdog_tests::lab::{Lone, Pair};
use dr_watchdog_tests::wait;

/// Longest reaction to a signal.
const REACTION_LIMIT: Duration = Duration::from_secs(20);

/// Goal: a mistake in the file changes nothing but is said. Wrong would be: the watchdog ends, takes half of the file,
/// or keeps silent.
#[test]
fn a_bad_configuration_keeps_the_running_one_and_says_so() {
    let mut lone = Lone::new(|_, _| {});
    lone.site.start();
    let good = fs::read_to_string(&lone.site.paths().config_file).unwrap();
    lone.site.configure(&good.replace("retries = 2", "retries = \"many\"\nretires = 2"));
    lone.site.reload();
    let problem = lone.site.wait("health says that the file is bad", REACTION_LIMIT, |daemon| {
        let health = daemon.try_health()?;
        let problems = health["problems"].as_array().unwrap();
        let found = problems.iter().find(|problem| problem["message"].as_str().unwrap().contains("retires"));
        found.cloned().ok_or_else(|| health.to_string())
    });
    assert!(problem["message"].as_str().unwrap().contains("retries"), "both errors are said: {problem}");
    assert!(lone.site.log().contains("the running configuration is kept"), "{}", lone.site.log());

    lone.site.configure(&good);
    lone.site.reload();
    lone.site.wait("the problem is gone", REACTION_LIMIT, |daemon| {
        let health = daemon.try_health()?;
        wait::holds(!health["problems"].to_string().contains("retires"), || health.to_string())
    });
}

/// Goal: a change of a step does not touch the sessions that make the arbiters managed. Wrong would be: a hold breaks,
/// the standby believes the arbiters free.
#[test]
fn a_good_configuration_is_in_force_without_losing_a_hold() {
    let mut pair = Pair::settled(3, |_, _| {});
    let file = pair.a.paths().config_file.clone();
    let good = fs::read_to_string(&file).unwrap();
    pair.a.configure(&good.replace("waitDuration = \"8h\"", "waitDuration = \"3h\""));
    pair.a.reload();
    pair.a.wait("the new configuration is in force", REACTION_LIMIT, |daemon| {
        let wait = dr_watchdog::cli::client::ask(&daemon.paths().socket, "sections", serde_json::json!({}));
        let wait =
            wait.map_err(|error| error.to_string())?["watchdog"]["failureDetection"]["waitDuration"].clone();
        wait::holds(wait == "3h", || wait.to_string())
    });
    assert!(!pair.a.log().contains("a held session broke"), "{}", pair.a.log());
    let arbiters = pair.a.health()["arbiters"].clone();
    assert_eq!(arbiters["held"], 3, "{arbiters}");
}
