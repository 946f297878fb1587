//! `reach` (hidden): whether every node of this site reaches an address by ping and SSH (`domain.md` 222, 223).

use std::io::Read as _;
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::task::JoinSet;

use super::{exit, output};
use crate::config::chain;
use crate::daemon::ping_all;
use crate::peer::remote::{Login, Remote, To};
use crate::probe::ping::Pinger;
use crate::probe::ssh::known_hosts;

const INPUT_BYTES_MAX: u64 = 1 << 20;
/// Nodes of a site; those beyond are told and not asked.
pub const NODES_MAX: usize = 64;
const PING_TIMEOUT: Duration = Duration::from_secs(3);
const PING_RETRIES: u32 = 1;
/// Longest answer of a node: an echo and a log-in.
const NODE_LIMIT: Duration = Duration::from_secs(40);

/// What is to be reached, and from where.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wanted {
    /// The other site's virtual address.
    pub vip: String,
    /// Its SSH port; also that of the nodes here.
    pub port: u16,
    /// Who logs in, there and at the nodes here.
    pub user: String,
    /// With which private key; the file is looked for at every node.
    pub identity: PathBuf,
    /// The host key of the virtual address.
    pub host_key: Option<String>,
    /// Nodes of this site.
    pub nodes: Vec<String>,
}

/// What one node reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reached {
    /// Which node.
    pub node: String,
    /// Why it could not be asked, if so; then nothing else is known.
    pub unasked: Option<String>,
    /// Why no echo came back, if none did.
    pub ping: Option<String>,
    /// Why nobody could be logged in, if so.
    pub ssh: Option<String>,
}

/// Runs the command: the question on standard input, one line of JSON as the answer.
pub fn run() -> ExitCode {
    let mut text = String::new();
    let wanted = std::io::stdin()
        .lock()
        .take(INPUT_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())
        .and_then(|_| serde_json::from_str::<Wanted>(&text).map_err(|error| error.to_string()));
    match wanted.and_then(|wanted| from_every_node(&wanted)) {
        Ok(reached) => {
            output::json(&json!({"nodes": reached}));
            exit::code(exit::OK)
        }
        Err(why) => {
            output::failed(&why);
            exit::code(exit::USAGE)
        }
    }
}

/// Asks every node of this site; those that are not this machine over SSH.
///
/// # Errors
/// When this machine cannot ask anybody.
pub fn from_every_node(wanted: &Wanted) -> Result<Vec<Reached>, String> {
    let (runtime, local) = super::runtime().map_err(|error| error.to_string())?;
    let own = wanted.nodes.iter().find(|node| is_here(node));
    let here = own.cloned().unwrap_or_else(|| "this node".to_owned());
    let others: Vec<String> =
        wanted.nodes.iter().filter(|node| !is_here(node)).take(NODES_MAX).cloned().collect();
    let mut reached = local.block_on(&runtime, async {
        let mut asking = JoinSet::new();
        for node in others {
            let wanted = wanted.clone();
            asking.spawn_local(async move { from_node(node, wanted).await });
        }
        let mut reached = vec![from_here(here, wanted).await];
        while let Some(ended) = asking.join_next().await {
            reached.push(ended.map_err(|error| error.to_string())?);
        }
        Ok::<_, String>(reached)
    })?;
    // Each node once, in an order that does not depend on who answered first.
    reached[1..].sort_by(|one, other| one.node.cmp(&other.node));
    Ok(reached)
}

/// Whether an address is this machine's.
fn is_here(node: &str) -> bool {
    node.parse::<IpAddr>().is_ok_and(|address| UdpSocket::bind((address, 0)).is_ok())
}

async fn from_here(node: String, wanted: &Wanted) -> Reached {
    let ping = match Pinger::open(None).await {
        Ok(pinger) => {
            let hosts = [wanted.vip.clone()];
            let answers = json!(ping_all(&pinger, &hosts, PING_TIMEOUT, PING_RETRIES).await);
            let answer = &answers[&wanted.vip];
            let why = answer["why"].as_str().unwrap_or("no answer").to_owned();
            (answer["ping"] != true).then_some(why)
        }
        Err(error) => Some(chain(&error)),
    };
    let ssh = log_in(&wanted.vip, wanted, wanted.host_key.as_deref()).await.err();
    Reached { node, unasked: None, ping, ssh }
}

async fn log_in(host: &str, wanted: &Wanted, host_key: Option<&str>) -> Result<Remote, String> {
    let to = To { host, port: wanted.port, user: &wanted.user, source: None, host_key };
    let destination = to.with_identity(Path::new(&wanted.identity)).map_err(|error| chain(&error))?;
    let known_hosts = known_hosts::standard_files(std::env::var("HOME").ok().as_deref());
    Remote::connect(&Login { destination, known_hosts }).await.map_err(|error| chain(&error))
}

async fn from_node(node: String, wanted: Wanted) -> Reached {
    match ask(&node, &wanted).await {
        Ok(reached) => Reached { node, ..reached },
        Err(why) => Reached { node, unasked: Some(why), ping: None, ssh: None },
    }
}

async fn ask(node: &str, wanted: &Wanted) -> Result<Reached, String> {
    let remote = log_in(node, wanted, None).await?;
    let alone = Wanted { nodes: Vec::new(), ..wanted.clone() };
    let input = serde_json::to_vec(&alone).map_err(|error| error.to_string())?;
    let output = remote.run(&["reach"], &input, NODE_LIMIT).await.map_err(|error| chain(&error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let said: serde_json::Value = serde_json::from_str(text.lines().last().unwrap_or_default())
        .map_err(|_| format!("it says: {}", String::from_utf8_lossy(&output.stderr).trim()))?;
    serde_json::from_value(said["nodes"][0].clone()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_machine_is_not_logged_in_to() {
        assert!(is_here("127.0.0.1"));
        assert!(!is_here("192.0.2.77") && !is_here("node-2"));
    }
}
