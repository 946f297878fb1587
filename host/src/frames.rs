//! Frames: a length in 4 big-endian bytes, then that many bytes of JSON.
//!
//! The worker's socketpair, the control socket and a script's socket all speak them.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest frame. Sections of 1,000 arbiters with 100 sessions each are about 6 MB; nothing sane is longer.
pub const FRAME_BYTES_MAX: usize = 16 << 20;

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other end is gone.
    #[error("the other end closed the connection")]
    Closed,
    /// The length is beyond the limit.
    #[error("a frame of {0} bytes is longer than the limit of {FRAME_BYTES_MAX}")]
    TooLong(usize),
    /// The bytes are no JSON of the expected shape.
    #[error("a frame is not understood")]
    Json(#[source] serde_json::Error),
    /// The socket failed.
    #[error("the connection failed")]
    Io(#[source] io::Error),
}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                Self::Closed
            }
            _ => Self::Io(error),
        }
    }
}

/// The bytes of a frame.
///
/// # Errors
/// When the value is longer than [`FRAME_BYTES_MAX`].
pub fn encode(value: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, value).map_err(FrameError::Json)?;
    let length = bytes.len() - 4;
    if length > FRAME_BYTES_MAX {
        return Err(FrameError::TooLong(length));
    }
    bytes[..4].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(bytes)
}

fn checked_length(header: [u8; 4]) -> Result<usize, FrameError> {
    let length = u32::from_be_bytes(header) as usize;
    if length > FRAME_BYTES_MAX { Err(FrameError::TooLong(length)) } else { Ok(length) }
}

/// Reads one frame, blocking.
///
/// # Errors
/// See [`FrameError`].
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> Result<T, FrameError> {
    serde_json::from_slice(&read_bytes(from)?).map_err(FrameError::Json)
}

/// Reads the bytes of one frame, blocking.
///
/// # Errors
/// See [`FrameError`].
pub fn read_bytes(from: &mut impl Read) -> Result<Vec<u8>, FrameError> {
    let mut header = [0; 4];
    from.read_exact(&mut header)?;
    let mut body = vec![0; checked_length(header)?];
    from.read_exact(&mut body)?;
    Ok(body)
}

/// Writes one frame, blocking.
///
/// # Errors
/// See [`FrameError`].
pub fn write(to: &mut impl Write, value: &impl Serialize) -> Result<(), FrameError> {
    to.write_all(&encode(value)?)?;
    Ok(to.flush()?)
}

/// Reads one frame. Not safe to cancel half-way: a frame that was begun must be finished.
///
/// # Errors
/// See [`FrameError`].
pub async fn read_async<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> Result<T, FrameError> {
    let mut header = [0; 4];
    from.read_exact(&mut header).await?;
    let mut body = vec![0; checked_length(header)?];
    from.read_exact(&mut body).await?;
    serde_json::from_slice(&body).map_err(FrameError::Json)
}

/// Writes one frame.
///
/// # Errors
/// See [`FrameError`].
pub async fn write_async(
    to: &mut (impl AsyncWrite + Unpin),
    value: &impl Serialize,
) -> Result<(), FrameError> {
    to.write_all(&encode(value)?).await?;
    Ok(to.flush().await?)
}

/// A request over the control socket or a script's socket.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
pub struct Request {
    /// Chosen by the caller; the response repeats it.
    pub id: u64,
    /// What is asked.
    pub method: String,
    /// With what.
    #[serde(default)]
    pub params: serde_json::Value,
}

/// The answer to a [`Request`]: a result or an error.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
pub struct Response {
    /// Of the request.
    pub id: u64,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<serde_json::Value>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ResponseError>,
}

/// Why a request was not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct ResponseError {
    /// A word for programs.
    pub kind: String,
    /// A sentence for people.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_was_written_is_read() {
        let mut bytes = Vec::new();
        write(&mut bytes, &json!({"a": 1})).unwrap();
        write(&mut bytes, &json!("b")).unwrap();
        let mut from = bytes.as_slice();
        assert_eq!(read::<Value>(&mut from).unwrap(), json!({"a": 1}));
        assert_eq!(read::<Value>(&mut from).unwrap(), json!("b"));
        assert!(matches!(read::<Value>(&mut from), Err(FrameError::Closed)));
    }

    #[test]
    fn a_length_of_4_gb_and_a_body_of_garbage_are_refused() {
        assert!(matches!(read::<Value>(&mut [0xff; 8].as_slice()), Err(FrameError::TooLong(_))));
        assert!(matches!(read::<Value>(&mut [0, 0, 0, 1, b'{'].as_slice()), Err(FrameError::Json(_))));
    }
}
