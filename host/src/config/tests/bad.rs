//! Bad configurations: what each is told.

use super::{Imagined, LEAST, load_with};
use crate::config::ConfigErrors;

/// The least configuration with `from` replaced by `to`; where `from` is empty, `to` is appended.
fn changed(from: &str, to: &str) -> String {
    if from.is_empty() {
        return format!("{LEAST}{to}");
    }
    assert!(LEAST.contains(from), "{from}");
    LEAST.replace(from, to)
}

fn errors(text: &str) -> ConfigErrors {
    match load_with(text, &Imagined::default()) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(errors) => errors,
    }
}

/// What is changed, and what the only error says: line, key, and pieces of it.
type Case = (&'static str, &'static str, usize, &'static str, &'static [&'static str]);

fn check(cases: &[Case]) {
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
        ("", "[policy]\nsandbox = true\n", 14, "policy.sandbox", &["not in this version"]),
        (
            "",
            "freshness = \"auto\"\n",
            13,
            "watchdog.failureDetection.arbiters.0.freshness",
            &["not in this version"],
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
            &["not in this version"],
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
fn thresholds_are_shares_with_at_most_4_decimals() {
    const TABLE: &str = "[watchdog.failureDetection.threshold]\n";
    for (line, key, pieces) in [
        ("failover = 1.5", "failover", &["1.5, which is no share", "0 to 1"][..]),
        ("failover = 50", "failover", &["did you mean 0.5 or \"50%\"?"]),
        ("failover = -0.1", "failover", &["-0.1, which is no share"]),
        ("failover = 0.33333", "failover", &["0.33333, which has more than 4 decimals"]),
        ("failover = nan", "failover", &["no share"]),
        ("warning = \"half\"", "warning", &["\"half\""]),
        ("failover = 0.5\nadjustManaged = 0.6", "adjustManaged", &["0.6 above failover = 0.5"]),
        ("adjustManaged = 0.5001", "adjustManaged", &["above failover = 0.5"]),
    ] {
        let errors = errors(&format!("{LEAST}{TABLE}{line}\n"));
        let text = errors.to_string();
        assert_eq!(errors.errors.len(), 1, "{text}");
        assert_eq!(errors.errors[0].key, format!("watchdog.failureDetection.threshold.{key}"));
        assert!(pieces.iter().all(|piece| text.contains(piece)), "{text}");
    }
    let equal = format!("{LEAST}{TABLE}failover = 0.6\nadjustManaged = 0.6\n");
    assert!(load_with(&equal, &Imagined::default()).is_ok());
}

#[test]
fn arbiters_are_checked_one_by_one_and_together() {
    const SECOND: &str =
        "[[watchdog.failureDetection.arbiters]]\nhost = \"HOST\"\nusername = \"w\"\npassword = \"x\"\n";
    let none = LEAST.split("[[watchdog").next().unwrap_or_default();
    let without = errors(none);
    assert_eq!(without.errors[0].key, "watchdog.failureDetection.arbiters");
    assert!(without.to_string().contains("at least one [[watchdog.failureDetection.arbiters]]"), "{without}");
    let custom = format!("{none}[watchdog.failureDetection]\nisCustom = true\nscript = \"/p.lua\"\n");
    assert!(load_with(&custom, &Imagined::default()).is_ok());

    for same in ["203.0.113.1", "::ffff:203.0.113.1"] {
        let twice = errors(&format!("{LEAST}{}", SECOND.replace("HOST", same)));
        assert_eq!((twice.errors.len(), twice.errors[0].line), (1, Some(14)));
        assert!(twice.to_string().contains("which stands at line 10 already"), "{twice}");
    }
    let named = SECOND.replace("HOST", "R1.example.com") + &SECOND.replace("HOST", "r1.example.com.");
    assert!(errors(&format!("{LEAST}{named}")).to_string().contains("line 14 already"));

    let arbiter = "watchdog.failureDetection.arbiters.0";
    for (from, to, key) in [
        ("\"203.0.113.1\"", "\"203.0.113.1:22\"", "host"),
        ("\"203.0.113.1\"", "\"user@host\"", "host"),
        ("\"203.0.113.1\"", "\"\"", "host"),
        ("username", "port = 0\nusername", "port"),
        ("username", "port = \"22\"\nusername", "port"),
        ("username", "hostKey = \"SHA256:short\"\nusername", "hostKey"),
        ("username", "kind = \"cisco\"\nusername", "kind"),
        ("password = \"x\"", "password = 5", "password"),
        ("password = \"x\"", "password = { file = \"/no\" }", "password"),
        ("password = \"x\"", "password = { env = \"NO\" }", "password"),
        ("password = \"x\"", "password = { credential = \"no\" }", "password"),
        ("password = \"x\"", "password = { fiel = \"/no\" }", "password"),
        ("password = \"x\"", "password = { file = \"/no\", env = \"NO\" }", "password"),
        ("password = \"x\"", "privateKey = \"/no\"", "privateKey"),
    ] {
        let errors = errors(&changed(from, to));
        assert_eq!(errors.errors.len(), 1, "{to}: {errors}");
        assert_eq!(errors.errors[0].key, format!("{arbiter}.{key}"), "{errors}");
    }
}

#[test]
fn timers_are_checked_against_each_other_with_the_arithmetic() {
    check(&[
        (
            "",
            "[watchdog.heartbeat]\ninterval = 24\n",
            14,
            "watchdog.heartbeat.interval",
            &["found 24 s", "timeout × (1 + retries) = 5 s × 5 = 25 s"],
        ),
        (
            "",
            "[exclusion]\nwait = 79\n",
            14,
            "exclusion.wait",
            &["found 79 s", "(60 s + max(15 s, 15 s)) × (1 + 2 × 0.01) + 3 s = 79.5 s"],
        ),
        ("", "[exclusion]\nlease = 29\n", 14, "exclusion.lease", &["found 29 s", "3 × keepAlive = 30 s"]),
        (
            "",
            "[exclusion]\nlease = 30\n[watchdog.heartbeat]\ntimeout = 16\nretries = 0\n",
            14,
            "exclusion.lease",
            &["2 × watchdog.heartbeat.timeout = 32 s"],
        ),
        (
            "",
            "[watchdog.failureDetection]\nwaitDuration = 8\n",
            14,
            "watchdog.failureDetection.waitDuration",
            &["found 8", "\"8h\""],
        ),
        (
            "",
            "[watchdog.failureDetection]\nwaitDuration = \"8d\"\n",
            14,
            "watchdog.failureDetection.waitDuration",
            &["\"8d\""],
        ),
    ]);
    assert!(load_with(&changed("", "[exclusion]\nwait = 79.5\n"), &Imagined::default()).is_ok());
}

#[test]
fn policies_steps_and_mail_are_checked() {
    check(&[
        (
            "",
            "[watchdog.failureDetection]\nisCustom = true\n",
            13,
            "watchdog.failureDetection.script",
            &["none although isCustom = true"],
        ),
        (
            "",
            "[watchdog.failureDetection]\nisCustom = true\nscript = \"p.lua\"\n",
            15,
            "watchdog.failureDetection.script",
            &["\"p.lua\"", "absolute"],
        ),
        (
            "",
            "[[roleChange.beActive]]\nname = \"x\"\n",
            13,
            "roleChange.beActive.0.command",
            &["add `command"],
        ),
        (
            "",
            "[[roleChange.beActive]]\nname = \"x\"\ncommand = \"/bin/x\"\n",
            15,
            "roleChange.beActive.0.command",
            &["a list"],
        ),
        (
            "",
            "[[roleChange.beActive]]\nname = \"x\"\ncommand = [\"x\"]\n",
            15,
            "roleChange.beActive.0.command",
            &["absolute"],
        ),
        (
            "",
            "[[roleChange.beActive]]\nname = \"x\"\ncommand = []\n",
            15,
            "roleChange.beActive.0.command",
            &["empty"],
        ),
        (
            "",
            "[[roleChange.beStandby]]\nname = \"x\"\ncommand = [\"/x\"]\nonFailure = \"go\"\n",
            16,
            "roleChange.beStandby.0.onFailure",
            &["\"stop\" or \"continue\""],
        ),
        (
            "",
            "[[roleChange.beActive]]\nname = \"x\"\ncommand = [\"/x\"]\n[[roleChange.beActive]]\nname = \"x\"\n\
              command = [\"/x\"]\n",
            17,
            "roleChange.beActive.1.name",
            &["which line 14 has already"],
        ),
        ("", "[roleChange]\nbeActive = \"/x\"\n", 14, "roleChange.beActive", &["[[roleChange.beActive]]"]),
        ("", "[smtp]\nhost = \"mail.example.com\"\nfrom = \"x\"\n", 15, "smtp.from", &["mail address"]),
        (
            "",
            "[smtp]\nhost = \"mail.example.com\"\nfrom = \"a@example.com\"\nusername = \"u\"\n",
            13,
            "smtp.password",
            &["add `password"],
        ),
        (
            "\"0123456789abcdef\"",
            "\"0123456789abcde\"",
            6,
            "peer.heartbeatKey",
            &["15 bytes", "/dev/urandom"],
        ),
        ("", "[pgsql]\n[psql]\n", 14, "psql", &["one of them"]),
    ]);
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
        (LEAST.to_owned(), "1 arbiters: 0 may be down while the active goes on, 0 while the standby"),
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
