//! How the operator's switch was turned last, as an extension of the heartbeat.
//!
//! Layout, all numbers big-endian: turns (8), site index (1), kind (1: 0 = on, 1 = off, 2 = off until), end (8),
//! since (8), then author and reason, each as length (2) and UTF-8. The last four are there only where it is off.

use dr_watchdog_core::automatic::Turn;
use dr_watchdog_core::durable::OperatorOff;
use dr_watchdog_sdk::Utc;

use super::{Fields, WireError};

/// Most bytes of an author and of a reason; what is longer is cut for the other site, so that every heartbeat fits
/// into one packet.
const AUTHOR_BYTES_MAX: usize = 100;
const REASON_BYTES_MAX: usize = 400;

const ON: u8 = 0;
const OFF: u8 = 1;
const OFF_UNTIL: u8 = 2;

/// The content of the extension.
pub(super) fn encode(turn: &Turn) -> Vec<u8> {
    let mut bytes = turn.count.to_be_bytes().to_vec();
    bytes.push(turn.site_index);
    let Some(off) = &turn.off else {
        bytes.push(ON);
        return bytes;
    };
    bytes.push(if off.until.is_some() { OFF_UNTIL } else { OFF });
    for instant in [off.until.unwrap_or_default(), off.since] {
        bytes.extend(instant.unix_ms().to_be_bytes());
    }
    for (text, bytes_max) in [(&off.by, AUTHOR_BYTES_MAX), (&off.reason, REASON_BYTES_MAX)] {
        let text = cut(text, bytes_max);
        // It has at most 400 bytes.
        bytes.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend(text.bytes());
    }
    bytes
}

/// The beginning of a text, whole characters only.
fn cut(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

/// Reads the content of the extension; what a later program appends is ignored.
pub(super) fn decode(content: &[u8]) -> Result<Turn, WireError> {
    let mut fields = Fields(content);
    let count = fields.number()?;
    let [site_index, kind] = fields.take()?;
    if site_index > 1 {
        return Err(WireError::Field("site index of a switch", site_index.into()));
    }
    if kind == ON {
        return Ok(Turn { count, site_index, off: None });
    }
    if kind > OFF_UNTIL {
        return Err(WireError::Field("kind of a switch", kind.into()));
    }
    let end = instant(&mut fields)?;
    let off = OperatorOff {
        until: (kind == OFF_UNTIL).then_some(end),
        since: instant(&mut fields)?,
        by: text(&mut fields)?,
        reason: text(&mut fields)?,
    };
    Ok(Turn { count, site_index, off: Some(off) })
}

fn instant(fields: &mut Fields<'_>) -> Result<Utc, WireError> {
    fields.take().map(i64::from_be_bytes).map(Utc::from_unix_ms)
}

fn text(fields: &mut Fields<'_>) -> Result<String, WireError> {
    let length = usize::from(u16::from_be_bytes(fields.take()?));
    let (text, rest) = fields.0.split_at_checked(length).ok_or(WireError::Extensions)?;
    fields.0 = rest;
    String::from_utf8(text.to_vec()).map_err(|_| WireError::Extensions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn off(until: Option<Utc>, reason: &str) -> Turn {
        let since = Utc::from_unix_ms(1_767_225_600_000);
        let off = OperatorOff { until, reason: reason.to_owned(), by: "ops at site a".to_owned(), since };
        Turn { count: 7, site_index: 1, off: Some(off) }
    }

    #[test]
    fn every_turn_comes_back_as_it_was_said() {
        let until = Some(Utc::from_unix_ms(1_767_229_200_000));
        for turn in [Turn::default(), Turn { off: None, ..off(None, "") }, off(None, "Umbau"), off(until, "")]
        {
            assert_eq!(decode(&encode(&turn)), Ok(turn));
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_two_characters() {
        let said = decode(&encode(&off(None, &"ä".repeat(1_000)))).unwrap();
        assert_eq!(said.off.unwrap().reason, "ä".repeat(REASON_BYTES_MAX / 2));
    }

    #[test]
    fn every_cut_and_every_field_out_of_its_range_is_refused() {
        let good = encode(&off(None, "work"));
        for length in 0..good.len() {
            assert!(decode(&good[..length]).is_err(), "{length} bytes");
        }
        for (index, value) in [(8, 2), (9, 3), (good.len() - 1, 0xff)] {
            let mut bad = good.clone();
            bad[index] = value;
            assert!(decode(&bad).is_err(), "byte {index}");
        }
    }
}
