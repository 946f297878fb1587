//! The lock that keeps a second daemon off the same root.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// Held while the daemon runs; the kernel releases it however the daemon ends. Its file goes with it where the daemon
/// ends by itself.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
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
/// Files that may vanish under our hands before we give up: each is a daemon that ended in this very moment.
const TRIES_MAX: u32 = 10;

impl Lock {
    /// Takes the lock and writes this process's pid into it.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let failed = |error| LockError::Io(path.to_owned(), error);
        for _ in 0..TRIES_MAX {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o644);
            let mut file = options.open(path).map_err(failed)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let mut pid = String::new();
                    file.take(PID_BYTES_MAX).read_to_string(&mut pid).map_err(failed)?;
                    let pid = Some(pid.trim()).filter(|pid| !pid.is_empty()).unwrap_or("unknown");
                    return Err(LockError::Held { pid: pid.to_owned() });
                }
                result => result.map_err(|error| failed(error.into()))?,
            }
            // A daemon that ended in between has removed it: a lock on a file that nobody finds keeps nobody off.
            if !is_at(&file, path).map_err(failed)? {
                continue;
            }
            // The lock needs no room on the disk; only the number in it does, and it is for people.
            let told = file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0)));
            if let Err(error) = told.and_then(|_| writeln!(file, "{}", std::process::id())) {
                tracing::warn!(%error, file = %path.display(), "the lock is held without its pid");
                let _ = file.set_len(0);
            }
            return Ok(Self { path: path.to_owned(), _file: file });
        }
        Err(failed(io::Error::other("daemons come and go on this root")))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is still locked, so that it is nobody else's. One that stays behind is taken over by the next daemon.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether this open file is the one that lies at the path now.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let opened = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (opened.dev(), opened.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
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
        assert!(!path.exists(), "it goes with the lock");
        assert!(Lock::take(&path).is_ok());
    }

    #[test]
    fn a_lock_on_a_file_that_was_removed_is_seen_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("daemon.pid");
        let opened = File::create(&path).unwrap();
        assert!(is_at(&opened, &path).unwrap());
        std::fs::remove_file(&path).unwrap();
        assert!(!is_at(&opened, &path).unwrap());
        let _other = File::create(&path).unwrap();
        assert!(!is_at(&opened, &path).unwrap());
    }
}
