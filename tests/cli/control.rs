//! The control socket, the lock, exit codes of the commands around a daemon.

use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use dr_watchdog_tests::lab::{Daemon, Lone};
use dr_watchdog_tests::program::{Run, command, run};
use dr_watchdog_tests::wait;

fn on(daemon: &Daemon, arguments: &[&str]) -> Run {
    run(command(["--root"]).arg(daemon.root()).args(arguments)).is_orderly()
}

#[test]
fn commands_that_need_a_daemon_say_that_none_runs() {
    let lone = Lone::new(|_, _| {});
    on(&lone.site, &["stop"]).expect(2).says(&["no daemon runs"]);
    on(&lone.site, &["toolkit", "watchdog", "status"]).expect(2).says(&["dr-watchdog run"]);
    let health = on(&lone.site, &["health", "--json"]).expect(2).json();
    assert_eq!((&health["status"], &health["daemon"]["up"]), (&"critical".into(), &false.into()), "{health}");
}

#[test]
fn health_has_the_documented_shape_and_its_status_is_the_exit_code() {
    let mut lone = Lone::new(|_, _| {});
    lone.site.start();
    let run = on(&lone.site, &["health", "--json"]);
    let health = run.json();
    assert_eq!(health["status"], "warning", "a booting site decides nothing: {health}");
    assert!(health["problems"][0]["message"].as_str().unwrap().contains("booting"), "{health}");
    let code = match health["status"].as_str().unwrap() {
        "ok" => 0,
        "warning" => 1,
        "critical" => 2,
        other => panic!("{other}"),
    };
    let run = run.expect(code);
    assert_eq!(run.stdout.lines().count(), 1, "one line\n{}", run.all());
    on(&lone.site, &["health"]).says(&["standby", "booting"]);
}

/// Goal: at three in the morning a frozen watchdog is told as one, in seconds. Wrong would be: the command waits with it, or
/// says that no daemon runs, after which somebody starts a second one.
#[test]
fn a_frozen_daemon_is_told_from_one_that_does_not_run() {
    let mut lone = Lone::new(|_, _| {});
    lone.site.start();
    let pid = lone.site.pid();
    lone.site.freeze();
    let health = on(&lone.site, &["health", "--json"]).expect(2).json();
    assert_eq!(
        (&health["daemon"]["up"], &health["daemon"]["pid"]),
        (&true.into(), &pid.as_raw().into()),
        "{health}"
    );
    let message = health["problems"][0]["message"].as_str().unwrap();
    assert!(message.contains("did not answer at") && message.contains("within 10 s"), "{message}");
    on(&lone.site, &["api", "v1", "config", "--include", "role"])
        .expect(0)
        .says(&["standby", "frozen or overloaded"]);
}

/// What the documentation of `health --json` names.
const DOCUMENTED: &[&str] = &[
    "status",
    "time",
    "version",
    "daemon.up",
    "daemon.pid",
    "daemon.asOf",
    "site",
    "role",
    "phase",
    "booting",
    "serving",
    "epoch",
    "peer.reachable",
    "peer.role",
    "peer.epoch",
    "peer.lastHeard",
    "peer.configEqual",
    "takeover.possible",
    "takeover.why",
    "takeover.withinS",
    "exclusion.mode",
    "exclusion.leaseS",
    "exclusion.fenceS",
    "exclusion.windowS",
    "exclusion.waitS",
    "exclusion.leaseLeftS",
    "exclusion.guard",
    "automaticFailover.enabled",
    "automaticFailover.until",
    "automaticFailover.reason",
    "automaticFailover.by",
    "arbiters.total",
    "arbiters.reachable",
    "arbiters.managed",
    "policy.engine",
    "policy.name",
    "policy.state",
    "services",
    "lastDecision",
    "problems",
];

/// The places of a document: every key on the way to a value. What is below these few follows from what there is.
fn places(value: &serde_json::Value, path: &str, found: &mut Vec<String>) {
    match value.as_object() {
        Some(object) if !["services", "lastDecision", "problems"].iter().any(|open| path.ends_with(open)) => {
            object.iter().for_each(|(key, value)| places(value, &format!("{path}.{key}"), found));
        }
        _ => found.push(path.to_owned()),
    }
}

#[test]
fn health_has_every_documented_place_whether_a_daemon_runs_or_not() {
    let mut lone = Lone::new(|_, _| {});
    let health = |lone: &Lone, code: i32| on(&lone.site, &["health", "--json"]).expect(code).json();
    let shape = |health: &serde_json::Value| {
        let mut found = Vec::new();
        places(health, "", &mut found);
        found.sort();
        for place in DOCUMENTED {
            assert!(found.contains(&format!(".{place}")), "{place}: {health}");
        }
        found
    };
    let never_run = health(&lone, 2);
    assert!(never_run["role"].is_null() && never_run["daemon"]["asOf"].is_null(), "{never_run}");
    assert_eq!(never_run["policy"]["engine"], "script", "{never_run}");
    lone.site.start();
    let disable =
        ["toolkit", "watchdog", "status", "--disable-automatic-failover", "30m", "--reason", "a move"];
    on(&lone.site, &disable).expect(0);
    let up = health(&lone, 1);
    lone.site.kill_9();
    let down = health(&lone, 2);
    assert_eq!(shape(&up), shape(&down), "{up}\n{down}");
    assert_eq!(shape(&never_run), shape(&down));
    assert_eq!((&down["role"], &down["serving"]), (&"standby".into(), &serde_json::Value::Null), "{down}");
    assert_eq!(down["automaticFailover"], up["automaticFailover"], "the stored switch goes on");
    assert!(down["daemon"]["asOf"].is_string() && down["services"]["heartbeat"].is_object(), "{down}");
    on(&lone.site, &["health"]).expect(2).says(&["nobody watches", "stored at"]);
    std::fs::write(&lone.site.paths().config_file, "this is no configuration").unwrap();
    assert_eq!(shape(&health(&lone, 2)), shape(&down), "a broken configuration takes no place away");
}

#[test]
fn a_socket_that_a_killed_daemon_left_behind_is_in_nobodys_way() {
    let mut lone = Lone::new(|_, _| {});
    lone.site.start();
    lone.site.kill_9();
    assert!(lone.site.paths().socket.exists(), "kill -9 leaves the socket");
    on(&lone.site, &["stop"]).expect(2).says(&["no daemon runs"]);
    lone.site.start();
    assert_eq!(lone.site.health()["daemon"]["up"], true);
}

#[test]
fn a_second_daemon_on_the_same_root_says_who_runs_and_leaves_the_first_alone() {
    let mut lone = Lone::new(|_, _| {});
    lone.site.start();
    let pid = lone.site.pid().to_string();
    on(&lone.site, &["run"]).expect(4).says(&[&pid]);
    assert_eq!(lone.site.health()["daemon"]["pid"], lone.site.pid().as_raw());
}

#[test]
fn stop_ends_the_daemon_and_returns_when_it_is_gone() {
    let mut lone = Lone::new(|_, _| {});
    lone.site.start();
    let pid = lone.site.pid();
    let stopped = on(&lone.site, &["stop", "--json"]).expect(0).json();
    assert_eq!((&stopped["stopped"], &stopped["pid"]), (&true.into(), &pid.as_raw().into()), "{stopped}");
    assert!(lone.site.ended(Duration::from_secs(1)).success());
    leaves_nothing_to_run_with(&lone);
}

/// Socket and pid file are gone: whoever looks at the folder sees that no watchdog runs.
fn leaves_nothing_to_run_with(lone: &Lone) {
    let paths = lone.site.paths();
    assert!(!paths.socket.exists() && !paths.pid_file.exists(), "{}", lone.site.log());
}

#[test]
fn sigterm_ends_the_daemon_with_success_and_says_so() {
    let mut lone = Lone::new(|_, _| {});
    lone.site.start();
    assert!(lone.site.stop().success());
    assert!(lone.site.log().contains("SIGTERM received"), "{}", lone.site.log());
    leaves_nothing_to_run_with(&lone);
}

/// The operator's switch: off for a time with a reason, shown with its author, stops a promotion, survives a restart.
#[test]
fn the_operators_switch_stops_a_promotion_and_survives_a_restart() {
    let mut lone = Lone::new(|_, _| {});
    lone.site.start();
    let disable = ["--disable-automatic-failover", "30m", "--reason", "work on the line", "--json"];
    let shown = on(&lone.site, &[&["toolkit", "watchdog", "status"][..], &disable].concat()).expect(0).json();
    let failover = &shown["automaticFailover"];
    assert_eq!(
        (&failover["enabled"], &failover["reason"]),
        (&false.into(), &"work on the line".into()),
        "{shown}"
    );
    assert!(failover["until"].is_string(), "{shown}");

    lone.site.kill_9();
    lone.tell("beActive");
    lone.site.start();
    let decision = lone.site.wait("a gate stops the promotion", Duration::from_secs(60), |daemon| {
        let last = daemon.decisions().pop().unwrap_or_default();
        wait::holds(last["gate"]["name"] == "automaticFailover", || last.to_string()).map(|()| last)
    });
    assert!(decision["gate"]["why"].as_str().unwrap().contains("work on the line"), "{decision}");
    assert_eq!(lone.site.standing().unwrap(), "standby/standby");

    on(&lone.site, &["toolkit", "watchdog", "status", "--enable-automatic-failover"]).expect(0);
    lone.site.wait_standing("active/active", Duration::from_secs(60));
}

/// A first start is a promotion: the switch stops it, over kill -9 too, and health says what it waits for.
#[test]
fn the_operators_switch_stops_the_first_start_of_the_initial_active() {
    let mut lone = Lone::new(|ledger, recipe| {
        recipe.initial_role = "active".to_owned();
        // Long enough that the switch is turned while the site boots.
        recipe.interval = "5s".to_owned();
        recipe.be_active = vec![("serve".to_owned(), ledger.command("a", "serve"), true)];
    });
    lone.site.start();
    let switch = |lone: &Lone, arguments: &[&str]| {
        on(&lone.site, &[&["toolkit", "watchdog", "status"][..], arguments].concat()).expect(0)
    };
    switch(&lone, &["--disable-automatic-failover", "0", "--reason", "not before the move"]);
    for _ in 0..2 {
        let health = lone.site.wait("the first start waits", Duration::from_secs(60), |daemon| {
            let health = daemon.try_health()?;
            let problems = health["problems"].to_string();
            wait::holds(problems.contains("its first start waits"), || health.to_string()).map(|()| health)
        });
        assert_eq!((&health["role"], &health["status"]), (&"standby".into(), &"critical".into()), "{health}");
        assert!(health["problems"].to_string().contains("not before the move"), "{health}");
        assert_eq!(lone.ledger.count("serve"), 0, "no step ran\n{}", lone.site.dump());
        lone.site.kill_9();
        lone.site.start();
    }
    switch(&lone, &["--enable-automatic-failover"]);
    lone.site.wait_standing("active/active", Duration::from_secs(60));
}

#[test]
fn a_duration_that_is_none_is_a_usage_error() {
    let mut lone = Lone::new(|_, _| {});
    lone.site.start();
    for wrong in ["30x", "-1", "", "1d"] {
        let argument = format!("--disable-automatic-failover={wrong}");
        on(&lone.site, &["toolkit", "watchdog", "status", &argument]).expect(2);
    }
    assert_eq!(lone.site.health()["automaticFailover"]["enabled"], true);
}

#[test]
fn the_history_is_shown_with_everything_that_the_policy_saw() {
    let mut lone = Lone::new(|_, _| {});
    lone.site.start();
    lone.site.wait_decisions(0, 2, Duration::from_secs(60));
    let list = on(&lone.site, &["history"]).expect(0);
    assert!(list.stdout.contains("peerLost") && list.stdout.contains("as told"), "{}", list.all());
    let lines = on(&lone.site, &["history", "--kind", "decision", "--json", "-n", "1"]).expect(0);
    let record = lines.json();
    for key in [
        "id",
        "time",
        "situation",
        "verdict",
        "outcome",
        "sections",
        "evidence",
        "calls",
        "askedUs",
        "decidedUs",
    ] {
        assert!(record.get(key).is_some(), "{key}: {record}");
    }
    let id = record["id"].to_string();
    on(&lone.site, &["history", "--id", &id]).expect(0).says(&["\"verdict\""]);
    on(&lone.site, &["history", "--id", "999999"]).expect(2).says(&["999999"]);
}

/// A policy file that goes away costs verdicts, not the watchdog; when it is back, so are the verdicts.
#[test]
fn a_policy_that_disappears_is_a_harmless_verdict() {
    let mut lone = Lone::new(|_, _| {});
    let policy = lone.scratch.join("told.sh");
    let away = lone.scratch.join("away");
    std::fs::rename(&policy, &away).unwrap();
    lone.tell("beActive");
    lone.site.start();
    let failed = lone.site.wait_decisions(0, 2, Duration::from_secs(60));
    for decision in &failed {
        assert_eq!(
            (&decision["verdict"]["action"], &decision["gate"]["name"]),
            (&"nothing".into(), &"valid".into())
        );
        assert!(decision["error"]["message"].as_str().unwrap().contains("told.sh"), "{}", decision["error"]);
    }
    assert!(lone.site.health()["problems"].to_string().contains("told.sh"), "{}", lone.site.health());
    std::fs::rename(&away, &policy).unwrap();
    lone.site.wait_standing("active/active", Duration::from_secs(60));
}

/// In mode `verdict` a site that serves stops by a verdict alone; one whose policy cannot run says so loudly.
#[test]
fn an_active_site_whose_policy_cannot_run_is_critical_and_says_what_that_means() {
    let mut lone = Lone::new(|_, _| {});
    lone.tell("beActive");
    lone.site.start();
    lone.site.wait_standing("active/active", Duration::from_secs(60));
    let policy = lone.scratch.join("told.sh");
    std::fs::rename(&policy, lone.scratch.join("away")).unwrap();
    let health =
        lone.site.wait("health says what a broken policy means", Duration::from_secs(60), |daemon| {
            let health = daemon.try_health()?;
            let problems = health["problems"].to_string();
            wait::holds(problems.contains("its policy gives no verdict"), || health.to_string())
                .map(|()| health)
        });
    assert_eq!((&health["status"], &health["role"]), (&"critical".into(), &"active".into()), "{health}");
}

/// Sixty programs that hold the line and say nothing must not keep an operator waiting.
#[test]
fn idle_connections_do_not_hold_up_a_command() {
    let mut lone = Lone::new(|_, _| {});
    lone.site.start();
    let socket = lone.site.paths().socket.clone();
    let idle: Vec<_> = (0..60).map(|_| std::os::unix::net::UnixStream::connect(&socket).unwrap()).collect();
    let begun = std::time::Instant::now();
    on(&lone.site, &["api", "v1", "config", "--include", "role"]).expect(0).says(&["standby"]);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(idle);
}

/// What systemd is told of a daemon that it runs as `Type=notify`: signs of life from the first turn on, ready only after
/// a whole heartbeat round, what the site is, and its end.
#[test]
fn systemd_is_told_when_the_daemon_is_ready_alive_and_ending() {
    let lone = Lone::new(|_, _| {});
    let socket = lone.scratch.join("notify");
    let heard = UnixDatagram::bind(&socket).unwrap();
    heard.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut command = lone.site.command(&["run"]);
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "200000").stderr(Stdio::null());
    let mut daemon = command.spawn().unwrap();
    let next = || {
        let mut bytes = [0; 256];
        let length = heard.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let until = |wanted: &str| {
        let mut before = Vec::new();
        // Ends: a daemon that says nothing more for half a minute fails the test.
        loop {
            let said = next();
            if said.contains(wanted) {
                return (said, before);
            }
            before.push(said);
        }
    };
    let (ready, before) = until("READY=1");
    assert!(ready.contains("STATUS=standby (epoch 0)"), "{ready}");
    // Three tries of 200 ms come before it, and a sign of life every 100 ms.
    assert!(before.len() >= 3 && before.iter().all(|said| said == "WATCHDOG=1"), "{before:?}");
    lone.tell("beActive");
    until("STATUS=active");
    until("WATCHDOG=1");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(daemon.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    until("STOPPING=1");
    assert!(daemon.wait().unwrap().success());
}
