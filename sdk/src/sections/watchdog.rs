//! `watchdog`: heartbeat, notification, failure detection (domain rows 117–133).

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::Seconds;
use crate::threshold::Threshold;

/// The watchdog's own settings at this site.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Watchdog {
    /// Pings between the sites.
    pub heartbeat: Heartbeat,
    /// Mail to the administrator.
    pub notification: Notification,
    /// Which policy decides, on what evidence.
    pub failure_detection: FailureDetection,
}

/// Pings between the sites.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Heartbeat {
    /// Tries after the first one failed: 4 makes 5 pings in all (reading A17).
    pub retries: u32,
    /// Seconds a reply is awaited.
    pub timeout: Seconds,
    /// Seconds from one round to the next.
    pub interval: Seconds,
}

impl Default for Heartbeat {
    /// The manual's 4, 5 s, 30 s: a lost peer is declared 25 s after the round began.
    fn default() -> Self {
        Self { retries: 4, timeout: Seconds::from_s(5), interval: Seconds::from_s(30) }
    }
}

/// Mail to the administrator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Notification {
    /// Recipient; empty sends nothing.
    pub email: String,
    /// Seconds for which the same error is not mailed again.
    pub interval: Seconds,
}

impl Default for Notification {
    fn default() -> Self {
        Self { email: String::new(), interval: Seconds::from_s(3_600) }
    }
}

/// Which policy decides, on what evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FailureDetection {
    /// Whether `script` is the operator's own policy; otherwise the arbitration plugin decides.
    pub is_custom: bool,
    /// Path of the policy.
    pub script: String,
    /// The shares at which it moves.
    pub threshold: Thresholds,
    /// How long the former active may come back while both sites are standby: `8h`, `30m`.
    pub wait_duration: String,
    /// The arbiters.
    pub arbiters: Vec<Arbiter>,
}

impl Default for FailureDetection {
    fn default() -> Self {
        Self {
            is_custom: false,
            script: String::new(),
            threshold: Thresholds::default(),
            wait_duration: "8h".to_owned(),
            arbiters: Vec::new(),
        }
    }
}

/// Shares of arbiters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Thresholds {
    /// Below this share of managed (standby) or pinged (active) arbiters a role change is wanted.
    pub failover: Threshold,
    /// Below this share of arbiters reached by SSH there is too little evidence. Left out: 0.5, or `failover` where
    /// that is lower.
    pub adjust_managed: Threshold,
    /// Below this share of pinged arbiters the administrator is warned.
    pub warning: Threshold,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { failover: Threshold::HALF, adjust_managed: Threshold::HALF, warning: Threshold::SEVEN_TENTHS }
    }
}

impl Thresholds {
    /// `adjustManaged` where it is left out: it is never above `failover`.
    #[must_use]
    pub fn adjust_managed_beside(failover: Threshold) -> Threshold {
        failover.min(Threshold::HALF)
    }
}

impl<'de> Deserialize<'de> for Thresholds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        /// As it is written, where the default of one depends on another.
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", expecting = "an object with failover, adjustManaged, warning")]
        struct Written {
            failover: Option<Threshold>,
            adjust_managed: Option<Threshold>,
            warning: Option<Threshold>,
        }
        let Written { failover, adjust_managed, warning } = Written::deserialize(from)?;
        let failover = failover.unwrap_or(Threshold::HALF);
        Ok(Self {
            failover,
            adjust_managed: adjust_managed.unwrap_or_else(|| Self::adjust_managed_beside(failover)),
            warning: warning.unwrap_or(Threshold::SEVEN_TENTHS),
        })
    }
}

/// One arbiter, with the manual's keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Arbiter {
    /// User of the log-in.
    pub username: String,
    /// Password of the log-in; `***` except inside a running policy script.
    pub password: String,
    /// Address or name.
    pub host: String,
    /// SSH port.
    pub port: u16,
    /// Private key of the log-in; wins over the password when not empty (reading A10).
    pub private_key: String,
}

impl Default for Arbiter {
    fn default() -> Self {
        Self {
            username: String::new(),
            password: String::new(),
            host: String::new(),
            port: 22,
            private_key: String::new(),
        }
    }
}

impl FailureDetection {
    /// The names by which policies know the arbiters: the host, or `host:port` where a host occurs twice.
    pub fn arbiter_names(&self) -> Vec<String> {
        let times = |host: &str| self.arbiters.iter().filter(|arbiter| arbiter.host == host).count();
        self.arbiters
            .iter()
            .map(|arbiter| match times(&arbiter.host) {
                0 | 1 => arbiter.host.clone(),
                _ if arbiter.host.contains(':') => format!("[{}]:{}", arbiter.host, arbiter.port),
                _ => format!("{}:{}", arbiter.host, arbiter.port),
            })
            .collect()
    }
}
