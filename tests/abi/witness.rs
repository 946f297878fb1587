//! The shipped plugin that asks a witness, in a watchdog that runs: without its grant, with it, with what it is told.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dr_watchdog_tests::lab::{Lone, Namespace};
use dr_watchdog_tests::program::witness_plugin;
use serde_json::Value;

const ADDRESS: &str = "192.0.2.10:8080";
const LIMIT: Duration = Duration::from_secs(60);

/// A witness that tells what it is told to tell, for as long as the namespace lasts.
fn witness(namespace: &Namespace, other_serves: &Arc<AtomicBool>) {
    let (ready, is_ready) = UnixStream::pair().unwrap();
    let other_serves = Arc::clone(other_serves);
    namespace.thread(move || {
        let listener = TcpListener::bind(ADDRESS).unwrap();
        drop(ready);
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 1_024];
            let count = stream.read(&mut asked).unwrap();
            assert!(asked[..count].starts_with(b"GET /sites/a HTTP/1.0"));
            let told = other_serves.load(Ordering::Relaxed);
            write!(stream, "HTTP/1.0 200 OK\r\n\r\n{{\"otherServes\":{told},\"ageS\":4}}").unwrap();
        }
    });
    // Closed once the socket is bound.
    (&is_ready).read_to_end(&mut Vec::new()).unwrap();
}

fn decides(lone: &mut Lone, rule: &str, says: &str) {
    let seen = lone.site.decisions().len();
    lone.site.wait(&format!("the rule {rule} decides"), LIMIT, |site| {
        let decisions = site.decisions();
        let details = |decision: &Value| decision["verdict"]["payload"]["details"].clone();
        let found = decisions.iter().skip(seen).map(details).find(|details| details["rule"] == rule);
        let found = found.ok_or_else(|| format!("{:?}", decisions.last().map(details)))?;
        assert!(found["witness"].as_str().unwrap().contains(says), "{found}");
        Ok(())
    });
}

#[test]
fn a_witness_is_asked_only_with_a_network_that_is_granted() {
    let mut lone = Lone::new(|_, recipe| recipe.policy = Some(witness_plugin()));
    let other_serves = Arc::new(AtomicBool::new(false));
    witness(&lone.namespace, &other_serves);
    let base = std::fs::read_to_string(&lone.site.paths().config_file).unwrap();
    let configure = |lone: &Lone, grants: &str| {
        let table = "[policy]\ndeadline = \"5s\"\n";
        let own = format!("{table}grants = {grants}\n[policy.config]\nurl = \"http://{ADDRESS}/sites/a\"\n");
        assert!(base.contains(table));
        lone.site.configure(&base.replacen(table, &own, 1));
    };
    configure(&lone, "[]");
    lone.site.start();
    decides(&mut lone, "noSight", "write \"network\" into policy.grants");
    assert!(lone.site.log().contains("policy.grants = [\"network\"]"), "{}", lone.site.log());
    configure(&lone, "[\"network\"]");
    lone.site.reload();
    decides(&mut lone, "otherManages", "saw the other site not serving 4 s ago");
    other_serves.store(true, Ordering::Relaxed);
    decides(&mut lone, "witnessSeesIt", "saw the other site serve 4 s ago");
    assert_eq!(lone.site.standing().unwrap(), "standby/standby");
}
