//! All that can happen to a site, in the past tense.

use std::time::Duration;

use dr_watchdog_sdk::Utc;
use dr_watchdog_sdk::Verdict;
use dr_watchdog_sdk::evidence::{Session, SshOutcome};

use crate::automatic::Turn;
use crate::exclusion::fact::Fact;
use crate::settings::Settings;
use crate::transitions::Phase;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Event {
    /// Time went by; a timer may be due.
    TimePassed,
    /// A ping of the other site ended; answers [`crate::effect::Effect::PingPeer`].
    PeerPingEnded {
        /// Which ping.
        ping: u64,
        /// Whether any target answered.
        answered: bool,
    },
    /// A signed heartbeat of the other site arrived.
    HeartbeatHeard(Beat),
    /// A ping of an arbiter ended.
    ArbiterPinged {
        /// Position in the settings.
        arbiter: usize,
        /// Round-trip time in milliseconds, or why there was none.
        #[serde(with = "crate::journal::exact")]
        answer: Result<f64, String>,
    },
    /// An arbiter with a name is asked at its last known address from now on, because no name server tells the present
    /// one; or at the present one again.
    AddressAged {
        /// Position in the settings.
        arbiter: usize,
        /// The last known address, or `None` for the present one.
        old: Option<String>,
    },
    /// Every arbiter of a sweep has been pinged; answers [`crate::effect::Effect::SweepArbiters`].
    SweepEnded {
        /// Which sweep.
        sweep: u64,
    },
    /// A look at an arbiter's sessions ended.
    ArbiterLooked {
        /// Position in the settings.
        arbiter: usize,
        /// Its sessions, or which step failed and how.
        result: Result<Vec<Session>, (SshOutcome, String)>,
    },
    /// A session that this site holds at an arbiter opened or broke.
    HoldChanged {
        /// Position in the settings.
        arbiter: usize,
        /// Whether it is open now.
        is_open: bool,
    },
    /// An arbiter showed another host key than the expected one: somebody else may stand there.
    HostKeyChanged {
        /// Position in the settings.
        arbiter: usize,
        /// In a sentence.
        why: String,
    },
    /// The policy answered; answers [`crate::effect::Effect::AskPolicy`].
    VerdictReturned {
        /// Which question.
        ask: u64,
        /// The answer; `nothing` where the policy failed.
        verdict: Verdict,
        /// Why the policy failed, if it did.
        failure: Option<String>,
    },
    /// The policy crashed too often, and is not asked any more until it is loaded again.
    PolicyQuarantined {
        /// Its name.
        policy: String,
        /// How it crashed at last.
        why: String,
    },
    /// The state is on disk; answers [`crate::effect::Effect::Persist`].
    Persisted {
        /// Which write.
        write: u64,
    },
    /// The state could not be written.
    PersistFailed {
        /// Which write.
        write: u64,
        /// In a sentence.
        why: String,
    },
    /// A step of a plan ended; answers [`crate::effect::Effect::RunStep`].
    StepEnded {
        /// Which plan.
        plan: u64,
        /// Which step of it.
        step: usize,
        /// How.
        result: Result<(), String>,
    },
    /// After a start, or after a change, this site's settings were compared with the other site's.
    SettingsCompared {
        /// What differs, each key in words; nothing where they are the same.
        differences: Vec<String>,
    },
    /// An operator disabled automatic failover here.
    OperatorDisabled {
        /// For how long; `None` = until enabled.
        span: Option<Duration>,
        /// Why.
        reason: String,
        /// Who.
        by: String,
    },
    /// An operator enabled automatic failover here.
    OperatorEnabled,
    /// The configuration was read again.
    Reloaded(Box<Settings>),
    /// Something that only happens under `lease`.
    Exclusion(Fact),
}

/// What a signed heartbeat of the other site says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Beat {
    /// Its `site.index`.
    pub site_index: u8,
    /// The highest epoch it has held.
    pub epoch: u64,
    /// What it is doing.
    pub phase: Phase,
    /// Whether its safety settings are the same as ours; `None` = it did not say.
    pub config_equal: Option<bool>,
    /// Whether its automatic failover is on.
    pub automatic_failover: bool,
    /// How the operator's switch was turned last, as far as it knows; `None` = it did not say.
    #[serde(default)]
    pub turn: Option<Turn>,
    /// When it was heard.
    #[serde(with = "crate::time::utc_ms")]
    pub heard: Utc,
}
