//! Every default: its value with the unit, the arithmetic behind it, the reason for it.

use std::time::Duration;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// One default, as an operator would write it.
#[derive(Debug, Clone, Copy)]
pub struct Default {
    /// Path of the key.
    pub key: &'static str,
    /// The value in TOML.
    pub value: &'static str,
    /// Unit, arithmetic and reason.
    pub why: &'static str,
}

const fn default(key: &'static str, value: &'static str, why: &'static str) -> Default {
    Default { key, value, why }
}

pub(super) const SSH_PORT: u16 = 22;
pub(super) const HEARTBEAT_PORT: u16 = 7805;
pub(super) const SCP_TIMEOUT_S: u32 = 120;
pub(super) const WAIT_DURATION: &str = "8h";
pub(super) const KEEP_ALIVE: Duration = s(10);
pub(super) const LEASE: Duration = s(60);
pub(super) const FENCE_DEADLINE: Duration = s(15);
pub(super) const LOOK: Duration = s(5);
pub(super) const LOOK_TIMEOUT: Duration = s(5);
pub(super) const CLOCK_ERROR_PPM: u32 = 10_000;
pub(super) const SLACK: Duration = s(3);
pub(super) const POLICY_DEADLINE: Duration = s(10);
pub(super) const POLICY_MEMORY_BYTES: u64 = 128 << 20;
pub(super) const STEP_DEADLINE: Duration = s(300);

/// All of them, key by key. `exclusion.wait` is not here: its default is computed from the others.
pub const TABLE: [Default; 49] = [
    default("mode", "\"enforce\"", "verdicts are carried out; \"observe\" only records them"),
    default("site.initialRole", "\"standby\"", "a site without a stored state must not serve unasked"),
    default("peer.sshPort", "22", "TCP port; the port of SSH"),
    default(
        "peer.heartbeatPort",
        "7805",
        "UDP port; the same at both sites, next to 7804 that the manual opens",
    ),
    default("core.adminPass", "\"\"", "text; only the manual's own tools need it"),
    default("core.scpTimeout", "120", "s; the manual's"),
    default("core.peerLoadBalancerNodes", "\"\"", "addresses; without any, the VIP alone is pinged"),
    default("core.peerBusinessLogicNodes", "\"\"", "addresses"),
    default(
        "core.peerDeviceMgtIps",
        "\"\"",
        "addresses; without any, the VIP and the node lists are compared",
    ),
    default(
        "watchdog.heartbeat.retries",
        "4",
        "tries after the first: 5 × 5 s = 25 s outlast a local switch-over (10 s)",
    ),
    default("watchdog.heartbeat.timeout", "5", "s; far beyond any round trip, so that only a loss counts"),
    default("watchdog.heartbeat.interval", "30", "s; longer than one full round of 25 s"),
    default("watchdog.notification.email", "\"\"", "address; without one nobody is told"),
    default("watchdog.notification.interval", "3600", "s; the same trouble is told once an hour"),
    default("watchdog.failureDetection.isCustom", "false", "the arbitration plugin decides"),
    default("watchdog.failureDetection.script", "\"\"", "path of your own policy"),
    default(
        "watchdog.failureDetection.threshold.failover",
        "0.5",
        "share of arbiters; half or more of them keep the roles",
    ),
    default(
        "watchdog.failureDetection.threshold.adjustManaged",
        "0.5",
        "or failover where that is lower; fewer by SSH are too little evidence",
    ),
    default(
        "watchdog.failureDetection.threshold.warning",
        "0.7",
        "share of arbiters; warns before failover is near",
    ),
    default(
        "watchdog.failureDetection.waitDuration",
        "\"8h\"",
        "a working day for the former active to come back",
    ),
    default("exclusion.mode", "\"verdict\"", "the verdict alone decides; no bound holds"),
    default("exclusion.keepAlive", "10", "s (k); half a minute shows a dead session"),
    default("exclusion.lease", "60", "s (L); 2 × heartbeat.interval, at least 3 × keepAlive"),
    default("exclusion.fenceDeadline", "15", "s (D); the guard's five steps end within it"),
    default("exclusion.look", "5", "s; six looks in one heartbeat.interval"),
    default("exclusion.lookTimeout", "5", "s; a slow device's answer, so G = 2 × 5 + 5 = 15 s"),
    default(
        "exclusion.clockError",
        "0.01",
        "share (rho); 100 × worse than any crystal, for virtual machines",
    ),
    default("exclusion.slack", "3", "s (epsilon); scheduling and disks"),
    default("exclusion.holdAddress", "\"\"", "address; held sessions leave from where the system lets them"),
    default("exclusion.peerHoldAddresses", "[]", "addresses; without any, core.peerDeviceMgtIps is compared"),
    default("exclusion.freshness", "\"auto\"", "age, count or presence: the best that each device shows"),
    default("policy.deadline", "10", "s; an evaluation with its host calls: two looks of 5 s"),
    default("policy.memory", "\"128MiB\"", "bytes; a hundred times what the default policy needs"),
    default("policy.sandbox.seccomp", "true", "a further wall, where the kernel has it"),
    default("policy.sandbox.landlock", "true", "a further wall, where the kernel has it"),
    default("policy.script.user", "\"\"", "user; without one the script runs as the watchdog does"),
    default(
        "policy.script.memory",
        "\"512MiB\"",
        "bytes; of all its processes together, any interpreter starts",
    ),
    default(
        "policy.script.processes",
        "\"own\"",
        "its own, none of which outlives it; \"machine\": it sees all",
    ),
    default("policy.script.secrets", "true", "old scripts log in to the arbiters by themselves"),
    default("file.backup.maxCount", "3", "backups; the manual's"),
    default("file.backup.hoursOfDay", "\"*\"", "hours 0 to 23; every hour"),
    default("file.backup.daysOfWeek", "\"*\"", "days 0 to 7, Sunday is 0 or 7; every day"),
    default("file.restore.hoursOfDay", "\"*\"", "hours 0 to 23; every hour"),
    default("file.restore.daysOfWeek", "\"*\"", "days 0 to 7, Sunday is 0 or 7; every day"),
    default("mysql.hasDedicatedDb", "false", "the database runs on the nodes of the site"),
    default("pgsql.hasFmpm", "false", "monitoring runs on the nodes of the site"),
    default("ssh.adapter", "\"russh\"", "the library that reaches most devices"),
    default("smtp.tls", "\"starttls\"", "the port follows: starttls 587, implicit 465, none 25"),
    default(
        "smtp.timeout",
        "30",
        "s for each answer of the server; the word that a mail is kept may take twice that",
    ),
];

/// The defaults of every arbiter.
pub const OF_AN_ARBITER: [Default; 3] = [
    default("port", "22", "TCP port; the port of SSH"),
    default("kind", "\"auto\"", "each way of asking is tried once"),
    default("freshness", "\"auto\"", "that of exclusion.freshness, where it is written"),
];

/// The defaults of every step of a role change.
pub const OF_A_STEP: [Default; 3] = [
    default("deadline", "300", "s; a database stops within it, a hang does not last"),
    default("idempotent", "true", "it may run again after a crash that interrupted it"),
    default("onFailure", "\"stop\"", "a step that failed may be what the next one needs"),
];
