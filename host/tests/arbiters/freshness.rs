//! What tells a living session from a dead one, as devices show it.

use dr_watchdog::arbiters::{Report, Settings};
use dr_watchdog::config::model::{Arbiter, Custom, Freshness, Kind};
use dr_watchdog_sdk::evidence::{Session, SshOutcome};
use regex_lite::Regex;
use russh::MethodKind;

use crate::support::SOON;
use crate::support::server::{Manners, Server};
use crate::support::sshd::Sshd;
use crate::{arbiters, fake, fast, next, real};

#[tokio::test]
async fn a_device_of_kind_custom_is_asked_in_its_operators_words() {
    let answer = "Sessions\nestablished 22 <- 198.51.100.7:5000 idle 4\n".to_owned();
    let manners = Manners {
        methods: vec![MethodKind::Password],
        answers: vec![("show sessions", answer)],
        ..Manners::default()
    };
    let server = Server::start(manners).await;
    let custom = |pattern: &str| Custom {
        command: "show sessions".to_owned(),
        pattern: Regex::new(pattern).unwrap(),
        ignore: Some(Regex::new("^Sessions$").unwrap()),
    };
    let mut good = fake(&server, Kind::Custom);
    good.custom = Some(custom(r"^(?<state>\w+) \d+ <- (?<from>\S+):\d+ idle (?<ageS>\d+)$"));
    let mut outdated = fake(&server, Kind::Custom);
    outdated.custom = Some(custom(r"^(?<state>\w+) \d+ from (?<from>\S+):\d+$"));
    let (arbiters, _reports) = arbiters(vec![good, outdated], fast()).await;
    let looks = arbiters.look_once(true).await;
    let seen = Session { from: "198.51.100.7".to_owned(), age_ms: Some(4_000) };
    assert_eq!(looks[0].sessions, Some(Ok(vec![seen])));
    assert!(matches!(&looks[1].sessions, Some(Err((SshOutcome::Parse, why))) if why.contains("line 2")));
}

/// The age of the held session that a look shows, where it shows one.
fn held_age(report: Report) -> Option<Option<u64>> {
    let Report::Looked { result: Ok(sessions), .. } = report else { return None };
    sessions.into_iter().find(|session| session.from == "127.0.0.3").map(|session| session.age_ms)
}

/// Goal: where only the count of what was received is taken, a held session stays young while its keepalives move the
/// count, and a session that nobody uses grows old. Wrong would be: a dead session that counts for ever, or a living
/// one that seems dead. The table is that of this machine's own `ss`.
#[tokio::test]
async fn a_session_is_as_old_as_the_look_that_last_saw_its_count_move() {
    let sshd = Sshd::start();
    let counted = Arbiter { freshness: Freshness::Counter, ..real(&sshd, sshd.address, Kind::Linux) };
    let (looking, mut reports) = arbiters(vec![counted.clone()], fast()).await;
    let rare = Settings { keep_alive: SOON, ..fast() };
    let (holding, _held) = arbiters(vec![counted.clone()], rare).await;
    holding.hold();
    looking.start_looking();
    let still = fast().look * 3;
    let is_old = |age: &Option<u64>| age.is_some_and(|age_ms| u128::from(age_ms) >= still.as_millis());
    next(&mut reports, "a session that nobody uses grows old", |report| held_age(report).filter(is_old))
        .await;
    // An operator's look beside the series has a connection of its own, and knows what the series knows.
    let beside = looking.look_once(true).await;
    let sessions = beside[0].sessions.as_ref().unwrap().as_ref().unwrap();
    let held = sessions.iter().find(|session| session.from == "127.0.0.3").unwrap();
    assert!(is_old(&held.age_ms), "{sessions:?}");
    holding.release();
    holding.shutdown().await;

    let (living, _held) = arbiters(vec![counted], Settings { keep_alive: fast().look / 2, ..fast() }).await;
    living.hold();
    let mut young = 0;
    while young < 4 {
        // The first one was asked before the new session stood there.
        let age = next(&mut reports, "the held session is seen", held_age).await;
        young = if age.is_some_and(|age_ms| u128::from(age_ms) < still.as_millis()) { young + 1 } else { 0 };
    }
    looking.shutdown().await;
    living.shutdown().await;
}

#[tokio::test]
async fn only_that_a_session_is_there_counts_where_that_is_configured() {
    let sshd = Sshd::start();
    let bare = Arbiter { freshness: Freshness::Presence, ..real(&sshd, sshd.address, Kind::Linux) };
    let (arbiters, _reports) = arbiters(vec![bare], fast()).await;
    let looks = arbiters.look_once(true).await;
    let sessions = looks[0].sessions.as_ref().unwrap().as_ref().unwrap();
    assert!(!sessions.is_empty() && sessions.iter().all(|session| session.age_ms.is_none()), "{sessions:?}");
    arbiters.shutdown().await;
}
