//! The arithmetic of the exclusion, as it is printed for operators.

use std::time::Duration;

use dr_watchdog_sdk::sections::Core;
use serde::Serialize;

use super::lower::formula;
use super::model::Config;
use super::values::spelled;

/// One named span.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Term {
    /// Its letter or key.
    pub name: &'static str,
    /// Its length.
    pub seconds: f64,
    /// What it is.
    pub meaning: String,
}

/// The spans, then what they promise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Arithmetic {
    /// k, L, D, look, G, P, W, rho, F.
    pub terms: Vec<Term>,
    /// Sentences for operators.
    pub promises: Vec<String>,
}

/// The arithmetic of a configuration.
pub fn arithmetic(config: &Config) -> Arithmetic {
    let exclusion = &config.exclusion;
    let term = |name, span: Duration, meaning: &str| Term {
        name,
        seconds: span.as_secs_f64(),
        meaning: meaning.to_owned(),
    };
    let rate = Term {
        name: "rho",
        seconds: f64::from(exclusion.clock_error_ppm) / 1e6,
        meaning: "clock-rate error, seconds per second".to_owned(),
    };
    let wait =
        format!("age from which a session of the other site is stale; at least {}", formula(exclusion));
    let terms = vec![
        term("k", exclusion.keep_alive, "keepalive of a held session, with answer"),
        term("L", exclusion.lease, "lease"),
        term("D", exclusion.fence_deadline, "time to fence"),
        term("look", exclusion.look, "from one look at an arbiter to the next"),
        term("lookTimeout", exclusion.look_timeout, "deadline of a look"),
        term("round", half_mute_round(config), "one look at every arbiter while half of them are mute"),
        term("G", exclusion.gap(), "largest gap between looks = 2 × look + lookTimeout"),
        term("P", exclusion.hold_age(), "age from which a held session counts = G + 1 s"),
        term("W", exclusion.window(), "oldest look that a decision may use = G"),
        rate,
        term("epsilon", exclusion.slack, "slack"),
        term("F", exclusion.wait, &wait),
    ];
    Arithmetic { terms, promises: promises(config) }
}

fn half_mute_round(config: &Config) -> Duration {
    config.exclusion.round(config.arbiters.len() / 2)
}

/// What an operator may rely on in verdict mode.
fn promises(config: &Config) -> Vec<String> {
    let heartbeat = &config.watchdog.heartbeat;
    let (interval, timeout) = (heartbeat.interval.duration(), heartbeat.timeout.duration());
    let tries = heartbeat.retries + 1;
    let lost = interval + timeout * tries;
    let nodes = Core::split(&config.core.peer_load_balancer_nodes)
        .filter(|node| *node != config.core.peer_vip)
        .count();
    let mut promises = vec![
        format!(
            "a lost site is declared lost after at most heartbeat.interval + timeout × (1 + retries) = {} + {} × \
             {tries} = {}{}",
            spelled(interval),
            spelled(timeout),
            spelled(lost),
            if nodes == 0 { String::new() } else { format!(", and {} more for its nodes", spelled(timeout * tries)) },
        ),
        format!(
            "a session of the lost site counts as stale {} after its last sign of life, where the arbiter shows the \
             age; where it does not, when the row is gone",
            spelled(config.exclusion.wait)
        ),
        "two sites serve at once: no bound. In mode \"verdict\" the verdict alone decides, so both sites may serve \
         while they cannot hear each other"
            .to_owned(),
    ];
    let (round, window) = (half_mute_round(config), config.exclusion.window());
    if round > window {
        promises.push(format!(
            "with half of the {} arbiters mute one round of looks takes {}, longer than W = {}: what was seen first is \
             too old by then. Fewer arbiters or a shorter exclusion.lookTimeout mend that",
            config.arbiters.len(),
            spelled(round),
            spelled(window),
        ));
    }
    promises
}

/// The arithmetic as lines of text.
pub fn lines(arithmetic: &Arithmetic) -> Vec<String> {
    let terms = arithmetic.terms.iter().map(|term| {
        let unit = if term.name == "rho" { "" } else { " s" };
        format!("  {:<12}{:>8}{unit:<2}  {}", term.name, term.seconds, term.meaning)
    });
    terms.chain(arithmetic.promises.iter().map(|promise| format!("  {promise}"))).collect()
}
