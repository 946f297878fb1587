//! How long the other site is silent in good times: what the heartbeat's settings make of it.

use std::collections::{BTreeMap, VecDeque};

use dr_watchdog_sdk::sections::Heartbeat;
use serde_json::{Value, json};

/// Gaps that are remembered: more than a day of heartbeats at the manual's interval.
const GAPS_MAX: usize = 4_096;
/// Longer runs of unanswered pings are counted as this one: by then the site is down, not slow.
const RUN_MAX: u32 = 100;
/// Fewer pings say nothing about the settings.
const PINGS_MIN: u64 = 100;

/// What was measured since the watchdog runs.
#[derive(Debug, Default)]
pub(super) struct Silences {
    pings: u64,
    /// Unanswered pings since the last answered one.
    run: u32,
    /// How many runs of so many unanswered pings ended with an answer.
    runs: BTreeMap<u32, u64>,
    heard_us: Option<u64>,
    gaps_ms: VecDeque<u32>,
}

impl Silences {
    /// A ping of the other site's VIP ended.
    pub(super) fn pinged(&mut self, is_answered: bool) {
        self.pings = self.pings.saturating_add(1);
        if !is_answered {
            self.run = (self.run + 1).min(RUN_MAX);
        } else if self.run > 0 {
            *self.runs.entry(self.run).or_default() += 1;
            self.run = 0;
        }
    }

    /// A signed heartbeat was heard.
    pub(super) fn heard(&mut self, at_us: u64) {
        if let Some(last) = self.heard_us.replace(at_us) {
            if self.gaps_ms.len() >= GAPS_MAX {
                self.gaps_ms.pop_front();
            }
            let gap_ms = at_us.saturating_sub(last) / 1_000;
            self.gaps_ms.push_back(u32::try_from(gap_ms).unwrap_or(u32::MAX));
        }
    }

    /// The figures, and what the settings would have made of them.
    pub(super) fn report(&self, heartbeat: &Heartbeat) -> Value {
        let mut gaps: Vec<u32> = self.gaps_ms.iter().copied().collect();
        gaps.sort_unstable();
        // The nearest rank; there is none among no gaps.
        let quantile = |percent: usize| {
            let rank = (gaps.len() * percent).div_ceil(100).max(1);
            gaps.get(rank - 1).copied()
        };
        let lost_ms = heartbeat.interval.ms() + heartbeat.timeout.ms() * (u64::from(heartbeat.retries) + 1);
        json!({
            "pings": self.pings,
            "unansweredRuns": self.runs.iter().map(|(run, count)| json!({"pings": run, "count": count})).collect::<Vec<_>>(),
            "takenForLost": self.taken_for_lost(heartbeat.retries),
            "gaps": gaps.len(),
            "gapP50Ms": quantile(50),
            "gapP99Ms": quantile(99),
            "gapMaxMs": gaps.last(),
            "gapsAboveLost": gaps.iter().filter(|gap| u64::from(**gap) > lost_ms).count(),
            "lostAfterMs": lost_ms,
            "advice": self.advice(heartbeat.retries),
        })
    }

    /// Silences that healed by themselves and are, with so many retries, taken for a lost site.
    fn taken_for_lost(&self, retries: u32) -> u64 {
        self.runs.range(retries + 1..).map(|(_, count)| count).sum()
    }

    fn advice(&self, retries: u32) -> String {
        let longest = self.runs.keys().next_back().copied().unwrap_or(0);
        if self.pings < PINGS_MIN {
            return format!(
                "{} pings so far; from {PINGS_MIN} on they say something about watchdog.heartbeat",
                self.pings
            );
        }
        let taken = self.taken_for_lost(retries);
        let measured = format!("{} pings; the longest silence that healed was {longest}", self.pings);
        match () {
            () if taken > 0 => format!(
                "{measured}, and retries = {retries} took {taken} such silences for a lost site: retries = {} would not have",
                longest
            ),
            () if longest == retries => {
                format!("{measured}: retries = {retries} were just enough; one more would leave room")
            }
            () if longest + 1 < retries => format!(
                "{measured}: retries = {} would have been enough, and a lost site would be noticed sooner",
                longest + 1
            ),
            () => format!("{measured}: retries = {retries} suit this line"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(runs: &[u32]) -> Silences {
        let mut silences = Silences::default();
        (0..200).for_each(|_| silences.pinged(true));
        for run in runs {
            (0..*run).for_each(|_| silences.pinged(false));
            silences.pinged(true);
        }
        silences
    }

    fn advice(runs: &[u32]) -> String {
        measured(runs).report(&Heartbeat::default())["advice"].as_str().unwrap().to_owned()
    }

    #[test]
    fn the_advice_follows_from_the_longest_silence_that_healed() {
        assert!(advice(&[]).contains("retries = 1 would have been enough"), "{}", advice(&[]));
        assert!(advice(&[1, 2]).contains("retries = 3 would have been enough"));
        assert!(advice(&[3]).contains("suit this line"));
        assert!(advice(&[1, 4]).contains("just enough"));
        assert!(advice(&[6, 5]).contains("took 2 such silences for a lost site: retries = 6 would not have"));
        assert!(
            Silences::default().report(&Heartbeat::default())["advice"]
                .as_str()
                .unwrap()
                .contains("0 pings so far")
        );
    }

    #[test]
    fn a_silence_that_goes_on_is_not_counted_as_healed() {
        let mut silences = measured(&[]);
        (0..500).for_each(|_| silences.pinged(false));
        assert!(silences.report(&Heartbeat::default())["unansweredRuns"].as_array().unwrap().is_empty());
        silences.pinged(true);
        let report = silences.report(&Heartbeat::default());
        assert_eq!(report["unansweredRuns"][0]["pings"], RUN_MAX);
        assert_eq!(report["takenForLost"], 1);
    }

    #[test]
    fn gaps_are_told_by_their_quantiles_and_only_the_newest_count() {
        let mut silences = Silences::default();
        let mut at_us = 0;
        for gap_ms in (0..5_000).map(|number| if number == 4_999 { 90_000 } else { 30_000 }) {
            at_us += gap_ms * 1_000;
            silences.heard(at_us);
        }
        let report = silences.report(&Heartbeat::default());
        assert_eq!(report["gaps"], GAPS_MAX);
        assert_eq!((&report["gapP50Ms"], &report["gapMaxMs"]), (&json!(30_000), &json!(90_000)));
        assert_eq!(report["gapsAboveLost"], 1, "90 s are more than 30 + 5 × 5 s");
        assert_eq!(Silences::default().report(&Heartbeat::default())["gapP50Ms"], Value::Null);
    }
}
