//! Echoes to loopback: who answers, what is told apart, what a busy program does.

use tokio::task::JoinSet;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_thousand_living_hosts_are_all_found_alive() {
    let pinger = Pinger::open(None).await.unwrap();
    let mut running = JoinSet::new();
    for index in 0..1_000_u16 {
        let [high, low] = index.to_be_bytes();
        let pinger = pinger.clone();
        running.spawn(async move { pinger.ping(IpAddr::from([127, 1, high, low]), 5 * SECOND).await });
    }
    let outcomes = running.join_all().await;
    let lost = outcomes.iter().filter(|outcome| !matches!(outcome, PingOutcome::Answered { .. })).count();
    assert_eq!(lost, 0);
    assert!(pinger.shared.v4.get().unwrap().notes.lock().is_empty());
}

#[tokio::test]
async fn what_this_machine_cannot_send_is_told_apart_from_a_time_out() {
    let pinger = Pinger::open(None).await.unwrap();
    // No machine may send an echo to a broadcast address without asking for that.
    let outcome = pinger.ping(IpAddr::from([255, 255, 255, 255]), SECOND).await;
    assert!(matches!(&outcome, PingOutcome::Failed(why) if why.contains("could not be sent")), "{outcome:?}");
    assert!(matches!(pinger.ping(IpAddr::from([127, 0, 0, 1]), SECOND).await, PingOutcome::Answered { .. }));
}

#[tokio::test]
async fn echoes_leave_from_the_given_address_or_not_at_all() {
    let pinger = Pinger::open(Some(IpAddr::from([127, 0, 0, 9]))).await.unwrap();
    let outcome = pinger.ping(IpAddr::from([127, 0, 0, 1]), SECOND).await;
    assert!(matches!(outcome, PingOutcome::Answered { .. }), "{outcome:?}");
    let error = Pinger::open(Some(IpAddr::from([192, 0, 2, 9]))).await.unwrap_err();
    assert!(matches!(error, PingError::Source(..)), "{error}");
}

#[tokio::test]
async fn a_busy_program_does_not_take_a_reply_for_lost() {
    let pinger = Pinger::open(None).await.unwrap();
    let waiting = {
        let pinger = pinger.clone();
        tokio::spawn(async move { pinger.ping(IpAddr::from([127, 0, 0, 1]), SECOND / 20).await })
    };
    tokio::task::yield_now().await;
    // This thread is the whole runtime, so nobody reads the reply before the timeout is long over.
    let begun = std::time::Instant::now();
    while begun.elapsed() < SECOND / 5 {
        std::hint::spin_loop();
    }
    assert!(matches!(waiting.await.unwrap(), PingOutcome::Answered { .. }));
}
