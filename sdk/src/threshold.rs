//! A share between 0 and 1 that is compared without floating point.
//!
//! `0.7` has no exact binary form, and a comparison that is wrong by one part in 10^16 is a wrong failover at
//! equality. So a threshold is a whole number of ten-thousandths, and a share is compared by
//! `count * 10000` against `threshold * total`, in every language (design 4).

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Ten-thousandths in a whole: a threshold has at most 4 decimals.
pub const SCALE: u64 = 10_000;

/// A threshold in ten-thousandths, 0 to [`SCALE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Threshold(u16);

impl Threshold {
    /// One half, the default of `threshold.failover` and `threshold.adjustManaged` (domain rows 124, 125).
    pub const HALF: Self = Self(5_000);
    /// Seven tenths, the default of `threshold.warning` (domain row 126).
    pub const SEVEN_TENTHS: Self = Self(7_000);

    /// A threshold from ten-thousandths; `None` above a whole.
    pub const fn from_ten_thousandths(value: u16) -> Option<Self> {
        if value as u64 <= SCALE { Some(Self(value)) } else { None }
    }

    /// Ten-thousandths.
    pub const fn ten_thousandths(self) -> u64 {
        self.0 as u64
    }

    /// Reads a number as JSON or TOML hold it.
    ///
    /// # Errors
    /// When it is not within 0 and 1, or has more than 4 decimals.
    pub fn from_number(number: f64) -> Result<Self, ThresholdError> {
        let scaled = number * SCALE as f64;
        let rounded = scaled.round();
        if !(0.0..=SCALE as f64).contains(&rounded) || number < 0.0 {
            return Err(ThresholdError::OutOfRange(number));
        }
        // A decimal with 4 places lies within one part in 10^12 of its double; anything further has more places.
        if (scaled - rounded).abs() > 1e-8 {
            return Err(ThresholdError::TooFine(number));
        }
        Ok(Self(rounded as u16))
    }

    /// Whether `count` of `total` is at least this share. `>=` keeps, `<` moves (domain 3.3).
    pub const fn is_met_by(self, count: u64, total: u64) -> bool {
        count * SCALE >= self.0 as u64 * total
    }
}

/// A number that is no threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ThresholdError {
    /// Below 0 or above 1.
    OutOfRange(f64),
    /// More than 4 decimals.
    TooFine(f64),
}

impl fmt::Display for ThresholdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange(found) => write!(f, "{found} is no share; write a number from 0 to 1"),
            Self::TooFine(found) => write!(f, "{found} has more than 4 decimals; round it to at most 4"),
        }
    }
}

impl std::error::Error for ThresholdError {}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / SCALE as f64)
    }
}

impl Serialize for Threshold {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0) / SCALE as f64)
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        Self::from_number(number).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Threshold {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Threshold".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "maximum": 1, "description": "A share with at most 4 decimals" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_is_exact_for_every_threshold_and_total() {
        for ten_thousandths in 0..=10_000_u16 {
            let threshold = Threshold::from_ten_thousandths(ten_thousandths).unwrap();
            let written = f64::from(ten_thousandths) / 10_000.0;
            assert_eq!(Threshold::from_number(written), Ok(threshold));
        }
        let seven_tenths = Threshold::SEVEN_TENTHS;
        assert!(seven_tenths.is_met_by(7, 10) && !seven_tenths.is_met_by(6, 10));
        assert!(Threshold::HALF.is_met_by(1, 2) && !Threshold::HALF.is_met_by(1, 3));
    }

    #[test]
    fn what_is_no_share_is_refused() {
        assert_eq!(Threshold::from_number(1.5), Err(ThresholdError::OutOfRange(1.5)));
        assert_eq!(Threshold::from_number(-0.1), Err(ThresholdError::OutOfRange(-0.1)));
        assert_eq!(Threshold::from_number(0.33333), Err(ThresholdError::TooFine(0.33333)));
        assert!(Threshold::from_number(f64::NAN).is_err());
    }
}
