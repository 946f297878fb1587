//! SSH as this program needs it: log in to a device, run one command, notice when the connection dies.
//!
//! One trait, so that another library can do the same work. Every step has to end by one deadline: a server that
//! accepts a connection and then says nothing costs its deadline, no more.

mod greeting;
pub mod host_key;
pub mod known_hosts;
mod login;
mod russh;
mod stream;
#[cfg(feature = "thrussh")]
mod thrussh;
#[cfg(feature = "thrussh")]
mod thrussh_gate;
#[cfg(feature = "thrussh")]
mod thrussh_login;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use dr_watchdog_sdk::evidence::SshOutcome;
use secrecy::SecretString;
use tokio::time::Instant;

pub use self::login::key_trouble;
pub use self::russh::Russh;
#[cfg(feature = "thrussh")]
pub use self::thrussh::Thrussh;
use super::resolve::{self, ResolveError};
use super::tcp::TcpError;
use host_key::HostKeyError;

/// Most bytes of a command's output that are kept: a table of 65,536 sessions with details.
pub const OUTPUT_BYTES_MAX: usize = 16 << 20;
/// Most bytes of a command's error output that are kept; the rest is dropped, as it only explains.
pub const STDERR_BYTES_MAX: usize = 64 << 10;

/// Which library speaks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adapter {
    /// `russh`, the usual one.
    Russh,
    /// `thrussh`, where the program was built with it.
    Thrussh,
}

impl Adapter {
    /// Whether this program has it.
    pub const fn is_built(self) -> bool {
        match self {
            Self::Russh => true,
            Self::Thrussh => cfg!(feature = "thrussh"),
        }
    }

    /// The transport with these files of known hosts. The usual one takes the place of one that is not built in; the
    /// configuration has refused that before.
    pub fn transport(self, known_hosts: Vec<PathBuf>) -> Arc<dyn Transport> {
        match self {
            #[cfg(feature = "thrussh")]
            Self::Thrussh => Arc::new(Thrussh::with_known_hosts(known_hosts)),
            _ => Arc::new(Russh::with_known_hosts(known_hosts)),
        }
    }
}

/// A future that may be awaited anywhere.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where to log in, and how.
#[derive(Debug, Clone)]
pub struct Destination {
    /// Address or name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Address that the connection leaves from; the system chooses if absent.
    pub source: Option<IpAddr>,
    /// User.
    pub username: String,
    /// Password; the passphrase of the key if that is encrypted.
    pub password: Option<SecretString>,
    /// Private key in OpenSSH or PEM form; wins over the password.
    pub private_key: Option<SecretString>,
    /// Pinned host keys, `SHA256:…`; without one the known hosts decide.
    pub host_keys: Vec<String>,
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// Exit status; some devices give none.
    pub exit: Option<u32>,
    /// Output.
    pub stdout: Vec<u8>,
    /// Error output.
    pub stderr: Vec<u8>,
}

/// Opens connections.
pub trait Transport: Send + Sync + std::fmt::Debug {
    /// Resolves, connects, checks the host key and logs in, all by the deadline.
    fn connect<'a>(
        &'a self,
        to: &'a Destination,
        deadline: Instant,
    ) -> Boxed<'a, Result<Box<dyn Connection>, SshError>>;
}

/// A connection that is logged in. Dropping it cuts it off at once.
pub trait Connection: Send + Sync + std::fmt::Debug {
    /// The address that it goes to.
    fn peer(&self) -> SocketAddr;

    /// Runs a command to its end.
    fn exec<'a>(&'a self, command: &'a str, deadline: Instant) -> Boxed<'a, Result<ExecOutput, SshError>>;

    /// Runs a command with this standard input to its end.
    fn feed<'a>(
        &'a self,
        command: &'a str,
        input: &'a [u8],
        deadline: Instant,
    ) -> Boxed<'a, Result<ExecOutput, SshError>> {
        let _ = (command, input, deadline);
        Box::pin(async { Err(SshError::Exec("this way of SSH gives commands no input".to_owned())) })
    }

    /// Address and port that it leaves from, where this way of SSH tells.
    fn local(&self) -> Option<SocketAddr> {
        None
    }

    /// Fingerprint of the host key that the server showed, where this way of SSH tells.
    fn host_key(&self) -> Option<String> {
        None
    }

    /// From now on nothing more is read: to the server its client is dead, although TCP lives. False where this way
    /// of SSH cannot do that.
    fn fall_silent(&self) -> bool {
        false
    }

    /// Awaits the server's answer to a keepalive; how long it took.
    fn keep_alive(&self, deadline: Instant) -> Boxed<'_, Result<Duration, SshError>>;

    /// Says goodbye, so that the server forgets the session now and not after a timeout.
    fn close(self: Box<Self>) -> Boxed<'static, ()>;
}

/// A step of the way to an answer, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Name to address.
    Resolve,
    /// TCP connection.
    Connect,
    /// Banner, key exchange, host key.
    Handshake,
    /// Log-in.
    Auth,
    /// The command.
    Exec,
    /// A keepalive.
    KeepAlive,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Resolve => "the name server",
            Self::Connect => "the TCP connection",
            Self::Handshake => "the SSH handshake",
            Self::Auth => "the log-in",
            Self::Exec => "the command",
            Self::KeepAlive => "the keepalive",
        })
    }
}

/// Why an SSH step failed.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// The name has no address.
    #[error("{0}")]
    Dns(#[source] ResolveError),
    /// No TCP connection.
    #[error("no TCP connection: {0}")]
    Unreachable(#[source] TcpError),
    /// No common language, or no SSH server at all.
    #[error("the SSH handshake failed: {0}")]
    Handshake(String),
    /// The server is not the one that is expected, or an unknown one.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// The configured key cannot be used.
    #[error("the private key for user {user} cannot be used: {why}")]
    PrivateKey {
        /// The user.
        user: String,
        /// Why.
        why: String,
    },
    /// The server refused the log-in.
    #[error("the log-in of user {user} was refused ({tried}; the server offers {offered})")]
    Auth {
        /// The user.
        user: String,
        /// What was tried.
        tried: &'static str,
        /// What the server would take.
        offered: String,
    },
    /// The server ended the connection during the log-in.
    #[error("the connection broke during the log-in of user {user}: {why}")]
    AuthBroke {
        /// The user.
        user: String,
        /// What is known of the reason.
        why: String,
    },
    /// The command was not run to its end.
    #[error("the command did not run to its end: {0}")]
    Exec(String),
    /// The command prints more than anybody reads.
    #[error("the command printed more than {OUTPUT_BYTES_MAX} bytes")]
    TooMuchOutput,
    /// The connection is gone.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// A step did not end in time.
    #[error("no answer in time: {0} took longer than its deadline")]
    Timeout(Step),
}

impl SshError {
    /// The word for it in evidence and to policies.
    pub const fn outcome(&self) -> SshOutcome {
        match self {
            // Nobody has asked the device itself yet.
            Self::Dns(_) | Self::Timeout(Step::Resolve) => SshOutcome::Dns,
            Self::Unreachable(TcpError::Timeout(..)) | Self::Timeout(_) => SshOutcome::Timeout,
            Self::Unreachable(_) => SshOutcome::Unreachable,
            Self::Handshake(_) => SshOutcome::Handshake,
            Self::HostKey(_) => SshOutcome::Hostkey,
            Self::PrivateKey { .. } | Self::Auth { .. } | Self::AuthBroke { .. } => SshOutcome::Auth,
            Self::Exec(_) | Self::TooMuchOutput | Self::Broken(_) => SshOutcome::Exec,
        }
    }
}

/// Awaits a step until the deadline.
async fn within<T>(
    deadline: Instant,
    step: Step,
    doing: impl Future<Output = Result<T, SshError>>,
) -> Result<T, SshError> {
    tokio::time::timeout_at(deadline, doing).await.unwrap_or(Err(SshError::Timeout(step)))
}

/// The address of a destination.
async fn find(to: &Destination, deadline: Instant) -> Result<SocketAddr, SshError> {
    let left = deadline.saturating_duration_since(Instant::now());
    let found = resolve::resolve(&to.host, left).await.map_err(SshError::Dns)?;
    Ok(SocketAddr::new(found.address, to.port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_the_word_that_policies_know() {
        let address = SocketAddr::from(([192, 0, 2, 1], 22));
        let second = Duration::from_secs(1);
        let io = || std::io::Error::other("x");
        for (error, word) in [
            (SshError::Dns(ResolveError::Unknown("a".into(), io())), "dns"),
            (SshError::Dns(ResolveError::Timeout("a".into(), second)), "dns"),
            (SshError::Timeout(Step::Resolve), "dns"),
            (SshError::Unreachable(TcpError::Failed(address, io())), "unreachable"),
            (SshError::Unreachable(TcpError::Timeout(address, second)), "timeout"),
            (SshError::Handshake("x".into()), "handshake"),
            (SshError::PrivateKey { user: "u".into(), why: "x".into() }, "auth"),
            (SshError::AuthBroke { user: "u".into(), why: "x".into() }, "auth"),
            (SshError::Exec("x".into()), "exec"),
            (SshError::TooMuchOutput, "exec"),
            (SshError::Broken("x".into()), "exec"),
            (SshError::Timeout(Step::Auth), "timeout"),
        ] {
            assert_eq!(error.outcome().word(), word, "{error}");
        }
    }
}
