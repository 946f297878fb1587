//! Host keys as an operator meets them: shown, asked about, pinned; an alarm when they change.

use std::net::Ipv4Addr;
use std::time::Duration;

use dr_watchdog_tests::lab::mail::{arrives, mailing};
use dr_watchdog_tests::lab::{Arbiter, Keys, Lone, MailServer};
use dr_watchdog_tests::scratch::Scratch;
use dr_watchdog_tests::terminal::Terminal;
use dr_watchdog_tests::wait;

/// Where the arbiter of these cases lives: beside the site, in a namespace without any other host.
const ARBITER: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Longest time until a daemon that looks every half second has seen a key.
const SEEN_LIMIT: Duration = Duration::from_secs(60);

/// A site with one arbiter.
struct Site {
    lone: Lone,
    keys: Keys,
    _arbiter: Arbiter,
    _of_keys: Scratch,
}

/// The site, where this key is pinned.
fn site(host_key: Option<&str>) -> Site {
    let of_keys = Scratch::new("keys");
    let keys = Keys::new(&of_keys);
    let lone = Lone::new(|_, recipe| {
        recipe.arbiters = vec![ARBITER];
        recipe.client_key = Some(keys.client.clone());
        recipe.host_key = host_key.map(str::to_owned);
        mailing(recipe);
    });
    let arbiter = Arbiter::start(&lone.namespace, &lone.scratch, &keys);
    Site { lone, keys, _arbiter: arbiter, _of_keys: of_keys }
}

fn configuration(lone: &Lone) -> String {
    std::fs::read_to_string(&lone.site.paths().config_file).unwrap()
}

fn ask(lone: &Lone) -> Terminal {
    let mut terminal = Terminal::start(&lone.site.command(&["arbiters", "trust", &ARBITER.to_string()]));
    terminal.until("Is it the same? Write yes: ");
    terminal
}

/// Goal: a person who says yes has pinned exactly the key that was on the screen, and the arbiter can be asked from then
/// on. Wrong would be: anything else than a whole "yes" pins.
#[test]
fn a_key_is_pinned_when_a_person_at_the_terminal_says_yes_and_only_then() {
    let Site { lone, keys, .. } = &site(None);
    let before = configuration(lone);
    for answer in ["no\n", "y\n", "\n", "yes please\n", "\u{4}"] {
        let mut terminal = ask(lone);
        terminal.type_in(answer);
        let (code, screen) = terminal.ended();
        assert_eq!(code, 1, "{answer:?}: {screen}");
        assert!(screen.contains("nothing was pinned"), "{answer:?}: {screen}");
        assert_eq!(configuration(lone), before, "{answer:?}");
    }
    let mut terminal = ask(lone);
    terminal.type_in("yes\n");
    let (code, screen) = terminal.ended();
    assert_eq!(code, 0, "{screen}");
    assert!(
        screen.contains(&format!("shows the host key ecdsa-sha2-nistp256 {}", keys.fingerprint)),
        "{screen}"
    );
    assert!(screen.contains("the other site needs the same"), "{screen}");
    let pin = format!("hostKey = \"{}\"\n", keys.fingerprint);
    assert!(configuration(lone).contains(&pin), "{}", configuration(lone));
    let seen = lone.site.run(&["arbiters", "sessions", "--json"]).expect(0).json();
    assert_eq!(seen["arbiters"][ARBITER.to_string()]["ssh"], "ok", "{seen}");
}

/// Goal: a device whose key changed is told as an alarm by the running watchdog, and the alarm ends when the new key is
/// pinned. Wrong would be: a time-out among others, or an alarm that stays.
#[test]
fn a_changed_key_is_an_alarm_in_health_and_history_until_it_is_pinned() {
    const NOBODY: &str = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let mut site = site(Some(NOBODY));
    let _server = MailServer::real(&site.lone.scratch, &site.lone.namespace, "none", false);
    site.lone.site.start();
    let Site { lone, keys, .. } = &site;
    let problem = |lone: &Lone| {
        let health = lone.site.run(&["health", "--json"]).json();
        let problems = health["problems"].as_array().unwrap().clone();
        let alarm = problems.iter().find(|each| each["message"].as_str().unwrap().contains("ALARM")).cloned();
        (health, alarm)
    };
    let dump = |lone: &Lone| lone.site.log();
    let alarm = wait::until(
        "health tells of the alarm",
        SEEN_LIMIT,
        || problem(lone).1.ok_or_else(|| problem(lone).0.to_string()),
        || dump(lone),
    );
    let message = alarm["message"].as_str().unwrap();
    assert!(message.starts_with(&format!("ALARM: arbiter {ARBITER}: ")), "{message}");
    assert!(message.contains(NOBODY) && message.contains(&keys.fingerprint), "{message}");
    assert!(alarm["remedy"].as_str().unwrap().contains("arbiters trust 127.0.0.1"), "{alarm}");
    assert_eq!(problem(lone).0["status"], "critical");
    lone.site.run(&["history"]).expect(0).says(&["hostKeyChanged"]);
    let mail = arrives(&lone.scratch, "hostKeyChanged", || dump(lone));
    assert!(mail.text.contains("127.0.0.1"), "{}", mail.text);

    let trust = ["arbiters", "trust", "127.0.0.1", "--fingerprint", &keys.fingerprint];
    lone.site.run(&trust).expect(0).says(&["ALARM: pinned is SHA256:AAAA"]);
    lone.site.reload();
    wait::until(
        "the alarm is over",
        SEEN_LIMIT,
        || wait::holds(problem(lone).1.is_none(), || problem(lone).0.to_string()),
        || dump(lone),
    );
}
