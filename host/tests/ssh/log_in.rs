//! What a server may ask or do that real ones seldom do.

use dr_watchdog::probe::ssh::SshError;
use russh::MethodKind;
use secrecy::SecretString;

use crate::support::SOON;
use crate::support::server::{Manners, PASSWORD, Server};
use crate::support::sshd::Sshd;
use crate::{Instant, SHORT, adapters, connect, run};

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
async fn a_server_without_a_common_algorithm_is_a_handshake_failure_that_names_it() {
    let sshd = Sshd::start_with("ed25519", "Ciphers aes128-cbc\n");
    let error = run(&sshd.destination(), "true").await.unwrap_err();
    assert_eq!(error.outcome().word(), "handshake");
    assert!(error.to_string().contains("aes128-cbc"), "{error}");
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

/// One library hears the refusal; to the other a refused command is one that never ends.
#[tokio::test]
async fn a_command_that_is_refused_is_an_error_by_the_deadline_at_the_latest() {
    let methods = vec![MethodKind::Password];
    let server = Server::start(Manners { methods, refuses_commands: true, ..answering() }).await;
    for (name, adapter) in adapters(&[]) {
        let connection = adapter.connect(&server.destination(PASSWORD), Instant::now() + SOON).await.unwrap();
        let error = connection.exec("hello", Instant::now() + SHORT).await.unwrap_err();
        let word = if name == "thrussh" { "timeout" } else { "exec" };
        assert_eq!(error.outcome().word(), word, "{name}: {error}");
        if name == "russh" {
            assert!(error.to_string().contains("refuses to run commands"), "{error}");
        }
    }
}
