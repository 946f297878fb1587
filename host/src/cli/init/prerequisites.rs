//! What the two sites must be to each other, looked at before anything is written.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::answers::Answers;
use crate::cli::pair::site::There;
use crate::cli::reach::{Reached, Wanted, from_every_node};
use crate::daemon::ping_all;
use crate::probe::ping::Pinger;
use crate::probe::tcp;

/// How long an echo or a connection is awaited.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest command at the other site.
const THERE_LIMIT: Duration = Duration::from_secs(30);
/// Longest look from all nodes there: they are asked at the same time.
const REACH_LIMIT: Duration = Duration::from_secs(90);
/// Bytes sent to see how fast the line is: a second at the recommended 100 Mbit/s would be 12.5 MB; a third of that.
const SAMPLE_BYTES: usize = 4 << 20;
/// The manual's recommendations.
const BANDWIDTH_MBIT_MIN: f64 = 100.0;
const LATENCY_MS_MAX: f64 = 150.0;
/// Ports of the replication.
const PORTS: [(u16, &str); 2] = [(3306, "MySQL"), (5432, "PostgreSQL")];

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Pass,
    Warn,
    Fail,
}

impl Mark {
    /// The word in the table.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One row of the table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) mark: Mark,
    pub(super) what: &'static str,
    pub(super) found: String,
}

impl Row {
    fn new(mark: Mark, what: &'static str, found: impl Into<String>) -> Self {
        Self { mark, what, found: found.into() }
    }

    /// For `--json`.
    pub(super) fn json(&self) -> Value {
        json!({"result": self.mark.word(), "what": self.what, "found": self.found})
    }
}

fn split(text: &str) -> Vec<String> {
    text.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
}

/// What the answers themselves show.
pub(super) fn of_answers(answers: &Answers) -> Vec<Row> {
    let nodes = |key: &str| split(answers.get(key).map(String::as_str).unwrap_or_default());
    let (own, peer) = (nodes("site.nodes"), nodes("peer.nodes"));
    let is_v4 = |address: &str| address.parse::<IpAddr>().map(|address| address.is_ipv4()).ok();
    let family = |key: &str| answers.get(key).and_then(|vip| is_v4(vip));
    let same_count = if own.len() == peer.len() { Mark::Pass } else { Mark::Warn };
    let same_family = if family("site.vip") == family("peer.vip") { Mark::Pass } else { Mark::Fail };
    vec![
        Row::new(
            same_count,
            "as many nodes at both sites",
            format!("{} here, {} there", own.len(), peer.len()),
        ),
        Row::new(
            same_family,
            "the same IP family",
            format!("{} and {}", answers["site.vip"], answers["peer.vip"]),
        ),
    ]
}

/// What the line between the sites shows from here, without SSH.
pub(super) async fn of_the_line(answers: &Answers) -> Vec<Row> {
    let source = answers["site.address"].parse().ok();
    let mut hosts = vec![answers["peer.vip"].clone()];
    hosts.extend(split(&answers["peer.nodes"]).into_iter().filter(|node| *node != answers["peer.vip"]));
    let mut rows = Vec::new();
    match Pinger::open(source).await {
        Ok(pinger) => {
            let answered = json!(ping_all(&pinger, &hosts, ANSWER_TIMEOUT, 1).await);
            for host in &hosts {
                let what = if *host == answers["peer.vip"] {
                    "this node pings the other site's virtual address"
                } else {
                    "this node pings a node of the other site"
                };
                rows.extend(echo(what, host, &answered[host]));
            }
        }
        Err(error) => rows.push(Row::new(Mark::Fail, "this node may send pings", error.to_string())),
    }
    for (port, name) in PORTS {
        let vip = &answers["peer.vip"];
        let address = if vip.contains(':') { format!("[{vip}]:{port}") } else { format!("{vip}:{port}") };
        let (mark, found) = match tcp::connect(&address, source, ANSWER_TIMEOUT).await {
            Ok(_) => (Mark::Pass, format!("{address} ({name}) is open")),
            Err(error) => (Mark::Warn, format!("{address} ({name}): {error}; the replication will need it")),
        };
        rows.push(Row::new(mark, "the ports of the replication", found));
    }
    rows
}

/// Two rows: whether it answers, and how far away it is.
fn echo(what: &'static str, host: &str, answer: &Value) -> Vec<Row> {
    if answer["ping"] != true {
        let why = answer["why"].as_str().unwrap_or("no answer");
        return vec![Row::new(Mark::Fail, what, format!("{host}: {why}"))];
    }
    let rtt_ms = answer["rttMs"].as_f64().unwrap_or(0.0);
    let near = if rtt_ms < LATENCY_MS_MAX { Mark::Pass } else { Mark::Warn };
    vec![
        Row::new(Mark::Pass, what, host),
        Row::new(near, "latency under 150 ms", format!("{rtt_ms:.1} ms to {host}")),
    ]
}

/// What the other site says over SSH.
pub(super) fn of_the_other_site(there: &There, answers: &Answers) -> Vec<Row> {
    let what = "the same version at both sites";
    let own = concat!("dr-watchdog ", env!("CARGO_PKG_VERSION"));
    let version = match there.run(&["--version"], b"", THERE_LIMIT) {
        Ok(ran) => ran,
        Err(why) => return vec![Row::new(Mark::Fail, "commands at the other site over SSH", why)],
    };
    let mut rows =
        vec![Row::new(Mark::Pass, "commands at the other site over SSH", answers["ssh.user"].clone())];
    let found = version.stdout.lines().last().unwrap_or_default().trim();
    if !found.starts_with("dr-watchdog ") {
        rows.push(Row::new(Mark::Fail, what, crate::cli::pair::site::no_program(&version)));
        return rows;
    }
    rows.push(Row::new(
        if found == own { Mark::Pass } else { Mark::Fail },
        what,
        format!("{own} here, {found} there"),
    ));
    let back = there.run(&["ping", &answers["site.vip"], "--timeout-ms", "3000", "--json"], b"", THERE_LIMIT);
    let (mark, found) = match back {
        Ok(ran) if ran.status == 0 => (Mark::Pass, answers["site.vip"].clone()),
        Ok(ran) => (Mark::Fail, format!("{}: {}", answers["site.vip"], ran.stdout.trim())),
        Err(why) => (Mark::Fail, why),
    };
    rows.push(Row::new(mark, "the other site pings this site's virtual address", found));
    rows.extend(of_every_node(there, answers));
    rows.push(bandwidth(there));
    rows
}

/// Whether every node of this site reaches the other one's virtual address, and every node there this one's: by ping,
/// and by SSH, over which commands and files go.
fn of_every_node(there: &There, answers: &Answers) -> Vec<Row> {
    let wanted = |vip: &str, nodes: &str, host_key: Option<String>| Wanted {
        vip: answers[vip].clone(),
        port: super::port(answers),
        user: answers["ssh.user"].clone(),
        identity: answers["ssh.identity"].clone().into(),
        host_key,
        nodes: split(&answers[nodes]),
    };
    let peer_key = Some(answers["peer.hostKey"].clone()).filter(|key| !key.is_empty());
    let here = from_every_node(&wanted("peer.vip", "site.nodes", peer_key));
    let own_key = super::join::own_host_key(answers);
    let asked = serde_json::to_vec(&wanted("site.vip", "peer.nodes", own_key)).unwrap_or_default();
    let over_there = there.run(&["reach"], &asked, REACH_LIMIT).and_then(|ran| {
        let said: Value = serde_json::from_str(ran.stdout.lines().last().unwrap_or_default())
            .map_err(|_| crate::cli::pair::site::no_program(&ran))?;
        serde_json::from_value(said["nodes"].clone()).map_err(|error| error.to_string())
    });
    let mut rows = reach("every node here reaches the other site by ping and SSH", here);
    rows.extend(reach("every node there reaches this site by ping and SSH", over_there));
    rows
}

fn reach(what: &'static str, reached: Result<Vec<Reached>, String>) -> Vec<Row> {
    let rows = match reached {
        Ok(reached) => reached,
        Err(why) => return vec![Row::new(Mark::Warn, what, format!("it could not be looked at: {why}"))],
    };
    let row = |node: Reached| {
        let name = &node.node;
        match (&node.unasked, &node.ping, &node.ssh) {
            (Some(why), ..) => Row::new(
                Mark::Warn,
                what,
                format!("{name} could not be asked ({why}); try `ping` and `ssh` there by hand"),
            ),
            (None, None, None) => Row::new(Mark::Pass, what, name),
            (None, ping, ssh) => {
                let told = [("ping", ping), ("SSH", ssh)];
                let told =
                    told.iter().filter_map(|(way, why)| why.as_ref().map(|why| format!("{way}: {why}")));
                Row::new(Mark::Fail, what, format!("{name}: {}", told.collect::<Vec<_>>().join("; ")))
            }
        }
    };
    rows.into_iter().map(row).collect()
}

fn bandwidth(there: &There) -> Row {
    let sample = vec![b'x'; SAMPLE_BYTES];
    let begun = Instant::now();
    let what = "bandwidth of 100 Mbit/s";
    match there.run(&["sink"], &sample, THERE_LIMIT) {
        Ok(ran) if ran.status == 0 => {
            let mbit = SAMPLE_BYTES as f64 * 8.0 / 1e6 / begun.elapsed().as_secs_f64().max(1e-6);
            let mark = if mbit >= BANDWIDTH_MBIT_MIN { Mark::Pass } else { Mark::Warn };
            Row::new(mark, what, format!("{mbit:.0} Mbit/s over one SSH connection, so at least that"))
        }
        Ok(ran) => Row::new(Mark::Warn, what, format!("it could not be measured: {}", ran.stderr.trim())),
        Err(why) => Row::new(Mark::Warn, what, format!("it could not be measured: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_does_not_reach_the_other_site_fails_and_one_that_cannot_be_asked_is_told() {
        let node = |name: &str, unasked: Option<&str>, ping: Option<&str>, ssh: Option<&str>| Reached {
            node: name.to_owned(),
            unasked: unasked.map(str::to_owned),
            ping: ping.map(str::to_owned),
            ssh: ssh.map(str::to_owned),
        };
        let rows = reach(
            "x",
            Ok(vec![
                node("n1", None, None, None),
                node("n2", Some("no route"), None, None),
                node("n3", None, Some("timeout"), Some("refused")),
            ]),
        );
        let shown: Vec<(Mark, &str)> = rows.iter().map(|row| (row.mark, row.found.as_str())).collect();
        assert_eq!(shown[0], (Mark::Pass, "n1"));
        assert!(shown[1].0 == Mark::Warn && shown[1].1.contains("no route"), "{shown:?}");
        assert_eq!(shown[2], (Mark::Fail, "n3: ping: timeout; SSH: refused"));
    }

    #[test]
    fn unequal_sites_are_warned_of_and_two_families_fail() {
        let answers = |peer_vip: &str, peer_nodes: &str| -> Answers {
            [
                ("site.vip", "192.0.2.1"),
                ("site.nodes", "192.0.2.1"),
                ("peer.vip", peer_vip),
                ("peer.nodes", peer_nodes),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
        };
        let marks = |answers: &Answers| of_answers(answers).iter().map(|row| row.mark).collect::<Vec<_>>();
        assert_eq!(marks(&answers("192.0.2.2", "192.0.2.2")), [Mark::Pass, Mark::Pass]);
        assert_eq!(marks(&answers("2001:db8::2", "2001:db8::2, 2001:db8::3")), [Mark::Warn, Mark::Fail]);
    }
}
