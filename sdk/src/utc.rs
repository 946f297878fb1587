//! A UTC instant as the contract writes it: `2026-01-01T00:00:00+00:00`.
//!
//! Deliberately small: no time zones, no leap seconds, no formatting options. Policies exchange instants as text,
//! so the only jobs are to read every spelling an old script may print and to write exactly one.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MS_PER_S: i64 = 1_000;
const S_PER_DAY: i64 = 86_400;
/// The last instant that the text form can hold, with its four digits for the year: 9999-12-31T23:59:59.
const LAST_MS: i64 = 253_402_300_799_000;
/// The first one: 0001-01-01T00:00:00.
const FIRST_MS: i64 = -62_135_596_800_000;

/// Milliseconds since 1970-01-01T00:00:00 UTC. The text form has whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Utc {
    unix_ms: i64,
}

impl Utc {
    /// An instant from milliseconds since the Unix epoch.
    pub const fn from_unix_ms(unix_ms: i64) -> Self {
        Self { unix_ms }
    }

    /// Milliseconds since the Unix epoch.
    pub const fn unix_ms(self) -> i64 {
        self.unix_ms
    }

    /// The last instant that can be written; what lies beyond it is written as this one. It means "for ever".
    pub const LAST: Self = Self { unix_ms: LAST_MS };

    /// This instant moved forward by `seconds`, at most to the last one that can be written.
    #[must_use]
    pub const fn plus_s(self, seconds: u64) -> Self {
        let seconds = if seconds > LAST_MS as u64 { LAST_MS } else { seconds as i64 };
        let ms = self.unix_ms.saturating_add(seconds.saturating_mul(MS_PER_S));
        Self { unix_ms: if ms > LAST_MS { LAST_MS } else { ms } }
    }

    /// Reads RFC 3339 with `+00:00` or `Z`; also without seconds, with fractions, and with a blank instead of `T`,
    /// because the manual prints `YYYY-MM-DD` and `HH:MM+00:00` (reading A19).
    ///
    /// # Errors
    /// When the text is no such instant, or names an offset other than UTC.
    pub fn parse(text: &str) -> Result<Self, UtcError> {
        let error = || UtcError { found: text.chars().take(64).collect() };
        let trimmed = text.trim();
        let body = trimmed
            .strip_suffix("+00:00")
            .or_else(|| trimmed.strip_suffix("-00:00"))
            .or_else(|| trimmed.strip_suffix(['Z', 'z']))
            .ok_or_else(error)?;
        let (date, time) = body.split_once(['T', 't', ' ']).ok_or_else(error)?;
        let date: Vec<i64> = digits(date, '-', &[4, 2, 2]).ok_or_else(error)?;
        let (time, fraction_ms) = match time.trim().split_once('.') {
            None => (time.trim(), 0),
            Some((whole, fraction)) => (whole, fraction_ms(fraction).ok_or_else(error)?),
        };
        let clock = match time.len() {
            5 => digits(time, ':', &[2, 2]).ok_or_else(error)?,
            _ => digits(time, ':', &[2, 2, 2]).ok_or_else(error)?,
        };
        let (year, month, day) = (date[0], date[1], date[2]);
        let (hour, minute, second) = (clock[0], clock[1], clock.get(2).copied().unwrap_or(0));
        let valid = year > 0
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        if !valid {
            return Err(error());
        }
        let seconds = days_from_civil(year, month, day) * S_PER_DAY + hour * 3_600 + minute * 60 + second;
        Ok(Self { unix_ms: seconds * MS_PER_S + fraction_ms })
    }
}

/// Text that is no UTC instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UtcError {
    /// What stood there (at most 64 characters).
    pub found: String,
}

impl fmt::Display for UtcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is no UTC instant; write it as 2026-01-01T00:00:00+00:00", self.found)
    }
}

impl std::error::Error for UtcError {}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.unix_ms.clamp(FIRST_MS, LAST_MS).div_euclid(MS_PER_S);
        let (days, rest) = (seconds.div_euclid(S_PER_DAY), seconds.rem_euclid(S_PER_DAY));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+00:00")
    }
}

impl FromStr for Utc {
    type Err = UtcError;
    fn from_str(text: &str) -> Result<Self, UtcError> {
        Self::parse(text)
    }
}

impl Serialize for Utc {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Utc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Utc {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Utc".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "UTC instant, written 2026-01-01T00:00:00+00:00" })
    }
}

fn digits(text: &str, separator: char, widths: &[usize]) -> Option<Vec<i64>> {
    let parts: Vec<&str> = text.split(separator).collect();
    let fits = parts.len() == widths.len()
        && parts
            .iter()
            .zip(widths)
            .all(|(part, width)| part.len() == *width && part.bytes().all(|byte| byte.is_ascii_digit()));
    fits.then(|| parts.iter().filter_map(|part| part.parse().ok()).collect())
}

fn fraction_ms(fraction: &str) -> Option<i64> {
    let plain = (1..=9).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| format!("{fraction:0<3}")[..3].parse().unwrap_or(0))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar. Years are counted from March, so that
/// the leap day is the last of its year; an era is 400 years of 146,097 days.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_one_instant_reads_the_same() {
        let expected = Utc::from_unix_ms(1_767_225_600_000);
        for text in [
            "2026-01-01T00:00:00+00:00",
            "2026-01-01T00:00:00Z",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00Z",
            "2026-01-01 00:00+00:00",
            "2026-01-01T00:00:00.000Z",
            " 2026-01-01T00:00:00-00:00 ",
        ] {
            assert_eq!(Utc::parse(text), Ok(expected), "{text}");
        }
        assert_eq!(expected.to_string(), "2026-01-01T00:00:00+00:00");
    }

    #[test]
    fn what_is_no_utc_instant_is_refused() {
        for text in [
            "",
            "now",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00+01:00",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:60Z",
            "26-01-01T00:00:00Z",
            "2026-01-01T0:00:00Z",
            "+026-01-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
        ] {
            assert!(Utc::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_lies_beyond_the_four_digits_of_a_year_is_the_last_instant() {
        let last = "9999-12-31T23:59:59+00:00";
        assert_eq!(Utc::LAST.to_string(), last);
        assert_eq!(Utc::parse(last), Ok(Utc::LAST));
        let late = Utc::parse("9999-12-31T20:00:00Z").unwrap();
        for seconds in [4 * 3_600 - 1, 8 * 3_600, u64::MAX] {
            assert_eq!(late.plus_s(seconds), Utc::LAST, "{seconds}");
        }
        assert_eq!(late.plus_s(3_600).to_string(), "9999-12-31T21:00:00+00:00");
        assert_eq!(Utc::from_unix_ms(i64::MAX).to_string(), last);
        assert_eq!(Utc::from_unix_ms(i64::MIN).to_string(), "0001-01-01T00:00:00+00:00");
    }

    #[test]
    fn text_and_number_are_inverse_over_eight_centuries() {
        let mut ms = -400 * 366 * S_PER_DAY * MS_PER_S / 10;
        for _ in 0..20_000 {
            let instant = Utc::from_unix_ms(ms);
            assert_eq!(Utc::parse(&instant.to_string()), Ok(instant));
            ms += 631_234_000;
        }
    }
}
