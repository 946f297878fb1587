//! Frames over a Unix socket, such that every wait that was abandoned half-way can be resumed.
//!
//! A deadline ends a conversation at any byte; the worker that then obeys its cancellation is still usable, so no
//! half-read or half-written frame may be lost.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::frames::{self, FRAME_BYTES_MAX, FrameError};

/// Least room for one read.
const READ_BYTES: usize = 16 << 10;
/// Bytes of a frame's length.
const HEADER_BYTES: usize = 4;

/// One end of a conversation.
#[derive(Debug)]
pub(super) struct Wire {
    stream: UnixStream,
    inbound: Vec<u8>,
    consumed: usize,
    outbound: Vec<u8>,
    sent: usize,
}

impl Wire {
    /// A conversation over this socket.
    pub(super) const fn new(stream: UnixStream) -> Self {
        Self { stream, inbound: Vec::new(), consumed: 0, outbound: Vec::new(), sent: 0 }
    }

    /// Puts a frame behind what is still to be sent.
    pub(super) fn queue(&mut self, value: &impl Serialize) -> Result<(), FrameError> {
        let bytes = frames::encode(value)?;
        if self.outbound.is_empty() {
            self.outbound = bytes;
        } else {
            self.outbound.extend_from_slice(&bytes);
        }
        Ok(())
    }

    /// Sends what is queued; may be abandoned and called again.
    pub(super) async fn flush(&mut self) -> Result<(), FrameError> {
        while self.sent < self.outbound.len() {
            match self.stream.try_write(&self.outbound[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.stream.writable().await?,
                Err(error) => return Err(error.into()),
            }
        }
        self.outbound.clear();
        self.sent = 0;
        Ok(())
    }

    /// The next frame; may be abandoned and called again.
    pub(super) async fn receive<T: DeserializeOwned>(&mut self) -> Result<T, FrameError> {
        loop {
            let wanted = match self.buffered()? {
                Buffered::Frame(end) => {
                    let body = &self.inbound[self.consumed + HEADER_BYTES..end];
                    let value = serde_json::from_slice(body).map_err(FrameError::Json);
                    self.consume(end);
                    return value;
                }
                Buffered::Wants(bytes) => bytes,
            };
            self.inbound.reserve(wanted.max(READ_BYTES));
            match self.stream.try_read_buf(&mut self.inbound) {
                Ok(0) => return Err(FrameError::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.stream.readable().await?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn buffered(&self) -> Result<Buffered, FrameError> {
        let rest = &self.inbound[self.consumed..];
        let Some(header) = rest.first_chunk::<HEADER_BYTES>() else {
            return Ok(Buffered::Wants(HEADER_BYTES));
        };
        let length = u32::from_be_bytes(*header) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(FrameError::TooLong(length));
        }
        let whole = HEADER_BYTES + length;
        Ok(if rest.len() >= whole {
            Buffered::Frame(self.consumed + whole)
        } else {
            Buffered::Wants(whole - rest.len())
        })
    }

    fn consume(&mut self, end: usize) {
        self.consumed = end;
        if self.consumed == self.inbound.len() {
            self.inbound.clear();
            self.consumed = 0;
        }
    }
}

enum Buffered {
    /// A whole frame, up to this index.
    Frame(usize),
    /// So many bytes more.
    Wants(usize),
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn a_frame_that_came_in_two_halves_around_an_abandoned_wait_is_whole() {
        let (mut there, here) = UnixStream::pair().unwrap();
        let mut wire = Wire::new(here);
        let bytes = frames::encode(&json!({"text": "x".repeat(100)})).unwrap();
        there.write_all(&bytes[..50]).await.unwrap();
        let abandoned = tokio::time::timeout(Duration::from_millis(1), wire.receive::<Value>()).await;
        assert!(abandoned.is_err());
        there.write_all(&bytes[50..]).await.unwrap();
        assert_eq!(wire.receive::<Value>().await.unwrap()["text"], "x".repeat(100));
    }

    #[tokio::test]
    async fn a_frame_that_does_not_fit_the_socket_is_sent_by_the_next_flush() {
        let (there, here) = UnixStream::pair().unwrap();
        let (mut there, mut wire) = (Wire::new(there), Wire::new(here));
        let long = json!("y".repeat(4 << 20));
        wire.queue(&long).unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(1), wire.flush()).await.is_err());
        wire.queue(&json!(2)).unwrap();
        let (sent, received) = tokio::join!(wire.flush(), there.receive::<Value>());
        sent.unwrap();
        assert_eq!(received.unwrap(), long);
        assert_eq!(there.receive::<Value>().await.unwrap(), json!(2));
    }
}
