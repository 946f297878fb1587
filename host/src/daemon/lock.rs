//! The lock that keeps a second daemon off the same root.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// Held while the daemon runs; the kernel releases it however the daemon ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another daemon runs here.
    #[error("a daemon (pid {pid}) already runs on this root; `dr-watchdog stop` ends it")]
    Held {
        /// Its pid, as it wrote it.
        pid: String,
    },
    /// The file cannot be used.
    #[error("{} cannot be locked", .0.display())]
    Io(PathBuf, #[source] io::Error),
}

/// Digits a pid file holds at the most, with its newline.
const PID_BYTES_MAX: u64 = 32;

impl Lock {
    /// Takes the lock and writes this process's pid into it.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let failed = |error| LockError::Io(path.to_owned(), error);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o644);
        let mut file = options.open(path).map_err(failed)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                file.take(PID_BYTES_MAX).read_to_string(&mut pid).map_err(failed)?;
                return Err(LockError::Held { pid: pid.trim().to_owned() });
            }
            result => result.map_err(|error| failed(error.into()))?,
        }
        file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0)).map(drop)).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_with_the_pid_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("daemon.pid");
        std::fs::write(&path, "4194304999\n").unwrap();
        let lock = Lock::take(&path).unwrap();
        let error = Lock::take(&path).unwrap_err();
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        drop(lock);
        assert!(Lock::take(&path).is_ok());
    }
}
