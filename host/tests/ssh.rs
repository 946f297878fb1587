//! The SSH transport against a real OpenSSH server, then against servers that misbehave.

#![allow(clippy::unwrap_used, reason = "what a test calls fails by panicking, like the test itself")]

mod support;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use dr_watchdog::probe::ssh::host_key::HostKeyError;
use dr_watchdog::probe::ssh::{Connection, Destination, ExecOutput, Russh, SshError, Step, Transport};
use russh::MethodKind;
use secrecy::SecretString;
use support::SOON;
use support::proxy::closing_after;
use support::server::{Manners, PASSWORD, Server};
use support::sshd::Sshd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// A deadline that a test of a mute server waits for.
const SHORT: Duration = Duration::from_millis(300);

async fn connect(to: &Destination) -> Result<Box<dyn Connection>, SshError> {
    Russh::with_known_hosts(Vec::new()).connect(to, Instant::now() + SOON).await
}

async fn run(to: &Destination, command: &str) -> Result<ExecOutput, SshError> {
    let connection = connect(to).await?;
    let output = connection.exec(command, Instant::now() + SOON).await;
    connection.close().await;
    output
}

#[tokio::test]
async fn a_command_gives_its_output_its_errors_and_its_status() {
    let sshd = Sshd::start();
    let output = run(&sshd.destination(), "echo out; echo wrong >&2; exit 3").await.unwrap();
    assert_eq!(output, ExecOutput { exit: Some(3), stdout: b"out\n".to_vec(), stderr: b"wrong\n".to_vec() });
}

#[tokio::test]
async fn one_connection_runs_many_commands_and_answers_keepalives() {
    let sshd = Sshd::start();
    let connection = connect(&sshd.destination()).await.unwrap();
    assert_eq!(connection.peer(), sshd.address);
    for number in 0..5 {
        let output = connection.exec(&format!("echo {number}"), Instant::now() + SOON).await.unwrap();
        assert_eq!(output.stdout, format!("{number}\n").into_bytes());
        connection.keep_alive(Instant::now() + SOON).await.unwrap();
    }
    connection.close().await;
}

#[tokio::test]
async fn every_kind_of_host_key_is_checked_by_its_fingerprint() {
    for kind in ["rsa", "ecdsa", "ed25519"] {
        let sshd = Sshd::start_with(kind, "");
        let output = run(&sshd.destination(), "echo it is me").await.unwrap();
        assert_eq!(output.stdout, b"it is me\n", "{kind}");
    }
}

#[tokio::test]
async fn every_kind_of_user_key_opens_even_an_encrypted_one() {
    let sshd = Sshd::start();
    for (kind, passphrase) in [("rsa", ""), ("ecdsa", ""), ("ed25519", "open sesame")] {
        let key = sshd.let_in(kind, passphrase);
        let mut to = sshd.destination();
        to.private_key = Some(key);
        to.password = (!passphrase.is_empty()).then(|| SecretString::from(passphrase));
        assert!(run(&to, "true").await.is_ok(), "{kind}");
        if !passphrase.is_empty() {
            to.password = None;
            let error = run(&to, "true").await.unwrap_err();
            assert!(
                matches!(&error, SshError::PrivateKey { why, .. } if why.contains("encrypted")),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn servers_of_ten_years_ago_are_understood() {
    for exchange in ["diffie-hellman-group14-sha256", "diffie-hellman-group14-sha1", "ecdh-sha2-nistp256"] {
        let old = format!("KexAlgorithms {exchange}\nCiphers aes128-ctr\nMACs hmac-sha1\n");
        let sshd = Sshd::start_with("rsa", &old);
        assert!(run(&sshd.destination(), "true").await.is_ok(), "{exchange}");
    }
}

#[tokio::test]
async fn a_server_without_a_common_algorithm_is_a_handshake_failure_that_names_it() {
    let sshd = Sshd::start_with("ed25519", "Ciphers aes128-cbc\n");
    let error = run(&sshd.destination(), "true").await.unwrap_err();
    assert_eq!(error.outcome().word(), "handshake");
    assert!(error.to_string().contains("aes128-cbc"), "{error}");
}

#[tokio::test]
async fn a_host_key_is_never_accepted_silently() {
    let sshd = Sshd::start();
    let mut to = sshd.destination();
    to.host_keys = vec!["SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned()];
    let error = connect(&to).await.unwrap_err();
    assert!(matches!(error, SshError::HostKey(HostKeyError::Pinned { .. })), "{error}");
    assert_eq!(error.outcome().word(), "hostkey");

    to.host_keys = Vec::new();
    let error = connect(&to).await.unwrap_err();
    assert!(matches!(error, SshError::HostKey(HostKeyError::Unknown { .. })), "{error}");
    assert!(error.to_string().contains(&format!("hostKey = \"{}\"", sshd.fingerprint)), "{error}");

    let known = Russh::with_known_hosts(vec![sshd.known_hosts()]);
    assert!(known.connect(&to, Instant::now() + SOON).await.is_ok());
}

#[tokio::test]
async fn the_pin_of_any_of_a_servers_keys_is_enough() {
    let other = Sshd::start_with("rsa", "");
    let sshd = Sshd::start_with("ed25519", &format!("HostKey {}\n", other.host_key().display()));
    let mut to = sshd.destination();
    to.host_keys = vec![other.fingerprint.clone()];
    assert_eq!(run(&to, "echo either").await.unwrap().stdout, b"either\n");
    to.host_keys = vec![Sshd::start().fingerprint.clone()];
    let error = connect(&to).await.unwrap_err();
    assert!(error.to_string().contains(&sshd.fingerprint), "{error}");
}

#[tokio::test]
async fn a_wrong_key_is_an_auth_failure_that_says_what_the_server_takes() {
    let sshd = Sshd::start();
    let mut to = sshd.destination();
    to.private_key = Some(Sshd::start().private_key());
    let error = connect(&to).await.unwrap_err();
    assert_eq!(error.outcome().word(), "auth");
    assert!(error.to_string().contains("offers publickey"), "{error}");
    to.private_key = None;
    to.password = Some(SecretString::from("guess"));
    let error = connect(&to).await.unwrap_err();
    assert!(error.to_string().contains("which it does not take"), "{error}");
}

#[tokio::test]
async fn a_command_that_hangs_or_dies_or_never_stops_printing_is_an_error() {
    let sshd = Sshd::start();
    let to = sshd.destination();
    let connection = connect(&to).await.unwrap();
    let begun = Instant::now();
    let error = connection.exec("exec cat", begun + SHORT).await.unwrap_err();
    assert!(matches!(error, SshError::Timeout(Step::Exec)), "{error}");
    assert!(begun.elapsed() < SHORT * 4);
    drop(connection);
    let error = run(&to, "kill -9 $$").await.unwrap_err();
    assert_eq!(error.outcome().word(), "exec", "{error}");
    let error = run(&to, "exec yes").await.unwrap_err();
    assert!(matches!(error, SshError::TooMuchOutput), "{error}");
}

#[tokio::test]
async fn ten_megabytes_without_a_newline_arrive_whole() {
    let sshd = Sshd::start();
    let output = run(&sshd.destination(), "head -c 10485760 /dev/zero").await.unwrap();
    assert_eq!((output.stdout.len(), output.exit), (10 << 20, Some(0)));
}

#[tokio::test]
async fn passwords_are_given_whichever_way_the_server_asks() {
    let by_password = Manners { methods: vec![MethodKind::Password], ..answering() };
    let by_question = Manners {
        methods: vec![MethodKind::KeyboardInteractive],
        questions: vec![("Password: ", false)],
        ..answering()
    };
    for manners in [by_password, by_question] {
        let server = Server::start(manners).await;
        assert_eq!(run(&server.destination(PASSWORD), "hello").await.unwrap().stdout, b"hi\n");
        let error = run(&server.destination("wrong"), "hello").await.unwrap_err();
        assert_eq!(error.outcome().word(), "auth", "{error}");
    }
}

#[tokio::test]
async fn a_server_that_asks_for_more_than_a_password_does_not_get_it() {
    for questions in [vec![("User: ", true)], vec![("Password: ", false), ("Token: ", false)]] {
        let methods = vec![MethodKind::KeyboardInteractive];
        let server = Server::start(Manners { methods, questions, ..answering() }).await;
        let error = run(&server.destination(PASSWORD), "hello").await.unwrap_err();
        assert!(error.to_string().contains("asks more than a password"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_leaves_during_the_log_in_is_an_auth_failure() {
    let methods = vec![MethodKind::Password];
    let server = Server::start(Manners { methods, leaves_at_login: true, ..answering() }).await;
    let error = run(&server.destination(PASSWORD), "hello").await.unwrap_err();
    assert!(matches!(error, SshError::AuthBroke { .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_leaves_instead_of_running_a_command_is_an_exec_failure() {
    let methods = vec![MethodKind::Password];
    let server = Server::start(Manners { methods, leaves_at_exec: true, ..answering() }).await;
    let error = run(&server.destination(PASSWORD), "hello").await.unwrap_err();
    assert_eq!(error.outcome().word(), "exec", "{error}");
    let server = Server::start(Manners { methods: vec![MethodKind::Password], ..answering() }).await;
    let output = run(&server.destination(PASSWORD), "frobnicate").await.unwrap();
    assert_eq!(output.exit, Some(127));
}

fn answering() -> Manners {
    Manners { answers: vec![("hello", "hi\n".to_owned())], ..Manners::default() }
}

/// A server made of one function.
async fn serve<F>(manner: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(manner(stream));
        }
    });
    address
}

fn to(address: SocketAddr) -> Destination {
    Destination {
        host: address.ip().to_string(),
        port: address.port(),
        source: None,
        username: "watchdog".to_owned(),
        password: Some(SecretString::from("x")),
        private_key: None,
        host_keys: Vec::new(),
    }
}

/// Reads until the other side closes.
async fn swallow(stream: &mut TcpStream) {
    let mut buffer = [0; 4_096];
    while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {}
}

#[tokio::test]
async fn a_mute_server_costs_its_deadline_and_is_let_go() {
    let (gone, mut is_gone) = tokio::sync::mpsc::channel(2);
    let address = serve(move |mut stream| {
        let gone = gone.clone();
        async move {
            swallow(&mut stream).await;
            let _ = gone.send(()).await;
        }
    })
    .await;
    // The same after a banner: from here on the library's own task does the waiting.
    let (gone_too, mut is_gone_too) = tokio::sync::mpsc::channel(2);
    let polite = serve(move |mut stream| {
        let gone = gone_too.clone();
        async move {
            let _ = stream.write_all(b"SSH-2.0-mute\r\n").await;
            swallow(&mut stream).await;
            let _ = gone.send(()).await;
        }
    })
    .await;
    for (address, is_gone) in [(address, &mut is_gone), (polite, &mut is_gone_too)] {
        let begun = Instant::now();
        let error =
            Russh::with_known_hosts(Vec::new()).connect(&to(address), begun + SHORT).await.unwrap_err();
        assert!(matches!(error, SshError::Timeout(Step::Handshake)), "{error}");
        assert!(begun.elapsed() >= SHORT && begun.elapsed() < SHORT * 4, "{:?}", begun.elapsed());
        tokio::time::timeout(SOON, is_gone.recv()).await.expect("the connection is closed").expect("a word");
    }
}

#[tokio::test]
async fn servers_that_are_none_are_handshake_failures() {
    let endless = serve(|mut stream| async move { while stream.write_all(&[b'x'; 1_024]).await.is_ok() {} });
    let chatty =
        serve(|mut stream| async move { while stream.write_all(b"please wait\r\n").await.is_ok() {} });
    let leaving = serve(|_stream| async {});
    let leaving_after_banner = serve(|mut stream| async move {
        let _ = stream.write_all(b"SSH-2.0-brief\r\n").await;
    });
    let garbage = serve(|mut stream| async move {
        let _ = stream.write_all(b"SSH-2.0-garbage\r\n").await;
        let _ = stream.write_all(&[0x5a; 4_096]).await;
        swallow(&mut stream).await;
    });
    let huge_packet = serve(|mut stream| async move {
        let _ = stream.write_all(b"SSH-2.0-huge\r\n\xff\xff\xff\xff\x04\x14").await;
        swallow(&mut stream).await;
    });
    let http = serve(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    let servers = [
        endless.await,
        chatty.await,
        leaving.await,
        leaving_after_banner.await,
        garbage.await,
        huge_packet.await,
        http.await,
    ];
    for (index, address) in servers.into_iter().enumerate() {
        let error = connect(&to(address)).await.unwrap_err();
        assert_eq!(error.outcome().word(), "handshake", "server {index}: {error}");
    }
}

#[tokio::test]
async fn nobody_listening_and_no_such_name_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(connect(&to(address)).await.unwrap_err().outcome().word(), "unreachable");
    let mut nowhere = to(address);
    nowhere.host = "no-such-arbiter.invalid".to_owned();
    let outcome = connect(&nowhere).await.unwrap_err().outcome();
    assert_eq!(outcome.word(), "dns");
}

#[tokio::test]
async fn a_connection_leaves_from_the_given_address() {
    let sshd = Sshd::start();
    let mut to = sshd.destination();
    to.source = Some([127, 0, 0, 9].into());
    let output = run(&to, "echo $SSH_CONNECTION").await.unwrap();
    assert!(output.stdout.starts_with(b"127.0.0.9 "), "{}", String::from_utf8_lossy(&output.stdout));
    to.source = Some([192, 0, 2, 9].into());
    assert_eq!(connect(&to).await.unwrap_err().outcome().word(), "unreachable");
}

#[tokio::test]
async fn wherever_the_connection_is_cut_the_answer_is_never_a_short_one() {
    let sshd = Sshd::start();
    let mut cut_at = 0;
    let mut words = std::collections::BTreeSet::new();
    loop {
        let mut to = sshd.destination();
        (to.host, to.port) = ("127.0.0.1".to_owned(), closing_after(sshd.address, cut_at).await.port());
        match run(&to, "head -c 3000 /dev/zero").await {
            Ok(output) => {
                // Only once everything has come through.
                assert_eq!((output.stdout.len(), output.exit), (3_000, Some(0)), "cut at {cut_at}");
                break;
            }
            Err(error) => {
                words.insert(error.outcome().word());
            }
        }
        assert!(cut_at < 20_000, "a whole log-in with its answer is shorter");
        cut_at += 173;
    }
    assert_eq!(words.into_iter().collect::<Vec<_>>(), ["auth", "exec", "handshake"]);
}

#[tokio::test]
async fn a_gigabyte_of_output_is_refused_long_before_it_has_come() {
    let sshd = Sshd::start();
    let before = resident_kib();
    let error = run(&sshd.destination(), "head -c 1073741824 /dev/zero").await.unwrap_err();
    assert!(matches!(error, SshError::TooMuchOutput), "{error}");
    let grown_mib = resident_kib().saturating_sub(before) >> 10;
    assert!(grown_mib < 200, "{grown_mib} MiB");
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}
