//! A site's configuration, as a test varies it.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// F of the laboratory. It is longer than the active site's own way to standby: up to 1 s to the next round, 0.6 s of
/// pings, 1 s of looking, the policy and one step, with room for a machine that does other work beside.
pub const WAIT: &str = "7s";

/// What a site is told.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// Name of the site.
    pub name: String,
    /// 0 or 1.
    pub index: u8,
    /// `active` or `standby`.
    pub initial_role: String,
    /// Address of the site.
    pub address: Ipv4Addr,
    /// `heartbeat.interval`; a site boots a little longer than that.
    pub interval: String,
    /// Name of the other site.
    pub peer_name: String,
    /// Address that heartbeats ping.
    pub peer_vip: Ipv4Addr,
    /// The other site's load-balancer nodes, comma-joined.
    pub peer_nodes: String,
    /// Hosts of the arbiters.
    pub arbiters: Vec<Ipv4Addr>,
    /// Private key file for the log-ins at the arbiters.
    pub client_key: Option<PathBuf>,
    /// Host key of the arbiters.
    pub host_key: Option<String>,
    /// A policy of its own.
    pub policy: Option<PathBuf>,
    /// `waitDuration`.
    pub wait_duration: String,
    /// Steps as `(name, command in TOML, idempotent)`.
    pub be_active: Vec<(String, String, bool)>,
    /// Steps as `(name, command in TOML, idempotent)`.
    pub be_standby: Vec<(String, String, bool)>,
    /// What tells a dead session at the arbiters.
    pub freshness: String,
    /// Lines of `[peer]`, as they are.
    pub peer_more: String,
    /// Lines that are appended as they are.
    pub more: String,
}

impl Recipe {
    /// A site without arbiters and steps.
    pub fn new(name: &str, index: u8, initial_role: &str, address: Ipv4Addr, peer: (&str, Ipv4Addr)) -> Self {
        Self {
            name: name.to_owned(),
            index,
            initial_role: initial_role.to_owned(),
            address,
            interval: "1s".to_owned(),
            peer_name: peer.0.to_owned(),
            peer_vip: peer.1,
            peer_nodes: String::new(),
            arbiters: Vec::new(),
            client_key: None,
            host_key: None,
            policy: None,
            wait_duration: "8h".to_owned(),
            be_active: Vec::new(),
            be_standby: Vec::new(),
            freshness: "auto".to_owned(),
            peer_more: String::new(),
            more: String::new(),
        }
    }

    /// The configuration file.
    pub fn to_toml(&self) -> String {
        let Self {
            name,
            index,
            initial_role,
            address,
            interval,
            peer_name,
            peer_vip,
            peer_nodes,
            freshness,
            peer_more,
            wait_duration,
            ..
        } = self;
        let policy = match &self.policy {
            Some(path) => format!("isCustom = true\nscript = \"{}\"\n", path.display()),
            None => String::new(),
        };
        let mut text = format!(
            "mode = \"enforce\"\n\n[site]\nname = \"{name}\"\nindex = {index}\ninitialRole = \"{initial_role}\"\n\
             sourceAddress = \"{address}\"\n\n[peer]\nname = \"{peer_name}\"\nheartbeatPort = 7805\n\
             heartbeatKey = \"not-a-secret-only-a-key-of-a-test\"\n{peer_more}\n[core]\npeerVip = \"{peer_vip}\"\n\
             peerLoadBalancerNodes = \"{peer_nodes}\"\n\n\
             [watchdog.heartbeat]\ninterval = \"{interval}\"\ntimeout = \"200ms\"\nretries = 2\n\n\
             [exclusion]\nmode = \"verdict\"\nkeepAlive = \"300ms\"\nlook = \"500ms\"\nlookTimeout = \"1s\"\n\
             lease = \"3s\"\nfenceDeadline = \"1s\"\nslack = \"500ms\"\nwait = \"{WAIT}\"\nfreshness = \"{freshness}\"\n\n[policy]\ndeadline = \"5s\"\n\n\
             [watchdog.failureDetection]\nwaitDuration = \"{wait_duration}\"\n{policy}",
        );
        for arbiter in &self.arbiters {
            write!(text, "\n[[watchdog.failureDetection.arbiters]]\nhost = \"{arbiter}\"\nusername = \"root\"\nkind = \"linux\"\n").unwrap();
            match &self.client_key {
                Some(key) => writeln!(text, "privateKey = {{ file = \"{}\" }}", key.display()).unwrap(),
                None => writeln!(text, "password = \"nobody-logs-in\"").unwrap(),
            }
            if let Some(key) = &self.host_key {
                writeln!(text, "hostKey = \"{key}\"").unwrap();
            }
        }
        for (plan, steps) in [("beActive", &self.be_active), ("beStandby", &self.be_standby)] {
            for (name, command, idempotent) in steps {
                write!(
                    text,
                    "\n[[roleChange.{plan}]]\nname = \"{name}\"\ncommand = {command}\ndeadline = \"20s\"\n\
                     idempotent = {idempotent}\n",
                )
                .unwrap();
            }
        }
        text.push('\n');
        text.push_str(&self.more);
        text
    }
}
