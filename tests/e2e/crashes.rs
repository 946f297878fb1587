//! kill -9 of the watchdog in the middle of each step of a role change, then a restart.

use std::time::Duration;

use dr_watchdog_tests::lab::{Daemon, Lone, Pair};
use dr_watchdog_tests::wait;

/// Longest plan: three steps, twice, with a start in between.
const PLAN_LIMIT: Duration = Duration::from_secs(60);
/// Each step goes on for so long after its effect.
const STEP_SECONDS: &str = "1.2";
/// Steps of each plan.
const STEPS: usize = 3;

fn word(plan: &str, step: usize) -> String {
    format!("{plan}-{step}")
}

/// A site whose plans have three slow steps each; only `fragile` may not run twice.
fn site(fragile: Option<(&str, usize)>) -> Lone {
    Lone::new(|ledger, recipe| {
        let steps = |plan: &str| {
            let step = |number| {
                let command = ledger.slow_command("a", &word(plan, number), STEP_SECONDS);
                (word(plan, number), command, fragile != Some((plan, number)))
            };
            (0..STEPS).map(step).collect::<Vec<_>>()
        };
        recipe.be_active = steps("beActive");
        recipe.be_standby = steps("beStandby");
    })
}

fn wait_effect(lone: &Lone, word: &str) {
    let seen = || wait::holds(lone.ledger.count(word) > 0, || "it has not begun".to_owned());
    wait::until(&format!("step {word} runs"), PLAN_LIMIT, seen, || lone.site.dump());
}

/// Brings the site so far that step `number` of `plan` runs, kills its watchdog right there, starts it again.
fn crash_in(lone: &mut Lone, plan: &str, number: usize) {
    lone.site.start();
    lone.tell("beActive");
    if plan == "beStandby" {
        lone.site.wait_standing("active/active", PLAN_LIMIT);
        lone.tell("beStandby");
    }
    wait_effect(lone, &word(plan, number));
    lone.site.kill_9();
    lone.tell("nothing");
    lone.site.start();
}

#[track_caller]
fn effects(lone: &Lone, plan: &str, wanted: [usize; STEPS]) {
    let found: Vec<usize> = (0..STEPS).map(|step| lone.ledger.count(&word(plan, step))).collect();
    assert_eq!(found, wanted, "{plan}\n{}\n{}", lone.ledger, lone.site.dump());
}

/// Every step once, the interrupted one twice.
fn resumed(number: usize) -> [usize; STEPS] {
    std::array::from_fn(|step| if step == number { 2 } else { 1 })
}

/// Every step up to the interrupted one once, the others never.
fn ended_at(number: usize) -> [usize; STEPS] {
    std::array::from_fn(|step| usize::from(step <= number))
}

/// What is on disk says the same as the watchdog: it stops, starts, and nothing more happens to a standby.
fn is_consistent_standby(lone: &mut Lone) {
    let entries = lone.ledger.entries();
    assert!(lone.site.stop().success(), "{}", lone.site.dump());
    lone.site.start();
    lone.site.wait_standing("standby/standby", PLAN_LIMIT);
    assert_eq!(
        lone.ledger.entries(),
        entries,
        "a standby that starts again runs no step\n{}",
        lone.site.dump()
    );
}

/// Goal: a crash while becoming active on the same boot is gone on with. Wrong would be: a step is left out, one that
/// was done runs again, or the site thinks that it is something else.
#[test]
fn kill_9_in_each_step_to_become_active_resumes_at_that_step() {
    for number in 0..STEPS {
        let mut lone = site(None);
        crash_in(&mut lone, "beActive", number);
        lone.site.wait_standing("active/active", PLAN_LIMIT);
        effects(&lone, "beActive", resumed(number));
        effects(&lone, "beStandby", [0; STEPS]);
        assert_eq!(lone.site.health()["serving"], true);
    }
}

/// Goal: a step that may not run twice does not, and what was begun is taken back. Wrong would be: it runs twice, or
/// the site serves with a step half done.
#[test]
fn kill_9_in_a_step_to_become_active_that_may_not_run_twice_takes_everything_back() {
    for number in 0..STEPS {
        let mut lone = site(Some(("beActive", number)));
        crash_in(&mut lone, "beActive", number);
        lone.site.wait_standing("standby/standby", PLAN_LIMIT);
        effects(&lone, "beActive", ended_at(number));
        effects(&lone, "beStandby", [1; STEPS]);
        is_consistent_standby(&mut lone);
    }
}

/// Goal: what must stop is stopped, whatever happens to the watchdog. Wrong would be: the site is standby with a step
/// left out, or active again.
#[test]
fn kill_9_in_each_step_to_become_standby_resumes_at_that_step() {
    for number in 0..STEPS {
        let mut lone = site(None);
        crash_in(&mut lone, "beStandby", number);
        lone.site.wait_standing("standby/standby", PLAN_LIMIT);
        effects(&lone, "beActive", [1; STEPS]);
        effects(&lone, "beStandby", resumed(number));
        is_consistent_standby(&mut lone);
    }
}

/// Goal: a stop that may be half done is said loudly. Wrong would be: the site calls itself standby, or the step runs
/// twice.
#[test]
fn kill_9_in_a_step_to_become_standby_that_may_not_run_twice_calls_an_operator() {
    for number in 0..STEPS {
        let mut lone = site(Some(("beStandby", number)));
        crash_in(&mut lone, "beStandby", number);
        lone.site.wait_standing("active/demotionFailed", PLAN_LIMIT);
        effects(&lone, "beStandby", ended_at(number));
        let health = lone.site.health();
        assert_eq!(health["status"], "critical", "{health}");
        assert!(
            lone.site.log().contains(&word("beStandby", number)),
            "the step is named\n{}",
            lone.site.log()
        );
    }
}

/// Goal: nothing that a watchdog started runs on beside what the next one starts. Method: a step that goes on for a
/// minute. Wrong would be: the old step is still there when the new watchdog runs it again.
fn nothing_outlives(end: impl FnOnce(&mut Daemon)) {
    let mut lone = Lone::new(|ledger, recipe| {
        recipe.be_active = vec![("serve".to_owned(), ledger.slow_command("a", "serve", "61.5"), true)];
    });
    lone.site.start();
    lone.tell("beActive");
    wait_effect(&lone, "serve");
    end(&mut lone.site);
    let gone = || {
        let pids = dr_watchdog_tests::program::system("ip", &["netns", "pids", lone.namespace.name()]);
        wait::holds(pids.trim().is_empty(), || format!("still there: {pids}"))
    };
    wait::until("everything of the watchdog is gone", Duration::from_secs(10), gone, String::new);
}

#[test]
fn a_step_does_not_outlive_the_watchdog_that_was_killed() {
    nothing_outlives(Daemon::kill_9);
}

#[test]
fn a_step_does_not_outlive_the_watchdog_that_was_stopped_politely() {
    nothing_outlives(|site| {
        site.stop();
    });
}

/// Goal: a watchdog that hangs is no lost site: its site still answers, and nobody may take over from services that
/// run. Method: SIGSTOP of A's watchdog for longer than F. Wrong would be: B becomes active, or A does anything but go
/// on when it is let go.
#[test]
fn a_frozen_watchdog_of_a_site_that_answers_changes_nothing() {
    let mut pair = Pair::settled(3, |_, _| {});
    pair.a.freeze();
    let heard = pair.b.health()["peer"]["lastHeard"].clone();
    let instant = |value: &serde_json::Value| {
        value
            .as_str()
            .and_then(|text| dr_watchdog_sdk::Utc::parse(text).ok())
            .map_or(0, |instant| instant.unix_ms())
    };
    pair.b.wait("nothing was heard for longer than F", PLAN_LIMIT, |daemon| {
        let health = daemon.try_health()?;
        let silent_ms = instant(&health["time"]) - instant(&heard);
        wait::holds(silent_ms > 10_000, || format!("silent for {silent_ms} ms"))
    });
    assert_eq!(pair.b.standing().unwrap(), "standby/standby", "{}", pair.dump());
    assert_eq!(pair.b.health()["peer"]["reachable"], true, "{}", pair.dump());
    pair.a.thaw();
    pair.wait_well();
    assert_eq!(pair.a.standing().unwrap(), "active/active", "{}", pair.dump());
    assert_eq!((pair.ledger.count("serve"), pair.ledger.count("stop")), (1, 0), "{}", pair.dump());
}
