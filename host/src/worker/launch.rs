//! The launcher of a script: makes the ground that it runs on, starts its keeper there, ends as the script ended.
//!
//! A process enters a new pid namespace only by being born in it, so the launcher stays outside and its child, the
//! keeper, is the first process inside. Where the system forbids such a namespace the launcher keeps the script itself.
//!
//! What goes wrong here is told over the script's own socket, so that it is never mistaken for something the script
//! printed or for its exit status.

use std::ffi::OsString;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use std::time::Duration;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};

use super::keeper::{self, Order};
use super::{Args, gate, hygiene};
use crate::frames::{self, Request};
use crate::policy::script_socket::{LAUNCH_FAILED, LAUNCH_MISSING, LAUNCH_WARNING, SOCKET_VARIABLE};

/// Longest wait for the watchdog to take what it is told. One that is frozen hears nothing, and ends the run anyway.
const TOLD_LIMIT: Duration = Duration::from_secs(5);

/// Runs the script to its end.
pub(super) fn launch(args: &Args, script: PathBuf) -> ExitCode {
    let order = Order {
        script,
        user: args.user.clone(),
        memory_bytes: args.memory,
        is_among_others: args.among_others,
        is_apart: args.inside,
        number: args.number.unwrap_or_default(),
    };
    if order.is_apart {
        return keeper::keep(&order);
    }
    match enter(&order, args.cut_network) {
        Ok(code) => code,
        Err(why) => {
            tell(LAUNCH_FAILED, &json!({ "message": why, "hint": "run `policy check` for more" }));
            ExitCode::FAILURE
        }
    }
}

fn enter(order: &Order, is_network_cut: bool) -> Result<ExitCode, String> {
    hygiene::follow().and_then(|()| hygiene::close_others(&[])).map_err(|error| error.to_string())?;
    let users = if is_network_cut { cut_network()? } else { Users::TheMachines };
    if order.is_among_others {
        return Ok(keeper::keep(order));
    }
    match own_processes(users) {
        Ok(()) => {
            // New privileges inside a user namespace make the kernel forget it.
            hygiene::follow().map_err(|error| error.to_string())?;
            let status = start_keeper(order).map_err(|error| {
                format!("the keeper of the script {} could not be started: {error}", order.script.display())
            })?;
            Ok(gate::mirror(status))
        }
        Err(error) => {
            let missing = format!("processes of its own ({error})");
            tell(LAUNCH_MISSING, &json!({ "missing": missing }));
            Ok(keeper::keep(order))
        }
    }
}

/// In whose user namespace the launcher is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Users {
    TheMachines,
    ItsOwn,
}

/// A pid namespace for the next child. An ordinary user needs a user namespace for it, in which the script stays who it
/// is; root does without, because in one of its own it could no longer read other people's files.
fn own_processes(users: Users) -> Result<(), Errno> {
    let is_root = rustix::process::geteuid().is_root();
    if users == Users::TheMachines && !is_root {
        own_users(CloneFlags::empty())?;
    }
    // With mounts of its own it gets a list of processes that shows its own.
    unshare(CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS)?;
    let (none, private) = (None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE);
    mount(none, "/", none, private, none)?;
    if !is_root {
        hygiene::pass_on_mounting().map_err(|_| Errno::EPERM)?;
    }
    Ok(())
}

/// An empty network namespace; without privileges one inside a user namespace of its own, where this system lets
/// everybody make those. Where it lets nobody, the run carries a warning.
fn cut_network() -> Result<Users, String> {
    let cut = match unshare(CloneFlags::CLONE_NEWNET) {
        Err(Errno::EPERM) => own_users(CloneFlags::CLONE_NEWNET).map(|()| Users::ItsOwn),
        done => done.map(|()| Users::TheMachines),
    };
    Ok(cut.unwrap_or_else(|error| {
        let message =
            format!("the script's own network could not be cut ({error}): it may reach the real one");
        tell(LAUNCH_WARNING, &json!({ "message": message }));
        Users::TheMachines
    }))
}

/// A user namespace in which this process is who it was.
fn own_users(more: CloneFlags) -> Result<(), Errno> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER | more)?;
    // Without these maps the script would run as nobody and could not read its own files.
    let maps = [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{uid} {uid} 1")),
        ("gid_map", format!("{gid} {gid} 1")),
    ];
    for (file, map) in maps {
        std::fs::write(Path::new("/proc/self").join(file), map).map_err(|_| Errno::EPERM)?;
    }
    Ok(())
}

/// Starts the keeper, and lets go of everything that is the script's.
fn start_keeper(order: &Order) -> io::Result<ExitStatus> {
    let mut command = Command::new("/proc/self/exe");
    command.arg("worker").arg("--inside").arg("--script").arg(&order.script);
    if let Some(user) = &order.user {
        command.arg("--user").arg(user);
    }
    command.arg(format!("--number={}", std::process::id()));
    command.args(order.memory_bytes.map(|bytes| OsString::from(format!("--memory={bytes}"))));
    let mut child = command.spawn()?;
    drop(command);
    hygiene::let_go_of_standard_streams()?;
    child.wait()
}

/// Tells the watchdog something about this run.
pub(super) fn tell(method: &str, params: &Value) {
    let socket = std::env::var_os(SOCKET_VARIABLE).unwrap_or_default();
    let request = Request { id: 1, method: method.to_owned(), params: params.clone() };
    let told = UnixStream::connect(socket).map_err(Into::into).and_then(|mut stream| {
        stream.set_read_timeout(Some(TOLD_LIMIT))?;
        frames::write(&mut stream, &request)?;
        frames::read::<Value>(&mut stream)
    });
    if let Err(error) = told {
        eprintln!("{params}\n(and the watchdog did not listen: {error})");
    }
}
