//! What the program needs to know: the configuration after every check.
//!
//! A value here is complete and consistent; nothing downstream checks again.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use dr_watchdog_sdk::sections;
use dr_watchdog_sdk::sections::Role;
use regex_lite::Regex;
use secrecy::SecretString;
use serde_json::Value;

use crate::probe::ssh::Adapter;

/// What stands in the place of a secret wherever it is shown.
pub const MASK: &str = "***";

/// The whole configuration of one site.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whether verdicts are carried out or only recorded.
    pub mode: Mode,
    /// This site.
    pub site: Site,
    /// The other site.
    pub peer: Peer,
    /// `[core]`, with the manual's keys.
    pub core: sections::Core,
    /// `[mysql]`, if written.
    pub mysql: Option<sections::Mysql>,
    /// `[pgsql]`, if written.
    pub pgsql: Option<sections::Pgsql>,
    /// `[file]`, if written.
    pub file: Option<sections::File>,
    /// `[watchdog]` with the manual's keys; the arbiters' secrets in it are `***`.
    pub watchdog: sections::Watchdog,
    /// `[deviceManagement]`, if written.
    pub device_management: Option<sections::DeviceManagement>,
    /// Length of `watchdog.failureDetection.waitDuration`; `None` = for ever.
    pub wait_duration_s: Option<u64>,
    /// The arbiters with all that is needed to reach them, in the order of the file.
    pub arbiters: Vec<Arbiter>,
    /// `[exclusion]`.
    pub exclusion: Exclusion,
    /// `[policy]`.
    pub policy: Policy,
    /// `[[roleChange.beActive]]`, `[[roleChange.beStandby]]`.
    pub role_change: RoleChange,
    /// `[ssh]`.
    pub ssh: Ssh,
    /// `[smtp]`, if written.
    pub smtp: Option<Smtp>,
}

/// `mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Carry verdicts out.
    Enforce,
    /// Record what would have been done.
    Observe,
}

/// `[site]`.
#[derive(Debug, Clone)]
pub struct Site {
    /// Name, as people see it.
    pub name: String,
    /// Virtual address of this site.
    pub vip: Option<String>,
    /// Nodes of this site.
    pub nodes: Vec<String>,
    /// Address that probes and heartbeats leave from; the system chooses if absent.
    pub source_address: Option<IpAddr>,
    /// Role where no state file exists.
    pub initial_role: Role,
    /// 0 or 1; differs between the sites, so that no two mint one epoch.
    pub index: u8,
}

/// `[peer]`.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Name, as people see it.
    pub name: String,
    /// UDP port of the signed heartbeat, the same at both sites.
    pub heartbeat_port: u16,
    /// Shared key of the signed heartbeat; without one there is none, and `health` says so.
    pub heartbeat_key: Option<SecretString>,
    /// User for commands at the other site.
    pub ssh_user: Option<String>,
    /// SSH port of the other site.
    pub ssh_port: u16,
    /// Private key file for commands at the other site.
    pub identity: Option<PathBuf>,
    /// Pinned host key of the other site, `SHA256:…`.
    pub host_key: Option<String>,
}

/// One of `[[watchdog.failureDetection.arbiters]]`.
#[derive(Debug, Clone)]
pub struct Arbiter {
    /// Name by which policies know it: the host, or `host:port` where a host occurs twice.
    pub name: String,
    /// Address or name.
    pub host: String,
    /// SSH port.
    pub port: u16,
    /// User of the log-in.
    pub username: String,
    /// Password, if there is one.
    pub password: Option<SecretString>,
    /// Private key (text in OpenSSH or PEM form), read from its file at load; wins over the password.
    pub private_key: Option<SecretString>,
    /// What kind of device it is.
    pub kind: Kind,
    /// Pinned host keys, `SHA256:…`.
    pub host_key: Vec<String>,
    /// How the device is asked, where `kind` is `custom`.
    pub custom: Option<Custom>,
    /// What tells how fresh a session there is.
    pub freshness: Freshness,
}

/// `freshness` of an arbiter: what tells a living session of the other site from the row of a dead one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Freshness {
    /// The best that the device shows, row by row.
    #[default]
    Auto,
    /// The time since something was last received.
    Age,
    /// A count of what was received, compared from look to look.
    Counter,
    /// Only that the session is there: every row counts, however long the device keeps it.
    Presence,
}

impl Freshness {
    /// The word as the configuration has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Age => "age",
            Self::Counter => "counter",
            Self::Presence => "presence",
        }
    }
}

/// `kind` of an arbiter: which command is asked and how its answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Tries the others.
    Auto,
    /// `show system connections inet | no-more`.
    Junos,
    /// `ss -Htnoi`.
    Linux,
    /// `netstat -an -p tcp`.
    Bsd,
    /// The operator's own command and pattern.
    Custom,
}

/// How a device of kind `custom` is asked, and how its answer is read.
#[derive(Debug, Clone)]
pub struct Custom {
    /// `command`.
    pub command: String,
    /// `pattern`: a row of the answer; its group `from` is the address of the other end.
    pub pattern: Regex,
    /// `ignore`: the lines of the answer that are no rows.
    pub ignore: Option<Regex>,
}

impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        let text = |regex: &Option<Regex>| regex.as_ref().map(|regex| regex.as_str().to_owned());
        self.command == other.command
            && self.pattern.as_str() == other.pattern.as_str()
            && text(&self.ignore) == text(&other.ignore)
    }
}

/// `[exclusion]`.
#[derive(Debug, Clone)]
pub struct Exclusion {
    /// How two active sites are excluded.
    pub mode: ExclusionMode,
    /// k: from one answered round trip of a held session to the next.
    pub keep_alive: Duration,
    /// L: the lease.
    pub lease: Duration,
    /// D: time in which the guard fences.
    pub fence_deadline: Duration,
    /// Time from one look at an arbiter to the next.
    pub look: Duration,
    /// Deadline of a look.
    pub look_timeout: Duration,
    /// rho, in parts per million.
    pub clock_error_ppm: u32,
    /// epsilon.
    pub slack: Duration,
    /// F: age from which a session of the other site is stale.
    pub wait: Duration,
    /// Address that held sessions leave from.
    pub hold_address: Option<IpAddr>,
    /// Addresses from which the other site holds its sessions.
    pub peer_hold_addresses: Vec<String>,
}

/// Most arbiters that are connected to at once: log-ins cost this machine, and the network, more than all else.
pub const LOOKS_AT_ONCE: usize = 256;

/// How long so many take, so many at once, if each takes its whole span; one turn at least.
pub fn turns(count: usize, at_once: usize, span: Duration) -> Duration {
    let turns = count.div_ceil(at_once.max(1)).max(1);
    span.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX))
}

impl Exclusion {
    /// One look at every arbiter while so many of them are mute: each of these keeps its place until its deadline.
    pub fn round(&self, mute: usize) -> Duration {
        turns(mute, LOOKS_AT_ONCE, self.look_timeout)
    }

    /// G: largest gap, from sending one look to the answer of the next.
    pub fn gap(&self) -> Duration {
        self.look * 2 + self.look_timeout
    }

    /// P: age from which a hold counts.
    pub fn hold_age(&self) -> Duration {
        self.gap() + Duration::from_secs(1)
    }

    /// W: the oldest look a decision may use.
    pub fn window(&self) -> Duration {
        self.gap()
    }

    /// The least F: `(L + max(D, W))·(1 + 2ρ) + ε`.
    pub fn least_wait(&self) -> Duration {
        const PPM: u128 = 1_000_000;
        let base_us = (self.lease + self.fence_deadline.max(self.window())).as_micros();
        let stretched_us = (base_us * (PPM + 2 * u128::from(self.clock_error_ppm))).div_ceil(PPM);
        // Spans are at most a year each.
        Duration::from_micros(u64::try_from(stretched_us).unwrap_or(u64::MAX)) + self.slack
    }
}

/// `exclusion.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExclusionMode {
    /// The verdict alone decides; no bound holds.
    Verdict,
}

/// `[policy]`, with the choice that `watchdog.failureDetection` makes.
#[derive(Debug, Clone)]
pub struct Policy {
    /// File of the policy: `script` if `isCustom`, else `None` for the arbitration plugin beside the binary.
    pub custom: Option<PathBuf>,
    /// Longest evaluation, host calls included.
    pub deadline: Duration,
    /// Most memory of a guest, in bytes.
    pub memory_bytes: u64,
    /// `[policy.config]`.
    pub config: Value,
    /// `policy.grants`, `policy.sha256`, `[policy.sandbox]`.
    pub terms: crate::policy::Terms,
    /// `[policy.script] user`.
    pub script_user: Option<String>,
    /// `[policy.script] env`.
    pub script_env: Vec<(String, String)>,
    /// `[policy.script] secrets`.
    pub script_secrets: bool,
}

/// The steps of a role change.
#[derive(Debug, Clone, Default)]
pub struct RoleChange {
    /// Steps that make this site serve, in order.
    pub be_active: Vec<Step>,
    /// Steps that end serving, in order.
    pub be_standby: Vec<Step>,
}

/// One step of a role change.
#[derive(Debug, Clone)]
pub struct Step {
    /// Name, as people see it.
    pub name: String,
    /// Program and arguments; no shell.
    pub command: Vec<String>,
    /// Longest run.
    pub deadline: Duration,
    /// Whether it may run again after a crash that interrupted it.
    pub idempotent: bool,
    /// Whether the plan goes on when it fails.
    pub on_failure: OnFailure,
}

/// `onFailure` of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The plan stops.
    Stop,
    /// The plan goes on; the failure is reported.
    Continue,
}

/// `[ssh]`: how the arbiters are logged in to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    /// The library that speaks it.
    pub adapter: Adapter,
    /// The files that decide about the host key of an arbiter without a pin.
    pub known_hosts: Vec<PathBuf>,
}

/// `[smtp]`.
#[derive(Debug, Clone)]
pub struct Smtp {
    /// Mail server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// Certificates that are trusted beside those of the system.
    pub ca: Option<String>,
    /// User of the log-in, if the server wants one.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<SecretString>,
    /// Sender of every mail.
    pub from: String,
    /// How long each answer of the server is awaited.
    pub timeout: Duration,
}

/// `smtp.tls`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Plain until STARTTLS, which is demanded.
    StartTls,
    /// From the first byte.
    Implicit,
    /// Not at all.
    None,
}
