//! A watchdog's arbiters room in a process of its own: it holds, or looks, as it is told, and prints what it reports.

use std::io::BufRead as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dr_watchdog::arbiters::{Arbiters, Report, Settings};
use dr_watchdog::config::model::{Arbiter, Freshness, Kind};
use dr_watchdog::probe::ping::Pinger;
use secrecy::SecretString;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::server;

/// Reports that may wait.
const REPORTS_MAX: usize = 8_192;

fn target(host: &str) -> Arbiter {
    Arbiter {
        name: host.to_owned(),
        host: host.to_owned(),
        port: server::PORT,
        username: "watchdog".to_owned(),
        password: Some(SecretString::from(server::PASSWORD)),
        private_key: None,
        kind: Kind::Linux,
        host_key: vec![server::fingerprint()],
        custom: None,
        freshness: Freshness::Auto,
    }
}

/// Runs until its input ends.
pub(super) async fn run(list: &Path, keep_alive: Duration) {
    let text = std::fs::read_to_string(list).unwrap();
    let targets = text.lines().map(target).collect();
    let settings = Settings {
        look: Duration::from_secs(5),
        look_timeout: Duration::from_secs(5),
        keep_alive,
        ping_timeout: Duration::from_secs(5),
        ..Settings::default()
    };
    let pinger = Arc::new(Pinger::open(None).await.unwrap());
    let (reports, mut reported) = mpsc::channel(REPORTS_MAX);
    let arbiters = Arbiters::new(targets, settings, pinger, reports);
    let (words, mut told) = mpsc::channel(1);
    std::thread::spawn(move || {
        for word in std::io::stdin().lock().lines().map_while(Result::ok) {
            if words.blocking_send(word).is_err() {
                return;
            }
        }
    });
    println!("ready");
    loop {
        tokio::select! {
            word = told.recv() => match word.as_deref() {
                Some("hold") => arbiters.hold(),
                Some(_) => look(&arbiters).await,
                None => return,
            },
            report = reported.recv() => match report {
                Some(Report::HoldOpened { arbiter }) => println!("open {arbiter}"),
                Some(Report::HoldLost { arbiter, why }) => println!("lost {arbiter} {why}"),
                _ => {}
            },
        }
    }
}

/// One round over all; how many answered ping, how many by SSH, and how long it took.
async fn look(arbiters: &Arbiters) {
    let begun = Instant::now();
    let looks = arbiters.look_once(true).await;
    let reached = looks.iter().filter(|look| matches!(look.sessions, Some(Ok(_)))).count();
    println!("round {reached} {}", begun.elapsed().as_millis());
}
