//! Single values of the configuration, from the forms they may be written in.

use std::time::Duration;

use super::raw::Raw;

/// Longest span: a year. Whatever is longer is a mistyped unit.
pub(super) const SPAN_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);
/// Shortest span that is not zero: the resolution of the timers.
const SPAN_MIN: Duration = Duration::from_millis(1);
/// How a span may be written.
pub(super) const SPAN_FORM: &str = "a number of seconds from 0.001 to 31622400 (a year), or text with a unit (\"500ms\", \"30s\", \"5m\", \"8h\")";
/// The same, where none at all is right, too.
pub(super) const SPAN_OR_ZERO_FORM: &str = "0, a number of seconds from 0.001 to 31622400 (a year), or text with a unit (\"500ms\", \"30s\", \"5m\", \"8h\")";
/// How a size may be written.
pub(super) const SIZE_FORM: &str = "a number of bytes, or text with a unit (\"512KiB\", \"64MiB\", \"1GiB\")";

/// A span of whole milliseconds from 1 ms to [`SPAN_MAX`]; zero is one where `is_zero_right`.
pub(super) fn span(raw: &Raw, is_zero_right: bool) -> Option<Duration> {
    let seconds = match raw {
        Raw::Integer(seconds) => *seconds as f64,
        Raw::Float(seconds) => *seconds,
        Raw::Text(text) => spelled_seconds(text.trim())?,
        _ => return None,
    };
    let ms = (seconds * 1_000.0).round();
    // Also false for what is no number.
    let is_within = (0.0..=SPAN_MAX.as_millis() as f64).contains(&ms);
    // A fraction of a millisecond would be another span than the one that was written.
    let is_whole = (seconds * 1_000.0 - ms).abs() < 1e-6;
    let span = (is_within && is_whole).then(|| Duration::from_millis(ms as u64))?;
    ((is_zero_right && span.is_zero()) || span >= SPAN_MIN).then_some(span)
}

fn spelled_seconds(text: &str) -> Option<f64> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let each = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return None,
    };
    decimal(number.trim_end()).map(|number| number * each)
}

/// Digits with at most one point; no sign, no exponent.
fn decimal(text: &str) -> Option<f64> {
    let is_plain = text.starts_with(|c: char| c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if is_plain { text.parse().ok() } else { None }
}

/// A number of bytes.
pub(super) fn size(raw: &Raw) -> Option<u64> {
    match raw {
        Raw::Integer(bytes) => u64::try_from(*bytes).ok(),
        Raw::Text(text) => {
            let text = text.trim();
            let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
            let each: u64 = match unit {
                "B" => 1,
                "KiB" => 1 << 10,
                "MiB" => 1 << 20,
                "GiB" => 1 << 30,
                _ => return None,
            };
            number.trim_end().parse::<u64>().ok()?.checked_mul(each)
        }
        _ => None,
    }
}

/// A share as a number from 0 to 1, or as text in per cent (`"50%"`, reading A36).
pub(super) fn share(raw: &Raw) -> Option<f64> {
    match raw {
        Raw::Integer(number) => Some(*number as f64),
        Raw::Float(number) => Some(*number),
        Raw::Text(text) => {
            let number = decimal(text.trim().strip_suffix('%')?.trim_end())?;
            // Divided as a decimal: 7 % is 0.07, whatever its double is.
            format!("{number}e-2").parse().ok()
        }
        _ => None,
    }
}

/// A number that stands in quotes; where numbers are read, that is the usual slip.
pub(super) fn number_in_quotes(raw: &Raw) -> Option<&str> {
    match raw {
        Raw::Text(text) if text.trim().parse::<f64>().is_ok() => Some(text.trim()),
        _ => None,
    }
}

/// A span as people read it.
pub(super) fn spelled(span: Duration) -> String {
    let ms = span.as_millis();
    if ms.is_multiple_of(1_000) { format!("{} s", ms / 1_000) } else { format!("{} s", ms as f64 / 1_000.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Raw {
        Raw::Text(text.to_owned())
    }

    #[test]
    fn a_span_is_a_number_of_seconds_or_text_with_a_unit() {
        for (raw, ms) in [
            (Raw::Integer(30), 30_000),
            (Raw::Float(0.5), 500),
            (Raw::Float(0.1), 100),
            (text("500ms"), 500),
            (text("30s"), 30_000),
            (text("1.5 s"), 1_500),
            (text("5m"), 300_000),
            (text("8h"), 28_800_000),
        ] {
            assert_eq!(span(&raw, false), Some(Duration::from_millis(ms)), "{raw:?}");
        }
        assert_eq!(span(&Raw::Integer(0), true), Some(Duration::ZERO));
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for raw in [
            Raw::Integer(0),
            Raw::Integer(-1),
            Raw::Integer(i64::MAX),
            Raw::Float(f64::NAN),
            Raw::Float(f64::INFINITY),
            Raw::Float(0.0001),
            Raw::Float(1.0005),
            Raw::Bool(true),
            text(""),
            text("30"),
            text("s"),
            text("-1s"),
            text("1e3s"),
            text("1..5s"),
            text("5 min"),
            text("3d"),
        ] {
            assert_eq!(span(&raw, false), None, "{raw:?}");
        }
    }

    #[test]
    fn sizes_and_shares() {
        assert_eq!(size(&text("64MiB")), Some(64 << 20));
        assert_eq!(size(&Raw::Integer(1_024)), Some(1_024));
        for wrong in [text("64"), text("64MB"), text("-1MiB"), Raw::Integer(-1), text("99999999999999GiB")] {
            assert_eq!(size(&wrong), None, "{wrong:?}");
        }
        assert_eq!(share(&text("7%")), Some(0.07));
        assert_eq!(share(&text("33.33 %")), Some(0.3333));
        assert_eq!(share(&Raw::Integer(1)), Some(1.0));
        assert_eq!(share(&text("0.5")), None);
    }
}
