//! Starts a script: its folder, its socket, its environment, its pipes.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::net::unix::pipe::Sender;

use super::child::Group;
use super::script::Output;
use super::script_socket::SOCKET_VARIABLE;
use super::{Failure, FailureKind, PolicySpec, locate, strays};

/// Memory of a script's processes together, unless the configuration says otherwise: old scripts are not written for a
/// small room, and interpreters are not small.
pub const MEMORY_BYTES: u64 = 512 << 20;
/// The names under which a script finds this program.
const LINKS: [&str; 2] = ["jmp-dr", "dr-watchdog"];
/// Where a script finds everybody else's programs.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What `[policy.config]` holds, as one JSON object.
const CONFIG_VARIABLE: &str = "DR_WATCHDOG_POLICY_CONFIG";
/// File name of the socket.
const SOCKET: &str = "s";
/// Longest path of a Unix socket (`sun_path` without its final zero).
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// Start of a run folder's name; the pid of its owner follows.
const FOLDER_PREFIX: &str = "policy-";

/// The user a script runs as.
#[derive(Debug, Clone)]
pub(super) struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: PathBuf,
}

impl User {
    /// `[policy.script] user`.
    pub(super) fn find(name: &str) -> Result<Self, Failure> {
        let found = nix::unistd::User::from_name(name).map_err(|error| {
            Failure::new(
                FailureKind::Load,
                format!("policy.script.user: \"{name}\" cannot be looked up: {error}"),
            )
        })?;
        let Some(user) = found else {
            let message = format!("policy.script.user: there is no user \"{name}\" on this machine");
            return Err(Failure::new(FailureKind::Load, message)
                .with_hint(format!("create it, for instance with `useradd --system {name}`")));
        };
        let own = rustix::process::geteuid();
        if !own.is_root() && own.as_raw() != user.uid.as_raw() {
            let message = format!("policy.script.user: only root may run a script as \"{name}\"");
            return Err(Failure::new(FailureKind::Denied, message)
                .with_hint("run the watchdog as root, or remove policy.script.user"));
        }
        Ok(Self { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw(), home: user.dir })
    }
}

/// A script that runs.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) group: Group,
    pub(super) stdin: Option<Sender>,
    pub(super) stdout: Output,
    pub(super) stderr: Output,
}

/// A folder for the script's links and socket, gone with the script. One that a killed watchdog left is removed.
pub(super) fn folder(run_dir: &Path, user: Option<&User>) -> Result<TempDir, Failure> {
    let failed = |error: io::Error| {
        let message =
            format!("no folder for the script's socket could be made in {}: {error}", run_dir.display());
        Failure::new(FailureKind::Load, message)
            .with_hint("the watchdog's run folder must be writable for it")
    };
    std::fs::create_dir_all(run_dir).map_err(failed)?;
    sweep(run_dir);
    let prefix = format!("{FOLDER_PREFIX}{}-", std::process::id());
    let make = |at: &Path| tempfile::Builder::new().prefix(&prefix).tempdir_in(at);
    let mut folder = make(run_dir).map_err(failed)?;
    if folder.path().as_os_str().len() + 1 + SOCKET.len() > SOCKET_PATH_BYTES_MAX {
        folder = make(&std::env::temp_dir()).map_err(failed)?;
    }
    let program = locate::executable_file().map_err(failed)?;
    for name in LINKS {
        symlink(&program, folder.path().join(name)).map_err(failed)?;
    }
    if let Some(user) = user {
        std::os::unix::fs::chown(folder.path(), Some(user.uid), Some(user.gid)).map_err(failed)?;
    }
    Ok(folder)
}

fn sweep(run_dir: &Path) {
    let Ok(entries) = std::fs::read_dir(run_dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(FOLDER_PREFIX))
            .and_then(|rest| rest.split_once('-'));
        let Some(pid) = owner.and_then(|(pid, _)| pid.parse::<u32>().ok()) else { continue };
        if !Path::new("/proc").join(pid.to_string()).exists()
            && let Err(error) = std::fs::remove_dir_all(entry.path())
        {
            tracing::warn!(folder = %entry.path().display(), %error, "an old run folder could not be removed");
        }
    }
}

/// Opens the socket for one run.
pub(super) fn listen(folder: &Path, user: Option<&User>) -> Result<UnixListener, Failure> {
    let path = folder.join(SOCKET);
    let failed = |error: io::Error| {
        let message = format!("the script's socket {} could not be opened: {error}", path.display());
        Failure::new(FailureKind::Load, message)
    };
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(failed)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    if let Some(user) = user {
        std::os::unix::fs::chown(&path, Some(user.uid), Some(user.gid)).map_err(failed)?;
    }
    Ok(listener)
}

/// Starts the script through this program's own launcher, which makes a place for it and runs it there.
pub(super) fn start(
    spec: &PolicySpec,
    folder: &Path,
    user: Option<&User>,
    is_network_cut: bool,
) -> Result<Started, Failure> {
    let mut command = Command::new(locate::executable());
    command.arg("worker").arg("--script").arg(&spec.path).current_dir("/");
    if let Some(user) = user {
        command.arg("--user").arg(&user.name);
    }
    if is_network_cut {
        command.arg("--cut-network");
    }
    if spec.terms.is_script_among_others {
        command.arg("--among-others");
    }
    let memory_bytes = spec.terms.script_memory_bytes.unwrap_or(MEMORY_BYTES);
    command.arg(format!("--memory={memory_bytes}"));
    command.env_clear().envs(environment(spec, folder, user));
    spawn(&mut command).map_err(|error| {
        Failure::new(
            FailureKind::Load,
            format!("the script {} could not be started: {error}", spec.path.display()),
        )
    })
}

/// Ends what the run left outside of its process group; how many processes those were.
pub(super) fn end_strays(folder: &Path) -> usize {
    strays::end(SOCKET_VARIABLE, folder.join(SOCKET).as_os_str())
}

fn spawn(command: &mut Command) -> io::Result<Started> {
    let (stdin, feed) = io::pipe()?;
    let (stdout, out) = io::pipe()?;
    let (stderr, err) = io::pipe()?;
    command.stdin(Stdio::from(stdin)).stdout(Stdio::from(out)).stderr(Stdio::from(err));
    let group = Group::spawn(command)?;
    // The command holds our copies of the script's ends; a pipe ends only when they are closed.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(Started {
        group,
        stdin: Some(Sender::from_owned_fd(OwnedFd::from(feed))?),
        stdout: Output::new(stdout)?,
        stderr: Output::new(stderr)?,
    })
}

/// The allow-list, then what the configuration adds.
fn environment(spec: &PolicySpec, folder: &Path, user: Option<&User>) -> Vec<(OsString, OsString)> {
    let mut path = folder.as_os_str().to_owned();
    path.push(":");
    path.push(SYSTEM_PATH);
    // Where its keys and the hosts that it knows lie.
    let home = user.map_or_else(own_home, |user| user.home.clone());
    let mut environment = vec![
        ("PATH".into(), path),
        ("LANG".into(), "C.UTF-8".into()),
        ("HOME".into(), home.into_os_string()),
    ];
    if let Some(user) = user {
        environment.push(("USER".into(), OsStr::new(&user.name).to_owned()));
    }
    if let Some(zone) = std::env::var_os("TZ") {
        environment.push(("TZ".into(), zone));
    }
    environment.push((CONFIG_VARIABLE.into(), spec.config.to_string().into()));
    environment.extend(spec.script_env.iter().map(|(name, value)| (name.into(), value.into())));
    environment.push((SOCKET_VARIABLE.into(), folder.join(SOCKET).into_os_string()));
    environment
}

fn own_home() -> PathBuf {
    let own = nix::unistd::User::from_uid(nix::unistd::geteuid());
    own.ok().flatten().map_or_else(|| PathBuf::from("/"), |user| user.dir)
}
