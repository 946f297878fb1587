//! Observe mode: whether the other site was alive when this one would have taken over.

use dr_watchdog_core::event::Beat;
use dr_watchdog_core::transitions::Phase;
use dr_watchdog_sdk::Utc;
use serde_json::{Value, json};

/// A takeover that would have been, until the other site tells how it fared.
#[derive(Debug, Default)]
pub(super) struct Observing {
    open: Option<WouldHave>,
    last: Option<Value>,
}

#[derive(Debug)]
struct WouldHave {
    at: Utc,
    decision: Option<u64>,
    /// The other site's epoch before the silence; `None` where it was never heard.
    epoch: Option<u64>,
}

impl Observing {
    /// A promotion was stopped because the mode is `observe`. Only the first of a silence counts.
    pub(super) fn would_have_taken_over(&mut self, now: Utc, decision: Option<u64>, peer: Option<&Beat>) {
        if self.open.is_none() {
            self.open = Some(WouldHave { at: now, decision, epoch: peer.map(|beat| beat.epoch) });
        }
    }

    /// The other site is heard; what that says of the takeover that would have been, as a record of the history.
    pub(super) fn heard(&mut self, now: Utc, peer: &Beat) -> Option<Value> {
        let open = self.open.take_if(|open| open.at < peer.heard)?;
        let was_alive = peer.phase.may_serve() && open.epoch.is_none_or(|epoch| epoch == peer.epoch);
        let text = match (was_alive, peer.phase) {
            (true, _) => format!(
                "would have failed over at {}, and the peer was alive: it serves under the same epoch {} as before",
                open.at, peer.epoch
            ),
            (false, Phase::Standby) => {
                format!(
                    "would have failed over at {}, and the peer no longer served: it is standby now",
                    open.at
                )
            }
            (false, phase) => format!(
                "would have failed over at {}; the peer began anew meanwhile (epoch {}, {})",
                open.at,
                peer.epoch,
                phase.word()
            ),
        };
        let record = json!({
            "kind": "observation",
            "time": now,
            "wouldHaveAt": open.at,
            "decision": open.decision,
            "peerWasAlive": was_alive,
            "text": text,
        });
        self.last = Some(record.clone());
        Some(record)
    }

    /// The newest, for `health`.
    pub(super) fn last(&self) -> Value {
        json!(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(phase: Phase, epoch: u64, heard_ms: i64) -> Beat {
        let heard = Utc::from_unix_ms(heard_ms);
        Beat { site_index: 0, epoch, phase, config_equal: None, automatic_failover: true, turn: None, heard }
    }

    fn told(before: u64, after: &Beat) -> Value {
        let mut observing = Observing::default();
        observing.would_have_taken_over(
            Utc::from_unix_ms(5_000),
            Some(9),
            Some(&beat(Phase::Active, before, 1_000)),
        );
        observing.would_have_taken_over(Utc::from_unix_ms(6_000), Some(10), None);
        let record = observing.heard(Utc::from_unix_ms(9_000), after).unwrap();
        assert_eq!(record["decision"], 9, "the first of a silence");
        assert_eq!(observing.heard(Utc::from_unix_ms(9_500), after), None, "it is told once");
        assert_eq!(observing.last(), record);
        record
    }

    #[test]
    fn a_peer_that_serves_on_under_its_epoch_was_alive() {
        let record = told(4, &beat(Phase::Active, 4, 8_000));
        assert_eq!(record["peerWasAlive"], true);
        let text = record["text"].as_str().unwrap();
        assert!(
            text.contains("would have failed over at 1970-01-01T00:00:05+00:00, and the peer was alive"),
            "{text}"
        );
    }

    #[test]
    fn a_peer_that_comes_back_as_standby_or_with_another_epoch_was_not() {
        assert_eq!(told(4, &beat(Phase::Standby, 4, 8_000))["peerWasAlive"], false);
        assert_eq!(told(4, &beat(Phase::Active, 6, 8_000))["peerWasAlive"], false);
    }

    #[test]
    fn a_heartbeat_from_before_the_decision_proves_nothing() {
        let mut observing = Observing::default();
        observing.would_have_taken_over(Utc::from_unix_ms(5_000), None, None);
        assert_eq!(observing.heard(Utc::from_unix_ms(6_000), &beat(Phase::Active, 4, 4_000)), None);
    }
}
