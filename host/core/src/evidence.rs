//! Evidence from the arbiters: the reports that every policy counts from.
//!
//! Architecture invariant: whether an arbiter is *managed* by the other site is worked out here and nowhere else.

use std::collections::BTreeMap;
use std::net::IpAddr;

use dr_watchdog_sdk::evidence::{ArbiterEvidence, PingReport, Session, SessionsReport, SshOutcome};
use dr_watchdog_sdk::sections::{self, Role};
use dr_watchdog_sdk::threshold::Threshold;
use dr_watchdog_sdk::utc::Utc;

/// Everything seen at the arbiters, by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Evidence {
    /// When it was complete.
    pub time: Utc,
    /// By arbiter; every configured arbiter is here.
    pub arbiters: BTreeMap<String, ArbiterEvidence>,
}

/// What makes a session at an arbiter one of the other site's.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct ManagedRule {
    /// Addresses of the other site.
    pub peer_addresses: Vec<String>,
    /// Age in milliseconds from which a session is stale (F).
    pub stale_ms: u64,
}

impl ManagedRule {
    /// The addresses of design 8: the configured hold addresses, else the device-management addresses of the
    /// other site, else its VIP and node lists.
    pub fn new(hold_addresses: &[String], core: Option<&sections::Core>, stale_ms: u64) -> Self {
        let listed = |lists: &[&str]| -> Vec<String> {
            lists.iter().flat_map(|list| sections::Core::split(list)).map(str::to_owned).collect()
        };
        let mut peer_addresses = hold_addresses.to_vec();
        if let (true, Some(core)) = (peer_addresses.is_empty(), core) {
            peer_addresses = listed(&[&core.peer_device_mgt_ips]);
            if peer_addresses.is_empty() {
                let nodes = [&core.peer_vip, &core.peer_load_balancer_nodes, &core.peer_business_logic_nodes];
                peer_addresses = listed(&nodes.map(String::as_str));
            }
        }
        Self { peer_addresses, stale_ms }
    }

    /// Whether one of the sessions is a fresh one of the other site. A row without an age is fresh.
    pub fn is_managed(&self, sessions: &[Session]) -> bool {
        sessions
            .iter()
            .any(|session| self.is_peer(session) && session.age_ms.is_none_or(|age| age < self.stale_ms))
    }

    /// Whether the session comes from the other site, fresh or not.
    pub fn is_peer(&self, session: &Session) -> bool {
        let from = comparable(&session.from);
        self.peer_addresses.iter().any(|address| comparable(address) == from)
    }
}

/// An address in the one form in which two spellings of it are equal: without zone, IPv4-mapped as IPv4.
fn comparable(address: &str) -> Result<IpAddr, String> {
    let trimmed = address.trim().trim_start_matches('[').trim_end_matches(']');
    let plain = trimmed.split('%').next().unwrap_or(trimmed);
    plain.parse::<IpAddr>().map(|address| address.to_canonical()).map_err(|_| trimmed.to_lowercase())
}

impl Evidence {
    /// Fills in `managed` at every arbiter whose sessions are known, and completes what did not answer:
    /// an arbiter without a ping answer did not answer ping, one without an SSH outcome timed out.
    #[must_use]
    pub fn completed(mut self, names: &[String], rule: &ManagedRule) -> Self {
        let mut known = BTreeMap::new();
        for name in names {
            let mut seen = self.arbiters.remove(name).unwrap_or_default();
            seen.ping.get_or_insert(false);
            let ssh = *seen.ssh.get_or_insert(SshOutcome::Timeout);
            let sessions = seen.sessions.get_or_insert_default();
            if ssh != SshOutcome::Ok {
                sessions.clear();
            }
            seen.managed = Some(rule.is_managed(sessions));
            known.insert(name.clone(), seen);
        }
        self.arbiters = known;
        self
    }

    /// Arbiters in all.
    pub fn total(&self) -> u64 {
        self.arbiters.len() as u64
    }

    /// Arbiters that answered ping.
    pub fn pinged(&self) -> u64 {
        self.count(|seen| seen.ping == Some(true))
    }

    /// Arbiters whose SSH look succeeded.
    pub fn ssh_reachable(&self) -> u64 {
        self.count(|seen| seen.ssh == Some(SshOutcome::Ok))
    }

    /// Arbiters that the other site manages.
    pub fn managed(&self) -> u64 {
        self.count(|seen| seen.ssh == Some(SshOutcome::Ok) && seen.managed == Some(true))
    }

    fn count(&self, is_counted: impl Fn(&ArbiterEvidence) -> bool) -> u64 {
        self.arbiters.values().filter(|seen| is_counted(seen)).count() as u64
    }

    /// What `arbiters.ping` answers.
    pub fn ping_report(&self, role: Role, warning: Threshold) -> PingReport {
        let arbiters = self.arbiters.iter().map(|(name, seen)| {
            let part = ArbiterEvidence {
                ping: seen.ping,
                rtt_ms: seen.rtt_ms,
                last_good: seen.last_good,
                why: seen.why.clone(),
                old_address: seen.old_address.clone(),
                ..ArbiterEvidence::default()
            };
            (name.clone(), part)
        });
        PingReport {
            time: self.time,
            role,
            total: self.total(),
            reachable: self.pinged(),
            warning: !warning.is_met_by(self.pinged(), self.total()),
            arbiters: arbiters.collect(),
        }
    }

    /// What `arbiters.sessions` answers.
    pub fn sessions_report(&self, role: Role) -> SessionsReport {
        let arbiters = self.arbiters.iter().map(|(name, seen)| {
            let part = ArbiterEvidence {
                ssh: seen.ssh,
                ssh_error: seen.ssh_error.clone(),
                sessions: seen.sessions.clone(),
                managed: seen.managed,
                absent_since: seen.absent_since,
                old_address: seen.old_address.clone(),
                ..ArbiterEvidence::default()
            };
            (name.clone(), part)
        });
        SessionsReport {
            time: self.time,
            role,
            total: self.total(),
            reachable: self.ssh_reachable(),
            managed: self.managed(),
            arbiters: arbiters.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(from: &str, age_ms: Option<u64>) -> Session {
        Session { from: from.to_owned(), age_ms }
    }

    #[test]
    fn a_session_is_the_peers_by_address_and_fresh_by_age() {
        let core = sections::Core {
            peer_vip: "192.0.2.10".to_owned(),
            peer_load_balancer_nodes: "192.0.2.11, 192.0.2.12".to_owned(),
            ..sections::Core::default()
        };
        let rule = ManagedRule::new(&[], Some(&core), 80_000);
        for (sessions, managed) in [
            (vec![], false),
            (vec![session("192.0.2.11", None)], true),
            (vec![session("::ffff:192.0.2.12", Some(79_999))], true),
            (vec![session("192.0.2.10", Some(80_000))], false),
            (vec![session("192.0.2.13", Some(1))], false),
            (vec![session("192.0.2.10", Some(90_000)), session("192.0.2.10", Some(10))], true),
        ] {
            assert_eq!(rule.is_managed(&sessions), managed, "{sessions:?}");
        }
        let mapped = ManagedRule::new(&["2001:DB8::1".to_owned()], Some(&core), 80_000);
        assert!(mapped.is_managed(&[session("2001:db8:0::1%eth0", None)]));
        assert!(!mapped.is_managed(&[session("192.0.2.10", None)]), "hold addresses replace the lists");
    }

    #[test]
    fn device_management_addresses_come_before_the_node_lists() {
        let core = sections::Core {
            peer_vip: "192.0.2.10".to_owned(),
            peer_device_mgt_ips: "192.0.2.20".to_owned(),
            ..sections::Core::default()
        };
        let rule = ManagedRule::new(&[], Some(&core), 1);
        assert_eq!(rule.peer_addresses, ["192.0.2.20"]);
    }

    #[test]
    fn what_is_not_named_did_not_answer() {
        let names = ["r1".to_owned(), "r2".to_owned()];
        let evidence = Evidence::default().completed(&names, &ManagedRule::default());
        assert_eq!(
            (evidence.total(), evidence.pinged(), evidence.ssh_reachable(), evidence.managed()),
            (2, 0, 0, 0)
        );
        assert_eq!(evidence.arbiters["r1"].ssh, Some(SshOutcome::Timeout));
    }
}
