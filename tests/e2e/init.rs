//! From two empty machines to a protected pair, as README's operator guide says.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::Duration;

use dr_watchdog_tests::lab::{Node, Pair};
use dr_watchdog_tests::wait;

const COMMAND_LIMIT: Duration = Duration::from_secs(60);
/// Most bytes that the conversation prints.
const CONVERSATION_BYTES_MAX: usize = 1 << 20;

/// Everything that has no default, and the laboratory's own.
fn answers(pair: &Pair) -> Vec<(&'static str, String)> {
    let csv: String = pair
        .network
        .arbiters()
        .into_iter()
        .map(|node| {
            format!(
                "{},root,{},linux,{}\n",
                node.address(),
                pair.keys.client.display(),
                pair.keys.fingerprint
            )
        })
        .collect();
    pair.scratch.write("arbiters.csv", format!("host,username,privateKey,kind,hostKey\n{csv}"));
    let of = |node: Node| node.address().to_string();
    vec![
        ("site.name", "a".to_owned()),
        ("site.vip", of(Node::A)),
        ("peer.name", "b".to_owned()),
        ("peer.vip", of(Node::B)),
        ("ssh.identity", pair.keys.client.display().to_string()),
        ("peer.hostKey", pair.keys.fingerprint.clone()),
        ("profile", "fast".to_owned()),
        ("notification.email", "admin@example.com".to_owned()),
        ("arbiters.file", pair.scratch.join("arbiters.csv").display().to_string()),
        ("beActive.command", "/bin/true serve".to_owned()),
        ("beStandby.command", "/bin/true stop".to_owned()),
    ]
}

fn answers_file(pair: &Pair) -> String {
    let text: String =
        answers(pair).into_iter().map(|(key, value)| format!("{key} = \"{value}\"\n")).collect();
    pair.scratch.write("answers.toml", text).display().to_string()
}

/// The guide, word by word: `init`, `start`, `health`, `manualFailover`, `stop`, `reset`.
#[test]
fn two_empty_machines_become_a_protected_pair() {
    let mut pair = Pair::empty(3);
    let file = answers_file(&pair);
    let made = pair.a.run(&["init", "--answers", &file]).is_orderly().expect(0);
    made.says(&[
        "pass  commands at the other site over SSH",
        "pass  the same version at both sites",
        "pass  the other site pings this site's virtual address",
        "warn  the ports of the replication",
        "site b is configured",
        "not set up, because this version cannot",
        "next: `dr-watchdog start`",
    ]);
    for site in [&pair.a, &pair.b] {
        let folder = site.paths().config_file.parent().unwrap().to_owned();
        for (name, mode) in [
            ("dr-watchdog.toml", 0o600),
            ("heartbeat.key", 0o600),
            ("replication.toml", 0o600),
            ("tls/site.key", 0o600),
            ("tls/site.crt", 0o644),
            ("tls/peer.crt", 0o644),
        ] {
            assert_eq!(fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777, mode, "{name}");
        }
        site.run(&["config", "check"]).expect(0).says(&["good"]);
    }
    let read = |site: &dr_watchdog_tests::lab::Daemon, name: &str| {
        fs::read_to_string(site.paths().config_file.parent().unwrap().join(name)).unwrap()
    };
    for name in ["heartbeat.key", "cluster.id", "replication.toml"] {
        assert_eq!(read(&pair.a, name), read(&pair.b, name), "{name} is one for both sites");
    }
    assert_eq!(read(&pair.a, "tls/site.crt"), read(&pair.b, "tls/peer.crt"));
    assert_eq!(read(&pair.b, "tls/site.crt"), read(&pair.a, "tls/peer.crt"));
    for word in ["repPass", "repAdminPass"] {
        assert!(!read(&pair.a, "replication.toml").contains(word), "a well-known password");
    }

    pair.a.run(&["init", "--answers", &file]).is_orderly().expect(1).says(&["is there already", "--replace"]);
    pair.a.run(&["start"]).is_orderly().expect(0).says(&["site b: its watchdog runs", "site a is active"]);
    pair.wait_well();
    pair.a.run(&["manualFailover"]).is_orderly().expect(0).says(&["site b is active"]);
    pair.wait_well();
    pair.b.run(&["stop"]).is_orderly().expect(0).says(&["site a: it has given its word"]);
    pair.b.run(&["start"]).is_orderly().expect(0).says(&["site b is active"]);
    pair.a.run(&["reset", "--yes"]).is_orderly().expect(0).says(&["because the other site serves"]);
    pair.b.run(&["reset", "--yes"]).is_orderly().expect(0).says(&["this site is standalone"]);
    assert!(!pair.a.paths().config_file.exists() && !pair.b.paths().config_file.exists());
}

/// The same answers, typed at a terminal: the configuration is the same to the byte.
#[test]
fn a_person_at_a_terminal_gets_the_same_files_as_an_answers_file() {
    let pair = Pair::empty(3);
    let file = answers_file(&pair);
    pair.a.run(&["init", "--answers", &file]).is_orderly().expect(0);
    let by_file = [&pair.a, &pair.b].map(|site| fs::read_to_string(&site.paths().config_file).unwrap());
    for site in [&pair.a, &pair.b] {
        fs::remove_dir_all(site.root()).unwrap();
    }
    let said = converse(&pair, &answers(&pair));
    let by_hand = [&pair.a, &pair.b].map(|site| {
        fs::read_to_string(&site.paths().config_file).unwrap_or_else(|error| panic!("{error}\n{said}"))
    });
    assert_eq!(by_file, by_hand, "{said}");
    assert!(said.contains("! expected an IP address"), "a wrong answer is told at once\n{said}");
}

/// Types an answer whenever a prompt stands there; once a wrong one, once a step back.
fn converse(pair: &Pair, answers: &[(&str, String)]) -> String {
    let terminal = nix::pty::openpty(None, None).unwrap();
    let slave = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
    let mut command = pair.a.command(&["init"]);
    command.stdin(slave(&terminal.slave)).stdout(slave(&terminal.slave)).stderr(slave(&terminal.slave));
    let mut child = command.spawn().unwrap();
    drop(command);
    drop(terminal.slave);
    let mut screen = File::from(terminal.master);
    let (mut said, mut read) = (String::new(), 0);
    let (mut has_erred, mut has_gone_back) = (false, false);
    let mut bytes = [0; 4096];
    // A terminal whose other end is closed gives an error.
    while let Ok(length @ 1..) = screen.read(&mut bytes) {
        said.push_str(&String::from_utf8_lossy(&bytes[..length]));
        assert!(said.len() < CONVERSATION_BYTES_MAX, "{said}");
        let Some(prompt) = said[read..].lines().last().filter(|_| said.ends_with(": ")).map(str::to_owned)
        else {
            continue;
        };
        read = said.len();
        let key = prompt.split([' ', ':']).next().unwrap_or_default();
        let answer = match key {
            "site.vip" if !has_erred => {
                has_erred = true;
                "router".to_owned()
            }
            "peer.name" if !has_gone_back => {
                has_gone_back = true;
                "<".to_owned()
            }
            _ => answers
                .iter()
                .find(|(known, _)| *known == key)
                .map(|(_, value)| value.clone())
                .unwrap_or_default(),
        };
        writeln!(screen, "{answer}").unwrap();
    }
    let ended =
        wait::poll(COMMAND_LIMIT, || child.try_wait().unwrap().ok_or_else(|| "it still runs".to_owned()));
    assert!(ended.unwrap().success(), "{said}");
    said
}

/// Whatever goes wrong on the way, nothing is written at either site.
#[test]
fn an_init_that_fails_leaves_nothing_behind() {
    let mut pair = Pair::empty(3);
    let file = answers_file(&pair);
    let good = fs::read_to_string(&file).unwrap();
    let with = |pair: &Pair, from: &str, to: &str| {
        pair.scratch.write("bad.toml", good.replace(from, to)).display().to_string()
    };
    let address = Node::B.address().to_string();
    let bad = with(&pair, &format!("\"{address}\""), "\"router\"");
    pair.a
        .run(&["init", "--answers", &bad])
        .is_orderly()
        .expect(1)
        .says(&["peer.vip = \"router\"", "bad.toml:4"]);
    let other_key = format!("SHA256:{}", "x".repeat(43));
    let bad = with(
        &pair,
        &format!("peer.hostKey = \"{}\"", pair.keys.fingerprint),
        &format!("peer.hostKey = \"{other_key}\""),
    );
    pair.a
        .run(&["init", "--answers", &bad])
        .is_orderly()
        .expect(1)
        .says(&["another host key", "nothing was changed"]);
    pair.a.run(&["init"]).is_orderly().expect(2).says(&["--answers FILE"]);
    pair.doors[1] = None;
    pair.a
        .run(&["init", "--answers", &file])
        .is_orderly()
        .expect(1)
        .says(&["commands at the other site over SSH"]);
    for site in [&pair.a, &pair.b] {
        assert!(!site.root().exists(), "{}", site.root().display());
    }
    pair.a.run(&["init", "-a", "--answers", &file]).is_orderly().expect(0).says(&["init -s"]);
    assert!(pair.a.paths().config_file.exists() && !pair.b.root().exists());
}
