//! The configuration that `init` writes: every key with the reason of its value; pure.

use std::fmt::Write as _;

use toml_edit::Value;

use super::answers::Answers;
use super::questions::QUESTIONS;
use crate::cli::arbiters::Record;
use crate::cli::made;

/// Which half of the pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Half {
    /// The one that serves first.
    Active,
    /// The other one.
    Standby,
}

impl Half {
    const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Standby => "standby",
        }
    }
}

/// Key, value, reason.
type Line = (&'static str, &'static str, &'static str);

/// The timers of the fast profile (`config check` prints the arithmetic).
const FAST: [(&str, &[Line]); 2] = [
    (
        "watchdog.heartbeat",
        &[
            ("retries", "4", "tries after the first: 5 × 1 s = 5 s"),
            ("timeout", "1", "s; far beyond any round trip"),
            ("interval", "5", "s; one full round"),
        ],
    ),
    (
        "exclusion",
        &[
            ("keepAlive", "3", "s (k)"),
            ("lease", "12", "s (L); at least 3 × keepAlive"),
            ("fenceDeadline", "5", "s (D)"),
            ("look", "2", "s"),
            ("lookTimeout", "2", "s; so G = 2 × 2 + 2 = 6 s"),
            ("slack", "1", "s (epsilon)"),
            ("wait", "20", "s (F): (12 + max(5, 6)) × (1 + 2 × 0.01) + 1 = 19.4, rounded up"),
        ],
    ),
];
const REFERENCE_HEARTBEAT: [Line; 3] = [
    ("retries", "4", "tries after the first: 5 × 5 s = 25 s outlast a local switch-over"),
    ("timeout", "5", "s; far beyond any round trip, so that only a loss counts"),
    ("interval", "30", "s; longer than one full round of 25 s"),
];

struct Writer<'a> {
    text: String,
    answers: &'a Answers,
}

fn quoted(text: &str) -> String {
    // TOML's own writer knows every escape.
    let mut value = Value::from(text);
    value.decor_mut().clear();
    value.to_string()
}

fn list(text: &str) -> String {
    let each: Vec<String> =
        text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(quoted).collect();
    format!("[{}]", each.join(", "))
}

/// A command line of people as the list that the configuration wants.
fn words(command: &str) -> String {
    let each: Vec<String> = command.split_whitespace().map(quoted).collect();
    format!("[{}]", each.join(", "))
}

impl Writer<'_> {
    fn get(&self, key: &str) -> &str {
        self.answers.get(key).map(String::as_str).unwrap_or_default()
    }

    fn table(&mut self, name: &str) {
        let _ = write!(self.text, "\n[{name}]\n");
    }

    fn line(&mut self, key: &str, value: &str, why: &str) {
        let _ = writeln!(self.text, "{key} = {value}  # {why}");
    }

    fn why(question: &str) -> &'static str {
        QUESTIONS.iter().find(|asked| asked.key == question).map_or("", |asked| asked.why)
    }

    /// A key that is the answer to a question.
    fn text(&mut self, key: &str, question: &str) {
        let value = quoted(self.get(question));
        self.line(key, &value, Self::why(question));
    }

    fn plain(&mut self, key: &str, question: &str) {
        let value = self.get(question).to_owned();
        self.line(key, &value, Self::why(question));
    }

    fn list(&mut self, key: &str, question: &str) {
        let value = list(self.get(question));
        self.line(key, &value, Self::why(question));
    }
}

/// The configuration of one half.
pub(super) fn configuration(half: Half, answers: &Answers, arbiters: &[Record]) -> String {
    let mut w = Writer { text: String::new(), answers };
    w.text.push_str(
        "# Written by `dr-watchdog init`. Every key carries its unit and the reason of its value.\n\
         # Change it with `dr-watchdog toolkit config update`, which keeps these comments and asks the other site too;\n\
         # `dr-watchdog config check` lists every mistake and prints the arithmetic of the timers.\n\n\
         mode = \"enforce\"  # \"observe\" records what would have been done, and does nothing\n",
    );
    sites(&mut w, half);
    manual(&mut w);
    watchdog(&mut w, arbiters);
    steps(&mut w);
    smtp(&mut w);
    w.text
}

fn sites(w: &mut Writer<'_>, half: Half) {
    w.table("site");
    w.text("name", "site.name");
    let index = if half == Half::Active { "0" } else { "1" };
    w.line("index", index, "0 at one site, 1 at the other: no two sites count the same epoch");
    w.text("vip", "site.vip");
    w.list("nodes", "site.nodes");
    w.text("sourceAddress", "site.address");
    w.line("initialRole", &quoted(half.word()), "only where nothing is stored yet");
    w.table("peer");
    w.text("name", "peer.name");
    w.plain("heartbeatPort", "heartbeat.port");
    let key = format!("{{ file = {} }}", quoted(made::HEARTBEAT_KEY));
    w.line("heartbeatKey", &key, "signs the heartbeats; the same at both sites");
    w.text("sshUser", "ssh.user");
    w.plain("sshPort", "ssh.port");
    w.text("identity", "ssh.identity");
    if !w.get("peer.hostKey").is_empty() {
        w.text("hostKey", "peer.hostKey");
    }
}

fn manual(w: &mut Writer<'_>) {
    w.table("core");
    w.text("peerVip", "peer.vip");
    w.plain("scpTimeout", "scp.timeout");
    w.list("peerLoadBalancerNodes", "peer.nodes");
    w.list("peerBusinessLogicNodes", "peer.nodes");
    let addresses = format!("{}, {}", w.get("peer.address"), w.get("peer.nodes"));
    w.line("peerDeviceMgtIps", &list(&addresses), "its sessions at the arbiters come from these");
    for (table, flag, vip) in [("mysql", "hasDedicatedDb", "peerVip"), ("pgsql", "hasFmpm", "peerFmpmVip")] {
        w.table(table);
        w.line(flag, "false", "the database runs on the nodes of the site");
        w.text(vip, "peer.vip");
        w.list("peerNodes", "peer.nodes");
    }
    w.table("file.backup");
    w.plain("maxCount", "backup.maxCount");
    w.text("hoursOfDay", "backup.hoursOfDay");
    w.text("daysOfWeek", "backup.daysOfWeek");
    w.table("file.restore");
    w.text("hoursOfDay", "backup.hoursOfDay");
    w.text("daysOfWeek", "backup.daysOfWeek");
    w.table("deviceManagement");
    w.list("peerNodes", "peer.nodes");
    w.list("nodes", "site.nodes");
    let ip = quoted(&format!("{},{}", w.get("site.address"), w.get("site.interface")));
    w.line("ip", &ip, "address and interface of this node");
}

fn watchdog(w: &mut Writer<'_>, arbiters: &[Record]) {
    let is_fast = w.get("profile") == "fast";
    if is_fast {
        for (table, lines) in FAST {
            w.table(table);
            lines.iter().for_each(|(key, value, why)| w.line(key, value, why));
        }
    } else {
        w.table("watchdog.heartbeat");
        REFERENCE_HEARTBEAT.iter().for_each(|(key, value, why)| w.line(key, value, why));
        w.table("exclusion");
    }
    w.line("mode", "\"verdict\"", "the verdict alone decides; no bound holds, and `health` says so");
    w.text("holdAddress", "site.address");
    w.line("peerHoldAddresses", &list(w.get("peer.address")), "only its sessions from there count");
    w.table("watchdog.notification");
    w.text("email", "notification.email");
    w.plain("interval", "notification.interval");
    w.table("watchdog.failureDetection");
    let script = w.get("failureDetection.script").to_owned();
    let is_custom = if script.is_empty() { "false" } else { "true" };
    w.line("isCustom", is_custom, "false: device arbitration decides; true: `script` does");
    if !script.is_empty() {
        w.text("script", "failureDetection.script");
    }
    w.text("waitDuration", "failureDetection.waitDuration");
    w.table("watchdog.failureDetection.threshold");
    w.plain("failover", "threshold.failover");
    w.plain("adjustManaged", "threshold.adjustManaged");
    w.plain("warning", "threshold.warning");
    w.text.push_str("\n# The same at both sites: an odd number from 3 on, on paths of their own.\n");
    arbiters.iter().for_each(|record| arbiter(w, record));
}

fn arbiter(w: &mut Writer<'_>, record: &Record) {
    w.text.push_str("\n[[watchdog.failureDetection.arbiters]]\n");
    let mut line = |key: &str, value: String| {
        let _ = writeln!(w.text, "{key} = {value}");
    };
    line("host", quoted(&record.host));
    line("port", record.port.to_string());
    line("username", quoted(&record.username));
    let texts = [
        ("password", &record.password),
        ("privateKey", &record.private_key),
        ("kind", &record.kind),
        ("hostKey", &record.host_key),
    ];
    for (key, value) in texts {
        if let Some(value) = value {
            line(key, quoted(value));
        }
    }
}

fn steps(w: &mut Writer<'_>) {
    w.text.push_str("\n# Program and arguments, absolute, no shell. A step is stored before it runs.\n");
    for (plan, name) in [("beActive", "start the service"), ("beStandby", "stop the service")] {
        let command = words(w.get(&format!("{plan}.command")));
        if command == "[]" {
            let _ = write!(
                w.text,
                "# [[roleChange.{plan}]]\n# name = \"{name}\"\n# command = [\"/usr/bin/systemctl\", \"…\", \"my.service\"]\n"
            );
        } else {
            let _ = write!(w.text, "\n[[roleChange.{plan}]]\nname = \"{name}\"\ncommand = {command}\n");
            w.line("deadline", "300", "s; then TERM, then KILL");
        }
    }
}

fn smtp(w: &mut Writer<'_>) {
    if w.get("smtp.host").is_empty() {
        return;
    }
    w.table("smtp");
    w.text("host", "smtp.host");
    w.text("tls", "smtp.tls");
    if !w.get("smtp.username").is_empty() {
        w.text("username", "smtp.username");
        let password = format!("{{ file = {} }}", quoted(w.get("smtp.passwordFile")));
        w.line("password", &password, "never copied into this file");
    }
    let sender = match w.get("smtp.from") {
        "" => format!("dr-watchdog@{}", w.get("smtp.host")),
        from => from.to_owned(),
    };
    w.line("from", &quoted(&sender), "sender of every mail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Machine, load_text};

    fn answers(more: &[(&str, &str)]) -> Answers {
        let text = "[site]\nname = \"a\"\nvip = \"192.0.2.10\"\n[peer]\nname = \"b \\\"x\\\"\"\nvip = \"198.51.100.10\"\n\
            [notification]\nemail = \"admin@example.com\"\n[arbiters]\nfile = \"x\"\n";
        let mut answers = super::super::answers::read("f", text, &Answers::new()).unwrap();
        answers.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        answers
    }

    fn records() -> Vec<Record> {
        crate::cli::arbiters::read_records(
            "host,username,password\n203.0.113.1,w,\"p\"\"w\n\"\n203.0.113.2,w,x\n203.0.113.3,w,x\n",
        )
        .unwrap()
    }

    #[test]
    fn what_is_written_loads_whatever_was_answered() {
        for more in [
            &[][..],
            &[("profile", "fast")],
            &[("beActive.command", "/bin/systemctl start x"), ("beStandby.command", "/bin/systemctl stop x")],
            &[("smtp.host", "mail.example.com")],
        ] {
            for half in [Half::Active, Half::Standby] {
                let text = configuration(half, &answers(more), &records());
                // The key is a file that stands beside the configuration.
                let text = text.replace("{ file = \"heartbeat.key\" }", "\"0123456789abcdef\"");
                let (config, _) =
                    load_text("f", &text, &Machine).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
                assert_eq!(
                    (config.site.index, config.peer.name.as_str()),
                    (u8::from(half == Half::Standby), "b \"x\"")
                );
                assert_eq!(config.arbiters.len(), 3);
            }
        }
    }
}
