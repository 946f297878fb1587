//! Whether a signed message is new: the guard against recorded and repeated packets.
//!
//! Three rules, each for what the others cannot see:
//!
//! 1. Within one start of the sender, a sequence number is accepted once, and none far below the highest.
//! 2. A message of another start is accepted only if that start was later: a packet recorded in an earlier run of the
//!    sender is refused although its numbers may be higher.
//! 3. A message whose send time is further than [`SKEW_MAX_MS`] from our clock is refused. This is what remains after
//!    *our* restart: the window is empty then, so a recorded packet of the last [`SKEW_MAX_MS`] could be accepted once
//!    more. What it can say is bounded too: an epoch of those minutes, and only a higher epoch than ours moves us.

/// Sequence numbers below the highest that may still arrive, one bit each.
const WINDOW: u64 = 64;
/// How far the clocks of the sites may be apart: ten minutes. NTP holds milliseconds, a machine that just started
/// without it is off by seconds to minutes; more would only lengthen the life of a recorded packet.
pub const SKEW_MAX_MS: u64 = 10 * 60 * 1_000;
/// Silence after which the last start of the sender is forgotten. A sender whose clock was set back would otherwise
/// never be heard again. By then whatever was recorded before is out of date by rule 3: it was sent before the last
/// message that we accepted, which was at most one skew ahead of our clock, more than two skews ago.
const FORGET_AFTER_MS: u64 = 2 * SKEW_MAX_MS + 1_000;

/// Why a signed message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It was accepted already; usual where two addresses lead to one node.
    #[error("the heartbeat was received already")]
    Duplicate,
    /// Its number is too far below the highest.
    #[error("the heartbeat is older than the {WINDOW} newest")]
    Old,
    /// It belongs to an earlier start of the sender.
    #[error("the heartbeat belongs to an earlier start of the other site")]
    EarlierStart,
    /// The clocks are too far apart, or it was recorded.
    #[error("the heartbeat was sent {} s from our clock; set the clocks of both sites by NTP", .0 / 1_000)]
    Skew(u64),
}

/// What identifies a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Which start of the sender.
    pub instance: u64,
    /// When that start was, by the sender's wall clock.
    pub started_ms: u64,
    /// Which message of it.
    pub sequence: u64,
    /// When it was sent, by the sender's wall clock.
    pub wall_ms: u64,
}

/// Our clocks when a message arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Wall clock, milliseconds since 1970.
    pub wall_ms: u64,
    /// A clock that nobody sets.
    pub mono_ms: u64,
}

/// The newest start that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Heard {
    instance: u64,
    started_ms: u64,
    highest: u64,
    /// Bit n: `highest - n` was accepted.
    seen: u64,
    accepted_mono_ms: u64,
}

/// What was accepted so far. Empty after a restart of this site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    heard: Option<Heard>,
}

impl Window {
    /// Takes a message whose signature was found right.
    ///
    /// # Errors
    /// When it is not new; then nothing has changed.
    pub fn accept(&mut self, stamp: Stamp, now: Arrival) -> Result<(), Refusal> {
        let skew = stamp.wall_ms.abs_diff(now.wall_ms);
        if skew > SKEW_MAX_MS {
            return Err(Refusal::Skew(skew));
        }
        let fresh = Heard {
            instance: stamp.instance,
            started_ms: stamp.started_ms,
            highest: stamp.sequence,
            seen: 1,
            accepted_mono_ms: now.mono_ms,
        };
        let next = match self.heard {
            None => fresh,
            Some(heard) if heard.instance == stamp.instance => {
                Heard { accepted_mono_ms: now.mono_ms, ..with_sequence(heard, stamp.sequence)? }
            }
            Some(heard) => {
                let is_forgotten = now.mono_ms.saturating_sub(heard.accepted_mono_ms) > FORGET_AFTER_MS;
                if stamp.started_ms <= heard.started_ms && !is_forgotten {
                    return Err(Refusal::EarlierStart);
                }
                fresh
            }
        };
        self.heard = Some(next);
        Ok(())
    }
}

fn with_sequence(heard: Heard, sequence: u64) -> Result<Heard, Refusal> {
    if sequence > heard.highest {
        let ahead = sequence - heard.highest;
        let shifted = if ahead < WINDOW { heard.seen << ahead } else { 0 };
        return Ok(Heard { highest: sequence, seen: shifted | 1, ..heard });
    }
    let behind = heard.highest - sequence;
    if behind >= WINDOW {
        return Err(Refusal::Old);
    }
    let bit = 1 << behind;
    if heard.seen & bit != 0 {
        Err(Refusal::Duplicate)
    } else {
        Ok(Heard { seen: heard.seen | bit, ..heard })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const NOON_MS: u64 = 1_767_268_800_000;

    fn stamp(instance: u64, started_ms: u64, sequence: u64) -> Stamp {
        Stamp { instance, started_ms, sequence, wall_ms: NOON_MS }
    }

    fn at(seconds: u64) -> Arrival {
        Arrival { wall_ms: NOON_MS + seconds * 1_000, mono_ms: 5_000 + seconds * 1_000 }
    }

    #[test]
    fn a_number_is_accepted_once_in_any_order_within_the_window() {
        let mut window = Window::default();
        let mut accept = |sequence| window.accept(stamp(1, 1, sequence), at(0));
        assert_eq!(accept(10), Ok(()));
        assert_eq!(accept(12), Ok(()));
        assert_eq!(accept(11), Ok(()));
        assert_eq!(accept(11), Err(Refusal::Duplicate));
        assert_eq!(accept(12), Err(Refusal::Duplicate));
        assert_eq!(accept(75), Ok(()));
        assert_eq!(accept(12), Err(Refusal::Duplicate));
        assert_eq!(accept(11), Err(Refusal::Old));
        assert_eq!(accept(13), Ok(()));
        assert_eq!(accept(u64::MAX), Ok(()));
        assert_eq!(accept(75), Err(Refusal::Old));
        assert_eq!(accept(u64::MAX - 63), Ok(()));
    }

    #[test]
    fn it_agrees_with_a_set_of_all_accepted_numbers_over_random_orders() {
        // A fixed multiplicative generator: the run is the same every time.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let (mut window, mut accepted, mut highest) = (Window::default(), BTreeSet::new(), 0_u64);
        for _ in 0..20_000 {
            let sequence = (highest + 3).saturating_sub(next(80));
            let expected = if accepted.contains(&sequence) && highest - sequence < WINDOW {
                Err(Refusal::Duplicate)
            } else if highest >= sequence + WINDOW {
                Err(Refusal::Old)
            } else {
                Ok(())
            };
            let expected = if accepted.is_empty() { Ok(()) } else { expected };
            assert_eq!(window.accept(stamp(1, 1, sequence), at(0)), expected, "{sequence} after {highest}");
            if expected.is_ok() {
                accepted.insert(sequence);
                highest = highest.max(sequence);
            }
        }
    }

    #[test]
    fn only_a_later_start_replaces_the_known_one() {
        let mut window = Window::default();
        assert_eq!(window.accept(stamp(1, 100, 900), at(0)), Ok(()));
        assert_eq!(window.accept(stamp(2, 100, 901), at(1)), Err(Refusal::EarlierStart));
        assert_eq!(window.accept(stamp(2, 99, 901), at(1)), Err(Refusal::EarlierStart));
        assert_eq!(window.accept(stamp(2, 101, 1), at(1)), Ok(()));
        assert_eq!(window.accept(stamp(1, 100, 902), at(1)), Err(Refusal::EarlierStart));
        assert_eq!(window.accept(stamp(2, 101, 2), at(1)), Ok(()));
    }

    #[test]
    fn a_sender_whose_clock_was_set_back_is_heard_again_after_a_silence_but_no_recorded_packet_is() {
        let mut window = Window::default();
        assert_eq!(window.accept(stamp(1, 100, 5), at(0)), Ok(()));
        let after_s = FORGET_AFTER_MS / 1_000 + 1;
        let recorded = stamp(9, 50, 5);
        assert!(matches!(window.accept(recorded, at(after_s)), Err(Refusal::Skew(_))));
        let sent_now = Stamp { wall_ms: at(after_s).wall_ms, ..stamp(2, 50, 1) };
        assert_eq!(
            window.accept(Stamp { wall_ms: at(60).wall_ms, ..sent_now }, at(60)),
            Err(Refusal::EarlierStart)
        );
        assert_eq!(window.accept(sent_now, at(after_s)), Ok(()));
    }

    #[test]
    fn after_our_restart_only_fresh_messages_are_taken() {
        let skew_s = SKEW_MAX_MS / 1_000;
        assert_eq!(Window::default().accept(stamp(1, 1, 1), at(skew_s)), Ok(()));
        assert_eq!(
            Window::default().accept(stamp(1, 1, 1), at(skew_s + 1)),
            Err(Refusal::Skew(SKEW_MAX_MS + 1_000))
        );
        let ahead = Stamp { wall_ms: NOON_MS + SKEW_MAX_MS + 1, ..stamp(1, 1, 1) };
        assert_eq!(Window::default().accept(ahead, at(0)), Err(Refusal::Skew(SKEW_MAX_MS + 1)));
    }

    #[test]
    fn a_refused_message_changes_nothing() {
        let mut window = Window::default();
        window.accept(stamp(1, 100, 5), at(0)).unwrap();
        let before = window;
        for refused in [stamp(1, 100, 5), stamp(2, 99, 6), Stamp { wall_ms: 0, ..stamp(1, 100, 6) }] {
            assert!(window.accept(refused, at(1)).is_err());
            assert_eq!(window, before);
        }
    }
}
