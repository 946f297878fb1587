//! A TCP stream that dies with its owner.
//!
//! The library runs a connection in a task of its own, and until the key exchange is over that task hears nobody:
//! given up at its deadline, it would go on waiting for a mute server for ever. This stream fails for the task as
//! soon as the owner's half is dropped.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::greeting::Greeting;

/// The owner's half; the stream lives as long as this.
#[derive(Debug)]
pub(super) struct Lifeline {
    _held: oneshot::Sender<()>,
    is_deaf: Arc<AtomicBool>,
}

impl Lifeline {
    /// The stream reads nothing any more, and says nothing of that.
    pub(super) fn deafen(&self) {
        self.is_deaf.store(true, Ordering::Relaxed);
    }
}

/// The task's half.
#[derive(Debug)]
pub(super) struct Tethered {
    stream: TcpStream,
    /// `None` once the owner is gone: a finished receiver must not be polled again.
    owner: Option<oneshot::Receiver<()>>,
    is_deaf: Arc<AtomicBool>,
    greeting: Greeting,
}

pub(super) fn tether(stream: TcpStream) -> (Lifeline, Tethered) {
    let (held, owner) = oneshot::channel();
    let is_deaf = Arc::new(AtomicBool::new(false));
    let lifeline = Lifeline { _held: held, is_deaf: Arc::clone(&is_deaf) };
    (lifeline, Tethered { stream, owner: Some(owner), is_deaf, greeting: Greeting::default() })
}

impl AsyncRead for Tethered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let is_owned = match &mut self.owner {
            Some(owner) => Pin::new(owner).poll(context).is_pending(),
            None => false,
        };
        if !is_owned {
            self.owner = None;
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "given up")));
        }
        if self.is_deaf.load(Ordering::Relaxed) {
            // The owner's end still wakes the task.
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if matches!(read, Poll::Ready(Ok(()))) {
            let heard = self.greeting.heard(&buffer.filled()[before..]);
            heard.map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
        }
        read
    }
}

impl AsyncWrite for Tethered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn a_deaf_stream_reads_nothing_until_its_owner_is_gone() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let (lifeline, mut tethered) = tether(stream);
        lifeline.deafen();
        tokio::io::AsyncWriteExt::write_all(&mut server, b"are you there?").await.unwrap();
        let silence = tokio::time::timeout(Duration::from_millis(50), tethered.read_u8()).await;
        assert!(silence.is_err(), "{silence:?}");
        drop(lifeline);
        let read = tokio::time::timeout(Duration::from_secs(5), tethered.read_u8()).await.unwrap();
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn a_read_ends_when_the_owner_is_gone() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (lifeline, mut tethered) = tether(stream);
        let reading = tokio::spawn(async move { tethered.read_u8().await });
        tokio::task::yield_now().await;
        assert!(!reading.is_finished());
        drop(lifeline);
        let read = tokio::time::timeout(Duration::from_secs(5), reading).await.unwrap().unwrap();
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }
}
