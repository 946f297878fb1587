//! The fault table with a live watchdog: each fault costs one verdict, the next is good, no heartbeat is late.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use dr_watchdog_tests::lab::network::SITE_B;
use dr_watchdog_tests::lab::{Ear, Lone};
use dr_watchdog_tests::plugins::{compile_aborting, compile_with};
use dr_watchdog_tests::program::in_repository;
use dr_watchdog_tests::vendor::Crate;
use serde_json::Value;

/// The heartbeat interval of the laboratory.
const INTERVAL: Duration = Duration::from_secs(1);
/// Longest time between two heartbeats that are both in time: one of a machine with much other work may come late, and
/// one that is left out would be a whole interval late.
const GAP_MAX: Duration = Duration::from_millis(1_900);
/// Longest time from the order to reload to the decision with the fault: a look, an interval, the deadline, the grace.
const DECISION_LIMIT: Duration = Duration::from_secs(60);

/// What a fault must come to: the kind of its failure with a word of its message, or the description of an answer.
enum Costs {
    Verdict(&'static str, &'static str),
    Nothing(&'static str),
}

const FAULTS: [(&str, Costs); 20] = [
    ("null", Costs::Verdict("crash", "SIGSEGV")),
    ("exit", Costs::Verdict("crash", "exited with status 9")),
    ("abort", Costs::Verdict("crash", "was killed by SIG")),
    ("overflow", Costs::Verdict("crash", "was killed by SIG")),
    ("escape", Costs::Verdict("timeout", "worker was killed")),
    ("fork", Costs::Verdict("timeout", "worker was killed")),
    ("spin", Costs::Verdict("timeout", "worker was killed")),
    ("sleep", Costs::Verdict("timeout", "nor obeyed its cancellation")),
    ("allocate", Costs::Verdict("memory", "all the memory it may have")),
    ("print", Costs::Nothing("good")),
    ("close", Costs::Verdict("crash", "the policy's worker")),
    ("kill", Costs::Nothing("good")),
    ("look", Costs::Nothing("seen 0 opened 0 reached 0")),
    ("who", Costs::Nothing("pid 1 file 0 sent 0")),
    ("threads", Costs::Nothing("good")),
    ("huge", Costs::Verdict("verdict", "longer than the limit")),
    ("latin", Costs::Verdict("verdict", "no UTF-8")),
    ("ungranted", Costs::Verdict("denied", "denied")),
    ("late", Costs::Nothing("left a thread")),
    ("good", Costs::Nothing("good")),
];

/// A lone site whose policy is changed under its feet.
struct Site {
    lone: Lone,
    base: String,
}

impl Site {
    fn new() -> Self {
        let lone = Lone::new(|_, recipe| recipe.policy = None);
        lone.namespace.ip(&format!("addr add {SITE_B}/32 dev lo"));
        // Heartbeats are heard there, pings are not answered: the other site is lost, and the policy is asked.
        lone.namespace.nft(&format!(
            "table inet lost {{ chain out {{ type filter hook output priority 0; ip daddr {SITE_B} icmp type echo-request drop; }}; }}\n"
        ));
        let base = std::fs::read_to_string(&lone.site.paths().config_file).unwrap();
        Self { lone, base }
    }

    fn configure(&self, policy: &Path, harm: &str) {
        let detection = "[watchdog.failureDetection]\n";
        let own = format!("{detection}isCustom = true\nscript = \"{}\"\n", policy.display());
        // Reading a gigabyte away or touching all of the memory takes a slow machine its time, and shows more than a
        // deadline that was missed.
        let takes_time = harm.ends_with("print") || harm.ends_with("allocate");
        let deadline = if takes_time { "60s" } else { "1500ms" };
        let text = self.base.replacen(detection, &own, 1).replacen(
            "[policy]\ndeadline = \"5s\"\n",
            &format!("[policy]\ndeadline = \"{deadline}\"\ngrants = []\n[policy.config]\ndo = \"{harm}\"\n"),
            1,
        );
        assert!(text.contains(&own) && text.contains(deadline), "{text}");
        self.lone.site.configure(&text);
    }

    /// Waits for the decision, after the first `seen`, that this fault leads to; what came after it is good.
    fn expect(&mut self, fault: &str, costs: &Costs, seen: usize) -> usize {
        let is_it = |decision: &Value| match costs {
            Costs::Verdict(kind, says) => {
                decision["error"]["kind"] == *kind
                    && decision["error"]["message"].as_str().is_some_and(|message| message.contains(says))
            }
            Costs::Nothing(says) => {
                decision["error"].is_null()
                    && decision["verdict"]["description"].as_str().is_some_and(|told| told.ends_with(says))
            }
        };
        let what = format!("the fault \"{fault}\" shows in a decision");
        let at = self.lone.site.wait(&what, DECISION_LIMIT, |site| {
            let decisions = site.decisions();
            let new = decisions.get(seen..).unwrap_or_default();
            let other = new.iter().find(|decision| !decision["error"].is_null() && !is_it(decision));
            assert!(other.is_none(), "{fault}: {:?}", other.map(|decision| &decision["error"]));
            new.iter().position(is_it).map(|at| seen + at).ok_or_else(|| format!("{} are good", new.len()))
        });
        at + 1
    }
}

fn goes_on(site: &mut Site, fault: &str, seen: usize) -> usize {
    let next = site.lone.site.wait_decisions(seen, 1, DECISION_LIMIT);
    assert!(next[0]["error"].is_null(), "after {fault}: {}", next[0]["error"]);
    assert_eq!(next[0]["verdict"]["description"], "good", "after {fault}");
    seen + 1
}

/// Goal: whatever a plugin does to a watchdog that runs, it costs one verdict; the next one, by the same policy, is good;
/// and the other site hears every heartbeat meanwhile. Wrong would be: a second verdict is lost, a heartbeat is left
/// out, or the site changes its role.
#[test]
fn every_fault_costs_a_live_watchdog_one_verdict_and_no_heartbeat() {
    let mut site = Site::new();
    let faults = compile_with(
        &site.lone.scratch,
        "host/tests/fixtures/faults.c",
        "faults.so",
        &["-pthread", "-O0", "-Wno-infinite-recursion"].map(str::to_owned),
    );
    let aborting = compile_aborting(&site.lone.scratch, "tests/fixtures/plugins/aborting.rs", "aborting.so");
    let source = std::fs::read_to_string(in_repository("tests/fixtures/plugins/panicking.rs")).unwrap();
    let panicking = Crate::plain("panicking", &source).build("panicking");
    site.configure(&faults, "good");
    let ear = Ear::open(&site.lone.namespace, SocketAddr::from((SITE_B, 7805)));
    site.lone.site.start();
    let mut seen = site.expect("good", &Costs::Nothing("good"), 0);
    let pid = site.lone.site.pid();
    for (fault, costs) in &FAULTS {
        site.configure(&faults, &format!("once {fault}"));
        site.lone.site.reload();
        seen = site.expect(fault, costs, seen);
        seen = goes_on(&mut site, fault, seen);
    }
    site.configure(&panicking, "panic");
    site.lone.site.reload();
    seen = site.expect("panic", &Costs::Verdict("runtime", "no arbiter number 3"), seen);
    seen = goes_on(&mut site, "panic", seen);
    // It cannot do it once: what it would keep dies with it.
    site.configure(&aborting, "panic");
    site.lone.site.reload();
    site.expect("panic", &Costs::Verdict("crash", "was killed by SIG"), seen);
    site.configure(&faults, "good");
    site.lone.site.reload();
    let after = site.lone.site.decisions().len();
    site.expect_again(after);
    assert_eq!(
        (site.lone.site.standing().unwrap(), site.lone.site.pid()),
        ("standby/standby".to_owned(), pid)
    );
    let heard = ear.heard();
    assert!(heard.len() > FAULTS.len(), "{} heartbeats", heard.len());
    let gaps = heard.windows(2).map(|pair| pair[1] - pair[0]);
    let longest = gaps.max().unwrap();
    assert!(longest < GAP_MAX, "{longest:?} between two heartbeats, whose interval is {INTERVAL:?}");
}

impl Site {
    /// Waits for a good decision; those of the policy before it may have been on their way.
    fn expect_again(&mut self, seen: usize) {
        self.lone.site.wait("a good policy answers again", DECISION_LIMIT, |site| {
            let decisions = site.decisions();
            let good =
                decisions.iter().skip(seen).any(|decision| decision["verdict"]["description"] == "good");
            if good { Ok(()) } else { Err(format!("{:?}", decisions.last().map(|last| &last["error"]))) }
        });
    }
}
