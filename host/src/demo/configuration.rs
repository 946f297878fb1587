//! The configuration file of a site of the demo.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use super::arbiter::Device;
use super::timers;

/// UDP port of the signed heartbeats.
const HEARTBEAT_PORT: u16 = 7_946;
/// The SSH port of every arbiter.
pub const SSH_PORT: u16 = 22;

/// How to log in to an arbiter.
#[derive(Debug, Clone)]
pub enum LogIn {
    /// With a password.
    Password(String),
    /// With a private key in OpenSSH form.
    Key(String),
}

/// An arbiter, as a site knows it.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its address.
    pub address: Ipv4Addr,
    /// Which device it is.
    pub device: Device,
    /// Its user.
    pub user: String,
    /// How to log in.
    pub log_in: LogIn,
    /// Fingerprint of its host key.
    pub host_key: String,
}

/// What differs between the sites, and what both share.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Names of this site and of the other.
    pub names: [&'a str; 2],
    /// Addresses of this site and of the other.
    pub addresses: [Ipv4Addr; 2],
    /// 0 or 1.
    pub index: u8,
    /// Key of the signed heartbeats.
    pub heartbeat_key: &'a str,
    /// The arbiters.
    pub arbiters: &'a [Known],
    /// The policy; `None` is the plugin beside the binary.
    pub policy: Option<&'a Path>,
    /// Where the service leaves its traces.
    pub service: &'a Path,
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

fn span(span: Duration) -> String {
    let ms = span.as_millis();
    quoted(&if ms.is_multiple_of(1_000) { format!("{}s", ms / 1_000) } else { format!("{ms}ms") })
}

/// The text of the file.
pub fn text(facts: &Facts<'_>) -> String {
    let [name, peer] = facts.names.map(quoted);
    let [address, peer_address] = facts.addresses.map(|address| quoted(&address.to_string()));
    let role = quoted(if facts.index == 0 { "active" } else { "standby" });
    let mut text = format!(
        "# Written by `dr-watchdog demo`. The timers are far shorter than a real pair of sites should have.\n\
         mode = \"enforce\"\n\n\
         [site]\nname = {name}\nvip = {address}\nsourceAddress = {address}\ninitialRole = {role}\nindex = {index}\n\n\
         [peer]\nname = {peer}\nheartbeatPort = {HEARTBEAT_PORT}\nheartbeatKey = {key}\n\n\
         [core]\npeerVip = {peer_address}\n\n\
         [policy]\ndeadline = {policy_deadline}\n\n",
        index = facts.index,
        key = quoted(facts.heartbeat_key),
        policy_deadline = span(timers::POLICY_DEADLINE),
    );
    text.push_str(&exclusion());
    text.push_str(&watchdog(facts));
    text.push_str(&steps(facts.service));
    text
}

fn exclusion() -> String {
    format!(
        "[exclusion]\nmode = \"verdict\"\nkeepAlive = {}\nlease = {}\nfenceDeadline = {}\nlook = {}\n\
         lookTimeout = {}\nclockError = {}\nslack = {}\nwait = {}\n\n",
        span(timers::KEEP_ALIVE),
        span(timers::LEASE),
        span(timers::FENCE_DEADLINE),
        span(timers::LOOK),
        span(timers::LOOK_TIMEOUT),
        quoted(&format!("{}%", timers::CLOCK_ERROR_PERCENT)),
        span(timers::SLACK),
        span(timers::WAIT),
    )
}

fn watchdog(facts: &Facts<'_>) -> String {
    let mut text = format!(
        "[watchdog.heartbeat]\ninterval = {}\ntimeout = {}\nretries = {}\n\n\
         [watchdog.failureDetection]\nisCustom = {}\n{}waitDuration = \"8h\"\n\n\
         [watchdog.failureDetection.threshold]\nfailover = 0.5\nadjustManaged = 0.5\nwarning = 0.7\n\n",
        span(timers::INTERVAL),
        span(timers::TIMEOUT),
        timers::RETRIES,
        facts.policy.is_some(),
        facts
            .policy
            .map_or_else(String::new, |path| format!("script = {}\n", quoted(&path.to_string_lossy()))),
    );
    for arbiter in facts.arbiters {
        let (key, secret) = match &arbiter.log_in {
            LogIn::Password(password) => ("password", password),
            LogIn::Key(private) => ("privateKey", private),
        };
        // Writing into a text does not fail.
        let _ = write!(
            text,
            "[[watchdog.failureDetection.arbiters]]\nhost = {}\nport = {SSH_PORT}\nkind = {}\nusername = {}\n\
             {key} = {}\nhostKey = {}\n\n",
            quoted(&arbiter.address.to_string()),
            quoted(arbiter.device.word()),
            quoted(&arbiter.user),
            quoted(secret),
            quoted(&arbiter.host_key),
        );
    }
    text
}

/// Every step leaves a line in `steps.log`. `serving` is there exactly while the service runs; `stopped` is written
/// after it has gone, so the two instants of the files enclose the time of serving.
const STEPS: [(&str, &str, &str); 4] = [
    ("beActive", "start the service", "echo \"epoch $DR_WATCHDOG_EPOCH\" > \"$1/serving\""),
    ("beActive", "tell the clients", "echo \"$DR_WATCHDOG_SITE serves\" >> \"$1/clients.log\""),
    ("beStandby", "tell the clients", "echo \"$DR_WATCHDOG_SITE stops\" >> \"$1/clients.log\""),
    (
        "beStandby",
        "stop the service",
        "rm -f \"$1/serving\" && echo \"epoch $DR_WATCHDOG_EPOCH\" > \"$1/stopped\"",
    ),
];

fn steps(service: &Path) -> String {
    let mut text = String::new();
    for (plan, name, work) in STEPS {
        let script = format!("echo \"{plan}: {name}\" >> \"$1/steps.log\" && {work}");
        let command = ["/bin/sh", "-c", &script, "sh", &service.to_string_lossy()].map(quoted).join(", ");
        // Writing into a text does not fail.
        let _ = write!(
            text,
            "[[roleChange.{plan}]]\nname = {}\ncommand = [{command}]\ndeadline = {}\n\n",
            quoted(name),
            span(timers::STEP_DEADLINE),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts<'a>(arbiters: &'a [Known], policy: Option<&'a Path>, service: &'a Path) -> Facts<'a> {
        Facts {
            names: ["a", "b"],
            addresses: [Ipv4Addr::new(192, 0, 2, 10), Ipv4Addr::new(198, 51, 100, 10)],
            index: 0,
            heartbeat_key: "a key of at least thirty-two bytes",
            arbiters,
            policy,
            service,
        }
    }

    fn known(last: u8, log_in: LogIn) -> Known {
        Known {
            address: Ipv4Addr::new(203, 0, 113, last),
            device: Device::Junos,
            user: "watch".to_owned(),
            log_in,
            host_key: format!("SHA256:{}", "x".repeat(43)),
        }
    }

    #[test]
    fn the_daemon_accepts_the_file_and_warns_of_nothing_but_its_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("own.lua");
        std::fs::write(&policy, "return {}").unwrap();
        let key = super::super::arbiter::new_key().unwrap();
        let key = key.to_openssh(russh::keys::ssh_key::LineEnding::LF).unwrap().to_string();
        let arbiters = [
            known(1, LogIn::Password("p".to_owned())),
            known(2, LogIn::Key(key)),
            known(3, LogIn::Password("p".to_owned())),
        ];
        let file = folder.path().join("dr-watchdog.toml");
        std::fs::write(&file, text(&facts(&arbiters, Some(&policy), folder.path()))).unwrap();
        let (config, warnings) = crate::config::load_file(&file).unwrap();
        assert_eq!(config.exclusion.wait, timers::WAIT);
        assert_eq!(config.watchdog.heartbeat.interval.duration(), timers::INTERVAL);
        assert_eq!(config.policy.deadline, timers::POLICY_DEADLINE);
        assert_eq!(config.role_change.be_standby.len(), timers::STEPS as usize);
        assert_eq!(
            warnings.len(),
            warnings.iter().filter(|warning| warning.contains("secret")).count(),
            "{warnings:#?}"
        );
    }

    #[test]
    fn the_file_is_toml_whatever_the_names_contain() {
        let arbiters = [
            known(1, LogIn::Password("a\"b\\".to_owned())),
            known(2, LogIn::Key("-----BEGIN\nx\n-----END\n".to_owned())),
        ];
        let facts = facts(&arbiters, Some(Path::new("/tmp/x y/\"p\".lua")), Path::new("/tmp/x y/service"));
        let file: toml_edit::DocumentMut = text(&facts).parse().unwrap();
        let detection = &file["watchdog"]["failureDetection"];
        assert_eq!(detection["script"].as_str(), Some("/tmp/x y/\"p\".lua"));
        let arbiters = detection["arbiters"].as_array_of_tables().unwrap();
        assert_eq!(arbiters.get(0).unwrap()["password"].as_str(), Some("a\"b\\"));
        assert!(arbiters.get(1).unwrap()["privateKey"].as_str().unwrap().starts_with("-----BEGIN\nx"));
        assert_eq!(file["core"]["peerVip"].as_str(), Some("198.51.100.10"));
    }
}
