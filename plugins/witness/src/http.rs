//! One HTTP request to an address, within one limit of time.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::answer;

/// Longest answer of a witness.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Bytes of one read.
const CHUNK_BYTES: usize = 4 << 10;

/// The whole response as text.
pub(crate) fn get(address: SocketAddr, path: &str, limit: Duration) -> Result<String, String> {
    let end = Instant::now() + limit;
    // A socket's timeout of zero would mean none.
    let left = || {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(format!("not within {} ms", limit.as_millis())) } else { Ok(left) }
    };
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("not within {} ms", limit.as_millis()),
        ErrorKind::PermissionDenied => {
            format!("{error}; it needs a network: write \"network\" into policy.grants")
        }
        _ => error.to_string(),
    };
    let mut stream = TcpStream::connect_timeout(&address, left()?).map_err(failed)?;
    stream.set_write_timeout(Some(left()?)).map_err(failed)?;
    stream.write_all(answer::request(address, path).as_bytes()).map_err(failed)?;
    let (mut bytes, mut chunk) = (Vec::new(), [0; CHUNK_BYTES]);
    loop {
        stream.set_read_timeout(Some(left()?)).map_err(failed)?;
        match stream.read(&mut chunk).map_err(failed)? {
            0 => break,
            count => bytes.extend_from_slice(&chunk[..count]),
        }
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(format!("its answer is longer than {ANSWER_BYTES_MAX} bytes"));
        }
    }
    String::from_utf8(bytes).map_err(|_| "its answer is no UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(300);

    fn serve(behave: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || behave(listener.accept().unwrap().0));
        address
    }

    #[test]
    fn the_response_is_read_whole() {
        let address = serve(|mut stream| {
            let mut asked = [0; CHUNK_BYTES];
            let count = stream.read(&mut asked).unwrap();
            assert!(asked[..count].starts_with(b"GET /x HTTP/1.0\r\n"));
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n{").unwrap();
            stream.write_all(b"}").unwrap();
        });
        assert_eq!(get(address, "/x", Duration::from_secs(10)).unwrap(), "HTTP/1.0 200 OK\r\n\r\n{}");
    }

    #[test]
    fn what_is_mute_slow_or_endless_ends_in_time() {
        let mute = serve(|stream| {
            thread::park_timeout(Duration::from_secs(5));
            drop(stream);
        });
        let begun = Instant::now();
        assert_eq!(get(mute, "/", LIMIT).unwrap_err(), "not within 300 ms");
        assert!(begun.elapsed() < Duration::from_secs(3));
        let endless = serve(|mut stream| while stream.write_all(&[b'x'; CHUNK_BYTES]).is_ok() {});
        assert!(get(endless, "/", Duration::from_secs(10)).unwrap_err().contains("longer than"));
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(get(closed, "/", LIMIT).is_err());
    }
}
