//! The signed heartbeat as bytes.
//!
//! Layout, all numbers big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | magic `DRWH` |
//! | 1 | version of the layout |
//! | 1 | site index, 0 or 1 |
//! | 1 | phase |
//! | 1 | flags: bit 0 automatic failover is on; the others are 0 and ignored by a reader |
//! | 8 | instance: random, one per start of the sender |
//! | 8 | start of the instance, milliseconds since 1970 on the sender's wall clock |
//! | 8 | sequence, from 1, one per message of the instance |
//! | 8 | the sender's wall clock when it sent |
//! | 8 | epoch |
//! | 16 | hash of the safety settings |
//! | 2 | length of the extensions |
//! | n | extensions, each: kind (1), length (2), content. Kind 1 is kept for the lease, kind 2 is how the operator's switch was turned last. Unknown kinds are skipped |
//! | 32 | HMAC-SHA-256 over everything before |
//!
//! The signature is looked at first: until it is right, the bytes say nothing, not even their version.

mod turn;

use std::fmt;

use dr_watchdog_core::automatic::Turn;
use dr_watchdog_core::transitions::Phase;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::config::HASH_BYTES;

const MAGIC: [u8; 4] = *b"DRWH";
/// The layout on this page.
pub const VERSION: u8 = 1;
const FIXED_BYTES: usize = 4 + 1 + 1 + 1 + 1 + 8 * 5 + HASH_BYTES + 2;
const TAG_BYTES: usize = 32;
/// Shortest message.
pub const MESSAGE_BYTES_MIN: usize = FIXED_BYTES + TAG_BYTES;
/// Longest message: fits into one packet on every path, so that no fragment can be lost.
pub const MESSAGE_BYTES_MAX: usize = 1_200;
const FLAG_AUTOMATIC_FAILOVER: u8 = 1;
/// The extension that says how the operator's switch was turned last.
const KIND_TURN: u8 = 2;

/// Every phase that is sent.
const PHASES: [Phase; 6] = [
    Phase::Standalone,
    Phase::Standby,
    Phase::Promoting,
    Phase::Active,
    Phase::Demoting,
    Phase::DemotionFailed,
];

/// What one heartbeat says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `site.index` of the sender.
    pub site_index: u8,
    /// What the sender is doing.
    pub phase: Phase,
    /// Whether its automatic failover is on.
    pub automatic_failover: bool,
    /// Which start of the sender.
    pub instance: u64,
    /// When that start was, in milliseconds since 1970.
    pub started_ms: u64,
    /// Which message of that start.
    pub sequence: u64,
    /// When it was sent, in milliseconds since 1970.
    pub wall_ms: u64,
    /// The highest epoch the sender has held.
    pub epoch: u64,
    /// Hash of its safety settings.
    pub config_hash: [u8; HASH_BYTES],
    /// How the operator's switch was turned last, as far as the sender knows; `None` = it does not say.
    pub turn: Option<Turn>,
}

/// Why bytes are no heartbeat of the other site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Too short or too long.
    #[error("{0} bytes are no heartbeat: it has {MESSAGE_BYTES_MIN} to {MESSAGE_BYTES_MAX}")]
    Length(usize),
    /// Another program's.
    #[error("the packet does not begin as a heartbeat does")]
    Magic,
    /// Another key, or changed on the way.
    #[error("the signature is wrong: the sites have different keys, or somebody changed the packet")]
    Signature,
    /// Signed with our key, of another layout.
    #[error("the heartbeat has layout {0}, this program reads {VERSION}; run the same version at both sites")]
    Version(u8),
    /// Signed with our key, with a field outside its range.
    #[error("the heartbeat holds {1} as {0}")]
    Field(&'static str, u64),
    /// Signed with our key, with lengths that do not add up.
    #[error("the lengths in the heartbeat do not add up")]
    Extensions,
}

/// The shared key, ready for use.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// A key from the bytes of `peer.heartbeatKey`.
    pub fn new(bytes: &[u8]) -> Self {
        /// Of SHA-256; HMAC itself defines that a longer key is hashed and a shorter one is filled with zeros.
        const BLOCK_BYTES: usize = 64;
        let mut block = [0; BLOCK_BYTES];
        if bytes.len() > BLOCK_BYTES {
            use sha2::Digest;
            block[..TAG_BYTES].copy_from_slice(&Sha256::digest(bytes));
        } else {
            block[..bytes.len()].copy_from_slice(bytes);
        }
        Self(Hmac::new(&block.into()))
    }

    fn tag(&self, bytes: &[u8]) -> [u8; TAG_BYTES] {
        let mut mac = self.0.clone();
        mac.update(bytes);
        mac.finalize().into_bytes().into()
    }

    /// In constant time, so that how long a refusal takes tells nothing.
    fn is_right(&self, bytes: &[u8], tag: &[u8]) -> bool {
        let mut mac = self.0.clone();
        mac.update(bytes);
        mac.verify_slice(tag).is_ok()
    }
}

/// The bytes of a heartbeat.
pub fn encode(message: &Message, key: &Key) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MESSAGE_BYTES_MIN);
    bytes.extend(MAGIC);
    let flags = if message.automatic_failover { FLAG_AUTOMATIC_FAILOVER } else { 0 };
    bytes.extend([VERSION, message.site_index, number(message.phase), flags]);
    let numbers = [message.instance, message.started_ms, message.sequence, message.wall_ms, message.epoch];
    for number in numbers {
        bytes.extend(number.to_be_bytes());
    }
    bytes.extend(message.config_hash);
    let turn = message.turn.as_ref().map(turn::encode);
    let extensions = turn.map(|content| extension(KIND_TURN, &content)).unwrap_or_default();
    bytes.extend(length_of(&extensions));
    bytes.extend(extensions);
    let tag = key.tag(&bytes);
    bytes.extend(tag);
    bytes
}

fn extension(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[kind], length_of(content).as_slice(), content].concat()
}

/// The lengths of what is written here are far below the longest message.
fn length_of(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes()
}

/// A number is never used again for another phase.
const fn number(phase: Phase) -> u8 {
    match phase {
        Phase::Standalone => 0,
        Phase::Standby => 1,
        Phase::Promoting => 2,
        Phase::Active => 3,
        Phase::Demoting => 4,
        Phase::DemotionFailed => 5,
    }
}

/// Reads a heartbeat.
///
/// # Errors
/// When the bytes are not signed with this key, or are no heartbeat that this program reads.
pub fn decode(bytes: &[u8], key: &Key) -> Result<Message, WireError> {
    if !(MESSAGE_BYTES_MIN..=MESSAGE_BYTES_MAX).contains(&bytes.len()) {
        return Err(WireError::Length(bytes.len()));
    }
    if bytes[..MAGIC.len()] != MAGIC {
        return Err(WireError::Magic);
    }
    let (signed, tag) = bytes.split_at(bytes.len() - TAG_BYTES);
    if !key.is_right(signed, tag) {
        return Err(WireError::Signature);
    }
    let mut fields = Fields(&signed[MAGIC.len()..]);
    let [version, site_index, phase, flags] = fields.take()?;
    if version != VERSION {
        return Err(WireError::Version(version));
    }
    if site_index > 1 {
        return Err(WireError::Field("site index", site_index.into()));
    }
    let known = PHASES.into_iter().find(|known| number(*known) == phase);
    let phase = known.ok_or(WireError::Field("phase", phase.into()))?;
    let mut message = Message {
        site_index,
        phase,
        automatic_failover: flags & FLAG_AUTOMATIC_FAILOVER != 0,
        instance: fields.number()?,
        started_ms: fields.number()?,
        sequence: fields.number()?,
        wall_ms: fields.number()?,
        epoch: fields.number()?,
        config_hash: fields.take()?,
        turn: None,
    };
    read_extensions(fields, &mut message)?;
    Ok(message)
}

/// Those of later programs are skipped; each says how long it is.
fn read_extensions(mut fields: Fields<'_>, message: &mut Message) -> Result<(), WireError> {
    let length = usize::from(u16::from_be_bytes(fields.take()?));
    if fields.0.len() != length {
        return Err(WireError::Extensions);
    }
    // Ends: every turn takes at least 3 bytes.
    while !fields.0.is_empty() {
        let [kind, high, low] = fields.take()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (content, rest) = fields.0.split_at_checked(length).ok_or(WireError::Extensions)?;
        fields.0 = rest;
        if kind == KIND_TURN {
            message.turn = Some(turn::decode(content)?);
        }
    }
    Ok(())
}

/// What is left of the message.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(WireError::Extensions)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<u64, WireError> {
        self.take().map(u64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message {
            site_index: 1,
            phase: Phase::Active,
            automatic_failover: true,
            instance: 0x0102_0304_0506_0708,
            started_ms: 1_767_225_600_000,
            sequence: 7,
            wall_ms: 1_767_225_607_000,
            epoch: 42,
            config_hash: *b"0123456789abcdef",
            turn: None,
        }
    }

    fn key() -> Key {
        Key::new(b"a key of the tests")
    }

    /// A message with these bytes, signed.
    fn signed(mut bytes: Vec<u8>) -> Vec<u8> {
        let tag = key().tag(&bytes);
        bytes.extend(tag);
        bytes
    }

    fn unsigned() -> Vec<u8> {
        let bytes = encode(&message(), &key());
        bytes[..bytes.len() - TAG_BYTES].to_vec()
    }

    #[test]
    fn what_was_encoded_is_decoded_for_every_phase() {
        for phase in PHASES {
            for automatic_failover in [false, true] {
                let sent = Message { phase, automatic_failover, ..message() };
                let bytes = encode(&sent, &key());
                assert_eq!(bytes.len(), MESSAGE_BYTES_MIN);
                assert_eq!(decode(&bytes, &key()), Ok(sent));
            }
        }
    }

    #[test]
    fn the_turn_of_the_switch_is_an_extension() {
        let sent = Message { turn: Some(Turn { count: 3, site_index: 0, off: None }), ..message() };
        let bytes = encode(&sent, &key());
        assert_eq!(&bytes[64..69], &[0, 13, KIND_TURN, 0, 10]);
        assert_eq!(decode(&bytes, &key()), Ok(sent));
    }

    #[test]
    fn every_phase_has_its_own_number() {
        assert_eq!(PHASES.map(number), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let bytes = encode(&message(), &key());
        assert_eq!(&bytes[..8], b"DRWH\x01\x01\x03\x01");
        assert_eq!(&bytes[8..16], &[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(&bytes[24..32], &7_u64.to_be_bytes());
        assert_eq!(&bytes[40..48], &42_u64.to_be_bytes());
        assert_eq!(&bytes[48..64], b"0123456789abcdef");
        assert_eq!(&bytes[64..66], &[0, 0]);
    }

    #[test]
    fn the_signature_is_hmac_sha_256() {
        // RFC 4231, test cases 2 and 6: a short key, and one longer than a block.
        let hex = |bytes: [u8; TAG_BYTES]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(
            hex(Key::new(b"Jefe").tag(b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(Key::new(&[0xaa; 131]).tag(b"Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn any_flipped_bit_and_any_other_length_is_refused() {
        let good = encode(&message(), &key());
        for index in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[index] ^= 1 << bit;
                let expected = if index < MAGIC.len() { WireError::Magic } else { WireError::Signature };
                assert_eq!(decode(&bad, &key()), Err(expected), "byte {index} bit {bit}");
            }
        }
        for length in 0..good.len() {
            assert_eq!(decode(&good[..length], &key()), Err(WireError::Length(length)));
        }
        for extra in 1..40 {
            let longer = [good.as_slice(), &vec![0; extra]].concat();
            assert_eq!(decode(&longer, &key()), Err(WireError::Signature));
        }
        let huge = vec![0; MESSAGE_BYTES_MAX + 1];
        assert_eq!(decode(&huge, &key()), Err(WireError::Length(MESSAGE_BYTES_MAX + 1)));
        assert_eq!(decode(&good, &Key::new(b"another key of the tests")), Err(WireError::Signature));
    }

    #[test]
    fn signed_nonsense_is_refused_by_its_field() {
        let with = |index: usize, value: u8| {
            let mut bytes = unsigned();
            bytes[index] = value;
            decode(&signed(bytes), &key())
        };
        assert_eq!(with(4, 2), Err(WireError::Version(2)));
        assert_eq!(with(5, 2), Err(WireError::Field("site index", 2)));
        assert_eq!(with(6, 6), Err(WireError::Field("phase", 6)));
        assert_eq!(with(65, 1), Err(WireError::Extensions));
        assert!(
            with(7, 0xff).is_ok_and(|message| message.automatic_failover),
            "flags of later programs are ignored"
        );
    }

    #[test]
    fn extensions_of_later_programs_are_skipped() {
        let with = |extensions: &[u8]| {
            let mut bytes = unsigned();
            bytes[65] = u8::try_from(extensions.len()).unwrap();
            bytes.extend(extensions);
            decode(&signed(bytes), &key())
        };
        assert_eq!(with(&[1, 0, 2, 9, 9, 77, 0, 0]), Ok(message()));
        for broken in [&[1][..], &[1, 0], &[1, 0, 2, 9], &[1, 0xff, 0xff, 0]] {
            assert_eq!(with(broken), Err(WireError::Extensions), "{broken:?}");
        }
    }
}
