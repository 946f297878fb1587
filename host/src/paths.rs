//! Where the files of one site lie (design 9).

use std::path::{Path, PathBuf};

/// The files of one site. `--root DIR` puts all of them below DIR, so that two sites run on one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Everything lies below it.
    pub root: PathBuf,
    /// The configuration file.
    pub config_file: PathBuf,
    /// Folder of state and history.
    pub state_dir: PathBuf,
    /// The stored state of the site.
    pub state_file: PathBuf,
    /// What the services last said, for `api v1 config` while no daemon runs.
    pub states_file: PathBuf,
    /// The history of decisions, one JSON object a line.
    pub history_file: PathBuf,
    /// What the core was given and asked for in this run.
    pub journal_file: PathBuf,
    /// A change of the configuration that is not yet made at both sites.
    pub pending_file: PathBuf,
    /// Folder of the mails that wait.
    pub mail_dir: PathBuf,
    /// Folder of sockets and locks; gone with a reboot.
    pub run_dir: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
    /// Holds the daemon's pid, and the lock that a second daemon on the same root does not get.
    pub pid_file: PathBuf,
}

impl Paths {
    /// The files below `root`; `None` is `/`. All are absolute: what is handed to a guest's process must not depend on
    /// the folder that the command was typed in.
    pub fn below(root: Option<&Path>) -> Self {
        let root = root.unwrap_or(Path::new("/"));
        // Only an empty path has no absolute form; the files below it are then named as they were typed.
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        let state_dir = root.join("var/lib/dr-watchdog");
        let run_dir = root.join("run/dr-watchdog");
        Self {
            config_file: root.join("etc/dr-watchdog/dr-watchdog.toml"),
            state_file: state_dir.join("state.json"),
            states_file: state_dir.join("states.json"),
            history_file: state_dir.join("history.jsonl"),
            journal_file: state_dir.join("journal.jsonl"),
            pending_file: state_dir.join("pending-update.json"),
            mail_dir: state_dir.join("mail"),
            socket: run_dir.join("control.sock"),
            pid_file: run_dir.join("daemon.pid"),
            state_dir,
            run_dir,
            root,
        }
    }
}
