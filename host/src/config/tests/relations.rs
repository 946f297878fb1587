//! Bad configurations whose single values are right but do not fit together.

use super::bad::{changed, check, errors};
use super::{Imagined, LEAST, load_with};

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
fn policies_and_steps_are_checked() {
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
    ]);
}

#[test]
fn mail_keys_and_double_tables_are_checked() {
    check(&[
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
fn a_key_that_is_wrong_already_makes_no_other_key_wrong() {
    for (text, key) in [
        ("[watchdog.heartbeat]\ntimeout = \"soon\"\ninterval = 10\n", "watchdog.heartbeat.timeout"),
        ("[watchdog.heartbeat]\nretries = -1\ninterval = 10\n", "watchdog.heartbeat.retries"),
        (
            "[watchdog.failureDetection.threshold]\nfailover = 7000\nadjustManaged = 0.6\n",
            "watchdog.failureDetection.threshold.failover",
        ),
        ("[exclusion]\nlease = \"long\"\nwait = 70\n", "exclusion.lease"),
        ("[exclusion]\nkeepAlive = \"often\"\nlease = 20\n", "exclusion.keepAlive"),
    ] {
        let errors = errors(&format!("{LEAST}{text}"));
        let keys: Vec<&str> = errors.errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(keys, [key], "{text}{errors}");
    }
}
