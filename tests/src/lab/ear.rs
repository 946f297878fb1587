//! An ear in a namespace: it hears a site's heartbeats, never answers them, and says when each came.

use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::namespace::Namespace;

/// How long the ear listens before it looks whether it is still wanted.
const ROUND: Duration = Duration::from_millis(100);
/// Longest datagram that is heard.
const DATAGRAM_BYTES_MAX: usize = 2_048;

/// A thread that listens.
#[derive(Debug)]
pub struct Ear {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Instant>>,
}

impl Ear {
    /// Listens at an address of the namespace.
    ///
    /// # Panics
    /// When nobody can listen there.
    pub fn open(namespace: &Namespace, address: SocketAddr) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (ready, is_ready) = UnixStream::pair().unwrap();
        let over = Arc::clone(&is_over);
        let thread = namespace.thread(move || {
            let socket = UdpSocket::bind(address).unwrap();
            socket.set_read_timeout(Some(ROUND)).unwrap();
            drop(ready);
            let (mut heard, mut datagram) = (Vec::new(), [0; DATAGRAM_BYTES_MAX]);
            while !over.load(Ordering::Relaxed) {
                if socket.recv(&mut datagram).is_ok() {
                    heard.push(Instant::now());
                }
            }
            heard
        });
        // Closed once the socket is bound, or the thread has failed.
        std::io::Read::read(&mut &is_ready, &mut [0]).unwrap();
        Self { is_over, thread }
    }

    /// When each heartbeat came.
    ///
    /// # Panics
    /// When the thread has.
    pub fn heard(self) -> Vec<Instant> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
