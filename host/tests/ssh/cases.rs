//! One list of cases against a real OpenSSH server, through every SSH adapter.

use dr_watchdog::probe::ssh::{Destination, ExecOutput, Russh, Transport};
use secrecy::SecretString;

use crate::run_through;
use crate::support::sshd::{ACCOUNT, ACCOUNT_PASSWORD, Asks, Sshd};

/// What an adapter that cannot do a case tells to do.
const INSTEAD: &str = "adapter = \"russh\"";

/// How a case ends through one adapter.
enum End {
    /// It works.
    Works,
    /// It is refused with this word, in a message that says all of this.
    Refused(&'static str, &'static [&'static str]),
}

use End::{Refused, Works};

/// Who logs in.
enum LogIn {
    /// A key of this kind, encrypted if the passphrase is not empty.
    Key(&'static str, &'static str),
    /// The account with its password.
    Account(Asks),
}

/// One case.
struct Case {
    what: &'static str,
    host_key: &'static str,
    /// Lines of the server's configuration.
    server: &'static str,
    log_in: LogIn,
    command: &'static str,
    is_right: fn(&ExecOutput) -> bool,
    russh: End,
    thrussh: End,
}

/// A log-in with a key of ed25519 at a server that has one too.
const PLAIN: Case = Case {
    what: "ed25519 key",
    host_key: "ed25519",
    server: "",
    log_in: LogIn::Key("ed25519", ""),
    command: "echo out",
    is_right: |output| output.stdout == b"out\n" && output.exit == Some(0),
    russh: Works,
    thrussh: Works,
};

const CASES: &[Case] = &[
    PLAIN,
    Case { what: "password", log_in: LogIn::Account(Asks::Password), ..PLAIN },
    Case {
        what: "keyboard-interactive",
        log_in: LogIn::Account(Asks::Interactively),
        thrussh: Refused("auth", &["refused (with the password", INSTEAD]),
        ..PLAIN
    },
    Case { what: "encrypted key", log_in: LogIn::Key("ed25519", "open sesame"), ..PLAIN },
    Case { what: "RSA key", log_in: LogIn::Key("rsa", ""), ..PLAIN },
    Case {
        what: "ECDSA key",
        log_in: LogIn::Key("ecdsa", ""),
        thrussh: Refused("auth", &["reads no keys of the kind ecdsa-sha2-nistp256", INSTEAD]),
        ..PLAIN
    },
    Case { what: "RSA-only host key", host_key: "rsa", ..PLAIN },
    Case {
        what: "ECDSA-only host key",
        host_key: "ecdsa",
        thrussh: Refused("handshake", &["no kind of host key", INSTEAD]),
        ..PLAIN
    },
    Case {
        what: "key exchange DH group 14 with SHA-256",
        server: "KexAlgorithms diffie-hellman-group14-sha256\n",
        thrussh: Refused("handshake", &["no key exchange", INSTEAD]),
        ..PLAIN
    },
    Case {
        what: "key exchange DH group 14 with SHA-1",
        server: "KexAlgorithms diffie-hellman-group14-sha1\n",
        thrussh: Refused("handshake", &["no key exchange", INSTEAD]),
        ..PLAIN
    },
    Case {
        what: "key exchange ECDH over NIST curves",
        server: "KexAlgorithms ecdh-sha2-nistp256\n",
        thrussh: Refused("handshake", &["no key exchange", INSTEAD]),
        ..PLAIN
    },
    Case {
        what: "cipher AES-128-CTR",
        server: "Ciphers aes128-ctr\n",
        thrussh: Refused("handshake", &["no cipher", INSTEAD]),
        ..PLAIN
    },
    Case {
        what: "MAC HMAC-SHA-1",
        server: "Ciphers aes256-ctr\nMACs hmac-sha1\n",
        thrussh: Refused("handshake", &["no MAC", INSTEAD]),
        ..PLAIN
    },
    Case {
        what: "ciphers in CBC mode",
        server: "Ciphers aes128-cbc\n",
        russh: Refused("handshake", &["aes128-cbc"]),
        thrussh: Refused("handshake", &["no cipher"]),
        ..PLAIN
    },
    Case {
        what: "10 MB of output",
        command: "head -c 10485760 /dev/zero",
        is_right: |output| output.stdout.len() == 10 << 20 && output.exit == Some(0),
        ..PLAIN
    },
    Case {
        what: "keys exchanged anew within an answer",
        server: "RekeyLimit 1M\n",
        command: "head -c 10485760 /dev/zero",
        is_right: |output| output.stdout.len() == 10 << 20 && output.exit == Some(0),
        ..PLAIN
    },
    Case {
        what: "exit status",
        command: "exit 3",
        is_right: |output| output.stdout.is_empty() && output.exit == Some(3),
        ..PLAIN
    },
    Case {
        what: "error output",
        command: "echo out; echo wrong >&2",
        is_right: |output| output.stdout == b"out\n" && output.stderr == b"wrong\n",
        ..PLAIN
    },
];

/// Starts the server of a case and gives the way to log in.
fn stage(case: &Case) -> (Sshd, Destination) {
    match case.log_in {
        LogIn::Key(kind, passphrase) => {
            let sshd = Sshd::start_with(case.host_key, case.server);
            let mut to = sshd.destination();
            to.private_key = Some(sshd.let_in(kind, passphrase));
            to.password = (!passphrase.is_empty()).then(|| SecretString::from(passphrase));
            (sshd, to)
        }
        LogIn::Account(asks) => {
            let sshd = Sshd::with_account(asks);
            let mut to = sshd.destination();
            (to.username, to.private_key) = (ACCOUNT.to_owned(), None);
            to.password = Some(SecretString::from(ACCOUNT_PASSWORD));
            (sshd, to)
        }
    }
}

/// Plays every case and tells of all that ended otherwise than the list says.
async fn play(transport: &dyn Transport, end: fn(&Case) -> &End) {
    let mut wrong = Vec::new();
    for case in CASES {
        let (_sshd, to) = stage(case);
        let ended = run_through(transport, &to, case.command).await;
        let is_as_listed = match (end(case), &ended) {
            (Works, Ok(output)) => (case.is_right)(output),
            (Refused(word, parts), Err(error)) => {
                error.outcome().word() == *word && parts.iter().all(|part| error.to_string().contains(part))
            }
            _ => false,
        };
        if !is_as_listed {
            let ended = ended.map(|output| (output.exit, output.stdout.len(), output.stderr.len()));
            wrong.push(format!("{}: {:?}", case.what, ended.map_err(|error| error.to_string())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn every_case_ends_as_listed_through_russh() {
    play(&Russh::with_known_hosts(Vec::new()), |case| &case.russh).await;
}

/// Goal: what an adapter lacks is told before somebody chooses it.
#[test]
fn every_case_is_in_the_readme_on_the_side_that_it_ends_on() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    for case in CASES {
        let row = readme.lines().find(|line| line.starts_with('|') && line.contains(case.what));
        let row = row.unwrap_or_else(|| panic!("{} is in no row", case.what));
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let does = |end: &End| if matches!(end, Works) { "yes" } else { "no" };
        assert_eq!(cells[2..4], [does(&case.russh), does(&case.thrussh)], "{}", case.what);
    }
}

#[cfg(feature = "thrussh")]
mod through_thrussh {
    use dr_watchdog::probe::ssh::{SshError, Step, Thrussh};

    use super::*;
    use crate::support::SOON;
    use crate::support::proxy::Proxy;
    use crate::{Instant, SHORT};

    #[tokio::test]
    async fn every_case_ends_as_listed() {
        play(&Thrussh::with_known_hosts(Vec::new()), |case| &case.thrussh).await;
    }

    /// Goal: the limit that the library brings is told with the way around it, and a held session is not hit by it.
    #[tokio::test]
    async fn a_connection_runs_as_many_commands_as_the_server_opens_channels_and_lives_on() {
        let sshd = Sshd::start_with("ed25519", "MaxSessions 3\n");
        let thrussh = Thrussh::with_known_hosts(Vec::new());
        let connection = thrussh.connect(&sshd.destination(), Instant::now() + SOON).await.unwrap();
        for _ in 0..3 {
            assert!(connection.exec("true", Instant::now() + SOON).await.is_ok());
        }
        let error = connection.exec("true", Instant::now() + SOON).await.unwrap_err();
        assert_eq!(error.outcome().word(), "exec");
        assert!(
            error.to_string().contains("after 3 commands") && error.to_string().contains(INSTEAD),
            "{error}"
        );
        for _ in 0..50 {
            connection.keep_alive(Instant::now() + SOON).await.unwrap();
        }
        connection.close().await;
    }

    #[tokio::test]
    async fn a_held_session_notices_that_the_server_is_silent() {
        let sshd = Sshd::start();
        let proxy = Proxy::start(sshd.address).await;
        let mut to = sshd.destination();
        to.port = proxy.address.port();
        let thrussh = Thrussh::with_known_hosts(Vec::new());
        let connection = thrussh.connect(&to, Instant::now() + SOON).await.unwrap();
        connection.keep_alive(Instant::now() + SOON).await.unwrap();
        proxy.cut();
        let error = connection.keep_alive(Instant::now() + SHORT).await.unwrap_err();
        assert!(matches!(error, SshError::Timeout(Step::KeepAlive)), "{error}");
    }
}
