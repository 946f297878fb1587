//! What a survey says about the choice of arbiters: sentences with remedies; pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use dr_watchdog_sdk::evidence::SshOutcome;
use serde::Serialize;

use super::round::Round;
use super::{Linger, Surveyed};
use crate::config::model::Freshness;

/// Prefixes from which on two addresses are in one subnet, as sites are usually laid out.
const SUBNET_BITS_V4: u32 = 24;
const SUBNET_BITS_V6: u32 = 64;
/// Fewest arbiters of which one may be down on either side of the question.
const ARBITERS_MIN: usize = 3;
/// A row must outlive two lost keepalives of a living session.
const KEEP_ALIVES_MIN: u32 = 2;

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Level {
    /// An automatic failover may fail, or happen wrongly.
    Problem,
    /// It works, and something makes it weaker.
    Warning,
    /// Something to know.
    Note,
}

/// One sentence about some arbiters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// Whom it is about; empty: all.
    pub arbiters: Vec<String>,
    /// What was found.
    pub message: String,
    /// What to do about it; empty: nothing.
    pub remedy: String,
}

/// What the other site sees of an arbiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerSight {
    /// Whether it answers ping there.
    pub pings: bool,
    /// How the log-in ends there.
    pub ssh: SshOutcome,
}

/// Everything that is judged.
#[derive(Debug)]
pub struct Known<'a> {
    /// What was seen from here.
    pub surveyed: &'a [Surveyed],
    /// What the other site sees, by name, or why that is not known.
    pub peer: Result<BTreeMap<String, PeerSight>, String>,
    /// What was measured of dead sessions, by position.
    pub linger: &'a BTreeMap<usize, Result<Linger, String>>,
    /// The round with half of the arbiters mute.
    pub round: Round,
    /// W.
    pub window: Duration,
    /// k.
    pub keep_alive: Duration,
    /// L.
    pub lease: Duration,
    /// F.
    pub wait: Duration,
}

/// Judges; the worst first.
pub fn findings(known: &Known<'_>) -> Vec<Finding> {
    let mut all = Vec::new();
    for (position, seen) in known.surveyed.iter().enumerate() {
        reach(seen, &mut all);
        table(seen, &mut all);
        age(seen, known.linger.get(&position), known, &mut all);
    }
    other_site(known, &mut all);
    sameness(known.surveyed, &mut all);
    spread(known.surveyed, &mut all);
    number(known, &mut all);
    all.sort_by_key(|finding| finding.level);
    all
}

fn finding(level: Level, seen: &[&str], message: String, remedy: &str) -> Finding {
    let arbiters = seen.iter().map(|&name| name.to_owned()).collect();
    Finding { level, arbiters, message, remedy: remedy.to_owned() }
}

/// Rows 34 to 36: reachable by ping and SSH, stable.
fn reach(seen: &Surveyed, all: &mut Vec<Finding>) {
    let mut add = |level, message, remedy| all.push(finding(level, &[&seen.name], message, remedy));
    let why = seen.silence.as_deref().unwrap_or("timeout");
    if seen.answered == 0 {
        let remedy = "let it answer ping from here, or choose another device";
        add(Level::Problem, format!("it answered none of {} pings ({why})", seen.pings), remedy);
    } else if seen.answered < seen.pings {
        let lost = seen.pings - seen.answered;
        let remedy = "a device that is lost now and then is a false loss one day: find out what drops them";
        add(Level::Warning, format!("{lost} of {} pings were lost ({why})", seen.pings), remedy);
    }
    match &seen.failure {
        Some((outcome, why)) if seen.looked == 0 => {
            add(
                Level::Problem,
                format!("no look succeeded: {} ({why})", outcome.word()),
                remedy_of(*outcome),
            );
        }
        Some((outcome, why)) => {
            let failed = seen.looks - seen.looked;
            let message = format!("{failed} of {} looks failed: {} ({why})", seen.looks, outcome.word());
            add(Level::Warning, message, remedy_of(*outcome));
        }
        None => {}
    }
}

const fn remedy_of(outcome: SshOutcome) -> &'static str {
    match outcome {
        SshOutcome::Ok => "",
        SshOutcome::Dns => {
            "write its address instead of its name: a name server is one thing more that can fail"
        }
        SshOutcome::Unreachable => "let SSH in from here, at the configured port",
        SshOutcome::Handshake => "see which SSH algorithms the device offers",
        SshOutcome::Hostkey => "compare with the device's own console, then `arbiters trust NAME`",
        SshOutcome::Auth => "check user, password and key of this arbiter",
        SshOutcome::Exec => "the user must be allowed to run the command of this kind of device",
        SshOutcome::Parse => "set the kind of the device, or kind = \"custom\" with a pattern of your own",
        SshOutcome::Timeout => "raise exclusion.lookTimeout if the device is only slow",
    }
}

/// Whether what the device shows can be believed.
fn table(seen: &Surveyed, all: &mut Vec<Finding>) {
    if seen.shows_us == Some(false) {
        let message = "its table does not show the session over which it was asked, so it may hide the other site's too";
        let remedy = "look for address translation, another routing instance, or a wrong kind";
        all.push(finding(Level::Problem, &[&seen.name], message.to_owned(), remedy));
    }
}

/// Devices that do not show the age of a session keep the row of a dead one; how long is theirs to say.
fn age(seen: &Surveyed, linger: Option<&Result<Linger, String>>, known: &Known<'_>, all: &mut Vec<Finding>) {
    let mut add = |level, message, remedy: &str| all.push(finding(level, &[&seen.name], message, remedy));
    let setting = setting(seen.speaks);
    if seen.freshness == Some(Freshness::Presence) && linger.is_none() {
        let message = "it shows neither the age of its sessions nor a count of what it received: a dead session counts \
                       until the device drops its row";
        let message = if seen.shows_age == Some(true) || seen.shows_counter == Some(true) {
            "what it shows of its sessions is not taken (freshness): a dead session counts until the device drops its row"
        } else {
            message
        };
        let remedy = format!("measure how long that is with --linger; shorter with {setting}");
        add(Level::Note, message.to_owned(), &remedy);
    }
    if seen.freshness == Some(Freshness::Counter) && seen.counter_moves == Some(false) {
        let message = "the count of our own session never moved, although each look sends the device something: the \
                       other site's would seem dead while it lives";
        let remedy =
            "freshness = \"presence\", or a pattern whose group \"counter\" is what the device received";
        add(Level::Problem, message.to_owned(), remedy);
    }
    // Where age or count are shown, a dead row is known for one, however long it stays.
    let needs_short = !matches!(seen.freshness, Some(Freshness::Age | Freshness::Counter));
    match linger {
        Some(Ok(Linger::Kept(kept))) if needs_short && *kept > known.lease => {
            let total = (known.wait + *kept).as_secs();
            let message = format!(
                "it keeps a dead session for {:.1} s, longer than the lease: a take-over needs about {total} s",
                kept.as_secs_f64()
            );
            add(Level::Warning, message, &format!("shorter with {setting}"));
        }
        Some(Ok(Linger::Kept(kept))) if *kept < known.keep_alive * KEEP_ALIVES_MIN => {
            let message = format!(
                "it drops a session after {:.1} s, less than two keepalives: a lossy minute closes living sessions",
                kept.as_secs_f64()
            );
            add(Level::Warning, message, "raise the device's own interval, or lower exclusion.keepAlive");
        }
        Some(Ok(Linger::Longer(limit))) if needs_short => {
            let message = format!(
                "it still keeps a dead session after {} s: an automatic failover may take hours",
                limit.as_secs()
            );
            add(Level::Warning, message, &format!("set {setting}"));
        }
        Some(Ok(_)) | None => {}
        Some(Err(why)) => {
            add(Level::Warning, format!("how long it keeps a dead session is not known: {why}"), "");
        }
    }
}

/// The setting of a device that makes it drop dead sessions soon: 5 s, 2 times.
pub fn setting(speaks: Option<&str>) -> &'static str {
    match speaks {
        Some("junos") => {
            "`set system services ssh client-alive-interval 5` and `set system services ssh client-alive-count-max 2`"
        }
        Some("linux" | "bsd") => "`ClientAliveInterval 5` and `ClientAliveCountMax 2` in its sshd_config",
        _ => "the interval at which its SSH server asks silent clients (5 s, 2 times)",
    }
}

/// Rows 34 and 35 from the other side.
fn other_site(known: &Known<'_>, all: &mut Vec<Finding>) {
    let peer = match &known.peer {
        Ok(peer) => peer,
        Err(why) => {
            let message = format!("what the other site sees is not known: {why}");
            all.push(finding(Level::Note, &[], message, "run `arbiters check` there too"));
            return;
        }
    };
    for seen in known.surveyed {
        let (message, remedy) = match peer.get(&seen.name) {
            None => ("the other site does not know it", "configure the same arbiters at both sites"),
            Some(sight) if !sight.pings => {
                ("it does not answer ping from the other site", "let it answer both sites")
            }
            Some(sight) if sight.ssh != SshOutcome::Ok => {
                ("the other site cannot look at it", remedy_of(sight.ssh))
            }
            Some(_) => continue,
        };
        all.push(finding(Level::Problem, &[&seen.name], message.to_owned(), remedy));
    }
}

/// One device twice counts twice.
fn sameness(surveyed: &[Surveyed], all: &mut Vec<Finding>) {
    let by_address = groups(surveyed, |seen| seen.address.map(|address| (address.to_canonical(), seen.port)));
    for ((address, port), names) in by_address {
        let message =
            format!("they are one device, {address} port {port}, and would count {} times", names.len());
        all.push(finding(Level::Problem, &names, message, "keep one of them"));
    }
    for (key, names) in groups(surveyed, |seen| seen.host_key.clone()) {
        let mut addresses =
            surveyed.iter().filter(|seen| names.contains(&seen.name.as_str())).map(|seen| seen.address);
        let first = addresses.next();
        if addresses.all(|address| Some(address) == first) {
            // One device, told above, or several behind one address, each with its own port.
            continue;
        }
        let message =
            format!("they show one host key, {key}: one device with several addresses, or a copied key");
        let remedy = "keep one of them if it is one device; else give each a key of its own";
        all.push(finding(Level::Warning, &names, message, remedy));
    }
}

/// Row 37: what they share may fail for all of them at once.
fn spread(surveyed: &[Surveyed], all: &mut Vec<Finding>) {
    if surveyed.len() < 2 {
        return;
    }
    let shared = |what: Vec<Option<String>>| -> Option<String> {
        let first = what.first()?.clone()?;
        what.iter().all(|other| other.as_ref() == Some(&first)).then_some(first)
    };
    let remedy = "choose some that are reached another way: what they share may fail for all at once";
    if let Some(gateway) =
        shared(surveyed.iter().map(|seen| seen.gateway.map(|gateway| gateway.to_string())).collect())
    {
        let message = format!("all of them lie behind one gateway, {gateway}");
        all.push(finding(Level::Warning, &[], message, remedy));
    }
    if let Some(subnet) = shared(surveyed.iter().map(|seen| seen.address.map(subnet)).collect()) {
        let message = format!("all of them lie in one subnet, {subnet}");
        all.push(finding(Level::Warning, &[], message, remedy));
    }
}

fn subnet(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let mask = u32::MAX << (u32::BITS - SUBNET_BITS_V4);
            format!("{}/{SUBNET_BITS_V4}", std::net::Ipv4Addr::from(u32::from(address) & mask))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX << (u128::BITS - SUBNET_BITS_V6);
            format!("{}/{SUBNET_BITS_V6}", std::net::Ipv6Addr::from(u128::from(address) & mask))
        }
    }
}

fn number(known: &Known<'_>, all: &mut Vec<Finding>) {
    let count = known.surveyed.len();
    if count < ARBITERS_MIN || count.is_multiple_of(2) {
        let message = format!("{count} arbiters");
        all.push(finding(Level::Warning, &[], message, "an odd number from 3 on is better"));
    }
    let longest = known.round.longest();
    if longest > known.window {
        let message = format!(
            "with half of them mute a round takes {} s, longer than W = {} s: what was seen first is too old by then",
            longest.as_secs_f64(),
            known.window.as_secs_f64()
        );
        let remedy = if known.round.pings > known.round.looks {
            "raise the sysctl net.core.rmem_max: it limits the echoes that may be outstanding"
        } else {
            "fewer arbiters, or a shorter exclusion.lookTimeout"
        };
        all.push(finding(Level::Problem, &[], message, remedy));
    }
}

/// Names that share something, where more than one does.
fn groups<K: Ord>(surveyed: &[Surveyed], key: impl Fn(&Surveyed) -> Option<K>) -> BTreeMap<K, Vec<&str>> {
    let mut groups: BTreeMap<K, Vec<&str>> = BTreeMap::new();
    for seen in surveyed {
        if let Some(key) = key(seen) {
            groups.entry(key).or_default().push(&seen.name);
        }
    }
    groups.retain(|_, names| names.len() > 1);
    groups
}

#[cfg(test)]
mod tests;
