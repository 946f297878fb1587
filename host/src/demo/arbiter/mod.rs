//! An arbiter of the demo: an SSH server that says truthfully who is connected to it.
//!
//! It runs as a process of its own inside its machine's namespace and ends when its standard input is closed.

use std::io::{self, BufRead as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{HashAlg, PrivateKey, PublicKey};
use russh::server::{self, Auth, ChannelOpenHandle, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

pub mod show;
pub mod sockets;

/// Connections that are served at once; the demo opens at most four to an arbiter.
const CONNECTIONS_MAX: usize = 64;
/// How a device without the age of a session is configured: it asks a silent client so often …
const CLIENT_ALIVE_INTERVAL: Duration = Duration::from_secs(1);
/// … and drops it after so many questions without an answer.
const CLIENT_ALIVE_COUNT_MAX: usize = 3;
/// Exit status of a shell for a command that it does not know.
const NOT_FOUND: u32 = 127;

/// Which device the arbiter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Device {
    /// A Linux host: it shows how long a session has been silent, and keeps dead ones.
    Linux,
    /// A Junos router: it shows no ages, and drops dead sessions soon.
    Junos,
}

impl Device {
    /// The word as the configuration has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Junos => "junos",
        }
    }
}

/// Arguments of the hidden `demo-arbiter` command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address and port to listen at.
    #[arg(long)]
    listen: SocketAddr,
    /// Which device it is.
    #[arg(long, value_enum)]
    device: Device,
}

/// Who may log in: the first line of the arbiter's standard input.
#[derive(Clone, Serialize, Deserialize)]
pub struct Account {
    /// Name of the user.
    pub user: String,
    /// Its password, if it has one.
    pub password: Option<String>,
    /// Its public key in OpenSSH form, if it has one.
    pub public_key: Option<String>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What the arbiter says once it listens: the first line of its standard output.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ready {
    /// Fingerprint of its host key, `SHA256:…`.
    pub host_key: String,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    match serve_until_end_of_input(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if this fails too.
            let _ = writeln!(io::stderr(), "arbiter {}: {error}", args.listen);
            ExitCode::FAILURE
        }
    }
}

fn serve_until_end_of_input(args: &Args) -> io::Result<()> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let account: Account = serde_json::from_str(&line)?;
    // Better now than in the middle of the show.
    sockets::tcp_sockets().map_err(|error| {
        io::Error::other(format!("the kernel does not list TCP sockets ({error}); load its module tcp_diag"))
    })?;
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("end of input".to_owned()).spawn(move || {
        // An error is an end too.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = ended.send(());
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(args.listen).await?;
        let host_key = new_key()?;
        let ready = Ready { host_key: host_key.fingerprint(HashAlg::Sha256).to_string() };
        let mut out = io::stdout().lock();
        serde_json::to_writer(&mut out, &ready)?;
        writeln!(out)?;
        out.flush()?;
        tokio::select! {
            served = serve(listener, host_key, args.device, account) => served,
            _ = end => Ok(()),
        }
    })
}

/// A new key. The seed comes from the kernel.
///
/// # Errors
/// When the kernel gives no random bytes.
pub fn new_key() -> io::Result<PrivateKey> {
    let mut seed = [0; 32];
    let count = rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())?;
    if count < seed.len() {
        return Err(io::Error::other("the kernel gave too few random bytes"));
    }
    Ok(Ed25519Keypair::from_seed(&seed).into())
}

/// Serves until it is dropped.
async fn serve(
    listener: TcpListener,
    host_key: PrivateKey,
    device: Device,
    account: Account,
) -> io::Result<()> {
    let public_key = account.public_key.as_deref().map(PublicKey::from_openssh).transpose();
    let public_key = public_key.map_err(io::Error::other)?;
    let mut config = server::Config {
        keys: vec![host_key],
        nodelay: true,
        inactivity_timeout: None,
        auth_rejection_time: Duration::from_millis(200),
        auth_rejection_time_initial: Some(Duration::ZERO),
        ..server::Config::default()
    };
    if device == Device::Junos {
        config.keepalive_interval = Some(CLIENT_ALIVE_INTERVAL);
        config.keepalive_max = CLIENT_ALIVE_COUNT_MAX;
    }
    let config = Arc::new(config);
    let login = Arc::new(Login { user: account.user, password: account.password, public_key });
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
        let (stream, from) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (config, guest) = (Arc::clone(&config), Guest { device, login: Arc::clone(&login) });
        tokio::spawn(async move {
            let ended = match server::run_stream(config, stream, guest).await {
                Ok(session) => session.await,
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                // The arbiter's own log; a session that breaks is the normal end of one here.
                let _ = writeln!(io::stderr(), "the session of {from} ended: {error}");
            }
            drop(place);
        });
    }
}

struct Login {
    user: String,
    password: Option<String>,
    public_key: Option<PublicKey>,
}

/// One client.
struct Guest {
    device: Device,
    login: Arc<Login>,
}

impl Guest {
    /// Output and exit status of a command.
    fn answer(&self, command: &str) -> (String, u32) {
        let print = match (self.device, command.trim()) {
            (Device::Linux, "ss -Htnoi") => show::ss,
            (Device::Junos, "show system connections inet | no-more") => show::junos,
            (Device::Linux, other) => return (format!("sh: 1: {other}: not found\n"), NOT_FOUND),
            (Device::Junos, other) => return (format!("error: unknown command: {other}\n"), NOT_FOUND),
        };
        match sockets::tcp_sockets() {
            Ok(sockets) => (print(&sockets), 0),
            Err(error) => (format!("the kernel does not list its sockets: {error}\n"), 1),
        }
    }
}

fn verdict(is_right: bool) -> Auth {
    if is_right { Auth::Accept } else { Auth::reject() }
}

impl server::Handler for Guest {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        let is_right = user == self.login.user && self.login.password.as_deref() == Some(password);
        Ok(verdict(is_right))
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let expected = self.login.public_key.as_ref().map(PublicKey::key_data);
        Ok(verdict(user == self.login.user && expected == Some(key.public_key.key_data())))
    }

    async fn channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)?;
        let (output, status) = self.answer(&String::from_utf8_lossy(command));
        session.data(channel, output.into_bytes())?;
        session.exit_status_request(channel, status)?;
        session.eof(channel)?;
        session.close(channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use russh::ChannelMsg;
    use russh::client;
    use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate};

    struct Client;

    impl client::Handler for Client {
        type Error = russh::Error;

        async fn check_server_key(&mut self, _key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
            Ok(true)
        }
    }

    async fn listening(device: Device, account: Account) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, new_key().unwrap(), device, account));
        address
    }

    async fn connected(to: SocketAddr) -> (client::Handle<Client>, SocketAddr) {
        let stream = tokio::net::TcpStream::connect(to).await.unwrap();
        let from = stream.local_addr().unwrap();
        let config = client::Config { nodelay: true, ..client::Config::default() };
        (client::connect_stream(Arc::new(config), stream, Client).await.unwrap(), from)
    }

    async fn output(client: &client::Handle<Client>, command: &str) -> (String, Option<u32>) {
        let mut channel = client.channel_open_session().await.unwrap();
        channel.exec(true, command).await.unwrap();
        let (mut text, mut status) = (Vec::new(), None);
        while let Some(message) = channel.wait().await {
            match message {
                ChannelMsg::Data { data } => text.extend_from_slice(&data),
                ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
                _ => {}
            }
        }
        (String::from_utf8(text).unwrap(), status)
    }

    fn account(password: Option<&str>, key: Option<&PrivateKey>) -> Account {
        Account {
            user: "watch".to_owned(),
            password: password.map(str::to_owned),
            public_key: key.map(|key| key.public_key().to_openssh().unwrap()),
        }
    }

    #[tokio::test]
    async fn a_linux_arbiter_shows_the_session_it_is_asked_over() {
        let address = listening(Device::Linux, account(Some("right"), None)).await;
        let (mut client, from) = connected(address).await;
        assert!(!client.authenticate_password("watch", "wrong").await.unwrap().success());
        assert!(!client.authenticate_password("other", "right").await.unwrap().success());
        assert!(client.authenticate_password("watch", "right").await.unwrap().success());

        let (text, status) = output(&client, "ss -Htnoi").await;
        assert_eq!(status, Some(0));
        let row = text.lines().position(|line| line.contains(&format!("{address} {from}"))).unwrap();
        assert!(text.lines().nth(row).unwrap().starts_with("ESTAB"), "{text}");
        assert!(text.lines().nth(row + 1).unwrap().starts_with("\t "), "{text}");
        let (text, status) = output(&client, "rm -rf /").await;
        assert_eq!((text.contains("not found"), status), (true, Some(NOT_FOUND)));
    }

    #[tokio::test]
    async fn a_junos_arbiter_lets_a_key_in_and_no_other() {
        let (right, wrong) = (new_key().unwrap(), new_key().unwrap());
        let address = listening(Device::Junos, account(None, Some(&right))).await;
        let (mut client, from) = connected(address).await;
        for (key, is_let_in) in [(wrong, false), (right, true)] {
            let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
            assert_eq!(client.authenticate_publickey("watch", key).await.unwrap().success(), is_let_in);
        }
        let (text, _) = output(&client, "show system connections inet | no-more").await;
        let remote = format!("{}.{} ", from.ip(), from.port());
        let row = text.lines().find(|line| line.contains(&remote) && line.contains("ESTABLISHED"));
        assert!(row.is_some_and(|row| row.starts_with("tcp4")), "{text}");
    }
}
