//! What a guest writes to its standard output or error becomes log lines, at a limited rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::time::Instant;

use super::memory::is_told;
use super::recorder::log_line;

/// Lines within one [`WINDOW`]; more are counted, not logged.
const LINES_MAX: u32 = 100;
/// Time for which lines are counted.
const WINDOW: Duration = Duration::from_secs(10);
/// Bytes within one [`WINDOW`]; more are thrown away unread: a guest that prints a gigabyte costs no time to look at.
const BYTES_MAX: u64 = 1 << 20;
/// Bytes of one read.
const CHUNK_BYTES: usize = 64 << 10;
/// Bytes of one line; a longer one is cut into several.
const LINE_BYTES_MAX: usize = 2 << 10;

/// What a guest said, beside the log.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Said {
    /// That an allocation failed.
    pub(super) is_out_of_memory: bool,
}

/// Logs every line until the guest's last process has closed the pipe; `written` counts the bytes.
pub(super) async fn capture(policy: String, mut from: Receiver, written: Arc<AtomicU64>) -> Said {
    let mut said = Said::default();
    let mut line = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut rate = Rate { since: Instant::now(), lines: 0, bytes: 0 };
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        written.fetch_add(count as u64, Ordering::Relaxed);
        if rate.is_spent(&policy, count as u64) {
            line.clear();
            continue;
        }
        for byte in &chunk[..count] {
            if *byte != b'\n' {
                line.push(*byte);
            }
            if *byte == b'\n' || line.len() == LINE_BYTES_MAX {
                said.is_out_of_memory |= rate.log(&policy, &line);
                line.clear();
            }
        }
    }
    if !line.is_empty() {
        said.is_out_of_memory |= rate.log(&policy, &line);
    }
    rate.turn(&policy);
    said
}

struct Rate {
    since: Instant,
    lines: u32,
    bytes: u64,
}

impl Rate {
    /// Counts what was read; whether it is too much to look at.
    fn is_spent(&mut self, policy: &str, bytes: u64) -> bool {
        if self.since.elapsed() >= WINDOW {
            self.turn(policy);
        }
        self.bytes += bytes;
        self.bytes > BYTES_MAX
    }

    /// Logs a line; whether it says that an allocation failed.
    fn log(&mut self, policy: &str, line: &[u8]) -> bool {
        let line = String::from_utf8_lossy(line);
        self.lines = self.lines.saturating_add(1);
        if self.lines <= LINES_MAX {
            log_line(policy, "warn", &line);
        }
        is_told(&line)
    }

    fn turn(&mut self, policy: &str) {
        let dropped = self.lines.saturating_sub(LINES_MAX);
        if dropped > 0 {
            tracing::warn!(policy, "the policy wrote {dropped} more lines, which were dropped");
        }
        if self.bytes > BYTES_MAX {
            let bytes = self.bytes;
            tracing::warn!(policy, "the policy wrote {bytes} bytes; what is beyond {BYTES_MAX} was dropped");
        }
        *self = Self { since: Instant::now(), lines: 0, bytes: 0 };
    }
}
