//! The launcher of a script: sheds privileges, then becomes the script.
//!
//! What goes wrong here is told over the script's own socket, so that it is never mistaken for something the script
//! printed or for its exit status.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{User, initgroups, setgid, setuid};
use serde_json::{Value, json};

use super::hygiene;
use crate::frames::{self, Request};
use crate::policy::script_socket::{LAUNCH_FAILED, LAUNCH_WARNING, SOCKET_VARIABLE};

/// Becomes the script; returns only if that failed.
pub(super) fn become_script(script: &Path, user: Option<&OsStr>, is_network_cut: bool) -> ExitCode {
    let (message, hint) = match prepare(user, is_network_cut) {
        Ok(()) => {
            let error = Command::new(script).exec();
            let hint = match error.raw_os_error() {
                Some(libc_enoexec) if libc_enoexec == Errno::ENOEXEC as i32 => {
                    "its first line must name an interpreter, such as #!/bin/sh"
                }
                Some(missing) if missing == Errno::ENOENT as i32 => {
                    "is the interpreter of its first line installed?"
                }
                _ => "may the script's user execute it, and enter every folder above it?",
            };
            (format!("the script {} could not be run: {error}", script.display()), hint)
        }
        Err(why) => (why, "run `policy check` for more"),
    };
    tell(LAUNCH_FAILED, &json!({ "message": message, "hint": hint }));
    ExitCode::FAILURE
}

fn prepare(user: Option<&OsStr>, is_network_cut: bool) -> Result<(), String> {
    if is_network_cut && let Err(error) = cut_network() {
        let message =
            format!("the script's own network could not be cut ({error}): it may reach the real one");
        tell(LAUNCH_WARNING, &json!({ "message": message }));
    }
    if let Some(user) = user {
        switch(user)?;
    }
    hygiene::shed().map_err(|error| error.to_string())?;
    hygiene::close_others(&[]).map_err(|error| error.to_string())?;
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o077));
    Ok(())
}

/// An empty network namespace; without privileges one inside a user namespace of its own, where this system lets
/// everybody make those.
fn cut_network() -> Result<(), Errno> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    match unshare(CloneFlags::CLONE_NEWNET) {
        Err(Errno::EPERM) => {}
        done => return done,
    }
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)?;
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

fn switch(name: &OsStr) -> Result<(), String> {
    let failed =
        |error: Errno| format!("the script's user \"{}\" could not be taken on: {error}", name.display());
    let user =
        User::from_name(&name.to_string_lossy()).map_err(failed)?.ok_or_else(|| failed(Errno::ENOENT))?;
    if rustix::process::geteuid().as_raw() == user.uid.as_raw() {
        return Ok(());
    }
    let name = CString::new(name.as_bytes()).map_err(|_| failed(Errno::EINVAL))?;
    initgroups(&name, user.gid)
        .and_then(|()| setgid(user.gid))
        .and_then(|()| setuid(user.uid))
        .map_err(failed)
}

fn tell(method: &str, params: &Value) {
    let socket = std::env::var_os(SOCKET_VARIABLE).unwrap_or_default();
    let request = Request { id: 1, method: method.to_owned(), params: params.clone() };
    let told = UnixStream::connect(socket).map_err(Into::into).and_then(|mut stream| {
        frames::write(&mut stream, &request)?;
        frames::read::<Value>(&mut stream)
    });
    if let Err(error) = told {
        eprintln!("{params}\n(and the watchdog did not listen: {error})");
    }
}
