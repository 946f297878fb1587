//! The claim: open holds first, then look; of two standbys that do so, at most one finds nobody.

use crate::time::Moment;

/// Where a claim is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Claim {
    /// None.
    #[default]
    Closed,
    /// Holds are open or opening; the gates are not all open yet.
    Opening,
    /// A new look at every arbiter is under way.
    Looking {
        /// When its first question was sent.
        since: Moment,
    },
    /// The look found nobody; the holds grow to their minimum age.
    Ripening {
        /// When the look's first question was sent: a hold opened later does not count.
        since: Moment,
    },
}

impl Claim {
    /// Whether holds are open for it.
    pub const fn has_holds(self) -> bool {
        !matches!(self, Self::Closed)
    }

    /// Whether the other site is told of it. While the gates are still closed it is not: the other site may be
    /// serving, and a claim with a higher epoch would end that.
    pub const fn is_announced(self) -> bool {
        matches!(self, Self::Looking { .. } | Self::Ripening { .. })
    }

    /// The instant before which a hold must have been open to count.
    pub const fn look_since(self) -> Option<Moment> {
        match self {
            Self::Looking { since } | Self::Ripening { since } => Some(since),
            Self::Closed | Self::Opening => None,
        }
    }
}
