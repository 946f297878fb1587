//! Whole configurations, lowered.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use dr_watchdog_sdk::sections::Sections;
use secrecy::ExposeSecret;
use serde_json::json;

use super::report::Surroundings;
use super::*;

mod bad;
mod example;
mod relations;

/// A machine of the imagination.
#[derive(Debug, Default)]
pub(super) struct Imagined {
    files: BTreeMap<PathBuf, (u32, String)>,
    variables: BTreeMap<String, String>,
}

impl Imagined {
    fn file(mut self, path: &str, mode: u32, content: &str) -> Self {
        self.files.insert(path.into(), (mode, content.to_owned()));
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }
}

impl Surroundings for Imagined {
    fn read(&self, path: &Path, _: u64) -> io::Result<Vec<u8>> {
        let file = self.files.get(path).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(file.1.clone().into_bytes())
    }

    fn mode(&self, path: &Path) -> Option<u32> {
        self.files.get(path).map(|(mode, _)| *mode)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
}

/// A private key that opens nothing.
pub(super) const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACDYsT0+znnLG9i3PeAGgJWxPN5SEwZMtKfgpydC5u4gZwAAAIh5ZaXNeWWl
zQAAAAtzc2gtZWQyNTUxOQAAACDYsT0+znnLG9i3PeAGgJWxPN5SEwZMtKfgpydC5u4gZw
AAAEA/hUMVIcHOVKZab/z7ukcz2Jc6B5dKEymShqoPHYDnvtixPT7Oecsb2Lc94AaAlbE8
3lITBky0p+CnJ0Lm7iBnAAAAAAECAwQF
-----END OPENSSH PRIVATE KEY-----
";

/// The same kind of key under a passphrase.
pub(super) const ENCRYPTED_KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABBp13Yec0
q2DcXiMyCeRpMTAAAAAQAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAICOxrqpV49h8MgYm
N+agHp7BZlOovHUUm7avL4+pWkfAAAAAkCiblanpv7grLB2TihWojJoIUskw8OTH5YYYal
GPNyYZMcKv+pyY+wca50AZDG+dysCvPiWV/+RkdYL5426gfDS+l4yO6lVb7p5pPWuR8hny
Ca7Dw2eXc+oYy485BWxlb/by1Ya/XGDTSSWyliQ/ILW6XT6ZZoWLrUatq0NItaTmljuaF7
EUEtV3zqSz5AdPGg==
-----END OPENSSH PRIVATE KEY-----
";

/// The least that is accepted; line 1 is `[site]`.
pub(super) const LEAST: &str = r#"[site]
name = "a"
index = 0
[peer]
name = "b"
heartbeatKey = "0123456789abcdef"
[core]
peerVip = "192.0.2.20"
[[watchdog.failureDetection.arbiters]]
host = "203.0.113.1"
username = "watchdog"
password = "x"
"#;

pub(super) fn load_with(text: &str, around: &Imagined) -> Result<(Config, Vec<String>), ConfigErrors> {
    load_text("/etc/dr-watchdog/dr-watchdog.toml", text, around)
}

fn good(text: &str) -> Config {
    match load_with(text, &Imagined::default()) {
        Ok((config, _)) => config,
        Err(errors) => panic!("{errors}"),
    }
}

#[test]
fn the_least_configuration_takes_every_default() {
    let config = good(LEAST);
    assert_eq!(config.exclusion.wait.as_secs(), 80);
    assert_eq!(config.wait_duration_s, Some(8 * 3_600));
    assert_eq!(config.policy.memory_bytes, 128 << 20);
    assert_eq!(config.policy.custom, None);
    assert_eq!(config.arbiters[0].name, "203.0.113.1");
    assert_eq!(config.peer.heartbeat_port, 7_805);
    // Those of the table are those of the code: written out, nothing changes.
    let arbiter = format!("{}\n", toml_of(&defaults::OF_AN_ARBITER));
    let step = "[[roleChange.beActive]]\nname = \"s\"\ncommand = [\"/s\"]\n";
    let least = format!("{LEAST}{step}");
    let root: Vec<String> =
        defaults::TABLE.iter().map(|each| format!("{} = {}", each.key, each.value)).collect();
    // Dotted keys must come before the tables; a table that is opened twice is merged by hand.
    let written = written_out(&root, &arbiter, step);
    let (with, without) = (good(&written), good(&least));
    let shown = |config: &Config| {
        let mut config = config.clone();
        // Tables that are absent unless written.
        (config.mysql, config.pgsql, config.file, config.smtp) = (None, None, None, None);
        format!("{config:?}")
    };
    assert_eq!(shown(&with), shown(&without));
}

fn toml_of(defaults: &[defaults::Default]) -> String {
    defaults.iter().map(|each| format!("{} = {}", each.key, each.value)).collect::<Vec<_>>().join("\n")
}

/// The least configuration as dotted keys, with every default beside.
fn written_out(defaults: &[String], arbiter: &str, step: &str) -> String {
    let own = "site.name = \"a\"\nsite.index = 0\npeer.name = \"b\"\npeer.heartbeatKey = \"0123456789abcdef\"\n\
               core.peerVip = \"192.0.2.20\"\nsmtp.host = \"mail.example.com\"\nsmtp.from = \"a@example.com\"\n";
    let arbiters = "watchdog.failureDetection.arbiters = [{ host = \"203.0.113.1\", username = \"watchdog\", \
                    password = \"x\", ARBITER }]\n";
    let inline = arbiter.trim().replace('\n', ", ");
    format!(
        "{own}{}\n{}{step}{}\n",
        defaults.join("\n"),
        arbiters.replace("ARBITER", &inline),
        toml_of(&defaults::OF_A_STEP)
    )
}

#[test]
fn the_fast_profile_needs_20_seconds() {
    let fast = "[exclusion]\nkeepAlive = 3\nlease = 12\nfenceDeadline = 5\nlook = 2\nlookTimeout = 2\nslack = 1\n\
                [watchdog.heartbeat]\ninterval = 5\ntimeout = 1\n";
    let config = good(&format!("{LEAST}{fast}"));
    assert_eq!(config.exclusion.wait.as_secs(), 20);
    assert_eq!(config.exclusion.least_wait().as_millis(), 19_360);
    assert_eq!((config.exclusion.gap().as_secs(), config.exclusion.hold_age().as_secs()), (6, 7));
}

#[test]
fn secrets_come_from_files_variables_and_credentials_and_are_never_shown() {
    let text = LEAST
        .replace("\"0123456789abcdef\"", "{ file = \"key\" }")
        .replace("password = \"x\"", "password = { env = \"PASS\" }")
        + "privateKey = \"/keys/id\"\n[smtp]\nhost = \"mail.example.com\"\nfrom = \"a@example.com\"\nusername = \"u\"\n\
           password = { credential = \"mail\" }\n";
    let around = Imagined::default()
        .file("/etc/dr-watchdog/key", 0o644, "0123456789abcdef\n")
        .file("/keys/id", 0o640, KEY)
        .file("/run/credentials/mail", 0o444, "mail secret")
        .variable("PASS", "pass secret")
        .variable("CREDENTIALS_DIRECTORY", "/run/credentials");
    let (config, warnings) = load_with(&text, &around).unwrap();
    let exposed =
        |secret: &Option<secrecy::SecretString>| secret.as_ref().map(|s| s.expose_secret().to_owned());
    assert_eq!(exposed(&config.peer.heartbeat_key).as_deref(), Some("0123456789abcdef"));
    assert_eq!(exposed(&config.arbiters[0].password).as_deref(), Some("pass secret"));
    assert_eq!(exposed(&config.arbiters[0].private_key).as_deref(), Some(KEY));
    assert_eq!(exposed(&config.smtp.as_ref().unwrap().password).as_deref(), Some("mail secret"));
    let printed = format!("{config:?} {}", json!(sections(&config)));
    for secret in ["0123456789abcdef", "pass secret", "OPENSSH PRIVATE", "mail secret"] {
        assert!(!printed.contains(secret), "{secret}");
    }
    let of_files: Vec<&String> = warnings.iter().filter(|warning| warning.contains("can read")).collect();
    assert_eq!(of_files.len(), 1, "{of_files:?}");
    assert!(of_files[0].contains("every user can read /etc/dr-watchdog/key (mode 0644)"), "{of_files:?}");
}

#[test]
fn a_private_key_that_others_can_read_is_refused_and_one_that_opens_nothing_is_told() {
    let text = format!("{LEAST}privateKey = \"/keys/id\"\n");
    for mode in [0o644, 0o604, 0o777] {
        let errors = load_with(&text, &Imagined::default().file("/keys/id", mode, KEY)).unwrap_err();
        assert_eq!(errors.errors[0].key, "watchdog.failureDetection.arbiters.0.privateKey");
        let said = errors.to_string();
        assert!(said.contains(&format!("every user can read (mode {mode:04o})")), "{said}");
        assert!(said.contains("run `chmod o-rwx /keys/id`"), "{said}");
    }
    let alone = text.replace("password = \"x\"\n", "");
    for (text, key, told) in [
        (&text, KEY, None),
        (&text, ENCRYPTED_KEY, None),
        (
            &alone,
            ENCRYPTED_KEY,
            Some("privateKey: the watchdog cannot log in with this key: it is encrypted"),
        ),
        (&alone, "no key\n", Some("expected the text of an OpenSSH or PEM private key")),
    ] {
        let (_, warnings) = load_with(text, &Imagined::default().file("/keys/id", 0o600, key)).unwrap();
        let of_key = warnings.iter().find(|warning| warning.contains("this key"));
        match told {
            None => assert_eq!(of_key, None),
            Some(told) => assert!(of_key.is_some_and(|warning| warning.contains(told)), "{warnings:?}"),
        }
    }
}

#[test]
fn known_hosts_that_are_written_have_to_be_there_and_those_of_ssh_do_not() {
    let known = |config: &Config| {
        config.ssh.known_hosts.iter().map(|file| file.display().to_string()).collect::<Vec<_>>()
    };
    let around = Imagined::default().variable("HOME", "/home/dr").file("/etc/dr-watchdog/known", 0o644, "");
    let (config, _) = load_with(LEAST, &around).unwrap();
    assert_eq!(known(&config), ["/home/dr/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts"]);
    let (config, _) = load_with(&format!("{LEAST}[ssh]\nknownHosts = \"known\"\n"), &around).unwrap();
    assert_eq!(known(&config), ["/etc/dr-watchdog/known"]);
    let (config, _) = load_with(&format!("{LEAST}[ssh]\nknownHosts = []\n"), &around).unwrap();
    assert_eq!(known(&config), Vec::<String>::new());
    let missing = format!("{LEAST}[ssh]\nknownHosts = [\"known\", \"/no\"]\n");
    let errors = load_with(&missing, &around).unwrap_err();
    assert_eq!((errors.errors.len(), errors.errors[0].key.as_str()), (1, "ssh.knownHosts"));
    assert!(errors.to_string().contains("\"/no\""), "{errors}");
}

#[test]
fn an_adapter_that_is_not_built_in_is_refused_with_the_way_to_build_it() {
    let loaded = load_with(&format!("{LEAST}[ssh]\nadapter = \"thrussh\"\n"), &Imagined::default());
    if cfg!(feature = "thrussh") {
        let (_, warnings) = loaded.unwrap();
        assert!(warnings.iter().any(|warning| warning.contains("reaches fewer devices")), "{warnings:?}");
    } else {
        let said = loaded.unwrap_err().to_string();
        assert!(said.contains("ssh.adapter") && said.contains("--features thrussh"), "{said}");
    }
    let said = load_with(&format!("{LEAST}[ssh]\nadapter = \"rush\"\n"), &Imagined::default())
        .unwrap_err()
        .to_string();
    assert!(said.contains("did you mean \"russh\"?"), "{said}");
}

#[test]
fn only_a_script_gets_the_credentials_and_only_for_the_arbiters_of_this_configuration() {
    let config =
        good(&LEAST.replace("peerVip = \"192.0.2.20\"", "peerVip = \"192.0.2.20\"\nadminPass = \"secret\""));
    let shown = json!(sections(&config));
    let arbiter = "/watchdog/failureDetection/arbiters/0";
    assert_eq!(shown.pointer(arbiter).unwrap()["password"], "***");
    assert_eq!(shown.pointer(arbiter).unwrap()["privateKey"], "");
    assert_eq!(shown["core"]["adminPass"], "***");
    assert_eq!(shown.get("role"), None);
    let with = with_secrets(&config, shown.clone());
    assert_eq!(with.pointer(arbiter).unwrap()["password"], "x");
    assert_eq!(with["core"]["adminPass"], "***");
    serde_json::from_value::<Sections>(with).unwrap();
    let mut other = shown;
    *other.pointer_mut("/watchdog/failureDetection/arbiters/0/host").unwrap() = json!("203.0.113.9");
    assert_eq!(with_secrets(&config, other.clone()), other);
    assert_eq!(with_secrets(&config, json!({"role": "active"})), json!({"role": "active"}));
}

#[test]
fn lists_may_be_written_as_lists_or_with_commas() {
    let nodes = |value: &str| {
        let config = good(&LEAST.replace("[core]", &format!("[core]\npeerLoadBalancerNodes = {value}")));
        config.core.peer_load_balancer_nodes
    };
    assert_eq!(nodes("\"192.0.2.21 , 192.0.2.22,\""), "192.0.2.21,192.0.2.22");
    assert_eq!(nodes("[\"192.0.2.21\", \"192.0.2.22\"]"), "192.0.2.21,192.0.2.22");
}

#[test]
fn the_manuals_misprint_and_its_per_cent_are_read() {
    let text = format!(
        "{LEAST}[psql]\nhasFmpm = true\n[watchdog.failureDetection.threshold]\nfailover = \"70%\"\nwarning = 1\n"
    );
    let config = good(&text);
    assert!(config.pgsql.unwrap().has_fmpm);
    let threshold = config.watchdog.failure_detection.threshold;
    assert_eq!((threshold.failover.ten_thousandths(), threshold.warning.ten_thousandths()), (7_000, 10_000));
}

#[test]
fn a_lower_failover_takes_the_default_of_adjust_managed_with_it() {
    let config = good(&format!("{LEAST}[watchdog.failureDetection.threshold]\nfailover = 0.3\n"));
    assert_eq!(config.watchdog.failure_detection.threshold.adjust_managed.ten_thousandths(), 3_000);
}

#[test]
fn a_host_that_occurs_twice_is_known_by_its_port() {
    let second = "[[watchdog.failureDetection.arbiters]]\nhost = \"203.0.113.1\"\nport = 2222\nusername = \"w\"\n\
                  privateKey = \"-----BEGIN\"\n";
    let config = good(&format!("{LEAST}{second}"));
    let names: Vec<&str> = config.arbiters.iter().map(|arbiter| arbiter.name.as_str()).collect();
    assert_eq!(names, ["203.0.113.1:22", "203.0.113.1:2222"]);
}

#[test]
fn what_a_policy_is_given_is_what_was_written() {
    let config = good(&format!(
        "{LEAST}[policy.config]\nlimit = 3\nnames = [\"x\", {{ y = true }}]\nat = 2026-01-01\n"
    ));
    assert_eq!(config.policy.config, json!({"limit": 3, "names": ["x", {"y": true}], "at": "2026-01-01"}));
}

#[test]
fn the_safety_hash_changes_with_what_both_sites_must_share_and_with_nothing_else() {
    let base = safety_hash(&good(LEAST));
    for (from, to) in [
        ("name = \"a\"", "name = \"c\""),
        ("index = 0", "index = 1"),
        ("192.0.2.20", "192.0.2.30"),
        ("password = \"x\"", "password = \"y\""),
        ("[core]", "[core]\npeerDeviceMgtIps = \"192.0.2.1\""),
    ] {
        assert_eq!(safety_hash(&good(&LEAST.replace(from, to))), base, "{to}");
    }
    for (from, to) in [
        ("203.0.113.1", "203.0.113.2"),
        ("[core]", "[exclusion]\nwait = 81\n[core]"),
        ("[core]", "[exclusion]\nlook = 4\nwait = 80\n[core]"),
        ("[core]", "[watchdog.heartbeat]\nretries = 3\n[core]"),
        ("[core]", "[watchdog.failureDetection.threshold]\nfailover = 0.6\n[core]"),
        ("username", "kind = \"linux\"\nusername"),
    ] {
        assert_ne!(safety_hash(&good(&LEAST.replace(from, to))), base, "{to}");
    }
}

#[test]
fn the_safety_hash_covers_how_a_custom_device_is_asked_and_read() {
    let custom =
        |rest: &str| good(&LEAST.replace("username", &format!("kind = \"custom\"\n{rest}\nusername")));
    let hashes: Vec<_> = [
        "command = \"a\"\npattern = '(?<from>b)'",
        "command = \"c\"\npattern = '(?<from>b)'",
        "command = \"a\"\npattern = '(?<from>c)'",
        "command = \"a\"\npattern = '(?<from>b)'\nignore = 'd'",
        "command = \"a\"\npattern = '(?<from>b)'\nignore = 'e'",
        // Neither a line end nor a quote lets one setting look like another.
        "command = \"a\"\npattern = \"(?<from>b)\\nignore d\"",
    ]
    .iter()
    .map(|rest| safety_hash(&custom(rest)))
    .collect();
    for (index, hash) in hashes.iter().enumerate() {
        assert!(!hashes[..index].contains(hash), "{index}");
    }
    assert_eq!(hashes[0], safety_hash(&custom("pattern = '(?<from>b)'\ncommand = \"a\"")));
}
