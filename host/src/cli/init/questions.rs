//! What `init` asks: each question with its default, the reason of it, and the check of an answer; pure.

use super::answers::Answers;
use super::kind::Kind;

/// One question.
#[derive(Debug)]
pub(super) struct Question {
    /// Its key in an answers file.
    pub(super) key: &'static str,
    /// What is asked.
    pub(super) text: &'static str,
    /// The reason of the default, or what the answer is for.
    pub(super) why: &'static str,
    kind: Kind,
    /// What counts where it is not answered.
    pub(super) default: Fallback,
}

/// What counts where a question is not answered.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fallback {
    /// It must be answered.
    None,
    /// This.
    Is(&'static str),
    /// What another question was answered with.
    Same(&'static str),
}

const fn ask(
    key: &'static str,
    text: &'static str,
    kind: Kind,
    default: Fallback,
    why: &'static str,
) -> Question {
    Question { key, text, why, kind, default }
}

use Fallback::{Is, None as Must, Same};

/// All of them, in the order in which they are asked.
pub(super) static QUESTIONS: [Question; 37] = [
    ask("site.name", "name of this site", Kind::Name, Must, "shown in log, mail and health"),
    ask(
        "site.vip",
        "virtual address of this site",
        Kind::Address,
        Must,
        "it moves with the service within the site",
    ),
    ask(
        "site.nodes",
        "addresses of this site's nodes",
        Kind::Addresses,
        Same("site.vip"),
        "with commas; as many as the other site has",
    ),
    ask(
        "site.address",
        "address that probes and heartbeats of this node leave from",
        Kind::Address,
        Same("site.vip"),
        "the other site and the arbiters must be able to answer it",
    ),
    ask(
        "site.interface",
        "network interface of that address",
        Kind::Line,
        Is("eth0"),
        "shown to old scripts as deviceManagement.ip",
    ),
    ask("peer.name", "name of the other site", Kind::Name, Must, "another one than this site's"),
    ask("peer.vip", "virtual address of the other site", Kind::Address, Must, "heartbeats ping it"),
    ask(
        "peer.nodes",
        "addresses of the other site's nodes",
        Kind::Addresses,
        Same("peer.vip"),
        "pinged when its virtual address is silent",
    ),
    ask(
        "peer.address",
        "address that the other site's probes leave from",
        Kind::Address,
        Same("peer.vip"),
        "its own site.address",
    ),
    ask(
        "ssh.user",
        "user for commands at the other site",
        Kind::Line,
        Is("root"),
        "commands need the rights of the watchdog there",
    ),
    ask("ssh.port", "SSH port of both sites", Kind::Whole(1, 65_535), Is("22"), "the port of SSH"),
    ask(
        "ssh.identity",
        "private key for commands at the other site",
        Kind::AbsolutePath,
        Is("/etc/dr-watchdog/id_ed25519"),
        "made if it is not there; the other site must accept its public half",
    ),
    ask(
        "peer.hostKey",
        "host key of the other site",
        Kind::Fingerprint,
        Is(""),
        "SHA256:…; empty: the known hosts of this machine decide",
    ),
    ask(
        "profile",
        "timers",
        Kind::Word(&["reference", "fast"]),
        Is("reference"),
        "reference: heartbeats every 30 s as in the manual; fast: every 5 s, for lines without long gaps",
    ),
    ask(
        "heartbeat.port",
        "UDP port of the signed heartbeats",
        Kind::Whole(1, 65_535),
        Is("7805"),
        "the same at both sites, next to 7804 that the manual opens",
    ),
    ask("notification.email", "who is mailed", Kind::Email, Must, "addresses with commas"),
    ask(
        "notification.interval",
        "seconds in which the same trouble is told once",
        Kind::Whole(1, 31_536_000),
        Is("3600"),
        "an hour, as in the manual",
    ),
    ask("smtp.host", "mail server", Kind::Optional, Is(""), "empty: nothing is mailed, only logged"),
    ask(
        "smtp.tls",
        "protection of the connection to it",
        Kind::Word(&["starttls", "implicit", "none"]),
        Is("starttls"),
        "STARTTLS is demanded, not only tried",
    ),
    ask("smtp.username", "user at the mail server", Kind::Optional, Is(""), "empty: no log-in"),
    ask(
        "smtp.passwordFile",
        "file with that user's password",
        Kind::Optional,
        Is(""),
        "read at each start; never copied",
    ),
    ask(
        "smtp.from",
        "sender of the mails",
        Kind::Optional,
        Is(""),
        "empty: dr-watchdog at the mail server's name",
    ),
    ask(
        "failureDetection.script",
        "your own policy",
        Kind::Optional,
        Is(""),
        "absolute path; empty: device arbitration decides",
    ),
    ask(
        "arbiters.file",
        "file with the arbiters",
        Kind::Optional,
        Is(""),
        "CSV or JSON: host, port, username, password, privateKey, kind, hostKey",
    ),
    ask(
        "threshold.failover",
        "share of arbiters from which on the roles stay",
        Kind::Share,
        Is("0.5"),
        "half or more of them",
    ),
    ask(
        "threshold.adjustManaged",
        "share of arbiters below which SSH says too little",
        Kind::Share,
        Is("0.5"),
        "never above the one before",
    ),
    ask(
        "threshold.warning",
        "share of arbiters below which a warning is sent",
        Kind::Share,
        Is("0.7"),
        "before a failover is near",
    ),
    ask(
        "failureDetection.waitDuration",
        "how long the former active may come back when both sites are standby",
        Kind::Span,
        Is("8h"),
        "a working day; h or m, 0 = for ever",
    ),
    ask(
        "scp.timeout",
        "seconds after which a file transfer has failed",
        Kind::Whole(1, 86_400),
        Is("120"),
        "the manual's",
    ),
    ask("backup.maxCount", "backups that are kept", Kind::Whole(1, 1_000), Is("3"), "the manual's"),
    ask("backup.hoursOfDay", "hours of the day for backups", Kind::Line, Is("*"), "every hour, or 0,6,12,18"),
    ask(
        "backup.daysOfWeek",
        "days of the week for backups",
        Kind::Line,
        Is("*"),
        "every day, or 1,3,5; Sunday is 0 or 7",
    ),
    ask(
        "beActive.command",
        "command that starts the service",
        Kind::Optional,
        Is(""),
        "program and arguments, absolute, no shell; add more steps to the file",
    ),
    ask(
        "beStandby.command",
        "command that stops the service",
        Kind::Optional,
        Is(""),
        "program and arguments, absolute, no shell",
    ),
    ask(
        "mysql.users",
        "MySQL users for replication and for watching it",
        Kind::Line,
        Is("repUser, repAdmin"),
        "the manual's names; passwords are made, the manual's well-known ones never used",
    ),
    ask(
        "pgsql.users",
        "PostgreSQL users for replication and for watching it",
        Kind::Line,
        Is("replication, postgres"),
        "the manual's names",
    ),
    ask(
        "configureStandby",
        "configure the other site over SSH",
        Kind::Word(&["yes", "no"]),
        Is("yes"),
        "no: run `init -s` there with mirrored answers",
    ),
];

impl Question {
    /// Checks an answer; it comes back in its one spelling.
    ///
    /// # Errors
    /// What would be right.
    pub(super) fn check(&self, answer: &str) -> Result<String, String> {
        self.kind.check(answer)
    }

    /// Whether its default cannot be known because another answer is missing.
    pub(super) fn waits_for(&self, answers: &Answers) -> bool {
        matches!(self.fallback(), Some(other) if !answers.contains_key(other))
    }

    const fn fallback(&self) -> Option<&'static str> {
        match self.default {
            Same(other) => Some(other),
            Must | Is(_) => None,
        }
    }

    /// What counts where nothing is answered.
    pub(super) fn default(&self, answers: &Answers) -> Option<String> {
        match self.default {
            Must => None,
            Is(value) => Some(value.to_owned()),
            Same(other) => answers.get(other).cloned(),
        }
    }
}

/// What answers say that cannot be right together.
pub(super) fn contradictions(answers: &Answers) -> Vec<String> {
    let get = |key: &str| answers.get(key).map(String::as_str).unwrap_or_default();
    let mut wrongs = Vec::new();
    let mut differ = |one: &str, other: &str, what: &str| {
        if !get(one).is_empty() && get(one) == get(other) {
            wrongs.push(format!("{one} and {other} are both \"{}\": {what}", get(one)));
        }
    };
    differ("site.name", "peer.name", "the sites need two names");
    differ("site.vip", "peer.vip", "the sites need two virtual addresses");
    if get("failureDetection.script").is_empty() && get("arbiters.file").is_empty() {
        wrongs.push(
            "arbiters.file is missing: device arbitration needs arbiters, an odd number from 3 on; or name your own policy in failureDetection.script"
                .to_owned(),
        );
    }
    let share = |key: &str| get(key).parse::<f64>().unwrap_or(0.0);
    if share("threshold.adjustManaged") > share("threshold.failover") {
        wrongs.push(
            "threshold.adjustManaged is above threshold.failover: then nobody ever takes over".to_owned(),
        );
    }
    wrongs
}

/// The same answers as the other site gives them.
pub(super) fn mirrored(answers: &Answers, own_host_key: &str) -> Answers {
    let mut mirrored = answers.clone();
    for (one, other) in [
        ("site.name", "peer.name"),
        ("site.vip", "peer.vip"),
        ("site.nodes", "peer.nodes"),
        ("site.address", "peer.address"),
    ] {
        for (to, from) in [(one, other), (other, one)] {
            mirrored.insert(to.to_owned(), answers.get(from).cloned().unwrap_or_default());
        }
    }
    mirrored.insert("peer.hostKey".to_owned(), own_host_key.to_owned());
    mirrored.insert("configureStandby".to_owned(), "no".to_owned());
    mirrored
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, answer: &str) -> Result<String, String> {
        QUESTIONS.iter().find(|question| question.key == key).unwrap().check(answer)
    }

    #[test]
    fn every_default_is_a_right_answer_and_every_key_is_asked_once() {
        for question in &QUESTIONS {
            if let Is(value) = question.default {
                assert!(question.check(value).is_ok(), "{}", question.key);
            }
            assert!(!question.text.is_empty() && !question.why.is_empty(), "{}", question.key);
            assert_eq!(
                QUESTIONS.iter().filter(|other| other.key == question.key).count(),
                1,
                "{}",
                question.key
            );
        }
    }

    #[test]
    fn answers_come_back_in_one_spelling_or_with_what_would_be_right() {
        assert_eq!(check("threshold.failover", "50%").unwrap(), "0.5");
        assert_eq!(check("threshold.failover", "1").unwrap(), "1");
        assert_eq!(check("site.nodes", "192.0.2.1,192.0.2.2").unwrap(), "192.0.2.1, 192.0.2.2");
        for (key, wrong) in [
            ("site.vip", "router"),
            ("site.nodes", "192.0.2.1,,"),
            ("ssh.port", "0"),
            ("threshold.failover", "0.33333"),
            ("threshold.failover", "101%"),
            ("notification.email", "admin"),
            ("ssh.identity", "id_ed25519"),
            ("peer.hostKey", "SHA256:short"),
            ("profile", "quick"),
            ("failureDetection.waitDuration", "1d"),
            ("site.name", ""),
        ] {
            assert!(check(key, wrong).is_err(), "{key} {wrong}");
        }
    }

    #[test]
    fn the_other_site_sees_itself() {
        let answers: Answers =
            [("site.name", "a"), ("peer.name", "b"), ("site.vip", "192.0.2.1"), ("peer.vip", "192.0.2.2")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into();
        let mirrored = mirrored(&answers, "SHA256:x");
        assert_eq!((mirrored["site.name"].as_str(), mirrored["peer.vip"].as_str()), ("b", "192.0.2.1"));
        assert_eq!(mirrored["peer.hostKey"], "SHA256:x");
    }
}
