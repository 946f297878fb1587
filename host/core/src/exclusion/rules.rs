//! The rules by name, so that a test build can switch one off.

/// A rule without which two sites can serve at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Rule {
    /// The standby waits F, which is longer than the lease and what may overlap it.
    PromotionWait,
    /// A hold counts only from its minimum age.
    HoldAge,
    /// A gap or a failed look begins the absence anew.
    UnbrokenLooks,
    /// A claim counts holds that were open before its look, and looks anew at all.
    ClaimBeforeLook,
    /// An independent guard fences at the lease's end.
    Guard,
    /// A machine that restarts is standby.
    BootAsStandby,
    /// Safety settings change through a joint state.
    JointChange,
    /// No takeover while the other site owes no lease.
    AgreedOffGate,
    /// A site that lost its state neither votes nor claims.
    Amnesia,
    /// Epochs travel through the arbiters.
    EpochMarks,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::PromotionWait,
        Self::HoldAge,
        Self::UnbrokenLooks,
        Self::ClaimBeforeLook,
        Self::Guard,
        Self::BootAsStandby,
        Self::JointChange,
        Self::AgreedOffGate,
        Self::Amnesia,
        Self::EpochMarks,
    ];

    /// The word as scenario files have it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::PromotionWait => "promotionWait",
            Self::HoldAge => "holdAge",
            Self::UnbrokenLooks => "unbrokenLooks",
            Self::ClaimBeforeLook => "claimBeforeLook",
            Self::Guard => "guard",
            Self::BootAsStandby => "bootAsStandby",
            Self::JointChange => "jointChange",
            Self::AgreedOffGate => "agreedOffGate",
            Self::Amnesia => "amnesia",
            Self::EpochMarks => "epochMarks",
        }
    }
}

/// The rules in force: all of them, except in a test build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Rules {
    #[cfg(feature = "ablation")]
    #[serde(default)]
    off: Option<Rule>,
}

impl Rules {
    /// All rules but one.
    #[cfg(feature = "ablation")]
    pub const fn without(rule: Rule) -> Self {
        Self { off: Some(rule) }
    }

    /// Whether a rule is in force.
    #[cfg(feature = "ablation")]
    pub fn has(self, rule: Rule) -> bool {
        self.off != Some(rule)
    }

    /// Whether a rule is in force.
    #[cfg(not(feature = "ablation"))]
    pub const fn has(self, _rule: Rule) -> bool {
        true
    }
}
