//! An SSH server within the test, for what OpenSSH needs accounts for: passwords, questions, and answers of devices.

use std::net::SocketAddr;
use std::sync::Arc;

use dr_watchdog::probe::ssh::Destination;
use dr_watchdog::probe::ssh::host_key::fingerprint;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Response, Session};
use russh::{Channel, ChannelId, MethodKind, MethodSet};
use secrecy::SecretString;
use tokio::net::TcpListener;

/// The only password that opens it.
pub(crate) const PASSWORD: &str = "correct horse";

/// What the server is like.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manners {
    /// Which log-ins it offers.
    pub(crate) methods: Vec<MethodKind>,
    /// The questions that it asks interactively, each with whether the answer is shown.
    pub(crate) questions: Vec<(&'static str, bool)>,
    /// Commands and their answers; any other is unknown.
    pub(crate) answers: Vec<(&'static str, String)>,
    /// Whether it closes the connection when a password is shown.
    pub(crate) leaves_at_login: bool,
    /// Whether it closes the connection when a command is asked for.
    pub(crate) leaves_at_exec: bool,
    /// Whether it lets people in and runs no command.
    pub(crate) refuses_commands: bool,
    /// Whether it takes one command per connection only.
    pub(crate) takes_one_command: bool,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Fingerprint of its host key.
    pub(crate) fingerprint: String,
}

impl Server {
    /// Starts on loopback.
    pub(crate) async fn start(manners: Manners) -> Self {
        let key = PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]));
        let seen = fingerprint(key.public_key());
        let methods = MethodSet::from(manners.methods.as_slice());
        let config = Config { keys: vec![key], methods, nodelay: true, ..Config::default() };
        let config = Arc::new(Config {
            auth_rejection_time: std::time::Duration::ZERO,
            auth_rejection_time_initial: Some(std::time::Duration::ZERO),
            ..config
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let handler = Client { manners: manners.clone(), commands: 0 };
                let config = Arc::clone(&config);
                tokio::spawn(async move {
                    if let Ok(session) = russh::server::run_stream(config, stream, handler).await {
                        let _ = session.await;
                    }
                });
            }
        });
        Self { address, fingerprint: seen }
    }

    /// A log-in with this password.
    pub(crate) fn destination(&self, password: &str) -> Destination {
        Destination {
            host: self.address.ip().to_string(),
            port: self.address.port(),
            source: None,
            username: "watchdog".to_owned(),
            password: Some(SecretString::from(password)),
            private_key: None,
            host_keys: vec![self.fingerprint.clone()],
        }
    }
}

struct Client {
    manners: Manners,
    commands: usize,
}

impl Handler for Client {
    type Error = russh::Error;

    async fn auth_password(&mut self, _user: &str, password: &str) -> Result<Auth, russh::Error> {
        if self.manners.leaves_at_login {
            return Err(russh::Error::Disconnect);
        }
        Ok(if password == PASSWORD { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        let Some(answers) = response else {
            let prompts = self.manners.questions.iter().map(|(text, echo)| ((*text).into(), *echo)).collect();
            return Ok(Auth::Partial { name: "".into(), instructions: "".into(), prompts });
        };
        let answers: Vec<_> = answers.collect();
        let is_right = answers.len() == 1 && answers[0].as_ref() == PASSWORD.as_bytes();
        Ok(if is_right { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        if self.manners.takes_one_command && self.commands > 0 {
            reply.reject(russh::ChannelOpenFailure::AdministrativelyProhibited).await;
        } else {
            reply.accept().await;
        }
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.commands += 1;
        if self.manners.leaves_at_exec {
            return Err(russh::Error::Disconnect);
        }
        if self.manners.refuses_commands {
            return session.channel_failure(channel);
        }
        session.channel_success(channel)?;
        let command = String::from_utf8_lossy(command);
        let known = self.manners.answers.iter().find(|(known, _)| *known == command);
        let (answer, status) = match known {
            Some((_, answer)) => (answer.clone(), 0),
            None => (format!("unknown command: {command}\n"), 127),
        };
        session.data(channel, answer.into_bytes())?;
        session.exit_status_request(channel, status)?;
        session.eof(channel)?;
        session.close(channel)
    }
}
