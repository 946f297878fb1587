//! Bad configurations: what each is told.

use super::{Imagined, LEAST, load_with};
use crate::config::ConfigErrors;

/// The least configuration with `from` replaced by `to`; where `from` is empty, `to` is appended.
pub(super) fn changed(from: &str, to: &str) -> String {
    if from.is_empty() {
        return format!("{LEAST}{to}");
    }
    assert!(LEAST.contains(from), "{from}");
    LEAST.replace(from, to)
}

pub(super) fn errors(text: &str) -> ConfigErrors {
    match load_with(text, &Imagined::default()) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(errors) => errors,
    }
}

/// What is changed, and what the only error says: line, key, and pieces of it.
pub(super) type Case = (&'static str, &'static str, usize, &'static str, &'static [&'static str]);

pub(super) fn check(cases: &[Case]) {
    for (from, to, line, key, pieces) in cases {
        let errors = errors(&changed(from, to));
        let text = errors.to_string();
        assert_eq!(errors.errors.len(), 1, "{to}\n{text}");
        let head = format!("/etc/dr-watchdog/dr-watchdog.toml:{line}: {key}: found ");
        assert!(text.starts_with(&head), "{to}\nwanted {head}\n{text}");
        assert!(text.contains("; would be right: "), "{text}");
        for piece in *pieces {
            assert!(text.contains(piece), "{to}\nwanted {piece}\n{text}");
        }
    }
}

#[test]
fn wrong_types_and_words_are_told_with_line_and_key() {
    check(&[
        ("index = 0", "index = \"0\"", 3, "site.index", &["\"0\"", "0 at one site, 1 at the other"]),
        ("index = 0", "index = 2", 3, "site.index", &["found 2"]),
        ("name = \"a\"", "name = 5", 2, "site.name", &["found 5", "text in quotes"]),
        ("name = \"a\"", "name = \" \"", 2, "site.name", &["empty text"]),
        ("name = \"b\"", "name = \"a\"", 5, "peer.name", &["which is site.name"]),
        ("\"192.0.2.20\"", "\"vip.example.com\"", 8, "core.peerVip", &["vip.example.com", "IP address"]),
        ("[core]", "[core]\nscpTimeout = true", 8, "core.scpTimeout", &["found true", "whole number"]),
        (
            "[core]",
            "[core]\npeerDeviceMgtIps = \"192.0.2.1, x\"",
            8,
            "core.peerDeviceMgtIps",
            &["found \"x\""],
        ),
        ("index = 0", "index = 0\nsourceAddress = \"300.1.1.1\"", 4, "site.sourceAddress", &["300.1.1.1"]),
        ("index = 0", "index = 0\nvip = \"192.0.2.20\"", 9, "core.peerVip", &["which is site.vip"]),
        (
            "index = 0",
            "index = 0\ninitialRole = \"aktive\"",
            4,
            "site.initialRole",
            &["did you mean \"active\"?"],
        ),
    ]);
    check(&[
        ("", "[exclusion]\nlook = \"5 parsecs\"\n", 14, "exclusion.look", &["5 parsecs", "\"500ms\""]),
        ("", "[exclusion]\nlook = 0\n", 14, "exclusion.look", &["found 0"]),
        ("", "[exclusion]\nclockError = 0.5\n", 14, "exclusion.clockError", &["found 0.5", "0 to 0.1"]),
        ("", "[exclusion]\nholdAddress = \"x\"\n", 14, "exclusion.holdAddress", &["IP address"]),
        ("", "[policy]\nmemory = \"1MB\"\n", 14, "policy.memory", &["\"64MiB\""]),
        ("", "[policy]\nmemory = 1024\n", 14, "policy.memory", &["1024 bytes", "4MiB"]),
        ("", "[policy]\nconfig = 1\n", 14, "policy.config", &["a table"]),
        ("", "[policy.script]\nenv = { A = 1 }\n", 14, "policy.script.env", &["\"A\" = 1"]),
        ("", "[file.backup]\nhoursOfDay = \"25\"\n", 14, "file.backup.hoursOfDay", &["0 to 23"]),
        ("", "[deviceManagement]\nip = \"eth0\"\n", 14, "deviceManagement.ip", &["192.0.2.10,eth0"]),
        (
            "",
            "[watchdog.notification]\nemail = \"nobody\"\n",
            14,
            "watchdog.notification.email",
            &["mail address"],
        ),
        ("", "[watchdog.heartbeat]\nretries = -1\n", 14, "watchdog.heartbeat.retries", &["found -1"]),
        ("", "[watchdog]\nheartbeat = []\n", 14, "watchdog.heartbeat", &["a list of 0", "a table"]),
    ]);
}

#[test]
fn unknown_keys_are_told_with_the_nearest_right_one() {
    check(&[
        ("", "[exclusion]\nkeepalive = 3\n", 14, "exclusion.keepalive", &["did you mean keepAlive?"]),
        ("name = \"a\"", "name = \"a\"\nvips = \"192.0.2.10\"", 3, "site.vips", &["did you mean vip?"]),
        ("", "[wachdog]\n", 13, "wachdog", &["did you mean watchdog?"]),
        ("", "[zebra]\n", 13, "zebra", &["one of mode, site"]),
        (
            "username",
            "pasword = \"top secret\"\nusername",
            11,
            "watchdog.failureDetection.arbiters.0.pasword",
            &["did you mean password?"],
        ),
    ]);
    assert!(
        !errors(&changed("username", "pasword = \"top secret\"\nusername"))
            .to_string()
            .contains("top secret")
    );
}

#[test]
fn what_does_nothing_yet_is_refused() {
    check(&[
        (
            "",
            "[exclusion]\nmode = \"lease\"\n",
            14,
            "exclusion.mode",
            &["comes with the guard", "\"verdict\""],
        ),
        ("", "[exclusion]\nmode = \"fence\"\n", 14, "exclusion.mode", &["comes with the guard"]),
        ("", "[exclusion]\nmode = \"vote\"\n", 14, "exclusion.mode", &["\"vote\""]),
        ("", "[exclusion]\nresumeAlone = \"proof\"\n", 14, "exclusion.resumeAlone", &["not in this version"]),
        ("", "[[exclusion.fence]]\nservice = \"x\"\n", 13, "exclusion.fence", &["not in this version"]),
        ("", "[policy]\nsandbox = true\n", 14, "policy.sandbox", &["a table"]),
        ("", "[policy]\ngrants = [\"telnet\"]\n", 14, "policy.grants", &["telnet", "\"network\""]),
        ("", "[policy]\nsha256 = \"ab\"\n", 14, "policy.sha256", &["64 digits"]),
        (
            "",
            "freshness = \"mark\"\n",
            13,
            "watchdog.failureDetection.arbiters.0.freshness",
            &["comes with the guard", "\"counter\""],
        ),
        (
            "",
            "markDir = \"/x\"\n",
            13,
            "watchdog.failureDetection.arbiters.0.markDir",
            &["not in this version"],
        ),
        (
            "",
            "kind = \"custom\"\n",
            13,
            "watchdog.failureDetection.arbiters.0.kind",
            &["\"custom\" without command or pattern"],
        ),
        ("", "command = \"x\"\n", 13, "watchdog.failureDetection.arbiters.0.command", &["at another kind"]),
    ]);
}

#[test]
fn a_freshness_that_the_device_does_not_show_is_told() {
    let key = "watchdog.failureDetection.arbiters.0.freshness";
    check(&[
        ("", "freshness = \"countr\"\n", 13, key, &["\"countr\"", "did you mean \"counter\""]),
        ("", "kind = \"junos\"\nfreshness = \"counter\"\n", 14, key, &["does not show it", "\"presence\""]),
        ("", "freshness = \"age\"\nkind = \"bsd\"\n", 13, key, &["\"age\" at a device", "kind = \"custom\""]),
        (
            "",
            "kind = \"custom\"\ncommand = \"x\"\npattern = '(?<from>.)'\nfreshness = \"counter\"\n",
            16,
            key,
            &["(?<counter>"],
        ),
        ("", "[exclusion]\nfreshness = \"mark\"\n", 14, "exclusion.freshness", &["comes with the guard"]),
        ("", "kind = \"junos\"\n[exclusion]\nfreshness = \"counter\"\n", 9, key, &["does not show it"]),
    ]);
}

#[test]
fn a_pattern_that_cannot_be_used_is_told() {
    check(&[
        (
            "",
            "kind = \"custom\"\ncommand = \"x\"\npattern = '(?<from'\n",
            15,
            "watchdog.failureDetection.arbiters.0.pattern",
            &["regular expression"],
        ),
        (
            "",
            "kind = \"custom\"\ncommand = \"x\"\npattern = '(\\S+)'\n",
            15,
            "watchdog.failureDetection.arbiters.0.pattern",
            &["no group named \"from\""],
        ),
        (
            "",
            "kind = \"custom\"\ncommand = \"x\"\npattern = '(?<from>.)(?<stat>.)'\n",
            15,
            "watchdog.failureDetection.arbiters.0.pattern",
            &["the group \"stat\"", "state"],
        ),
        (
            "",
            "kind = \"custom\"\ncommand = \"x\"\npattern = '(?<from>.)'\nignore = 'a{1000}{1000}'\n",
            16,
            "watchdog.failureDetection.arbiters.0.ignore",
            &["size limit"],
        ),
    ]);
}

#[test]
fn missing_keys_are_told_with_the_key_to_add() {
    check(&[
        ("name = \"a\"\n", "", 1, "site.name", &["add `name = \"a\"` under [site]"]),
        ("index = 0\n", "", 1, "site.index", &["add `index = 0` under [site]"]),
        ("name = \"b\"\n", "", 4, "peer.name", &["under [peer]"]),
        (
            "peerVip = \"192.0.2.20\"\n",
            "",
            7,
            "core.peerVip",
            &["add `peerVip = \"192.0.2.10\"` under [core]"],
        ),
        (
            "username = \"watchdog\"\n",
            "",
            9,
            "watchdog.failureDetection.arbiters.0.username",
            &["add `username"],
        ),
        (
            "password = \"x\"\n",
            "",
            9,
            "watchdog.failureDetection.arbiters.0.password",
            &["neither password nor privateKey"],
        ),
    ]);
    let all = errors("");
    let keys: Vec<&str> = all.errors.iter().map(|error| error.key.as_str()).collect();
    for key in ["site.name", "site.index", "peer.name", "core.peerVip", "watchdog.failureDetection.arbiters"]
    {
        assert!(keys.contains(&key), "{key} in {keys:?}");
    }
    assert_eq!(keys.len(), 5, "{all}");
}

#[test]
fn all_errors_come_at_once_in_the_order_of_the_file() {
    let text = "[site]\nname = \"a\"\nindex = 7\n[peer]\nname = \"b\"\nheartbeatKey = \"short\"\n[core]\npeerVip = \"x\"\n\
                scpTimeout = \"x\"\n[watchdog.failureDetection]\nisCustom = true\nscript = \"/p.lua\"\nzebra = 1\n\
                [watchdog.failureDetection.threshold]\nfailover = 1.5\n[exclusion]\nmode = \"lease\"\n";
    let errors = errors(text);
    let lines: Vec<usize> = errors.errors.iter().filter_map(|error| error.line).collect();
    assert_eq!(lines, [3, 6, 8, 9, 13, 15, 17]);
    assert_eq!(errors.to_string().lines().count(), 7);
    assert!(!errors.to_string().contains("short"), "a key is never shown");
}

#[test]
fn text_that_is_no_toml_is_told_with_its_line() {
    for (text, line) in [("[site]\nname = \n", 2), ("[site\n", 1), ("a = 1\na = 2\n", 2), ("\u{1}", 1)] {
        let errors = errors(text);
        assert_eq!((errors.errors.len(), errors.errors[0].line), (1, Some(line)), "{errors}");
        assert!(!errors.unreadable);
    }
}

#[test]
fn doubts_are_warnings_and_do_not_stop_a_start() {
    let two = "[[watchdog.failureDetection.arbiters]]\nhost = \"203.0.113.2\"\nusername = \"w\"\npassword = \"x\"\n";
    let threshold = "[watchdog.failureDetection.threshold]\n";
    for (text, piece) in [
        (LEAST.to_owned(), "1 arbiter: 0 may be down while the active goes on, 0 while the standby"),
        (format!("{LEAST}{two}"), "2 arbiters: 1 may be down while the active goes on, 0 while the standby"),
        (LEAST.to_owned(), "arbiters.0.hostKey: none is pinned"),
        (LEAST.to_owned(), "roleChange.beActive: no step"),
        (changed("heartbeatKey = \"0123456789abcdef\"\n", ""), "peer.heartbeatKey: none is set"),
        (format!("{LEAST}{threshold}failover = 1\n"), "one dead arbiter while the other site is silent"),
        (format!("{LEAST}{threshold}failover = 0\n"), "no arbiter can ever move a role"),
        (format!("{LEAST}[watchdog.heartbeat]\ninterval = 31\n"), "longer than half of the lease = 30 s"),
        (format!("{LEAST}[watchdog.failureDetection]\nwaitDuration = \"1m\"\n"), "shorter than F = 80 s"),
        (
            format!("{LEAST}[watchdog.failureDetection]\nscript = \"/p.lua\"\n"),
            "not used while isCustom = false",
        ),
        (
            format!("{LEAST}[watchdog.failureDetection]\nisCustom = true\nscript = \"/p.lua\"\n"),
            "no file /p.lua",
        ),
        (
            format!("{LEAST}[[roleChange.beActive]]\nname = \"x\"\ncommand = [\"/x\"]\n"),
            "there is no file /x",
        ),
    ] {
        let (_, warnings) = match load_with(&text, &Imagined::default()) {
            Ok(loaded) => loaded,
            Err(errors) => panic!("{errors}"),
        };
        assert!(warnings.iter().any(|warning| warning.contains(piece)), "{piece}\n{warnings:#?}");
    }
}

#[test]
fn a_missing_file_is_an_error_of_its_own() {
    let errors = match crate::config::load_file("/nonexistent/dr-watchdog.toml".as_ref()) {
        Ok(_) => panic!("there is no such file"),
        Err(errors) => errors,
    };
    assert!(errors.unreadable);
    assert!(
        errors.to_string().starts_with("/nonexistent/dr-watchdog.toml: found no readable file"),
        "{errors}"
    );
}
