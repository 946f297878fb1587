//! What becomes of a received packet: a verified message, or a refusal that is counted by its reason.

use serde::Serialize;

use super::replay::{Arrival, Refusal, Stamp, Window};
use super::wire::{self, Key, Message, WireError};

/// Packets that were not taken since the start, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    /// No heartbeat of ours.
    pub malformed: u64,
    /// Signed with another key, or changed on the way.
    pub wrong_key: u64,
    /// Signed with our key, of another version of the program.
    pub other_version: u64,
    /// Says that it comes from a site with our own index: a reflection, or both sites have one `site.index`.
    pub own_index: u64,
    /// Sent too far from our clock.
    pub stale: u64,
    /// Old, or of an earlier start of the other site.
    pub replayed: u64,
    /// Received already; harmless where two addresses lead to one node.
    pub duplicate: u64,
}

impl Rejected {
    /// Those that an operator should look at.
    pub const fn worrying(&self) -> u64 {
        self.malformed + self.wrong_key + self.other_version + self.own_index + self.stale + self.replayed
    }
}

/// Why a packet was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It is no message signed with our key.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// It is not new.
    #[error(transparent)]
    Replay(#[from] Refusal),
    /// It has our own index.
    #[error("the heartbeat says site.index = {0}, which is ours; one site must have 0, the other 1")]
    OwnIndex(u8),
}

/// The receiving side of a link.
#[derive(Debug, Clone)]
pub struct Inbox {
    key: Key,
    own_index: u8,
    window: Window,
    rejected: Rejected,
}

impl Inbox {
    /// An inbox that has heard nothing.
    pub fn new(key: Key, own_index: u8) -> Self {
        Self { key, own_index, window: Window::default(), rejected: Rejected::default() }
    }

    /// The same memory, with another key.
    #[must_use]
    pub fn with_key(&self, key: Key, own_index: u8) -> Self {
        Self { key, own_index, ..self.clone() }
    }

    /// Takes a packet.
    ///
    /// # Errors
    /// When it is not a new message of the other site; it is counted.
    pub fn take(&mut self, bytes: &[u8], now: Arrival) -> Result<Message, Rejection> {
        let taken = self.verified(bytes, now);
        if let Err(why) = &taken {
            *self.counter(*why) += 1;
        }
        taken
    }

    fn verified(&mut self, bytes: &[u8], now: Arrival) -> Result<Message, Rejection> {
        let message = wire::decode(bytes, &self.key)?;
        if message.site_index == self.own_index {
            return Err(Rejection::OwnIndex(self.own_index));
        }
        let Message { instance, started_ms, sequence, wall_ms, .. } = message;
        self.window.accept(Stamp { instance, started_ms, sequence, wall_ms }, now)?;
        Ok(message)
    }

    const fn counter(&mut self, why: Rejection) -> &mut u64 {
        let rejected = &mut self.rejected;
        match why {
            Rejection::Wire(WireError::Signature) => &mut rejected.wrong_key,
            Rejection::Wire(WireError::Version(_)) => &mut rejected.other_version,
            Rejection::Wire(
                WireError::Length(_) | WireError::Magic | WireError::Field(..) | WireError::Extensions,
            ) => &mut rejected.malformed,
            Rejection::OwnIndex(_) => &mut rejected.own_index,
            Rejection::Replay(Refusal::Skew(_)) => &mut rejected.stale,
            Rejection::Replay(Refusal::Old | Refusal::EarlierStart) => &mut rejected.replayed,
            Rejection::Replay(Refusal::Duplicate) => &mut rejected.duplicate,
        }
    }

    /// What was refused so far.
    pub const fn rejected(&self) -> Rejected {
        self.rejected
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dr_watchdog_core::transitions::Phase;

    const NOW: Arrival = Arrival { wall_ms: 1_767_268_800_000, mono_ms: 1 };

    fn message(sequence: u64) -> Message {
        Message {
            site_index: 1,
            phase: Phase::Standby,
            automatic_failover: true,
            instance: 1,
            started_ms: NOW.wall_ms - 1_000,
            sequence,
            wall_ms: NOW.wall_ms,
            epoch: 2,
            config_hash: [0; 16],
            turn: None,
        }
    }

    #[test]
    fn every_refusal_is_counted_under_its_reason() {
        let key = || Key::new(b"0123456789abcdef");
        let mut inbox = Inbox::new(key(), 0);
        let signed = |message: &Message| wire::encode(message, &key());
        assert_eq!(inbox.take(&signed(&message(100)), NOW), Ok(message(100)));
        let packets = [
            b"hello".to_vec(),
            wire::encode(&message(101), &Key::new(b"fedcba9876543210")),
            signed(&Message { site_index: 0, ..message(101) }),
            signed(&Message { wall_ms: 0, ..message(101) }),
            signed(&message(1)),
            signed(&Message { instance: 2, started_ms: 1, ..message(101) }),
            signed(&message(100)),
        ];
        for packet in &packets {
            assert!(inbox.take(packet, NOW).is_err());
        }
        let expected = Rejected {
            malformed: 1,
            wrong_key: 1,
            other_version: 0,
            own_index: 1,
            stale: 1,
            replayed: 2,
            duplicate: 1,
        };
        assert_eq!(inbox.rejected(), expected);
        assert_eq!(expected.worrying(), 6);
        let rekeyed = inbox.with_key(Key::new(b"fedcba9876543210"), 0);
        assert_eq!(rekeyed.rejected(), expected);
    }
}
