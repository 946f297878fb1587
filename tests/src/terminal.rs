//! A person at a terminal: a program on a pseudo-terminal, whose screen is read and who types answers.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait;

/// Longest wait for words on the screen.
const SAID_LIMIT: Duration = Duration::from_secs(60);

/// A program that runs on a terminal; it is killed when dropped.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
}

/// The same command, heeding Ctrl-C: tests that were started in the background of a shell are born ignoring it.
#[must_use]
pub fn heeding_interrupts(command: &Command) -> Command {
    let mut heeding = Command::new("env");
    heeding.arg("--default-signal=INT").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => heeding.env(name, value),
            None => heeding.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        heeding.current_dir(folder);
    }
    heeding
}

impl Terminal {
    /// Starts a program on a terminal of its own.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &Command) -> Self {
        Self::start_sized(command, 80)
    }

    /// The same, on a terminal of so many columns.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_sized(command: &Command, columns: u16) -> Self {
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).unwrap();
        let side = || File::from(pair.slave.try_clone().unwrap());
        let child = {
            let mut command = heeding_interrupts(command);
            // The command keeps its own ends open; with it they are closed: the screen ends with the program.
            command.stdin(side()).stdout(side()).stderr(side()).process_group(0).spawn().unwrap()
        };
        drop(pair.slave);
        let keyboard = File::from(pair.master);
        let mut reading = keyboard.try_clone().unwrap();
        let (lines, screen) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            // The end of a terminal is an error on Linux.
            while let Ok(count @ 1..) = reading.read(&mut bytes) {
                if lines.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keyboard, screen, seen: String::new() }
    }

    /// Waits until these words are on the screen.
    ///
    /// # Panics
    /// When they do not come.
    #[track_caller]
    pub fn until(&mut self, words: &str) {
        let end = Instant::now() + SAID_LIMIT;
        while !self.seen.contains(words) {
            let left = end.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(why) => panic!("\"{words}\" is not on the screen ({why}):\n{}", self.seen),
            }
        }
    }

    /// Types this, as a person does.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn type_in(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Everything that was on the screen so far.
    pub fn seen(&self) -> &str {
        &self.seen
    }

    /// Ctrl-C: what the terminal sends the program.
    ///
    /// # Panics
    /// When the program is gone.
    pub fn interrupt(self) -> std::process::ExitStatus {
        let mut this = self;
        kill(Pid::from_raw(i32::try_from(this.child.id()).unwrap()), Signal::SIGINT).unwrap();
        let ended = wait::poll(SAID_LIMIT, || {
            this.child.try_wait().unwrap().ok_or_else(|| "it still runs".to_owned())
        });
        ended.unwrap_or_else(|why| panic!("{why}:\n{}", this.seen))
    }

    /// Waits for the end: the exit status, and everything that was on the screen.
    ///
    /// # Panics
    /// When it does not end, or by a signal.
    pub fn ended(mut self) -> (i32, String) {
        let status = wait::poll(SAID_LIMIT, || {
            self.child.try_wait().unwrap().ok_or_else(|| "it still runs".to_owned())
        });
        let status = status.unwrap_or_else(|why| panic!("{why}:\n{}", self.seen));
        while let Ok(bytes) = self.screen.recv_timeout(SAID_LIMIT) {
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
        (status.code().unwrap(), std::mem::take(&mut self.seen))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Either fails only where it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
