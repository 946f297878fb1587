//! A share of arbiters as an exact fraction.

use std::fmt;

use dr_watchdog_sdk::threshold::Threshold;
use serde::{Serialize, Serializer};

/// `count` of `total` arbiters. It is shown unreduced, because "2/4" tells how many arbiters there are and "1/2"
/// does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Arbiters that are counted.
    pub count: u64,
    /// Arbiters in all.
    pub total: u64,
}

impl Share {
    /// `count` of `total`.
    pub const fn new(count: u64, total: u64) -> Self {
        Self { count, total }
    }

    /// Whether the share is at least the threshold; equality keeps the status quo.
    pub const fn reaches(self, threshold: Threshold) -> bool {
        threshold.is_met_by(self.count, self.total)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.total)
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_compared_exactly_at_equality() {
        let seven_tenths = Threshold::SEVEN_TENTHS;
        assert!(Share::new(7, 10).reaches(seven_tenths));
        assert!(!Share::new(6, 9).reaches(seven_tenths));
        let third = Threshold::from_number(0.3333).unwrap();
        assert!(Share::new(1, 3).reaches(third), "a third is above 0.3333");
        assert!(!Share::new(1, 3).reaches(Threshold::from_number(0.3334).unwrap()));
    }

    #[test]
    fn a_share_is_shown_unreduced() {
        assert_eq!(Share::new(2, 4).to_string(), "2/4");
    }
}
