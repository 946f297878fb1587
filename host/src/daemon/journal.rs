//! The journal file: what the core was given and asked for, a line each, as long as this run of the daemon lasts.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use dr_watchdog_core::journal::{Begin, Line, text};
use dr_watchdog_core::{Effect, Event, Now};

/// Largest journal: more than a week of a quiet site. The one of the run before is kept beside it.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The open journal.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    /// `None` = it is full, or could not be written.
    file: Option<File>,
    bytes: u64,
}

impl Journal {
    /// Begins a new journal; the one before is put aside as `.1`.
    pub(super) fn begin(path: &Path, begin: Begin) -> Self {
        let mut journal = Self { path: path.to_owned(), file: None, bytes: 0 };
        match journal.open() {
            Ok(file) => journal.file = Some(file),
            Err(error) => journal.told(&error),
        }
        journal.write(&Line::Begin(Box::new(begin)));
        journal
    }

    fn open(&self) -> io::Result<File> {
        let mut aside = self.path.clone().into_os_string();
        aside.push(".1");
        match fs::rename(&self.path, &aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)
    }

    /// Something is given to the core.
    pub(super) fn event(&mut self, now: Now, event: &Event, pending: usize) {
        if self.file.is_some() {
            self.write(&Line::Event { now, event: event.clone(), pending });
        }
    }

    /// An effect was taken.
    pub(super) fn effect(&mut self, effect: &Effect) {
        if self.file.is_some() {
            self.write(&Line::Effect { effect: text(effect) });
        }
    }

    fn write(&mut self, line: &Line) {
        let Some(file) = self.file.as_mut() else { return };
        let is_full = self.bytes >= FILE_BYTES_MAX;
        let written = serde_json::to_string(if is_full { &Line::Full } else { line })
            .map_err(io::Error::from)
            .and_then(|mut text| {
                text.push('\n');
                self.bytes += text.len() as u64;
                file.write_all(text.as_bytes())
            });
        if let Err(error) = written {
            self.told(&error);
            self.file = None;
        } else if is_full {
            tracing::info!(file = %self.path.display(), "the journal is full; the next start of the watchdog begins another");
            self.file = None;
        }
    }

    /// A watchdog without a journal decides as well; only what it did cannot be played again.
    fn told(&self, error: &io::Error) {
        tracing::warn!(
            %error,
            file = %self.path.display(),
            "the journal ends here: what follows cannot be played again with `simulate --replay`"
        );
    }
}

#[cfg(test)]
mod tests {
    use dr_watchdog_core::durable::Found;
    use dr_watchdog_core::{Event, Watchdog};

    use super::*;

    #[test]
    fn a_new_journal_puts_the_old_one_aside_and_ends_quietly_where_the_disk_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let begin = || Begin {
            version: "1".to_owned(),
            now: crate::daemon::run_loop::now(),
            settings: dr_watchdog_core::settings::Settings {
                site_index: 0,
                initial_role: dr_watchdog_sdk::sections::Role::Standby,
                mode: dr_watchdog_core::settings::Mode::Enforce,
                heartbeat: dr_watchdog_core::settings::Heartbeat {
                    interval: std::time::Duration::from_secs(30),
                    timeout: std::time::Duration::from_secs(5),
                    tries: 5,
                },
                has_peer_nodes: false,
                thresholds: Default::default(),
                wait_duration_s: None,
                arbiters: Vec::new(),
                managed_rule: Default::default(),
                look_round: std::time::Duration::from_secs(5),
                exclusion: dr_watchdog_core::settings::Exclusion::Verdict {
                    wait: std::time::Duration::from_secs(80),
                },
                verifies_at_boot: false,
                be_active: Vec::new(),
                be_standby: Vec::new(),
            },
            boot: Begin::boot_of("boot-1"),
            found: Found::Absent,
        };
        drop(Journal::begin(&path, begin()));
        let mut journal = Journal::begin(&path, begin());
        let mut core: Watchdog = begin().core();
        let now = crate::daemon::run_loop::now();
        journal.event(now, &Event::TimePassed, core.pending_effects());
        core.handle_event(now, Event::TimePassed);
        while let Some(effect) = core.poll_effect() {
            journal.effect(&effect);
        }
        assert!(folder.path().join("journal.jsonl.1").exists());
        assert!(fs::read_to_string(&path).unwrap().lines().count() >= 3);
        journal.bytes = FILE_BYTES_MAX;
        journal.event(now, &Event::TimePassed, 0);
        journal.event(now, &Event::TimePassed, 0);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().last(), Some(r#"{"type":"full"}"#));
        let none = Journal::begin(Path::new("/proc/none/journal.jsonl"), begin());
        assert!(none.file.is_none(), "it goes on without");
    }
}
