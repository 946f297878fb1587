//! Everything that can go wrong, as data.

use serde::{Deserialize, Serialize};

use crate::options::{Drawn, NODES_MAX, Options};
use crate::random::Random;
use crate::run::Plan;

/// What goes wrong. Sites are 0 and 1; the run begins with site 0 active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "verb")]
pub enum Kind {
    /// Every machine of the site loses its power.
    PowerLoss { site: usize },
    /// The site shuts down in order and starts again.
    Reboot { site: usize },
    /// The path between the sites, both ways.
    CutPeer,
    /// The path between the sites, one way.
    CutPeerOneWay { from: usize },
    /// The site reaches nobody.
    Isolate { site: usize },
    /// Nothing that the site sends arrives, or nothing that is sent to it.
    IsolateOneWay { site: usize, outward: bool },
    /// The site does not reach some arbiters.
    CutArbiters { site: usize, arbiters: Vec<usize> },
    /// The path between the sites, with some arbiters at one of them.
    CutPeerAndArbiters { site: usize, arbiters: Vec<usize> },
    /// Some arbiters are off.
    ArbitersDown { arbiters: Vec<usize> },
    /// An arbiter restarts: its sessions are gone.
    ArbiterReboot { arbiter: usize },
    /// Log-ins and answers of the arbiters take seconds.
    SlowSsh,
    /// Packets of the site are lost.
    Loss { site: usize, percent: u64 },
    /// The VIP moves to another node of the site.
    MoveVip { site: usize },
    /// A node of the site is cut from the others; clients reach it still.
    CutNode { site: usize, node: usize },
    /// The watchdog is killed and started again.
    DaemonCrash { site: usize },
    /// The watchdog lives for some seconds at a time.
    CrashLoop { site: usize, up_s: u64 },
    /// The watchdog hangs, services and guard live.
    DaemonHang { site: usize },
    /// An operator switches automatic failover off.
    AutomaticOff { site: usize },
    /// An operator hands the service over.
    HandOver { site: usize },
    /// An operator asks for `manualFailover -a`.
    Manual { site: usize },
    /// Stopping the services takes minutes.
    SlowStop { site: usize, seconds: u64 },
    /// SSH is blocked at the site, ping passes.
    BlockSsh { site: usize },
    /// Signed heartbeats are blocked, ping passes.
    BlockUdp,
    /// Nothing can be written.
    DiskFull { site: usize },
    /// The stored state is lost, and the watchdog starts without it.
    StateLost { site: usize },
    /// Becoming active fails at its first step.
    HookFails { site: usize },
    /// The active asks to be released from its duty to stop.
    Release { seconds: u64 },
    /// An operator changes the arbiters at the active.
    ChangeArbiters,
    /// The wall clock jumps.
    WallClockJump { site: usize },
    /// The site sees both sites under one address at the arbiters.
    Nat { site: usize },
    /// The site's list of the other one's addresses is wrong.
    WrongList { site: usize },
    /// A forgotten session of the site stays open at an arbiter.
    ForgottenShell { site: usize, arbiter: usize },
    /// The machine stands still, its clock goes on.
    Freeze { site: usize },
    /// The machine and its clock stand still.
    FreezeClock { site: usize },
    /// An operator asks for `manualFailover -a --force`.
    Force { site: usize },
    /// An arbiter hides the other site's sessions.
    Lie { arbiter: usize },
    /// The site goes back to an older state.
    RestoreImage { site: usize },
    /// The guard is killed while the watchdog lives; it is missed within k.
    KillGuard { site: usize },
    /// An operator stops the watchdog, and starts it again; services are left as they are.
    Stop { site: usize },
    /// An operator takes the state of a site away with `reset`.
    Reset { site: usize },
    /// An operator makes the state of a standby anew: `reset`, then `init`.
    Init { site: usize },
    /// An operator says that the other site is off.
    PeerIsOff { site: usize },
    /// The path between the sites, both ways, from the signed heartbeat of this number on.
    CutPeerAfter { messages: u64 },
}

/// A fault in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// Seconds after the start.
    pub at_s: u64,
    /// How long it lasts.
    pub for_s: u64,
    /// What.
    #[serde(flatten)]
    pub kind: Kind,
}

/// Classes inside the assumptions.
pub const ASSUMED: usize = 35;
/// All classes.
pub const ALL: usize = 42;

/// The verbs of the classes that are drawn, by class.
pub const VERBS: [&str; ALL] = [
    "powerLoss",
    "reboot",
    "cutPeer",
    "cutPeerOneWay",
    "isolate",
    "isolateOneWay",
    "cutArbiters",
    "cutPeerAndArbiters",
    "arbitersDown",
    "arbiterReboot",
    "slowSsh",
    "loss",
    "moveVip",
    "daemonCrash",
    "crashLoop",
    "daemonHang",
    "automaticOff",
    "handOver",
    "manual",
    "slowStop",
    "blockSsh",
    "blockUdp",
    "diskFull",
    "stateLost",
    "hookFails",
    "release",
    "changeArbiters",
    "wallClockJump",
    "nat",
    "wrongList",
    "forgottenShell",
    "stop",
    "reset",
    "init",
    "cutNode",
    "freeze",
    "freezeClock",
    "force",
    "lie",
    "restoreImage",
    "killGuard",
    "peerIsOff",
];

/// The class that is drawn under a verb.
pub fn class_of(verb: &str) -> Option<usize> {
    VERBS.iter().position(|known| *known == verb)
}

/// The faults of a schedule: two to five, clustered in time.
pub fn draw(random: &mut Random, options: &Options) -> Vec<Fault> {
    let count = random.between(options.faults_min, options.faults_max);
    let mut at_s = random.between(600, 3_600);
    let mut faults = Vec::new();
    for _ in 0..count {
        let class = if options.classes.is_empty() {
            random.index(if options.is_assumed { ASSUMED } else { ALL })
        } else {
            options.classes[random.index(options.classes.len())]
        };
        let for_s = if random.percent(60) { random.between(5, 300) } else { random.between(60, 5_400) };
        faults.push(Fault { at_s, for_s, kind: kind(random, class, options.arbiters) });
        at_s += if random.percent(70) { random.between(0, 240) } else { random.between(0, 3_600) };
    }
    faults
}

fn some(random: &mut Random, arbiters: usize) -> Vec<usize> {
    let chosen: Vec<usize> = (0..arbiters).filter(|_| random.percent(50)).collect();
    if chosen.is_empty() { vec![random.index(arbiters)] } else { chosen }
}

/// Two faults, one after the other: of the classes, with sites and arbiters by the variant.
pub fn pair(classes: (usize, usize), apart_s: u64, variant: u64, options: &Options) -> Plan {
    const FIRST_S: u64 = 640;
    const LASTS_S: u64 = 600;
    let seed = ((classes.0 * 100 + classes.1) as u64 * 1_000 + apart_s) * 100 + variant;
    let mut random = Random::new(seed);
    let drawn = Drawn::draw(&mut random, options);
    let mut at = |class: usize, at_s: u64| Fault {
        at_s,
        for_s: LASTS_S,
        kind: kind(&mut random, class, options.arbiters),
    };
    let faults = vec![at(classes.0, FIRST_S), at(classes.1, FIRST_S + apart_s)];
    Plan { seed, drawn, faults }
}

/// One fault of a class; which site and which arbiters is drawn.
pub fn kind(random: &mut Random, class: usize, arbiters: usize) -> Kind {
    let site = random.index(2);
    let arbiter = random.index(arbiters);
    match class {
        0 => Kind::PowerLoss { site },
        1 => Kind::Reboot { site },
        2 => Kind::CutPeer,
        3 => Kind::CutPeerOneWay { from: site },
        4 => Kind::Isolate { site },
        5 => Kind::IsolateOneWay { site, outward: random.percent(50) },
        6 => Kind::CutArbiters { site, arbiters: some(random, arbiters) },
        7 => Kind::CutPeerAndArbiters { site, arbiters: some(random, arbiters) },
        8 => Kind::ArbitersDown { arbiters: some(random, arbiters) },
        9 => Kind::ArbiterReboot { arbiter },
        10 => Kind::SlowSsh,
        11 => Kind::Loss { site, percent: random.between(5, 60) },
        12 => Kind::MoveVip { site },
        13 => Kind::DaemonCrash { site },
        14 => Kind::CrashLoop { site, up_s: random.between(2, 30) },
        15 => Kind::DaemonHang { site },
        16 => Kind::AutomaticOff { site },
        17 => Kind::HandOver { site },
        18 => Kind::Manual { site },
        19 => Kind::SlowStop { site, seconds: random.between(20, 900) },
        20 => Kind::BlockSsh { site },
        21 => Kind::BlockUdp,
        22 => Kind::DiskFull { site },
        23 => Kind::StateLost { site },
        24 => Kind::HookFails { site },
        25 => Kind::Release { seconds: random.between(60, 3_600) },
        26 => Kind::ChangeArbiters,
        27 => Kind::WallClockJump { site },
        28 => Kind::Nat { site },
        29 => Kind::WrongList { site },
        30 => Kind::ForgottenShell { site, arbiter },
        31 => Kind::Stop { site },
        32 => Kind::Reset { site },
        33 => Kind::Init { site },
        34 => Kind::CutNode { site, node: random.index(NODES_MAX) },
        35 => Kind::Freeze { site },
        36 => Kind::FreezeClock { site },
        37 => Kind::Force { site },
        38 => Kind::Lie { arbiter },
        39 => Kind::RestoreImage { site },
        40 => Kind::KillGuard { site },
        _ => Kind::PeerIsOff { site },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_the_verb_that_scenario_files_have() {
        for (class, verb) in VERBS.iter().enumerate() {
            let drawn = serde_json::to_value(kind(&mut Random::new(1), class, 5)).unwrap();
            assert_eq!(drawn["verb"], *verb, "class {class}");
            assert_eq!(class_of(verb), Some(class));
        }
        assert_eq!(class_of("meteor"), None);
    }
}
