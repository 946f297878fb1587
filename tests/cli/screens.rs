//! What people see: a terminal of 40 columns, none at all, without colours, without UTF-8.

use std::time::Duration;

use dr_watchdog_tests::lab::{Daemon, Lone};
use dr_watchdog_tests::program::{Run, command, run};
use dr_watchdog_tests::terminal::Terminal;
use dr_watchdog_tests::wait;

const LIMIT: Duration = Duration::from_secs(60);

/// What an operator looks at.
const LOOKED_AT: [&[&str]; 9] = [
    &["health"],
    &["arbiters", "ping"],
    &["arbiters", "sessions"],
    &["drill"],
    &["history"],
    &["explain"],
    &["plan"],
    &["toolkit", "watchdog", "status"],
    &["config", "check"],
];

fn decided() -> Lone {
    let mut lone = Lone::new(|_, recipe| recipe.peer_name = "Zürich".to_owned());
    lone.site.start();
    lone.site.wait_decisions(0, 1, LIMIT);
    lone
}

fn with(daemon: &Daemon, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    let mut command = command(["--root"]);
    command.arg(daemon.root()).args(arguments).envs(variables.iter().copied());
    run(&mut command).is_orderly()
}

#[test]
fn without_utf_8_every_table_is_ascii_and_without_a_terminal_nothing_is_coloured() {
    let lone = decided();
    for arguments in LOOKED_AT {
        let plain = with(&lone.site, arguments, &[("LC_ALL", "C"), ("LANG", "C")]);
        let said = plain.all().replace("Zürich", "Zurich");
        assert!(said.is_ascii(), "{said}");
        assert!(!said.contains('\u{1b}'), "{said}");
        let wide = with(&lone.site, arguments, &[("LC_ALL", "C.UTF-8")]);
        assert!(!wide.all().contains('\u{1b}'), "{}", wide.all());
    }
    let json = with(&lone.site, &["health", "--json"], &[("LC_ALL", "C")]).json();
    assert_eq!(json["peer"]["name"], "Zürich", "JSON is UTF-8 everywhere");
}

#[test]
fn at_a_terminal_of_40_columns_health_fits_and_no_color_is_heard() {
    let mut lone = decided();
    let seen = |lone: &Lone, arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = command(["--root"]);
        command.arg(lone.site.root()).args(arguments).env("TERM", "xterm").envs(variables.iter().copied());
        Terminal::start_sized(&command, 40).ended().1
    };
    let coloured = seen(&lone, &["health"], &[]);
    assert!(coloured.contains('\u{1b}'), "{coloured}");
    let plain = seen(&lone, &["health"], &[("NO_COLOR", "1")]);
    assert!(!plain.contains('\u{1b}'), "{plain}");
    for line in plain.lines() {
        assert!(line.chars().count() <= 40, "{line}\n{plain}");
    }
    for words in ["WARNING", "serves", "takeover"] {
        assert!(plain.contains(words), "{words}\n{plain}");
    }
    let bare = seen(&lone, &["health"], &[("NO_COLOR", "1"), ("LC_ALL", "C")]);
    assert!(bare.is_ascii(), "{bare}");
    for arguments in LOOKED_AT {
        let said = seen(&lone, arguments, &[("NO_COLOR", "1")]);
        assert!(!said.contains('\u{1b}') && !said.contains("panicked"), "{said}");
    }
    // Refreshed in place until Ctrl-C.
    let mut command = command(["--root"]);
    command.arg(lone.site.root()).args(["health", "--watch"]).env("TERM", "xterm");
    let mut watching = Terminal::start_sized(&command, 40);
    watching.until("takeover");
    lone.site.wait("it goes on", LIMIT, |daemon| daemon.try_health().map(|_| ()));
    watching.interrupt();
    wait::poll(LIMIT, || lone.site.try_health().map(|_| ())).unwrap();
}
