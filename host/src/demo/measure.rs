//! Measured instants of the story, from the sites' own histories and from the traces of their services.

use std::time::SystemTime;

use serde_json::Value;

use super::site::Served;
use super::stage::Stage;
use super::summary::Outcome;

/// The clock of the histories: CLOCK_BOOTTIME in microseconds, one for all namespaces of the machine.
fn boot_us() -> u64 {
    let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(boot.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(boot.tv_nsec).unwrap_or(0) / 1_000
}

/// Instants of the story.
#[derive(Debug, Default)]
pub struct Marks {
    cut_us: Option<u64>,
    lost_us: Option<u64>,
    verdict_us: Option<u64>,
    active_us: Option<u64>,
    verdict: Option<Value>,
    /// When a's service began, and whether both were ever seen serving.
    a_began: Option<SystemTime>,
    were_both_seen: bool,
}

impl Marks {
    /// The links have just been cut.
    pub fn cut(&mut self) {
        self.cut_us = Some(boot_us());
    }

    /// The verdict that made b active.
    pub const fn verdict(&self) -> Option<&Value> {
        self.verdict.as_ref()
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
        let before = a.served().since;
        let is_b_serving = b.served().since.is_some();
        let is_a_still = a.served().since.is_some();
        self.a_began = self.a_began.or(before);
        self.were_both_seen |= before.is_some() && is_b_serving && is_a_still;
    }

    /// Writes what was measured.
    pub fn write(&self, stage: &Stage, outcome: &mut Outcome) {
        let ms = |from: Option<u64>, to: Option<u64>| Some(to?.saturating_sub(from?) / 1_000);
        outcome.cut_to_lost_ms = ms(self.cut_us, self.lost_us);
        outcome.lost_to_verdict_ms = ms(self.lost_us, self.verdict_us);
        outcome.verdict_to_active_ms = ms(self.verdict_us, self.active_us);
        let [a, b] = &stage.sites;
        let spans = overlap_and_gap(self.a_began, a.served(), b.served(), SystemTime::now());
        outcome.overlap_ms = spans.map(|(overlap, _)| overlap.max(u64::from(self.were_both_seen)));
        outcome.gap_ms = spans.map(|(_, gap)| gap);
    }
}

/// For how long both services ran, and for how long none did, in milliseconds, both rounded up so that nothing is
/// hidden; `None` if one of them never ran.
fn overlap_and_gap(a_began: Option<SystemTime>, a: Served, b: Served, now: SystemTime) -> Option<(u64, u64)> {
    a_began?;
    let b_began = b.since?;
    // While `serving` is there, an older `stopped` says nothing.
    let a_ended = if a.since.is_some() { now } else { a.until? };
    let ms = |span: std::time::Duration| u64::try_from(span.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX);
    Some(match a_ended.duration_since(b_began) {
        Ok(overlap) => (ms(overlap), 0),
        Err(gap) => (0, ms(gap.duration())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    fn at(ms: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
    }

    fn served(since: Option<u64>, until: Option<u64>) -> Served {
        Served { since: since.map(at), until: until.map(at) }
    }

    #[test]
    fn overlap_and_gap_come_from_the_traces_of_the_services() {
        let spans = |a, b| overlap_and_gap(Some(at(100)), a, b, at(9_000));
        assert_eq!(spans(served(None, Some(3_000)), served(Some(7_000), None)), Some((0, 4_000)));
        assert_eq!(spans(served(None, Some(7_250)), served(Some(7_000), None)), Some((250, 0)));
        assert_eq!(
            spans(served(Some(100), None), served(Some(7_000), None)),
            Some((2_000, 0)),
            "still serving"
        );
        assert_eq!(spans(served(None, Some(3_000)), served(None, None)), None, "b never served");
        assert_eq!(overlap_and_gap(None, served(None, None), served(Some(1), None), at(2)), None);
    }

    #[test]
    fn only_what_happened_after_the_cut_counts_and_the_first_of_each() {
        let mut marks = Marks { cut_us: Some(1_000), ..Marks::default() };
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
        assert_eq!(marks.verdict().unwrap()["n"], 3_000);
    }
}
