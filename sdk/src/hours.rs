//! The duration grammar of the manual's commands: `30m`, `8h`, `2` (hours), `0` (for ever).

use std::fmt;

/// The longest duration that is accepted: a hundred years in minutes, far below any overflow.
const MINUTES_MAX: u64 = 100 * 366 * 24 * 60;

/// A duration as reading A15 has it: digits, then `h`, `m` or nothing (hours). Any zero means "for ever".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hours {
    minutes: u64,
}

impl Hours {
    /// Reads the text form.
    ///
    /// # Errors
    /// When it is not digits with at most one `h` or `m` behind them, or is longer than a hundred years.
    pub fn parse(text: &str) -> Result<Self, HoursError> {
        let error = || HoursError { found: text.chars().take(32).collect() };
        let (digits, minutes_each) = match text.as_bytes().last() {
            Some(b'h') => (&text[..text.len() - 1], 60),
            Some(b'm') => (&text[..text.len() - 1], 1),
            _ => (text, 60),
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error());
        }
        let count: u64 = digits.parse().map_err(|_| error())?;
        match count.checked_mul(minutes_each) {
            Some(minutes) if minutes <= MINUTES_MAX => Ok(Self { minutes }),
            _ => Err(error()),
        }
    }

    /// Seconds, or `None` for "for ever".
    pub const fn seconds(self) -> Option<u64> {
        if self.minutes == 0 { None } else { Some(self.minutes * 60) }
    }
}

/// Text outside the grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoursError {
    found: String,
}

impl fmt::Display for HoursError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"{}\" is no duration; write 30m for minutes, 8h or 8 for hours (at most {}h), 0 for ever",
            self.found,
            MINUTES_MAX / 60
        )
    }
}

impl std::error::Error for HoursError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_of_the_manual() {
        let seconds = |text| Hours::parse(text).map(Hours::seconds);
        assert_eq!(seconds("1h"), Ok(Some(3_600)));
        assert_eq!(seconds("30m"), Ok(Some(1_800)));
        assert_eq!(seconds("2"), Ok(Some(7_200)));
        for forever in ["0", "0h", "0m", "00"] {
            assert_eq!(seconds(forever), Ok(None), "{forever}");
        }
        assert_eq!(seconds("878400h"), seconds("52704000m"), "a hundred years");
        for wrong in [
            "878401h",
            "52704001m",
            "",
            "h",
            "-1",
            "1.5h",
            "1d",
            "1hm",
            "1 h",
            "H",
            "8H",
            "99999999999999999999",
        ] {
            assert!(Hours::parse(wrong).is_err(), "{wrong}");
        }
    }
}
