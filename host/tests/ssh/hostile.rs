//! Servers that misbehave, through every adapter: each costs an error with the right word, and its deadline at most.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;

use dr_watchdog::probe::ssh::{Destination, SshError, Step};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::SOON;
use crate::support::proxy::closing_after;
use crate::support::sshd::Sshd;
use crate::{Instant, SHORT, adapters, run_through};

/// Mute servers that are asked at the same time.
const MUTE: usize = 64;

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
    for (name, adapter) in adapters(&[]) {
        // At once, and after a banner: from there on the library's own task does the waiting.
        for greeting in [&b""[..], b"SSH-2.0-mute\r\n"] {
            let (gone, mut is_gone) = tokio::sync::mpsc::channel(2);
            let address = serve(move |mut stream| {
                let gone = gone.clone();
                async move {
                    let _ = stream.write_all(greeting).await;
                    swallow(&mut stream).await;
                    let _ = gone.send(()).await;
                }
            })
            .await;
            let begun = Instant::now();
            let error = adapter.connect(&to(address), begun + SHORT).await.unwrap_err();
            assert!(matches!(error, SshError::Timeout(Step::Handshake)), "{name}: {error}");
            assert!(begun.elapsed() >= SHORT && begun.elapsed() < SHORT * 4, "{name}: {:?}", begun.elapsed());
            let gone = tokio::time::timeout(SOON, is_gone.recv()).await;
            gone.expect("the connection is closed").expect("a word");
        }
    }
}

/// Goal: mute servers cost their deadline and nothing else. Wrong would be: they wait one after the other, they delay
/// a server that answers, or something of them stays behind.
#[tokio::test]
async fn many_mute_servers_delay_nobody_and_leave_nothing_behind() {
    let sshd = Sshd::start();
    for (name, adapter) in adapters(&[]) {
        let adapter: std::sync::Arc<dyn dr_watchdog::probe::ssh::Transport> = adapter.into();
        let address = serve(|mut stream| async move { swallow(&mut stream).await }).await;
        let deadline = Instant::now() + SOON / 4;
        let mut asked = tokio::task::JoinSet::new();
        for _ in 0..MUTE {
            let (adapter, to) = (std::sync::Arc::clone(&adapter), to(address));
            asked.spawn(
                async move { adapter.connect(&to, deadline).await.err().map(|error| error.outcome()) },
            );
        }
        let output = run_through(adapter.as_ref(), &sshd.destination(), "echo alive").await.unwrap();
        assert_eq!(output.stdout, b"alive\n");
        assert!(Instant::now() < deadline, "{name}: the living server was answered only after the mute ones");
        let outcomes = asked.join_all().await;
        assert!(
            outcomes.iter().all(|outcome| outcome.is_some_and(|word| word.word() == "timeout")),
            "{name}"
        );
        assert!(deadline.elapsed() < SOON / 4, "{name}: {:?}", deadline.elapsed());
        // Every client end has to be closed now: in the table of this process' own connections none goes there.
        crate::support::wait_until("the connections are closed", || connections_to(address) == 0).await;
    }
}

/// Connections of this machine that go to a port on loopback and are established.
fn connections_to(address: SocketAddr) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let remote = format!(":{:04X}", address.port());
    let is_open = |line: &&str| {
        let mut fields = line.split_whitespace().skip(2);
        fields.next().is_some_and(|to| to.ends_with(&remote)) && fields.next() == Some("01")
    };
    table.lines().filter(is_open).count()
}

#[tokio::test]
async fn servers_that_are_none_are_handshake_failures() {
    let endless = serve(|mut stream| async move { while stream.write_all(&[b'x'; 1_024]).await.is_ok() {} });
    let leaving = serve(|_stream| async {});
    let leaving_after_banner = serve(|mut stream| async move {
        let _ = stream.write_all(b"SSH-2.0-brief\r\n").await;
    });
    let garbage = serve(|mut stream| async move {
        let _ = stream.write_all(b"SSH-2.0-garbage\r\n").await;
        let _ = stream.write_all(&[0x5a; 4_096]).await;
        swallow(&mut stream).await;
    });
    // A packet of the right form whose lists of algorithms are cut short.
    let short_lists = serve(|mut stream| async move {
        let _ = stream.write_all(b"SSH-2.0-short\r\n\0\0\0\x1c\x08\x14").await;
        let _ = stream.write_all(&[0xff; 26]).await;
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
        leaving.await,
        leaving_after_banner.await,
        garbage.await,
        short_lists.await,
        huge_packet.await,
        http.await,
    ];
    for (name, adapter) in adapters(&[]) {
        for (index, address) in servers.into_iter().enumerate() {
            let error = adapter.connect(&to(address), Instant::now() + SOON).await.unwrap_err();
            assert_eq!(error.outcome().word(), "handshake", "{name}, server {index}: {error}");
        }
    }
}

/// Goal: a device that only speaks SSH 1 is told at once, with what it said. Wrong would be: a time-out, which sends an
/// operator to look for a slow network.
#[tokio::test]
async fn a_server_of_ssh_1_is_a_handshake_failure_at_once_with_what_it_said() {
    let old = serve(|mut stream| async move {
        let _ = stream.write_all(b"authorised use only\r\nSSH-1.5-Cisco-1.25\n").await;
        swallow(&mut stream).await;
    })
    .await;
    for (name, adapter) in adapters(&[]) {
        let begun = Instant::now();
        let error = adapter.connect(&to(old), begun + SOON).await.unwrap_err();
        assert_eq!(error.outcome().word(), "handshake", "{name}: {error}");
        assert!(error.to_string().contains("SSH-1.5-Cisco-1.25"), "{name}: {error}");
        assert!(begun.elapsed() < SOON / 4, "{name}: {:?}", begun.elapsed());
    }
}

/// One library counts the lines before the banner; the watched stream counts the bytes of both.
#[tokio::test]
async fn a_server_that_never_stops_greeting_ends_by_its_deadline() {
    let chatty =
        serve(|mut stream| async move { while stream.write_all(b"please wait\r\n").await.is_ok() {} }).await;
    for (name, adapter) in adapters(&[]) {
        let begun = Instant::now();
        let error = adapter.connect(&to(chatty), begun + SHORT).await.unwrap_err();
        assert!(["handshake", "timeout"].contains(&error.outcome().word()), "{name}: {error}");
        assert!(begun.elapsed() < SHORT * 4, "{name}: {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn nobody_listening_and_no_such_name_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut nowhere = to(address);
    nowhere.host = "no-such-arbiter.invalid".to_owned();
    for (name, adapter) in adapters(&[]) {
        let outcome = adapter.connect(&to(address), Instant::now() + SOON).await.unwrap_err().outcome();
        assert_eq!(outcome.word(), "unreachable", "{name}");
        let outcome = adapter.connect(&nowhere, Instant::now() + SOON).await.unwrap_err().outcome();
        assert_eq!(outcome.word(), "dns", "{name}");
    }
}

#[tokio::test]
async fn wherever_the_connection_is_cut_the_answer_is_never_a_short_one() {
    let sshd = Sshd::start();
    for (name, adapter) in adapters(&[]) {
        let mut cut_at = 0;
        let mut words = BTreeSet::new();
        loop {
            let mut to = sshd.destination();
            (to.host, to.port) = ("127.0.0.1".to_owned(), closing_after(sshd.address, cut_at).await.port());
            match run_through(adapter.as_ref(), &to, "head -c 3000 /dev/zero").await {
                Ok(output) => {
                    // Only once everything has come through.
                    assert_eq!(
                        (output.stdout.len(), output.exit),
                        (3_000, Some(0)),
                        "{name}, cut at {cut_at}"
                    );
                    break;
                }
                Err(error) => {
                    words.insert(error.outcome().word());
                }
            }
            assert!(cut_at < 20_000, "{name}: a whole log-in with its answer is shorter");
            cut_at += 173;
        }
        assert_eq!(words.into_iter().collect::<Vec<_>>(), ["auth", "exec", "handshake"], "{name}");
    }
}

#[tokio::test]
async fn a_command_that_hangs_or_dies_or_never_stops_printing_is_an_error() {
    let sshd = Sshd::start();
    let to = sshd.destination();
    for (name, adapter) in adapters(&[]) {
        let connection = adapter.connect(&to, Instant::now() + SOON).await.unwrap();
        let begun = Instant::now();
        let error = connection.exec("exec cat", begun + SHORT).await.unwrap_err();
        assert!(matches!(error, SshError::Timeout(Step::Exec)), "{name}: {error}");
        assert!(begun.elapsed() < SHORT * 4);
        drop(connection);
        let error = run_through(adapter.as_ref(), &to, "kill -9 $$").await.unwrap_err();
        assert_eq!(error.outcome().word(), "exec", "{name}: {error}");
        let error = run_through(adapter.as_ref(), &to, "exec yes").await.unwrap_err();
        assert!(matches!(error, SshError::TooMuchOutput), "{name}: {error}");
    }
}

#[tokio::test]
async fn a_gigabyte_of_output_without_a_newline_is_refused_long_before_it_has_come() {
    let sshd = Sshd::start();
    for (name, adapter) in adapters(&[]) {
        let before = resident_kib();
        let command = "head -c 1073741824 /dev/zero";
        let error = run_through(adapter.as_ref(), &sshd.destination(), command).await.unwrap_err();
        assert!(matches!(error, SshError::TooMuchOutput), "{name}: {error}");
        let grown_mib = resident_kib().saturating_sub(before) >> 10;
        assert!(grown_mib < 200, "{name}: {grown_mib} MiB");
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}

#[tokio::test]
async fn wrong_credentials_are_an_auth_failure() {
    let sshd = Sshd::start();
    for (name, adapter) in adapters(&[]) {
        let mut to = sshd.destination();
        to.private_key = Some(Sshd::start().private_key());
        let error = adapter.connect(&to, Instant::now() + SOON).await.unwrap_err();
        assert_eq!(error.outcome().word(), "auth", "{name}");
        assert!(error.to_string().contains("refused (with the private key"), "{name}: {error}");
        (to.private_key, to.password) = (None, Some(SecretString::from("guess")));
        let error = adapter.connect(&to, Instant::now() + SOON).await.unwrap_err();
        assert_eq!(error.outcome().word(), "auth", "{name}: {error}");
        to.username = "nobody-of-that-name".to_owned();
        let error = adapter.connect(&to, Instant::now() + SOON).await.unwrap_err();
        assert_eq!(error.outcome().word(), "auth", "{name}: {error}");
    }
}

#[tokio::test]
async fn keys_that_are_no_keys_cost_no_connection() {
    let sshd = Sshd::start();
    let encrypted = sshd.let_in("ed25519", "open sesame");
    let nothing: &[(SecretString, Option<&str>, &str)] = &[
        (encrypted.clone(), None, "it is encrypted; write its passphrase"),
        (encrypted, Some("wrong"), "password does not open it"),
        (SecretString::from("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"), None, "expected the text of"),
        (SecretString::from("no key"), None, "expected the text of"),
    ];
    for (name, adapter) in adapters(&[]) {
        for (key, passphrase, said) in nothing {
            let mut to = sshd.destination();
            to.private_key = Some(key.clone());
            to.password = passphrase.map(SecretString::from);
            // Nobody listens there: the key is read first.
            to.port = 1;
            let error = adapter.connect(&to, Instant::now() + SOON).await.unwrap_err();
            assert!(
                matches!(&error, SshError::PrivateKey { why, .. } if why.contains(said)),
                "{name}: {error}"
            );
            assert_eq!(error.outcome().word(), "auth", "{name}");
        }
    }
}
