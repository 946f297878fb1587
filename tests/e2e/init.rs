//! From two empty machines to a protected pair, as README's operator guide says.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::Duration;

use dr_watchdog_tests::lab::arbiter::Arbiter;
use dr_watchdog_tests::lab::{Node, Pair};
use dr_watchdog_tests::program::system;
use dr_watchdog_tests::terminal::heeding_interrupts;
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

pub(super) fn answers_file(pair: &Pair) -> String {
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

/// How a conversation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    /// By itself.
    Never,
    /// With Ctrl-C at the prompt of this number.
    Interrupt(usize),
    /// With Ctrl-D there.
    EndOfInput(usize),
}

/// Types an answer whenever a prompt stands there; once a wrong one, once a step back. Gives what was said, how it ended,
/// and how many prompts there were.
fn converse_until(
    pair: &Pair,
    answers: &[(&str, String)],
    leave: Leave,
) -> (String, std::process::ExitStatus, usize) {
    let terminal = nix::pty::openpty(None, None).unwrap();
    let slave = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
    let mut command = heeding_interrupts(&pair.a.command(&["init"]));
    command.stdin(slave(&terminal.slave)).stdout(slave(&terminal.slave)).stderr(slave(&terminal.slave));
    let mut child = command.spawn().unwrap();
    drop(command);
    drop(terminal.slave);
    let mut screen = File::from(terminal.master);
    let (mut said, mut read, mut prompts) = (String::new(), 0, 0);
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
        prompts += 1;
        if leave == Leave::Interrupt(prompts) {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
            continue;
        }
        if leave == Leave::EndOfInput(prompts) {
            screen.write_all(&[4]).unwrap();
            continue;
        }
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
    (said, ended.unwrap(), prompts)
}

fn converse(pair: &Pair, answers: &[(&str, String)]) -> String {
    let (said, ended, _) = converse_until(pair, answers, Leave::Never);
    assert!(ended.success(), "{said}");
    said
}

/// Who leaves at any prompt, with Ctrl-C or Ctrl-D, has changed nothing at either site.
#[test]
fn whoever_leaves_at_any_prompt_has_changed_nothing() {
    let pair = Pair::empty(3);
    let given = answers(&pair);
    let nothing = |said: &str, at: usize| {
        for site in [&pair.a, &pair.b] {
            assert!(!site.root().exists(), "prompt {at}: {}\n{said}", site.root().display());
        }
    };
    let mut at = 1;
    // Ends: there are some thirty prompts.
    loop {
        let (said, ended, prompts) = converse_until(&pair, &given, Leave::Interrupt(at));
        if prompts < at {
            assert!(ended.success(), "{said}");
            break;
        }
        assert!(!ended.success(), "prompt {at}\n{said}");
        nothing(&said, at);
        if at.is_multiple_of(5) {
            let (said, ended, _) = converse_until(&pair, &given, Leave::EndOfInput(at));
            assert!(ended.code() == Some(1) && said.contains("you left; nothing was written"), "{said}");
            nothing(&said, at);
        }
        at += 1;
        assert!(at < 100);
    }
    assert!(at > 20, "{at} prompts");
    assert!(pair.a.paths().config_file.exists() && pair.b.paths().config_file.exists());
}

/// A tiny file system, full to the last byte.
struct Full(String);

impl Full {
    fn over(folder: &std::path::Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let folder = folder.to_str().unwrap().to_owned();
        system("mount", &["-t", "tmpfs", "-o", "size=256k,mode=755", "tmpfs", &folder]);
        let filled = fs::write(format!("{folder}/filler"), vec![0_u8; 1 << 20]);
        assert!(filled.is_err(), "the disk took more than it has");
        Self(folder)
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        system("umount", &["-l", &self.0]);
    }
}

/// A disk that is full here or there while the configuration is written: nothing is written at either site.
#[test]
fn a_full_disk_at_either_site_leaves_both_without_a_configuration() {
    let mut pair = Pair::empty(3);
    let file = answers_file(&pair);
    let init = |pair: &Pair| pair.a.run(&["init", "--answers", &file]).is_orderly();
    for is_here in [true, false] {
        let full = if is_here { &pair.a } else { &pair.b };
        let disk = Full::over(full.root());
        // A server that was there before the disk would not see it.
        let (network, scratch, keys) = (&pair.network, &pair.scratch, &pair.keys);
        pair.doors[1] = None;
        pair.doors[1] =
            Some(Arbiter::start_at_site(network.namespace(Node::B), scratch, keys, &scratch.join("b")));
        let (full, other) = if is_here { (&pair.a, &pair.b) } else { (&pair.b, &pair.a) };
        let told = init(&pair).expect(1);
        told.says(&["cannot be written", "No space left on device", "nothing was changed"]);
        let left: Vec<_> =
            fs::read_dir(full.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!full.paths().config_file.exists() && left.len() <= 2, "{left:?}");
        assert!(!other.paths().config_file.exists(), "{}", other.root().display());
        drop(disk);
        fs::remove_dir_all(full.root()).unwrap();
    }
    init(&pair).expect(0);
    // A change of what is there: the old file stays whole.
    let before = fs::read_to_string(&pair.a.paths().config_file).unwrap();
    let folder = pair.a.paths().config_file.parent().unwrap().to_owned();
    let kept = pair.scratch.join("kept");
    fs::create_dir_all(&kept).unwrap();
    for name in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap()) {
        if name.file_type().unwrap().is_file() {
            fs::copy(name.path(), kept.join(name.file_name())).unwrap();
        }
    }
    let disk = {
        system("mount", &["-t", "tmpfs", "-o", "size=256k,mode=755", "tmpfs", folder.to_str().unwrap()]);
        for name in fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap()) {
            fs::copy(name.path(), folder.join(name.file_name())).unwrap();
        }
        assert!(fs::write(folder.join("filler"), vec![0_u8; 1 << 20]).is_err());
        Full(folder.to_str().unwrap().to_owned())
    };
    let told = pair.a.run(&["toolkit", "config", "update", "--user-core", "--set", "scpTimeout=9"]);
    told.is_orderly().expect(1).says(&["No space left on device"]);
    assert_eq!(fs::read_to_string(&pair.a.paths().config_file).unwrap(), before);
    drop(disk);
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
