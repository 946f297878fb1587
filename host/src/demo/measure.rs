//! Measured instants of the story, taken from what the sites themselves leave behind.

use dr_watchdog_core::Now;
use serde_json::Value;

use super::site::Served;
use super::stage::Stage;
use super::summary::Outcome;

/// The clock that the histories are written by; one for all namespaces of the machine.
pub type Clock = fn() -> Now;

/// Instants of the story.
#[derive(Debug)]
pub struct Marks {
    clock: Clock,
    cut_us: Option<u64>,
    lost_us: Option<u64>,
    verdict_us: Option<u64>,
    active_us: Option<u64>,
    verdict: Option<Value>,
    /// When a's service began, and whether both were ever seen serving.
    a_began_us: Option<i64>,
    were_both_seen: bool,
}

impl Marks {
    /// Nothing has happened yet.
    pub const fn new(clock: Clock) -> Self {
        Self {
            clock,
            cut_us: None,
            lost_us: None,
            verdict_us: None,
            active_us: None,
            verdict: None,
            a_began_us: None,
            were_both_seen: false,
        }
    }

    /// The links have just been cut.
    pub fn cut(&mut self) {
        self.cut_us = Some((self.clock)().mono.us());
    }

    /// Takes a history record; only those of site b after the cut matter here.
    pub fn record(&mut self, site: &str, record: &Value) {
        let at = |key: &str| record[key].as_u64();
        let is_later = |at: Option<u64>| at.is_some_and(|at| self.cut_us.is_some_and(|cut| at >= cut));
        if site != "b" {
            return;
        }
        match record["kind"].as_str() {
            Some("notice") if record["trigger"] == "peerLost" && is_later(at("atUs")) => {
                self.lost_us = self.lost_us.or(at("atUs"));
            }
            Some("decision")
                if record["verdict"]["action"] == "beActive"
                    && record["gate"].is_null()
                    && is_later(at("decidedUs")) =>
            {
                self.verdict_us = self.verdict_us.or(at("decidedUs"));
                self.verdict.get_or_insert_with(|| record["verdict"].clone());
            }
            Some("transition") if record["to"] == "active" && is_later(at("atUs")) => {
                self.active_us = self.active_us.or(at("atUs"));
            }
            _ => {}
        }
    }

    /// Looks at the traces of both services.
    pub fn sample(&mut self, stage: &Stage) {
        let [a, b] = &stage.sites;
        // b is looked at between two looks at a, so that a stop in between is no overlap.
        let before = a.served().since_us;
        let is_b_serving = b.served().since_us.is_some();
        let is_a_still = a.served().since_us.is_some();
        self.a_began_us = self.a_began_us.or(before);
        self.were_both_seen |= before.is_some() && is_b_serving && is_a_still;
    }

    /// Writes what was measured.
    pub fn write(&self, stage: &Stage, outcome: &mut Outcome) {
        let ms = |from: Option<u64>, to: Option<u64>| Some(to?.saturating_sub(from?) / 1_000);
        outcome.verdict.clone_from(&self.verdict);
        outcome.cut_to_lost_ms = ms(self.cut_us, self.lost_us);
        outcome.lost_to_verdict_ms = ms(self.lost_us, self.verdict_us);
        outcome.verdict_to_active_ms = ms(self.verdict_us, self.active_us);
        let [a, b] = &stage.sites;
        let spans =
            overlap_and_gap(self.a_began_us, a.served(), b.served(), (self.clock)().wall.unix_ms() * 1_000);
        outcome.overlap_ms = spans.map(|(overlap, _)| overlap.max(u64::from(self.were_both_seen)));
        outcome.gap_ms = spans.map(|(_, gap)| gap);
    }
}

/// For how long both services ran, and for how long none did, in milliseconds, both rounded up so that nothing is
/// hidden; `None` if one of them never ran.
fn overlap_and_gap(a_began_us: Option<i64>, a: Served, b: Served, now_us: i64) -> Option<(u64, u64)> {
    a_began_us?;
    let b_began_us = b.since_us?;
    // While `serving` is there, an older `stopped` says nothing.
    let a_ended_us = if a.since_us.is_some() { now_us } else { a.until_us? };
    let ms = |us: i64| u64::try_from(us).unwrap_or(0).div_ceil(1_000);
    Some((ms(a_ended_us - b_began_us), ms(b_began_us - a_ended_us)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dr_watchdog_core::Moment;
    use dr_watchdog_sdk::Utc;
    use serde_json::json;

    fn clock() -> Now {
        Now { mono: Moment::from_us(1_000), wall: Utc::from_unix_ms(9) }
    }

    #[test]
    fn overlap_and_gap_come_from_the_traces_of_the_services() {
        let spans = |(a_since, a_until): (Option<i64>, Option<i64>), b_since| {
            let (a, b) = (
                Served { since_us: a_since, until_us: a_until },
                Served { since_us: b_since, until_us: None },
            );
            overlap_and_gap(Some(100), a, b, 9_000)
        };
        assert_eq!(spans((None, Some(3_000)), Some(7_000)), Some((0, 4)));
        assert_eq!(spans((None, Some(7_001)), Some(7_000)), Some((1, 0)), "one microsecond counts");
        assert_eq!(spans((Some(100), None), Some(7_000)), Some((2, 0)), "still serving");
        assert_eq!(spans((None, Some(3_000)), None), None, "b never served");
        let never = Served { since_us: None, until_us: None };
        assert_eq!(overlap_and_gap(None, never, Served { since_us: Some(1), ..never }, 2), None);
    }

    #[test]
    fn only_what_happened_after_the_cut_counts_and_the_first_of_each() {
        let mut marks = Marks::new(clock);
        marks.cut();
        marks.record("b", &json!({"kind": "notice", "trigger": "peerLost", "atUs": 900}));
        marks.record("a", &json!({"kind": "notice", "trigger": "peerLost", "atUs": 1_500}));
        assert_eq!(marks.lost_us, None);
        for at in [2_000, 3_000] {
            marks.record("b", &json!({"kind": "notice", "trigger": "peerLost", "atUs": at}));
            let gate = if at == 2_000 { json!({"why": "off"}) } else { json!(null) };
            let verdict = json!({"action": "beActive", "n": at});
            marks
                .record("b", &json!({"kind": "decision", "decidedUs": at, "verdict": verdict, "gate": gate}));
            marks.record("b", &json!({"kind": "transition", "to": "active", "atUs": at + 1}));
        }
        assert_eq!(
            (marks.lost_us, marks.verdict_us, marks.active_us),
            (Some(2_000), Some(3_000), Some(2_001))
        );
        assert_eq!(marks.verdict.unwrap()["n"], 3_000);
    }
}
