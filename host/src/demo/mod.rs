//! The demo: two sites, three arbiters and a real failover on this machine.
//!
//! `launch` prepares a folder, leaves the machine's namespaces and starts `inside` as the first process of a new pid
//! namespace. `story` builds the network, starts arbiters and daemons, cuts, watches and restores. When `inside`
//! ends, the kernel ends everything that it started; `launch` removes the folder.

pub mod arbiter;
pub mod configuration;
pub mod ground;
pub mod inside;
pub mod launch;
pub mod links;
pub mod measure;
pub mod namespace;
pub mod policy_file;
pub mod readiness;
pub mod site;
pub mod stage;
pub mod stop;
pub mod story;
pub mod summary;
pub mod telling;
pub mod timeline;
pub mod timers;

use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// This very program, whatever has become of its file and whoever may reach it.
fn myself() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("dr-watchdog");
    command
}
