//! Arbiters by the thousand: one SSH server that answers at every address of its namespace.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{HashAlg, PrivateKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Session, run_stream};
use russh::{Channel, ChannelId, MethodKind, MethodSet};
use tokio::net::TcpSocket;

/// The only password that opens it.
pub(super) const PASSWORD: &str = "correct horse";
/// Where it listens, at every address.
pub(super) const PORT: u16 = 2_200;
/// Connections that may wait to be accepted: a fleet comes back all at once.
const BACKLOG: u32 = 4_096;

fn key() -> PrivateKey {
    Ed25519Keypair::from_seed(&[11; 32]).into()
}

/// The fingerprint of its host key.
pub(super) fn fingerprint() -> String {
    key().public_key().fingerprint(HashAlg::Sha256).to_string()
}

/// Serves for ever.
pub(super) async fn serve() {
    let methods = MethodSet::from([MethodKind::Password].as_slice());
    let config = Arc::new(Config {
        keys: vec![key()],
        methods,
        nodelay: true,
        inactivity_timeout: None,
        // The library makes everybody wait a second for the answer to the first, empty log-in; devices do not.
        auth_rejection_time: Duration::from_millis(200),
        auth_rejection_time_initial: Some(Duration::ZERO),
        ..Config::default()
    });
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::UNSPECIFIED, PORT).into()).unwrap();
    let listener = socket.listen(BACKLOG).unwrap();
    println!("listens");
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let config = Arc::clone(&config);
        tokio::spawn(async move {
            if let Ok(session) = run_stream(config, stream, Device).await {
                // A session that breaks is what this is about.
                let _ = session.await;
            }
        });
    }
}

/// A device with nobody but its clients.
struct Device;

impl Handler for Device {
    type Error = russh::Error;

    async fn auth_password(&mut self, _user: &str, password: &str) -> Result<Auth, russh::Error> {
        Ok(if password == PASSWORD { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(channel)?;
        session.exit_status_request(channel, 0)?;
        session.eof(channel)?;
        session.close(channel)
    }
}
