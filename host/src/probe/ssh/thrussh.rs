//! The transport that is made of the `thrussh` library; built with the cargo feature `thrussh` only.
//!
//! It reaches fewer servers than the other one. What it cannot reach is told as an error that names the adapter which
//! can: ECDSA host keys, the key exchanges, ciphers and MACs of older devices, ECDSA keys of users, interactive
//! questions, a second factor. It never closes a channel, so a connection is good for as many commands as the server
//! opens channels (`MaxSessions` of OpenSSH: 10), and it does not hear that a command is refused: that is a timeout.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use russh::keys::{Algorithm, HashAlg};
use thrussh::client::{self, Channel, Handle};
use thrussh::{ChannelMsg, Disconnect, Error, Preferred};
use thrussh_keys::key;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::host_key::{HostKeyError, Judge};
use super::stream::{Lifeline, tether};
use super::thrussh_gate::{Gate, GateError, Notes};
use super::thrussh_login::{Proof, instead};
use super::{
    Boxed, Connection, Destination, ExecOutput, OUTPUT_BYTES_MAX, STDERR_BYTES_MAX, SshError, Step,
    Transport, find, within,
};
use crate::probe::tcp;

/// How long a goodbye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// What a server may send before we have read it.
const WINDOW_BYTES: u32 = 256 << 10;

/// The kinds of host keys that the library reads, in every order they can be asked for.
const BOTH: &[key::Name] = &[key::ED25519, key::RSA_SHA2_256, key::RSA_SHA2_512];
const RSA_FIRST: &[key::Name] = &[key::RSA_SHA2_256, key::RSA_SHA2_512, key::ED25519];
const ED25519_ONLY: &[key::Name] = &[key::ED25519];
const RSA_ONLY: &[key::Name] = &[key::RSA_SHA2_256, key::RSA_SHA2_512];

/// Opens connections with `thrussh`.
#[derive(Debug, Clone)]
pub struct Thrussh {
    known_hosts: Vec<PathBuf>,
}

impl Thrussh {
    /// With these files of known hosts.
    pub const fn with_known_hosts(known_hosts: Vec<PathBuf>) -> Self {
        Self { known_hosts }
    }

    async fn open(&self, to: &Destination, deadline: Instant) -> Result<Box<dyn Connection>, SshError> {
        let proof = Proof::new(to)?;
        let judge = Judge::new(&to.host, to.port, &to.host_keys, &self.known_hosts)?;
        let peer = within(deadline, Step::Resolve, find(to, deadline)).await?;
        let kinds = preferred(&judge);
        let mismatch = match attempt(to, peer, kinds, judge.clone(), &proof, deadline).await {
            Err(SshError::HostKey(error @ HostKeyError::Pinned { .. })) => error,
            ended => return ended,
        };
        // A device with several keys shows the kind that we ask for first, and the pin may be of the other.
        let is_rsa_shown = matches!(&mismatch, HostKeyError::Pinned { kind, .. } if kind == "ssh-rsa");
        let others = if is_rsa_shown { ED25519_ONLY } else { RSA_ONLY };
        match attempt(to, peer, others, judge, &proof, deadline).await {
            Err(SshError::Handshake(_) | SshError::Timeout(_) | SshError::Unreachable(_)) => {
                Err(mismatch.into())
            }
            ended => ended,
        }
    }
}

impl Transport for Thrussh {
    fn connect<'a>(
        &'a self,
        to: &'a Destination,
        deadline: Instant,
    ) -> Boxed<'a, Result<Box<dyn Connection>, SshError>> {
        Box::pin(self.open(to, deadline))
    }
}

/// The kinds that are known of the server first.
fn preferred(judge: &Judge) -> &'static [key::Name] {
    let rsa = Algorithm::Rsa { hash: Some(HashAlg::Sha256) };
    match judge.preferred(&[Algorithm::Ed25519, rsa]).first() {
        Some(Algorithm::Rsa { .. }) => RSA_FIRST,
        _ => BOTH,
    }
}

/// One connection, from TCP to the log-in.
async fn attempt(
    to: &Destination,
    peer: SocketAddr,
    kinds: &'static [key::Name],
    judge: Judge,
    proof: &Proof,
    deadline: Instant,
) -> Result<Box<dyn Connection>, SshError> {
    let config = client::Config {
        preferred: Preferred { key: kinds, ..Preferred::DEFAULT_CLIENT },
        window_size: WINDOW_BYTES,
        ..client::Config::default()
    };
    let left = deadline.saturating_duration_since(Instant::now());
    let stream = tcp::open(peer, to.source, left).await.map_err(SshError::Unreachable)?;
    let (lifeline, stream) = tether(stream);
    let notes = Notes::default();
    let gate = Gate::new(judge, notes.clone());
    let shaking = async {
        let mut handle = client::connect_stream(Arc::new(config), stream, gate)
            .await
            .map_err(|error| handshake(error, &notes))?;
        // The library returns as well when the key exchange has failed; why is known to its task only.
        if handle.is_closed() {
            return Err(handshake(cause(&mut handle).await, &notes));
        }
        Ok(handle)
    };
    let mut handle = within(deadline, Step::Handshake, shaking).await?;
    within(deadline, Step::Auth, log_in(to, &mut handle, proof, &notes)).await?;
    Ok(Box::new(Session {
        peer,
        handle: Mutex::new(handle),
        commands: AtomicUsize::new(0),
        _lifeline: lifeline,
    }))
}

async fn log_in(
    to: &Destination,
    handle: &mut Handle<Gate>,
    proof: &Proof,
    notes: &Notes,
) -> Result<(), SshError> {
    let user = to.username.clone();
    let (shown, tried) = match proof {
        Proof::Key(key) => {
            (handle.authenticate_publickey(&user, Arc::clone(key)).await, "with the private key")
        }
        Proof::Password(_) => {
            (handle.authenticate_password(&user, proof.password()).await, "with the password")
        }
    };
    if matches!(shown, Ok(true)) {
        return Ok(());
    }
    // A refusal and a connection that broke are the same to the library, until its task is asked.
    if shown.is_err() || handle.is_closed() {
        match cause(handle).await {
            GateError::Library(Error::NoAuthMethod) => {}
            error if !notes.is_key_judged() => return Err(handshake(error, notes)),
            error => return Err(SshError::AuthBroke { user, why: error.to_string() }),
        }
    }
    let offered = format!(
        "what the library thrussh does not tell; where it asks interactively or for a second factor, {}",
        instead()
    );
    Err(SshError::Auth { user, tried, offered })
}

/// Why the task of a connection ended.
async fn cause(handle: &mut Handle<Gate>) -> GateError {
    match handle.await {
        Ok(()) => GateError::Library(Error::Disconnect),
        Err(error) => error,
    }
}

fn handshake(error: GateError, notes: &Notes) -> SshError {
    if let Some(refused) = notes.refused() {
        return SshError::HostKey(refused);
    }
    let GateError::Library(error) = error else {
        return SshError::Handshake(error.to_string());
    };
    let lacks = match error {
        Error::NoCommonKexAlgo => "key exchange",
        Error::NoCommonKeyAlgo => "kind of host key",
        Error::NoCommonCipher => "cipher",
        Error::NoCommonMac => "MAC",
        Error::NoCommonCompression => "compression",
        Error::HUP | Error::Disconnect => {
            return SshError::Handshake("the server closed the connection".to_owned());
        }
        other => return SshError::Handshake(other.to_string()),
    };
    SshError::Handshake(format!("the server offers no {lacks} that the library thrussh knows; {}", instead()))
}

/// A connection that is logged in.
struct Session {
    peer: SocketAddr,
    handle: Mutex<Handle<Gate>>,
    commands: AtomicUsize,
    _lifeline: Lifeline,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Session {
    async fn run(&self, command: &str) -> Result<ExecOutput, SshError> {
        let before = self.commands.fetch_add(1, Ordering::Relaxed);
        let mut channel = {
            let mut handle = self.handle.lock().await;
            match handle.channel_open_session().await {
                Ok(channel) => channel,
                Err(_) if handle.is_closed() => return Err(broken(cause(&mut handle).await)),
                Err(_) => return Err(SshError::Exec(no_channel(before))),
            }
        };
        if channel.exec(true, command).await.is_err() {
            return Err(self.end().await);
        }
        self.collect(&mut channel).await
    }

    async fn collect(&self, channel: &mut Channel) -> Result<ExecOutput, SshError> {
        let mut output = ExecOutput { exit: None, stdout: Vec::new(), stderr: Vec::new() };
        while let Some(message) = channel.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    if output.stdout.len() + data.len() > OUTPUT_BYTES_MAX {
                        return Err(SshError::TooMuchOutput);
                    }
                    output.stdout.extend_from_slice(&data);
                }
                ChannelMsg::ExtendedData { data, .. } => {
                    let room = STDERR_BYTES_MAX.saturating_sub(output.stderr.len());
                    output.stderr.extend_from_slice(&data[..data.len().min(room)]);
                }
                ChannelMsg::ExitStatus { exit_status } => output.exit = Some(exit_status),
                ChannelMsg::ExitSignal { signal_name, .. } => {
                    return Err(SshError::Exec(format!("it was ended by the signal {signal_name:?}")));
                }
                // Only this says that the answer is whole: a cut connection ends the messages as well.
                ChannelMsg::Close => return Ok(output),
                _ => {}
            }
        }
        Err(self.end().await)
    }

    /// Why the connection ended.
    async fn end(&self) -> SshError {
        broken(cause(&mut *self.handle.lock().await).await)
    }

    /// Asks for what every server has to refuse (a channel of X11 is the server's to open): its refusal is an answer,
    /// and unlike a command it leaves nothing behind that would count against the server's limits.
    async fn echo(&self) -> Result<Duration, SshError> {
        let begun = Instant::now();
        let mut handle = self.handle.lock().await;
        let answer = handle.channel_open_x11("127.0.0.1", 0).await;
        if answer.is_err() && handle.is_closed() {
            return Err(broken(cause(&mut handle).await));
        }
        Ok(begun.elapsed())
    }
}

fn no_channel(commands_before: usize) -> String {
    match commands_before {
        0 => "the server opens no channel".to_owned(),
        many => format!(
            "the server opens no channel after {many} commands, as the library thrussh closes none; {}",
            instead()
        ),
    }
}

fn broken(error: GateError) -> SshError {
    SshError::Broken(match error {
        GateError::Library(Error::HUP | Error::Disconnect) => "the server closed it".to_owned(),
        other => other.to_string(),
    })
}

impl Connection for Session {
    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn exec<'a>(&'a self, command: &'a str, deadline: Instant) -> Boxed<'a, Result<ExecOutput, SshError>> {
        Box::pin(within(deadline, Step::Exec, self.run(command)))
    }

    fn keep_alive(&self, deadline: Instant) -> Boxed<'_, Result<Duration, SshError>> {
        Box::pin(within(deadline, Step::KeepAlive, self.echo()))
    }

    fn close(self: Box<Self>) -> Boxed<'static, ()> {
        Box::pin(async move {
            let mut handle = self.handle.into_inner();
            if handle.disconnect(Disconnect::ByApplication, "", "en").await.is_ok() {
                // Whether it ended well or not, it has ended; the lifeline cuts what is left of it.
                let _ = tokio::time::timeout(CLOSE_TIMEOUT, &mut handle).await;
            }
        })
    }
}
