//! The transport that is made of the `russh` library.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, DisconnectReason, Handle, Handler};
use russh::keys::{Algorithm, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, Disconnect, Preferred, kex, mac};
use tokio::time::Instant;

use super::host_key::{self, HostKeyError, Judge};
use super::login::{Credentials, Refusal, words};
use super::stream::{Lifeline, tether};
use super::{
    Boxed, Connection, Destination, ExecOutput, OUTPUT_BYTES_MAX, STDERR_BYTES_MAX, SshError, Step,
    Transport, find, known_hosts, within,
};
use crate::probe::tcp;

/// How long a goodbye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Longest packet we take part in.
const PACKET_BYTES_MAX: u32 = 32 << 10;
/// What a server may send before we have read it.
const WINDOW_BYTES: u32 = 256 << 10;

/// Added behind the library's own choice, for devices of ten years ago.
const OLD_KEY_EXCHANGES: [kex::Name; 4] =
    [kex::ECDH_SHA2_NISTP256, kex::ECDH_SHA2_NISTP384, kex::ECDH_SHA2_NISTP521, kex::DH_G14_SHA1];
const OLD_MACS: [mac::Name; 2] = [mac::HMAC_SHA1_ETM, mac::HMAC_SHA1];

/// Opens connections with `russh`.
#[derive(Debug, Clone)]
pub struct Russh {
    known_hosts: Vec<PathBuf>,
}

impl Russh {
    /// With the files of known hosts that `ssh` reads too.
    pub fn new() -> Self {
        Self::with_known_hosts(known_hosts::standard_files(std::env::var("HOME").ok().as_deref()))
    }

    /// With these files of known hosts.
    pub const fn with_known_hosts(known_hosts: Vec<PathBuf>) -> Self {
        Self { known_hosts }
    }

    async fn open(&self, to: &Destination, deadline: Instant) -> Result<Box<dyn Connection>, SshError> {
        let credentials = Credentials::new(to)?;
        let judge = Judge::new(&to.host, to.port, &to.host_keys, &self.known_hosts)?;
        let peer = within(deadline, Step::Resolve, find(to, deadline)).await?;
        let mut kinds = judge.preferred(&Preferred::DEFAULT.key);
        let mut mismatch = None;
        // Each round takes a kind away, so there are no more rounds than kinds.
        loop {
            let config = config(&kinds);
            match attempt(to, peer, config, judge.clone(), &credentials, deadline).await {
                // A device with several keys shows the kind that we ask for first, and the pin may be of another.
                Err(SshError::HostKey(error @ HostKeyError::Pinned { .. })) => {
                    if let HostKeyError::Pinned { kind, .. } = &error {
                        kinds.retain(|other| !is_same_kind(other, kind));
                    }
                    let error = mismatch.get_or_insert(error);
                    if kinds.is_empty() {
                        return Err(error.clone().into());
                    }
                }
                Err(error @ (SshError::Handshake(_) | SshError::Timeout(_) | SshError::Unreachable(_))) => {
                    return Err(mismatch.map_or(error, SshError::HostKey));
                }
                ended => return ended,
            }
        }
    }
}

/// One connection, from TCP to the log-in.
async fn attempt(
    to: &Destination,
    peer: SocketAddr,
    config: client::Config,
    judge: Judge,
    credentials: &Credentials,
    deadline: Instant,
) -> Result<Box<dyn Connection>, SshError> {
    let left = deadline.saturating_duration_since(Instant::now());
    let stream = tcp::open(peer, to.source, left).await.map_err(SshError::Unreachable)?;
    // Only a socket that has no address has none to tell, and this one is connected.
    let local = stream.local_addr().ok();
    let (lifeline, stream) = tether(stream);
    let end = End::default();
    let shown = End::default();
    let gate = Gate { judge, end: end.clone(), shown: shown.clone() };
    let shaking =
        async { client::connect_stream(Arc::new(config), stream, gate).await.map_err(GateError::into_error) };
    let mut handle = within(deadline, Step::Handshake, shaking).await?;
    let showing = async { credentials.show(&mut handle).await.map_err(|refusal| refused(to, refusal, &end)) };
    within(deadline, Step::Auth, showing).await?;
    Ok(Box::new(Session { peer, local, handle, end, host_key: shown.why(), lifeline }))
}

/// Whether keys of this name are asked for by this algorithm; an RSA key is one key, whatever hash it signs with.
fn is_same_kind(algorithm: &Algorithm, name: &str) -> bool {
    let kind = if algorithm.clone().is_rsa() { Algorithm::Rsa { hash: None } } else { algorithm.clone() };
    kind.to_string() == name
}

impl Default for Russh {
    fn default() -> Self {
        Self::new()
    }
}

impl Transport for Russh {
    fn connect<'a>(
        &'a self,
        to: &'a Destination,
        deadline: Instant,
    ) -> Boxed<'a, Result<Box<dyn Connection>, SshError>> {
        Box::pin(self.open(to, deadline))
    }
}

fn config(kinds: &[Algorithm]) -> client::Config {
    let usual = Preferred::DEFAULT;
    let preferred = Preferred {
        key: Cow::Owned(kinds.to_vec()),
        kex: Cow::Owned(usual.kex.iter().chain(&OLD_KEY_EXCHANGES).copied().collect()),
        mac: Cow::Owned(usual.mac.iter().chain(&OLD_MACS).copied().collect()),
        ..usual
    };
    client::Config {
        preferred,
        maximum_packet_size: PACKET_BYTES_MAX,
        window_size: WINDOW_BYTES,
        ..client::Config::default()
    }
}

fn refused(to: &Destination, refusal: Refusal, end: &End) -> SshError {
    let user = to.username.clone();
    match refusal {
        Refusal::No(tried, offered) => SshError::Auth { user, tried, offered: words(&offered) },
        Refusal::Broke(error) => {
            SshError::AuthBroke { user, why: end.why().unwrap_or_else(|| error.to_string()) }
        }
    }
}

/// Why a connection ended, as far as the server or the library said so.
#[derive(Debug, Clone, Default)]
pub(super) struct End(Arc<Mutex<Option<String>>>);

impl End {
    fn set(&self, why: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    fn why(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn broken(&self) -> SshError {
        SshError::Broken(self.why().unwrap_or_else(|| "the server closed it".to_owned()))
    }
}

/// What the library asks us during a connection.
#[derive(Debug)]
pub(super) struct Gate {
    judge: Judge,
    end: End,
    /// Fingerprint of the key that the server showed.
    shown: End,
}

/// An error of the library or of our own within it.
#[derive(Debug)]
pub(super) enum GateError {
    Library(russh::Error),
    HostKey(HostKeyError),
}

impl From<russh::Error> for GateError {
    fn from(error: russh::Error) -> Self {
        Self::Library(error)
    }
}

impl GateError {
    fn into_error(self) -> SshError {
        match self {
            Self::HostKey(error) => SshError::HostKey(error),
            Self::Library(russh::Error::HUP | russh::Error::Disconnect) => {
                SshError::Handshake("the server closed the connection".to_owned())
            }
            Self::Library(error) => SshError::Handshake(error.to_string()),
        }
    }
}

impl Handler for Gate {
    type Error = GateError;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, GateError> {
        self.shown.set(host_key::fingerprint(&shown.public_key()));
        self.judge.check(&shown.public_key()).map(|()| true).map_err(GateError::HostKey)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<GateError>) -> Result<(), GateError> {
        match reason {
            DisconnectReason::ReceivedDisconnect(said) => {
                self.end.set(format!("the server said \"{}\" ({:?})", said.message.trim(), said.reason_code));
                Ok(())
            }
            DisconnectReason::Error(GateError::HostKey(error)) => {
                self.end.set(error.to_string());
                Err(GateError::HostKey(error))
            }
            DisconnectReason::Error(GateError::Library(error)) => {
                self.end.set(match &error {
                    russh::Error::HUP | russh::Error::Disconnect => "the server closed it".to_owned(),
                    other => other.to_string(),
                });
                Err(GateError::Library(error))
            }
        }
    }
}

/// A connection that is logged in.
struct Session {
    peer: SocketAddr,
    local: Option<SocketAddr>,
    handle: Handle<Gate>,
    end: End,
    host_key: Option<String>,
    lifeline: Lifeline,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Session {
    async fn run(&self, command: &str, input: Option<&[u8]>) -> Result<ExecOutput, SshError> {
        let mut channel = self.handle.channel_open_session().await.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(why) => {
                SshError::Exec(format!("the server opens no channel ({why:?})"))
            }
            _ => self.end.broken(),
        })?;
        channel.exec(true, command).await.map_err(|_| self.end.broken())?;
        if let Some(input) = input {
            channel.data_bytes(input.to_vec()).await.map_err(|_| self.end.broken())?;
            channel.eof().await.map_err(|_| self.end.broken())?;
        }
        self.collect(&mut channel).await
    }

    async fn collect(&self, channel: &mut Channel<client::Msg>) -> Result<ExecOutput, SshError> {
        let mut output = ExecOutput { exit: None, stdout: Vec::new(), stderr: Vec::new() };
        let (mut is_all_printed, mut is_closed) = (false, false);
        while let Some(message) = channel.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    if output.stdout.len() + data.len() > OUTPUT_BYTES_MAX {
                        // A refusal to close changes nothing: nobody reads on.
                        let _ = channel.close().await;
                        return Err(SshError::TooMuchOutput);
                    }
                    output.stdout.extend_from_slice(&data);
                }
                ChannelMsg::ExtendedData { data, .. } => {
                    let room = STDERR_BYTES_MAX.saturating_sub(output.stderr.len());
                    output.stderr.extend_from_slice(&data[..data.len().min(room)]);
                }
                ChannelMsg::Failure => {
                    return Err(SshError::Exec("the server refuses to run commands".to_owned()));
                }
                ChannelMsg::ExitStatus { exit_status } => output.exit = Some(exit_status),
                ChannelMsg::ExitSignal { signal_name, .. } => {
                    return Err(SshError::Exec(format!("it was ended by the signal {signal_name:?}")));
                }
                ChannelMsg::Eof => is_all_printed = true,
                ChannelMsg::Close => {
                    is_closed = true;
                    break;
                }
                _ => {}
            }
        }
        // A cut connection must not look like a short answer: half a table would hide sessions. Neither must a
        // command that failed look like one that did not, so the end of the output alone is not enough.
        if is_closed || (is_all_printed && output.exit.is_some()) {
            Ok(output)
        } else {
            Err(self.end.broken())
        }
    }

    async fn echo(&self) -> Result<Duration, SshError> {
        let begun = Instant::now();
        self.handle.send_ping().await.map_err(|_| self.end.broken())?;
        // The library returns as well when the connection died while it waited.
        if self.handle.is_closed() {
            return Err(self.end.broken());
        }
        Ok(begun.elapsed())
    }
}

impl Connection for Session {
    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    fn host_key(&self) -> Option<String> {
        self.host_key.clone()
    }

    fn fall_silent(&self) -> bool {
        self.lifeline.deafen();
        true
    }

    fn exec<'a>(&'a self, command: &'a str, deadline: Instant) -> Boxed<'a, Result<ExecOutput, SshError>> {
        Box::pin(within(deadline, Step::Exec, self.run(command, None)))
    }

    fn feed<'a>(
        &'a self,
        command: &'a str,
        input: &'a [u8],
        deadline: Instant,
    ) -> Boxed<'a, Result<ExecOutput, SshError>> {
        Box::pin(within(deadline, Step::Exec, self.run(command, Some(input))))
    }

    fn keep_alive(&self, deadline: Instant) -> Boxed<'_, Result<Duration, SshError>> {
        Box::pin(within(deadline, Step::KeepAlive, self.echo()))
    }

    fn close(self: Box<Self>) -> Boxed<'static, ()> {
        Box::pin(async move {
            let mut session = *self;
            let goodbye = session.handle.disconnect(Disconnect::ByApplication, "", "en");
            if goodbye.await.is_ok() {
                // Whether it ended well or not, it has ended; the lifeline cuts what is left of it.
                let _ = tokio::time::timeout(CLOSE_TIMEOUT, &mut session.handle).await;
            }
        })
    }
}
