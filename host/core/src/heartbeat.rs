//! The heartbeat round: one ping and its retries, then the other load-balancer nodes (`domain.md` 3.1).

use std::time::Duration;

use crate::effect::{Effect, PingTargets};
use crate::settings::Heartbeat;
use crate::time::Moment;

/// What is known of the other site's reachability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// No round has ended yet.
    Unknown,
    /// It answers.
    Up {
        /// Only a node answered, not the VIP: the other site moves its VIP.
        local_failover: bool,
    },
    /// Nothing answers.
    Lost {
        /// Since when.
        since: Moment,
    },
}

/// A try that was found late by no more than this takes the lateness off the next one, so that five timers of a
/// round do not add up five roundings; one that is later was paused, and the next try gets its full time.
const LATENESS_ABSORBED_MAX: Duration = Duration::from_millis(20);

/// What a signed heartbeat of the other site proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hearing {
    /// That it is alive: a standby must not take over from a site that speaks, even if it does not answer ping.
    IsLife,
    /// Nothing: an active that hears the other site may still be heard by nobody (a link that is cut one way), and
    /// then the other site is about to take over. Only an answer shows that both ways are open.
    IsNothing,
}

/// Where the current round is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Resting,
    Vip { tries_left: u32 },
    Nodes,
}

/// The rounds.
#[derive(Debug, Clone)]
pub struct Rounds {
    stage: Stage,
    /// Start of the current round, or of the last one.
    started: Moment,
    next: Moment,
    /// Id of the ping that is awaited.
    ping: u64,
    /// When that ping is over if nothing answers.
    ping_until: Moment,
    /// When the other site was last heard by a signed heartbeat.
    heard: Option<Moment>,
    /// What the rounds have found so far.
    pub reach: Reach,
}

/// What the end of a ping means.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// It belongs to no round of now.
    Stale,
    /// The round goes on with this ping.
    Next(Box<Effect>),
    /// The round is over; `reach` says how.
    Over,
}

impl Rounds {
    /// The first round is due at once.
    pub const fn new(now: Moment) -> Self {
        Self {
            stage: Stage::Resting,
            started: now,
            next: now,
            ping: 0,
            ping_until: now,
            heard: None,
            reach: Reach::Unknown,
        }
    }

    /// When the next round is due; `None` while one runs.
    pub fn due(&self) -> Option<Moment> {
        (self.stage == Stage::Resting).then_some(self.next)
    }

    /// Whether a ping of the running round has been missed.
    pub const fn is_missing(&self, heartbeat: &Heartbeat) -> bool {
        match self.stage {
            Stage::Resting => false,
            Stage::Vip { tries_left } => tries_left + 1 < heartbeat.tries,
            Stage::Nodes => true,
        }
    }

    /// Begins a round.
    pub fn begin(&mut self, now: Moment, heartbeat: &Heartbeat) -> Effect {
        self.started = now;
        self.next = now.plus(heartbeat.interval);
        self.stage = Stage::Vip { tries_left: heartbeat.tries.saturating_sub(1) };
        self.ping_until = now;
        self.ping_vip(now, heartbeat)
    }

    fn ping_vip(&mut self, now: Moment, heartbeat: &Heartbeat) -> Effect {
        let late = now.since(self.ping_until);
        let begun = if late <= LATENESS_ABSORBED_MAX { self.ping_until } else { now };
        self.ping_until = begun.plus(heartbeat.timeout);
        self.ping += 1;
        let timeout = self.ping_until.since(now);
        Effect::PingPeer { ping: self.ping, targets: PingTargets::Vip, timeout, tries: 1 }
    }

    /// Takes the end of a ping.
    pub fn ping_ended(
        &mut self,
        now: Moment,
        ping: u64,
        answered: bool,
        heartbeat: &Heartbeat,
        has_nodes: bool,
        hearing: Hearing,
    ) -> Step {
        if ping != self.ping {
            return Step::Stale;
        }
        match self.stage {
            Stage::Resting => Step::Stale,
            Stage::Vip { .. } | Stage::Nodes if answered => {
                self.over(Reach::Up { local_failover: self.stage == Stage::Nodes })
            }
            Stage::Vip { tries_left: 0 } if has_nodes => {
                self.stage = Stage::Nodes;
                self.ping += 1;
                let (timeout, tries) = (heartbeat.timeout, heartbeat.tries);
                Step::Next(Box::new(Effect::PingPeer {
                    ping: self.ping,
                    targets: PingTargets::Nodes,
                    timeout,
                    tries,
                }))
            }
            Stage::Vip { tries_left: 0 } | Stage::Nodes => self.missed(now, hearing),
            Stage::Vip { tries_left } => {
                self.stage = Stage::Vip { tries_left: tries_left - 1 };
                Step::Next(Box::new(self.ping_vip(now, heartbeat)))
            }
        }
    }

    /// Nothing answered ping; where it counts, a signed heartbeat since the round began proves the site alive.
    fn missed(&mut self, now: Moment, hearing: Hearing) -> Step {
        let was_heard = self.heard.is_some_and(|heard| heard >= self.started);
        if was_heard && hearing == Hearing::IsLife {
            return self.over(Reach::Up { local_failover: false });
        }
        let since = match self.reach {
            Reach::Lost { since } => since,
            Reach::Unknown | Reach::Up { .. } => now,
        };
        self.over(Reach::Lost { since })
    }

    fn over(&mut self, reach: Reach) -> Step {
        self.reach = reach;
        self.stage = Stage::Resting;
        Step::Over
    }

    /// Takes a signed heartbeat: where it counts, a lost site that speaks is not lost.
    pub fn heard(&mut self, now: Moment, hearing: Hearing) {
        self.heard = Some(now);
        if matches!(self.reach, Reach::Lost { .. }) && hearing == Hearing::IsLife {
            self.reach = Reach::Up { local_failover: false };
        }
    }

    /// How long ago a signed heartbeat was heard.
    pub fn heard_within(&self, now: Moment, span: Duration) -> bool {
        self.heard.is_some_and(|heard| now.since(heard) <= span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARTBEAT: Heartbeat =
        Heartbeat { interval: Duration::from_secs(30), timeout: Duration::from_secs(5), tries: 5 };

    fn at(seconds: u64) -> Moment {
        Moment::from_us(seconds * 1_000_000)
    }

    fn miss(rounds: &mut Rounds, seconds: u64, has_nodes: bool) -> Step {
        rounds.ping_ended(at(seconds), rounds.ping, false, &HEARTBEAT, has_nodes, Hearing::IsLife)
    }

    #[test]
    fn one_try_and_four_retries_then_the_site_is_lost() {
        let mut rounds = Rounds::new(at(0));
        rounds.begin(at(0), &HEARTBEAT);
        assert!(!rounds.is_missing(&HEARTBEAT));
        for seconds in [5, 10, 15, 20] {
            assert!(matches!(miss(&mut rounds, seconds, false), Step::Next(_)));
            assert!(rounds.is_missing(&HEARTBEAT));
        }
        assert_eq!(miss(&mut rounds, 25, false), Step::Over);
        assert_eq!(rounds.reach, Reach::Lost { since: at(25) });
        assert_eq!(rounds.due(), Some(at(30)));
    }

    #[test]
    fn a_late_timer_does_not_make_the_round_longer_and_a_pause_does_not_make_a_try_shorter() {
        let mut rounds = Rounds::new(at(0));
        rounds.begin(at(0), &HEARTBEAT);
        let timeout_after = |rounds: &mut Rounds, ms: u64| {
            let now = Moment::from_us(ms * 1_000);
            match rounds.ping_ended(now, rounds.ping, false, &HEARTBEAT, false, Hearing::IsLife) {
                Step::Next(effect) => match *effect {
                    Effect::PingPeer { timeout, .. } => timeout,
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(timeout_after(&mut rounds, 5_002), Duration::from_millis(4_998));
        assert_eq!(timeout_after(&mut rounds, 10_001), Duration::from_millis(4_999));
        assert_eq!(timeout_after(&mut rounds, 45_000), Duration::from_secs(5), "the program was paused");
    }

    #[test]
    fn a_node_that_answers_is_a_local_failover() {
        let mut rounds = Rounds::new(at(0));
        rounds.begin(at(0), &HEARTBEAT);
        for seconds in [5, 10, 15, 20] {
            miss(&mut rounds, seconds, true);
        }
        let Step::Next(effect) = miss(&mut rounds, 25, true) else {
            panic!("the nodes are pinged after the VIP");
        };
        let Effect::PingPeer { targets, tries, .. } = *effect else { panic!("it is a ping") };
        assert_eq!((targets, tries), (PingTargets::Nodes, 5));
        assert_eq!(
            rounds.ping_ended(at(26), rounds.ping, true, &HEARTBEAT, true, Hearing::IsLife),
            Step::Over
        );
        assert_eq!(rounds.reach, Reach::Up { local_failover: true });
    }

    #[test]
    fn a_signed_heartbeat_during_the_round_keeps_a_site_that_blocks_ping() {
        let mut rounds = Rounds::new(at(0));
        rounds.begin(at(0), &HEARTBEAT);
        rounds.heard(at(1), Hearing::IsLife);
        for seconds in [5, 10, 15, 20, 25] {
            miss(&mut rounds, seconds, false);
        }
        assert_eq!(rounds.reach, Reach::Up { local_failover: false });
    }

    #[test]
    fn an_active_that_hears_a_site_which_does_not_answer_has_lost_it() {
        let mut rounds = Rounds::new(at(0));
        rounds.begin(at(0), &HEARTBEAT);
        rounds.heard(at(1), Hearing::IsNothing);
        for seconds in [5, 10, 15, 20, 25] {
            rounds.ping_ended(at(seconds), rounds.ping, false, &HEARTBEAT, false, Hearing::IsNothing);
        }
        assert_eq!(rounds.reach, Reach::Lost { since: at(25) });
        rounds.heard(at(26), Hearing::IsNothing);
        assert_eq!(rounds.reach, Reach::Lost { since: at(25) });
        rounds.heard(at(27), Hearing::IsLife);
        assert_eq!(rounds.reach, Reach::Up { local_failover: false }, "it has become standby");
    }

    #[test]
    fn an_answer_of_an_earlier_ping_is_stale() {
        let mut rounds = Rounds::new(at(0));
        rounds.begin(at(0), &HEARTBEAT);
        let first = rounds.ping;
        miss(&mut rounds, 5, false);
        assert_eq!(rounds.ping_ended(at(6), first, true, &HEARTBEAT, false, Hearing::IsLife), Step::Stale);
    }
}
