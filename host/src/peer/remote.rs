//! Commands at the other site over SSH.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;

use super::shell;
use crate::config::Config;
use crate::probe::ssh::{Connection, Destination, ExecOutput, Russh, SshError, Transport as _};

/// The program at the other site; its shell finds it.
pub const PROGRAM: &str = "dr-watchdog";
/// How long the log-in may take: a server that asks a slow directory for the user takes seconds.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Who logs in where nobody is named: commands need the rights of the watchdog there.
pub const DEFAULT_USER: &str = "root";

/// Why a command did not reach the other site.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The configuration names no key to log in with.
    #[error(
        "peer.identity is not set, so no command can be given at the other site over SSH; write the path of a private key there whose public half the other site accepts"
    )]
    NoIdentity,
    /// The private key cannot be read.
    #[error("the private key {} (peer.identity) cannot be read", .0.display())]
    Identity(PathBuf, #[source] io::Error),
    /// SSH failed.
    #[error("no SSH connection to {to}")]
    Ssh {
        /// User, host and port.
        to: String,
        /// Which step, and how.
        #[source]
        source: Box<SshError>,
    },
}

/// Where the other site is commanded.
///
/// # Errors
/// When there is no key to log in with.
pub fn destination(config: &Config) -> Result<Login, RemoteError> {
    let identity = config.peer.identity.as_deref().ok_or(RemoteError::NoIdentity)?;
    let to = To {
        host: &config.core.peer_vip,
        port: config.peer.ssh_port,
        user: config.peer.ssh_user.as_deref().unwrap_or(DEFAULT_USER),
        source: config.site.source_address,
        host_key: config.peer.host_key.as_deref(),
    };
    let destination = to.with_identity(identity)?;
    Ok(Login { destination, known_hosts: config.ssh.known_hosts.clone() })
}

/// Where the other site is commanded, and who decides about its host key. Commands take input, which only the usual
/// library can send; so `ssh.adapter` chooses for the arbiters alone.
#[derive(Debug, Clone)]
pub struct Login {
    /// Where to, and as whom.
    pub destination: Destination,
    /// The files that decide where no key is pinned: those of `ssh.knownHosts`, as for the arbiters.
    pub known_hosts: Vec<PathBuf>,
}

/// The other site's SSH server.
#[derive(Debug, Clone, Copy)]
pub struct To<'a> {
    /// Address.
    pub host: &'a str,
    /// Port.
    pub port: u16,
    /// User.
    pub user: &'a str,
    /// Address that the connection leaves from.
    pub source: Option<IpAddr>,
    /// Pinned host key; without one the known hosts decide.
    pub host_key: Option<&'a str>,
}

impl To<'_> {
    /// With the private key in this file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn with_identity(&self, identity: &Path) -> Result<Destination, RemoteError> {
        let key = fs::read_to_string(identity)
            .map_err(|error| RemoteError::Identity(identity.to_owned(), error))?;
        Ok(Destination {
            host: self.host.to_owned(),
            port: self.port,
            source: self.source,
            username: self.user.to_owned(),
            password: None,
            private_key: Some(SecretString::from(key)),
            host_keys: self.host_key.map(str::to_owned).into_iter().collect(),
        })
    }
}

/// A connection to the other site.
#[derive(Debug)]
pub struct Remote {
    connection: Box<dyn Connection>,
    to: String,
}

impl Remote {
    /// Logs in.
    ///
    /// # Errors
    /// Which step failed, and how.
    pub async fn connect(login: &Login) -> Result<Self, RemoteError> {
        let to = &login.destination;
        let name = format!("{}@{}:{}", to.username, to.host, to.port);
        let connected = Russh::with_known_hosts(login.known_hosts.clone())
            .connect(to, Instant::now() + CONNECT_TIMEOUT)
            .await;
        match connected {
            Ok(connection) => Ok(Self { connection, to: name }),
            Err(source) => Err(RemoteError::Ssh { to: name, source: Box::new(source) }),
        }
    }

    /// Runs the program there with these arguments and this input.
    ///
    /// # Errors
    /// When it was not run to its end.
    pub async fn run(
        &self,
        arguments: &[&str],
        input: &[u8],
        limit: Duration,
    ) -> Result<ExecOutput, RemoteError> {
        let command = format!("{PROGRAM} {}", shell::line(arguments));
        let ended = self.connection.feed(&command, input, Instant::now() + limit).await;
        ended.map_err(|source| RemoteError::Ssh { to: self.to.clone(), source: Box::new(source) })
    }
}
