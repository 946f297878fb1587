//! The commands that change the list of arbiters, as an operator types them.

#![allow(clippy::unwrap_used, reason = "what a test calls fails by panicking, like the test itself")]

mod support;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use support::sshd::{Sshd, user};
use tempfile::TempDir;

/// A site's files.
struct Site {
    root: TempDir,
}

impl Site {
    fn new(arbiters: &str) -> Self {
        let site = Self { root: tempfile::tempdir().expect("a folder") };
        let text = format!(
            "# kept\n[site]\nname = \"a\"\nindex = 0\n[peer]\nname = \"b\"\nheartbeatKey = \"0123456789abcdef\"\n[core]\n\
             peerVip = \"192.0.2.20\"\n{arbiters}"
        );
        std::fs::create_dir_all(site.file().parent().unwrap()).expect("a folder");
        std::fs::write(site.file(), text).expect("a file");
        site
    }

    fn file(&self) -> PathBuf {
        self.root.path().join("etc/dr-watchdog/dr-watchdog.toml")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.file()).expect("a file")
    }

    fn run(&self, words: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dr-watchdog"));
        command.arg("arbiters").args(words).arg("--root").arg(self.root.path());
        command.env_remove("DR_WATCHDOG_SOCKET").stdin(Stdio::null());
        let Output { status, stdout, stderr } = command.output().expect("the program runs");
        (status.code(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
    }
}

fn arbiter(sshd: &Sshd, more: &str) -> String {
    format!(
        "[[watchdog.failureDetection.arbiters]] # the first\nhost = \"127.0.0.1\"\nport = {}\nusername = \"{}\" # ours\n\
         password = \"x\"\n{more}",
        sshd.address.port(),
        user()
    )
}

#[test]
fn a_shown_key_is_pinned_only_if_it_is_the_expected_one() {
    let sshd = Sshd::start();
    let site = Site::new(&arbiter(&sshd, ""));
    let before = site.text();
    let (code, said) = site.run(&["trust", "127.0.0.1"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains(&format!("ssh-ed25519 {}", sshd.fingerprint)) && said.contains("nobody can be asked"),
        "{said}"
    );
    let (code, said) = site.run(&["trust", "127.0.0.1", "--fingerprint", "SHA256:another"]);
    assert_eq!((code, site.text()), (Some(1), before.clone()), "{said}");
    let (code, said) = site.run(&["trust", "127.0.0.9"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("the arbiters are 127.0.0.1"), "{said}");

    let (code, said) = site.run(&["trust", "127.0.0.1", "--fingerprint", &sshd.fingerprint]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(site.text(), format!("{before}hostKey = \"{}\"\n", sshd.fingerprint));
    let (code, said) = site.run(&["trust", "127.0.0.1"]);
    assert!(code == Some(0) && said.contains("that is the pinned one"), "{said}");
}

#[test]
fn a_changed_key_is_an_alarm_and_is_replaced_on_demand_only() {
    let (old, new) = (Sshd::start(), Sshd::start());
    let site = Site::new(&arbiter(&new, &format!("hostKey = \"{}\"\n", old.fingerprint)));
    let (code, said) = site.run(&["trust", "127.0.0.1"]);
    assert!(
        code == Some(1) && said.contains("ALARM: pinned is") && said.contains(&old.fingerprint),
        "{said}"
    );
    assert!(site.text().contains(&old.fingerprint));
    let (code, said) = site.run(&["trust", "127.0.0.1", "--fingerprint", &new.fingerprint]);
    assert_eq!(code, Some(0), "{said}");
    assert!(site.text().contains(&new.fingerprint) && !site.text().contains(&old.fingerprint));
}

#[test]
fn a_list_is_imported_whole_or_not_at_all() {
    let sshd = Sshd::start();
    let site = Site::new(&arbiter(&sshd, ""));
    let before = site.text();
    let list = site.root.path().join("devices.csv");
    let import = |text: &str| {
        std::fs::write(&list, text).unwrap();
        site.run(&["import", list.to_str().unwrap()])
    };
    let (code, said) = import("host,username,password,port\n203.0.113.1,w,x,\n203.0.113.2,,x,0\n");
    assert_eq!((code, site.text()), (Some(1), before.clone()), "{said}");
    assert!(
        said.contains("devices.csv:3: no username") && said.contains("devices.csv:3: port \"0\""),
        "{said}"
    );
    // What the file does not know, the configuration does: that arbiter is there already.
    let (code, said) =
        import(&format!("host,username,password,port\n127.0.0.1,w,x,{}\n", sshd.address.port()));
    assert_eq!((code, site.text()), (Some(1), before.clone()), "{said}");
    assert!(said.contains("stands at line"), "{said}");

    let (code, said) = import(
        "host,port,username,password,privateKey,kind\n203.0.113.1,22,w,\"a \"\"b\"\"\",,junos\n203.0.113.2,830,w,x,,\n",
    );
    assert_eq!(code, Some(0), "{said}");
    let text = site.text();
    assert!(text.starts_with(&before), "{text}");
    let (config, _) = dr_watchdog::config::load_file(&site.file()).expect("it loads");
    let names: Vec<_> = config.arbiters.iter().map(|arbiter| (arbiter.host.as_str(), arbiter.port)).collect();
    assert_eq!(names[1..], [("203.0.113.1", 22), ("203.0.113.2", 830)]);
}

#[test]
fn a_list_is_imported_beside_arbiters_that_are_written_in_one_line() {
    let site = Site::new(
        "[watchdog.failureDetection]\narbiters = [\n  { host = \"203.0.113.9\", username = \"w\", password = \"x\" }, # inline\n]\n",
    );
    let list = site.root.path().join("devices.json");
    std::fs::write(&list, "[{\"host\": \"203.0.113.1\", \"username\": \"w\", \"password\": \"x\"}]").unwrap();
    let (code, said) = site.run(&["import", list.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    assert!(site.text().contains("# inline"), "{}", site.text());
    let (config, _) = dr_watchdog::config::load_file(&site.file()).expect("it loads");
    assert_eq!(config.arbiters.len(), 2);
}

/// One arbiter with a key that opens it, on this port.
fn open_arbiter(sshd: &Sshd, host: &str) -> String {
    use secrecy::ExposeSecret as _;
    format!(
        "[[watchdog.failureDetection.arbiters]]\nhost = \"{host}\"\nport = {}\nusername = \"{}\"\nkind = \"linux\"\n\
         hostKey = \"{}\"\nprivateKey = \"\"\"{}\"\"\"\n",
        sshd.address.port(),
        user(),
        sshd.fingerprint,
        sshd.private_key().expose_secret()
    )
}

#[test]
fn a_check_measures_how_long_a_device_keeps_a_dead_session_and_says_what_arbiters_share() {
    let quick = Sshd::start_with("ed25519", "ClientAliveInterval 1\nClientAliveCountMax 1\n");
    let other = Sshd::start_with("ed25519", "ClientAliveInterval 2\nClientAliveCountMax 1\n");
    let site = Site::new(&[open_arbiter(&quick, "127.0.0.1"), open_arbiter(&other, "127.0.0.1")].concat());
    let (code, said) = site.run(&["check", "--samples", "2", "--linger", "--json"]);
    assert_eq!(code, Some(0), "{said}");
    let report: serde_json::Value = serde_json::from_str(said.lines().next().unwrap()).expect("JSON");
    for sshd in [&quick, &other] {
        let seen = &report["arbiters"][format!("127.0.0.1:{}", sshd.address.port())];
        assert_eq!(
            (&seen["answered"], &seen["looked"], &seen["kind"]),
            (&2.into(), &2.into(), &"linux".into()),
            "{seen}"
        );
        assert_eq!((&seen["showsAge"], &seen["showsOurSession"]), (&true.into(), &true.into()), "{seen}");
        assert_eq!(seen["hostKey"], sshd.fingerprint.as_str());
        // About 2 × interval × (count + 1), as measured elsewhere; a busy machine adds to that.
        assert!(seen["lingerMs"].as_u64().is_some_and(|ms| (1_000..30_000).contains(&ms)), "{seen}");
    }
    let findings = report["findings"].to_string();
    for piece in
        ["one subnet, 127.0.0.0/24", "2 arbiters", "less than two keepalives", "peer.identity is not set"]
    {
        assert!(findings.contains(piece), "{piece}: {findings}");
    }
}

#[test]
fn a_check_says_what_tells_a_dead_session_and_whether_the_count_moves() {
    let (one, other) = (Sshd::start(), Sshd::start());
    let custom = "kind = \"custom\"\ncommand = \"ss -HtniO\"\nfreshness = \"counter\"\nignore = '^[A-DF-Z]'\n\
        pattern = '^ESTAB +\\d+ +\\d+ +\\S+:(?<port>\\d+) +\\[?(?<from>[0-9a-f.:]+?)\\]?:(?<fromPort>\\d+) (?:.*bytes_received:(?<counter>\\d+))?'\n";
    let linux = open_arbiter(&one, "127.0.0.1") + "freshness = \"counter\"\n";
    let own = open_arbiter(&other, "127.0.0.1").replace("kind = \"linux\"\n", "") + custom;
    let site = Site::new(&(linux + &own));
    let (_, said) = site.run(&["check", "--samples", "3", "--alone", "--json"]);
    let report: serde_json::Value = serde_json::from_str(said.lines().next().unwrap()).expect("JSON");
    for (sshd, kind) in [(&one, "linux"), (&other, "custom")] {
        let seen = &report["arbiters"][format!("127.0.0.1:{}", sshd.address.port())];
        assert_eq!(seen["looked"], 3, "{said}");
        assert_eq!((&seen["kind"], &seen["freshness"]), (&kind.into(), &"counter".into()), "{seen}");
        assert_eq!((&seen["showsCounter"], &seen["counterMoves"]), (&true.into(), &true.into()), "{seen}");
    }
    let (_, table) = site.run(&["check", "--samples", "2", "--alone"]);
    assert!(table.contains("counter, moves"), "{table}");
}

#[test]
fn a_revoked_key_is_never_pinned_whoever_vouches_for_it() {
    let sshd = Sshd::start();
    let known = tempfile::NamedTempFile::new().expect("a file");
    let line = std::fs::read_to_string(sshd.known_hosts()).expect("a file");
    std::fs::write(known.path(), format!("@revoked {line}")).expect("a file");
    let site = Site::new(&arbiter(&sshd, &format!("[ssh]\nknownHosts = [{:?}]\n", known.path())));
    let before = site.text();
    let (code, said) = site.run(&["trust", "127.0.0.1", "--fingerprint", &sshd.fingerprint]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("ALARM") && said.contains("line 1 revokes this key"), "{said}");
    assert_eq!(site.text(), before);
}

#[test]
fn a_check_finds_one_device_under_two_names_and_says_why_another_is_no_arbiter() {
    let sshd = Sshd::start();
    let same = open_arbiter(&sshd, "127.0.0.1") + &open_arbiter(&sshd, "localhost");
    let closed = "[[watchdog.failureDetection.arbiters]]\nhost = \"127.0.0.3\"\nport = 1\nusername = \"w\"\npassword = \"x\"\n\
                  hostKey = \"SHA256:exampleexampleexampleexampleexampleexampleE\"\n";
    let site = Site::new(&(same + closed));
    let (code, said) = site.run(&["check", "--samples", "1", "--alone"]);
    assert_eq!(code, Some(1), "{said}");
    for piece in [
        "PROBLEM 127.0.0.1, localhost: they are one device, 127.0.0.1 port",
        "PROBLEM 127.0.0.3: no look succeeded: unreachable",
        "let SSH in from here",
        "a round with half of them mute takes at most",
    ] {
        assert!(said.contains(piece), "{piece}: {said}");
    }
}

/// Goal: a low limit of open files, as systems have it, blames no arbiter. Wrong would be: "Too many open files" as the
/// reason why an arbiter seems unreachable.
#[test]
fn more_arbiters_than_files_that_may_be_open_are_all_asked() {
    const ARBITERS: usize = 150;
    // It takes connections and says nothing, so that all of them are open at once.
    let mute = std::net::TcpListener::bind("0.0.0.0:0").expect("a free port");
    let port = mute.local_addr().unwrap().port();
    let one = |number: usize| {
        format!(
            "[[watchdog.failureDetection.arbiters]]\nhost = \"127.0.1.{number}\"\nport = {port}\nusername = \"w\"\n\
             password = \"x\"\nhostKey = \"SHA256:exampleexampleexampleexampleexampleexampleE\"\n"
        )
    };
    let all: String = (1..=ARBITERS).map(one).collect();
    let site = Site::new(&format!("[exclusion]\nlookTimeout = 2\n{all}"));
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -Sn 64 && exec \"$@\"", "sh", env!("CARGO_BIN_EXE_dr-watchdog")]);
    command.args(["arbiters", "sessions", "--json", "--root"]).arg(site.root.path());
    let output = command.env_remove("DR_WATCHDOG_SOCKET").stdin(Stdio::null()).output().expect("a shell");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let report: serde_json::Value = serde_json::from_str(said.lines().next().unwrap()).expect("JSON");
    let arbiters = report["arbiters"].as_object().unwrap();
    assert_eq!(arbiters.len(), ARBITERS);
    for (name, seen) in arbiters {
        assert_eq!(seen["ssh"], "timeout", "{name}: {seen}");
    }
}
