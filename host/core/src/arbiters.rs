//! What this site has seen at its arbiters since it began to look.

use std::collections::BTreeMap;

use dr_watchdog_sdk::Utc;
use dr_watchdog_sdk::evidence::{ArbiterEvidence, Session, SshOutcome};

use crate::evidence::{Evidence, ManagedRule};
use crate::settings::Settings;
use crate::time::{Moment, Now};

/// What was seen, by position in the settings.
#[derive(Debug, Clone, Default)]
pub struct View {
    seen: Vec<Seen>,
    /// Since when every arbiter is looked at; `None` while nobody looks.
    looking_since: Option<Moment>,
}

/// What was seen at one arbiter.
#[derive(Debug, Clone, Default)]
struct Seen {
    ping: Option<Result<f64, String>>,
    last_good: Option<Utc>,
    look: Option<Result<Vec<Session>, (SshOutcome, String)>>,
    absent_since: Option<Utc>,
    hold_open: bool,
    /// The last known address that is asked, while no name server tells the present one.
    old_address: Option<String>,
    /// Which wrong key it showed; until it shows the expected one.
    alarm: Option<String>,
}

impl View {
    /// A view of so many arbiters, of which nothing is known.
    pub fn new(arbiters: usize) -> Self {
        Self { seen: vec![Seen::default(); arbiters], looking_since: None }
    }

    /// Makes room for arbiters that were added.
    pub fn grow(&mut self, arbiters: usize) {
        self.seen.resize(arbiters.max(self.seen.len()), Seen::default());
    }

    /// Begins a series of looks: what an earlier series saw no longer counts.
    pub fn begin_looking(&mut self, now: Moment) {
        self.looking_since = Some(now);
        for seen in &mut self.seen {
            seen.ping = None;
            seen.look = None;
            seen.absent_since = None;
        }
    }

    /// This site itself was stopped for so long that the silence of an arbiter is its own: what has not answered yet
    /// gets the whole deadline again. A series that was complete before stays so.
    pub fn excuse(&mut self, before: Moment, now: Moment, settings: &Settings) {
        if self.is_looking() && !self.is_complete(before, settings) {
            self.looking_since = Some(now);
        }
    }

    /// Ends the series.
    pub const fn end_looking(&mut self) {
        self.looking_since = None;
    }

    /// Whether a series runs.
    pub const fn is_looking(&self) -> bool {
        self.looking_since.is_some()
    }

    /// Takes the end of a ping. Unknown positions are those of an earlier configuration.
    pub fn pinged(&mut self, now: Utc, arbiter: usize, answer: Result<f64, String>) {
        if let Some(seen) = self.seen.get_mut(arbiter) {
            if answer.is_ok() {
                seen.last_good = Some(now);
            }
            seen.ping = Some(answer);
        }
    }

    /// Takes the end of a look; one that was on its way when the series ended is dropped.
    pub fn looked(
        &mut self,
        now: Utc,
        arbiter: usize,
        result: Result<Vec<Session>, (SshOutcome, String)>,
        rule: &ManagedRule,
    ) {
        let Some(seen) = self.seen.get_mut(arbiter).filter(|_| self.looking_since.is_some()) else {
            return;
        };
        if result.is_ok() {
            seen.alarm = None;
        }
        seen.absent_since = match &result {
            Ok(sessions) if !sessions.iter().any(|session| rule.is_peer(session)) => {
                seen.absent_since.or(Some(now))
            }
            _ => None,
        };
        seen.look = Some(result);
    }

    /// Takes that an arbiter is asked at its last known address, or at the present one again.
    pub fn address_aged(&mut self, arbiter: usize, old: Option<String>) {
        if let Some(seen) = self.seen.get_mut(arbiter) {
            seen.old_address = old;
        }
    }

    /// Takes a change of a held session.
    pub fn hold_changed(&mut self, arbiter: usize, is_open: bool) {
        if let Some(seen) = self.seen.get_mut(arbiter) {
            seen.hold_open = is_open;
            if is_open {
                seen.alarm = None;
            }
        }
    }

    /// Takes that an arbiter showed a wrong host key; whether that is news.
    pub fn key_changed(&mut self, arbiter: usize, why: String) -> bool {
        let Some(seen) = self.seen.get_mut(arbiter) else { return false };
        let is_news = seen.alarm.as_ref() != Some(&why);
        seen.alarm = Some(why);
        is_news
    }

    /// The arbiters that showed a wrong host key last, each with what it showed.
    pub fn alarms<'a>(&'a self, settings: &'a Settings) -> impl Iterator<Item = (&'a str, &'a str)> + 'a {
        let all = settings.arbiters.iter().zip(&self.seen);
        all.filter_map(|(name, seen)| Some((name.as_str(), seen.alarm.as_deref()?)))
    }

    /// Held sessions that are open.
    pub fn holds_open(&self) -> usize {
        self.seen.iter().filter(|seen| seen.hold_open).count()
    }

    /// When the evidence is complete at the latest: the end of the first round of looks of the series.
    pub fn complete_at(&self, settings: &Settings) -> Option<Moment> {
        self.looking_since.map(|since| since.plus(settings.look_round))
    }

    /// Whether every arbiter has answered or failed once in this series, or the deadline of its first look is over.
    pub fn is_complete(&self, now: Moment, settings: &Settings) -> bool {
        let all = self.seen.iter().all(|seen| seen.ping.is_some() && seen.look.is_some());
        match self.complete_at(settings) {
            None => false,
            Some(deadline) => all || now >= deadline,
        }
    }

    /// Arbiters that answered their last ping, and arbiters that have been pinged.
    pub fn pinged_count(&self) -> (u64, u64) {
        let answered = self.seen.iter().filter(|seen| matches!(seen.ping, Some(Ok(_)))).count();
        let pinged = self.seen.iter().filter(|seen| seen.ping.is_some()).count();
        (answered as u64, pinged as u64)
    }

    /// Why the silent arbiters did not answer their last ping: the most frequent reason, for the sentence that tells
    /// of them. It may be this site that is cut off.
    pub fn silence(&self) -> Option<String> {
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        for why in self.seen.iter().filter_map(|seen| seen.ping.as_ref()?.as_ref().err()) {
            *reasons.entry(why).or_default() += 1;
        }
        let (why, count) = reasons.into_iter().max_by_key(|(_, count)| *count)?;
        Some(format!("{count} × {why}"))
    }

    /// What is known of each arbiter, and nothing about what is not: whether it was pinged, looked at, held.
    pub fn known<'a>(
        &'a self,
        settings: &'a Settings,
    ) -> impl Iterator<Item = (&'a str, ArbiterEvidence, bool)> + 'a {
        settings.arbiters.iter().zip(&self.seen).map(|(name, seen)| {
            let mut evidence = seen.evidence();
            evidence.managed =
                evidence.sessions.as_ref().map(|sessions| settings.managed_rule.is_managed(sessions));
            (name.as_str(), evidence, seen.hold_open)
        })
    }

    /// The evidence as policies and gates see it.
    pub fn evidence(&self, now: Now, settings: &Settings) -> Evidence {
        let arbiters: BTreeMap<String, ArbiterEvidence> = settings
            .arbiters
            .iter()
            .zip(&self.seen)
            .map(|(name, seen)| (name.clone(), seen.evidence()))
            .collect();
        Evidence { time: now.wall, arbiters }.completed(&settings.arbiters, &settings.managed_rule)
    }
}

impl Seen {
    fn evidence(&self) -> ArbiterEvidence {
        let mut evidence = ArbiterEvidence {
            last_good: self.last_good,
            absent_since: self.absent_since,
            old_address: self.old_address.clone(),
            ..ArbiterEvidence::default()
        };
        match &self.ping {
            Some(Ok(rtt_ms)) => {
                evidence.ping = Some(true);
                evidence.rtt_ms = Some(*rtt_ms);
            }
            Some(Err(why)) => {
                evidence.ping = Some(false);
                evidence.why = Some(why.clone());
            }
            None => {}
        }
        match &self.look {
            Some(Ok(sessions)) => {
                evidence.ssh = Some(SshOutcome::Ok);
                evidence.sessions = Some(sessions.clone());
            }
            Some(Err((outcome, why))) => {
                evidence.ssh = Some(*outcome);
                evidence.ssh_error = Some(why.clone());
            }
            None => {}
        }
        evidence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_reason_of_a_silence_is_told() {
        let mut view = View::new(4);
        assert_eq!(view.silence(), None);
        let now = Utc::from_unix_ms(0);
        for (arbiter, answer) in
            [Ok(1.0), Err("timeout"), Err("no gateway"), Err("timeout")].into_iter().enumerate()
        {
            view.pinged(now, arbiter, answer.map_err(str::to_owned));
        }
        assert_eq!(view.silence().as_deref(), Some("2 × timeout"));
    }
}
