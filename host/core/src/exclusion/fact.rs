//! What can happen to a site under `lease`, beside what happens to every site.

use std::time::Duration;

use dr_watchdog_sdk::evidence::SshOutcome;

use super::agreed::Agreed;
use super::lpc::{Look, Mark};
use super::message::Signed;
use crate::time::Moment;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Fact {
    /// A signed heartbeat of the other site arrived, whole and in order.
    Heard(Box<Signed>),
    /// A hold was opened.
    HoldOpened {
        /// Position in the settings.
        arbiter: usize,
        /// Never used twice.
        session: u64,
    },
    /// A hold ended.
    HoldClosed {
        /// Position in the settings.
        arbiter: usize,
        /// Which.
        session: u64,
    },
    /// A keepalive of a hold was answered.
    HoldAnswered {
        /// Position in the settings.
        arbiter: usize,
        /// Which.
        session: u64,
        /// When the keepalive was sent.
        sent: Moment,
        /// The mark of the other site that the arbiter holds.
        mark: Option<Mark>,
    },
    /// A look ended; answers [`super::request::Request::Look`].
    Looked {
        /// Which.
        look: u64,
        /// Position in the settings.
        arbiter: usize,
        /// Round-trip time of a ping beside it, or why there was none.
        #[serde(with = "crate::journal::exact")]
        ping: Result<f64, String>,
        /// What it showed, or which step failed and how.
        result: Result<Look, (SshOutcome, String)>,
    },
    /// The guards of all serving nodes are armed; answers [`super::request::Request::ArmGuard`].
    GuardArmed {
        /// For this epoch.
        epoch: u64,
        /// Until then.
        until: Moment,
    },
    /// A guard has fenced by itself, or is gone and not back in time.
    GuardFailed,
    /// Serving has ended at every node; answers [`super::request::Request::Fence`].
    Fenced,
    /// The clock of this machine stood still or jumped, or its image was restored.
    TimeSlipped,
    /// New safety settings were proposed here by an operator.
    Proposed(Box<Agreed>),
    /// An operator typed a command.
    Operator(Command),
}

/// What an operator may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Command {
    /// `manualFailover -a`.
    BecomeActive {
        /// `--force`: no gate but the site's own.
        is_forced: bool,
    },
    /// `manualFailover -s`: step down, the other site takes over.
    HandOver,
    /// Automatic failover off at both sites, agreed.
    Release {
        /// For how long; `None` = until further notice.
        span: Option<Duration>,
    },
    /// On again.
    Resume,
    /// `reset`.
    Reset,
    /// `stop`: the watchdog ends, the services go on. The other site must have given its word.
    Stop,
    /// `stop` at the other site: from now on no promotion before that one is heard again.
    Promise,
    /// An operator is about to ask for more: the arbiters are looked at for a while.
    Look,
    /// `exclusion peer-is-off`: an operator vouches that the other site neither serves nor takes over.
    PeerIsOff,
}

/// The guard as the daemon finds it when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum GuardFound {
    /// Nothing is armed, and nothing serves.
    #[default]
    Idle,
    /// It is armed.
    Armed {
        /// For this epoch.
        epoch: u64,
        /// Until then.
        until: Moment,
    },
    /// It has fenced, or it cannot be asked.
    Fired,
}
