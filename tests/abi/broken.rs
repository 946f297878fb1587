//! Plugins that are broken: each costs one verdict, with a message that says whose number is wrong and what to do.

use std::time::{Duration, Instant};

use dr_watchdog_tests::eval::Bench;
use dr_watchdog_tests::lab::mail::{arrives, mailing};
use dr_watchdog_tests::lab::{Daemon, Lone, MailServer};
use dr_watchdog_tests::plugins::compile;
use dr_watchdog_tests::program::{command, run};
use dr_watchdog_tests::wait;

const SOURCE: &str = "tests/fixtures/plugins/policy.c";

#[track_caller]
fn fails(defines: &[&str], kinds: &[&str], says: &[&str]) {
    let bench = Bench::new();
    let library = compile(&bench.scratch, SOURCE, "policy.so", defines);
    bench.fails(&library, kinds, says);
}

#[test]
fn a_file_that_is_no_library_is_named() {
    let bench = Bench::new();
    for content in ["not an ELF file\n", "", "\u{7f}ELF"] {
        let file = bench.scratch.write("policy.so", content);
        bench.fails(&file, &["load"], &["policy.so"]);
        run(command(["policy", "check"]).arg(&file)).expect(1).is_orderly().says(&["policy.so"]);
    }
}

#[test]
fn a_missing_symbol_is_named() {
    fails(&["NO_OPEN"], &["load"], &["drw_plugin_open"]);
    fails(&["NO_MANIFEST"], &["load"], &["drw_plugin_manifest"]);
}

#[test]
fn another_abi_says_which_number_is_whose() {
    fails(&["ABI_MAJOR=99"], &["load"], &["99", "1"]);
    fails(&["ABI_MINOR=77"], &["load"], &["77", "0"]);
    fails(&["MAGIC={0}"], &["load"], &["policy.so"]);
}

#[test]
fn a_plugin_that_offers_too_little_or_refuses_its_configuration_does_not_load() {
    fails(&["INCOMPLETE"], &["load"], &["evaluate"]);
    fails(&["REFUSE_CREATE"], &["load"], &["the moon is wrong"]);
}

#[test]
fn a_crash_costs_one_verdict_and_names_the_signal() {
    fails(&["FAULT_SEGFAULT"], &["crash"], &["SIGSEGV"]);
    // What a vendor's panic is that aborts. A guest is the first process of its namespace, which no SIGABRT of its own
    // can end; the C library ends it by a fault then. Where there is no such namespace it is SIGABRT.
    fails(&["FAULT_ABORT"], &["crash"], &["killed by SIG"]);
    fails(&["FAULT_EXIT"], &["crash"], &[]);
}

#[test]
fn an_answer_that_is_none_is_refused() {
    fails(&["FAULT_SILENT"], &["verdict", "runtime"], &[]);
    fails(&["FAULT_LONG"], &["verdict", "runtime"], &["1048576"]);
    fails(&["FAULT_ERROR"], &["runtime"], &["the moon is full", "wait"]);
    fails(&["ANSWER=\"{}\""], &["verdict"], &["state"]);
    fails(&["ANSWER=\"not JSON\""], &["verdict", "runtime"], &["JSON"]);
}

#[test]
fn a_plugin_that_hangs_or_spins_is_ended_at_the_deadline() {
    std::thread::scope(|scope| {
        for fault in ["FAULT_HANG", "FAULT_SPIN", "OBEYS_CANCEL"] {
            scope.spawn(move || {
                let began = Instant::now();
                fails(&[fault], &["timeout"], &[]);
                assert!(began.elapsed() < Duration::from_secs(30), "{fault}: {:?}", began.elapsed());
            });
        }
    });
}

/// Goal: a plugin that crashes at every question does not take the watchdog with it. Wrong would be: the daemon ends,
/// decides something, or starts crashing workers for ever.
#[test]
fn a_watchdog_outlives_a_plugin_that_crashes_every_time() {
    let mut lone = Lone::new(|_, recipe| {
        recipe.policy = None;
        mailing(recipe);
    });
    let _server = MailServer::real(&lone.scratch, &lone.namespace, "none", false);
    let library = compile(&lone.scratch, SOURCE, "policy.so", &["FAULT_SEGFAULT"]);
    let configuration = std::fs::read_to_string(&lone.site.paths().config_file).unwrap();
    let detection = "[watchdog.failureDetection]\n";
    let own = format!("{detection}isCustom = true\nscript = \"{}\"\n", library.display());
    lone.site.configure(&configuration.replacen(detection, &own, 1));
    lone.site.start();
    for decision in lone.site.wait_decisions(0, 3, Duration::from_secs(60)) {
        assert_eq!(decision["verdict"]["action"], "nothing", "{decision}");
        assert_eq!(decision["gate"]["name"], "valid", "{decision}");
    }
    lone.site.wait("the plugin is quarantined", Duration::from_secs(120), |daemon| {
        let policy = daemon.try_health()?["policy"].clone();
        wait::holds(policy["state"] == "quarantined", || policy.to_string())
    });
    let health = lone.site.health();
    let problems = health["problems"].as_array().unwrap();
    assert!(problems.iter().any(|problem| problem.to_string().contains("quarantined")), "{health}");
    assert_eq!(health["status"], "critical", "{health}");
    let seen = lone.site.decisions().len();
    lone.site.wait_decisions(seen, 2, Duration::from_secs(60));
    let notices = |site: &Daemon| {
        let told = site.history().into_iter().filter(|record| record["trigger"] == "policyQuarantined");
        told.collect::<Vec<_>>()
    };
    let told = notices(&lone.site);
    assert!(told.len() == 1 && told[0]["text"].as_str().unwrap().contains("SIGSEGV"), "{told:?}");
    arrives(&lone.scratch, "policyQuarantined", || lone.site.dump());
    // A reload asks it again, which it does not deserve.
    lone.site.reload();
    lone.site.wait("the plugin is asked again", Duration::from_secs(60), |daemon| {
        let policy = daemon.try_health()?["policy"].clone();
        wait::holds(policy["state"] != "quarantined", || policy.to_string())
    });
    assert_eq!(lone.site.standing().unwrap(), "standby/standby");
    assert!(lone.site.stop().success(), "{}", lone.site.log());
}
