//! The SSH adapters against real OpenSSH servers, then against servers that misbehave.

#![allow(clippy::unwrap_used, reason = "what a test calls fails by panicking, like the test itself")]

mod cases;
mod host_keys;
mod hostile;
mod log_in;
mod room;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::time::Duration;

use dr_watchdog::probe::ssh::{Connection, Destination, ExecOutput, Russh, SshError, Transport};
use support::SOON;
use tokio::time::Instant;

/// A deadline that a test of a mute server waits for.
const SHORT: Duration = Duration::from_millis(300);

/// Every adapter of this build, by its name; only these files know hosts.
fn adapters(known_hosts: &[PathBuf]) -> Vec<(&'static str, Box<dyn Transport>)> {
    let files = || known_hosts.to_vec();
    vec![
        ("russh", Box::new(Russh::with_known_hosts(files()))),
        #[cfg(feature = "thrussh")]
        ("thrussh", Box::new(dr_watchdog::probe::ssh::Thrussh::with_known_hosts(files()))),
    ]
}

async fn connect(to: &Destination) -> Result<Box<dyn Connection>, SshError> {
    Russh::with_known_hosts(Vec::new()).connect(to, Instant::now() + SOON).await
}

async fn run(to: &Destination, command: &str) -> Result<ExecOutput, SshError> {
    run_through(&Russh::with_known_hosts(Vec::new()), to, command).await
}

async fn run_through(
    transport: &dyn Transport,
    to: &Destination,
    command: &str,
) -> Result<ExecOutput, SshError> {
    let connection = transport.connect(to, Instant::now() + SOON).await?;
    let output = connection.exec(command, Instant::now() + SOON).await;
    connection.close().await;
    output
}
