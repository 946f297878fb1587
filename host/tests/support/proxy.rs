//! A TCP relay that can be cut like a cable.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A relay to one server.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    is_whole: watch::Sender<bool>,
}

impl Proxy {
    /// A relay that lets everything through.
    pub(crate) async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (is_whole, whole) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A cut relay accepts and says nothing, as a mute device does.
                tokio::spawn(relay(client, to, whole.clone()));
            }
        });
        Self { address, is_whole }
    }

    /// Lets nothing through any more, silently: no end of file, no reset.
    pub(crate) fn cut(&self) {
        self.is_whole.send_replace(false);
    }

    /// Lets new connections through.
    pub(crate) fn heal(&self) {
        self.is_whole.send_replace(true);
    }
}

/// A relay that closes each connection after so many bytes from the server; where it listens.
pub(crate) async fn closing_after(to: SocketAddr, bytes: u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(mut server) = TcpStream::connect(to).await else { return };
                let (from_client, mut to_client) = client.split();
                let (from_server, mut to_server) = server.split();
                let mut from_client = from_client;
                let mut from_server = tokio::io::AsyncReadExt::take(from_server, bytes);
                tokio::select! {
                    _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
                    _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
                }
            });
        }
    });
    address
}

async fn relay(mut client: TcpStream, to: SocketAddr, mut whole: watch::Receiver<bool>) {
    if *whole.borrow()
        && let Ok(mut server) = TcpStream::connect(to).await
    {
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => return,
            _ = whole.wait_for(|is_whole| !is_whole) => {}
        }
    }
    // Keeps the client's end open until the client gives up.
    let mut dropped = [0; 1_024];
    loop {
        match tokio::io::AsyncReadExt::read(&mut client, &mut dropped).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}
