//! Waiting for a file descriptor, with a limit.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Waits until the descriptor has something to read or its other end is gone; false if that takes longer.
///
/// # Errors
/// When the kernel refuses.
pub fn is_ready_within(descriptor: &impl AsFd, span: Duration) -> io::Result<bool> {
    let limit = Timespec::try_from(span).map_err(io::Error::other)?;
    let mut waited = [PollFd::new(descriptor, PollFlags::IN)];
    match poll(&mut waited, Some(&limit)) {
        Ok(count) => Ok(count > 0),
        // A signal came in between; whoever waits has a limit of his own and asks again.
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn something_to_read_and_a_closed_end_are_ready_and_silence_is_not() {
        let (reader, mut writer) = io::pipe().unwrap();
        assert!(!is_ready_within(&reader, Duration::from_millis(1)).unwrap());
        writer.write_all(b"x").unwrap();
        assert!(is_ready_within(&reader, Duration::from_secs(60)).unwrap());
        let (reader, writer) = io::pipe().unwrap();
        drop(writer);
        assert!(is_ready_within(&reader, Duration::from_secs(60)).unwrap());
    }
}
