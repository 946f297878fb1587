//! One arbiter as a device that is asked over SSH.

use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use dr_watchdog_sdk::evidence::{SshAnswer, SshOutcome};
use tokio::time::Instant;

use super::movement::Movement;
use super::parse::{Dialect, Families, ParseError, Row, custom_rows, dialects};
use super::{Shared, lock};
use crate::config::model::Arbiter;
use crate::probe::ssh::host_key::HostKeyError;
use crate::probe::ssh::{Connection, Destination, ExecOutput, SshError};

/// How long a device that showed a wrong host key is left alone.
const ALARM_REST: Duration = Duration::from_secs(60);
/// Most characters of a device's complaint that an error shows.
const COMPLAINT_CHARACTERS_MAX: usize = 120;

/// One arbiter.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) target: Arbiter,
    /// What the device was found to speak, where the kind is `auto`.
    dialect: Mutex<Option<Dialect>>,
    /// The last wrong host key that was shown, with when.
    alarm: Mutex<Option<(Instant, HostKeyError)>>,
    /// Its last known address, while no name server tells the present one.
    pub(super) old_address: Mutex<Option<IpAddr>>,
    /// What the running series of looks knows of counts.
    pub(super) movement: Mutex<Movement>,
}

/// Why the sessions of a device are not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// An SSH step failed.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The device knows the command not, or refuses it.
    #[error("\"{command}\" ended with status {exit}{complaint}")]
    Status { command: String, exit: u32, complaint: String },
    /// Its answer was not understood.
    #[error(transparent)]
    Parse(#[from] ParseError),
}

impl AskError {
    pub(super) const fn outcome(&self) -> SshOutcome {
        match self {
            Self::Ssh(error) => error.outcome(),
            Self::Status { .. } => SshOutcome::Exec,
            Self::Parse(_) => SshOutcome::Parse,
        }
    }

    /// Whether the connection itself is at fault and not the answer.
    pub(super) const fn is_of_the_connection(&self) -> bool {
        matches!(self, Self::Ssh(SshError::Broken(_) | SshError::Exec(_)))
    }
}

impl Device {
    pub(super) fn new(target: Arbiter) -> Self {
        Self {
            target,
            dialect: Mutex::default(),
            alarm: Mutex::default(),
            old_address: Mutex::default(),
            movement: Mutex::default(),
        }
    }

    /// The wrong host key that was shown so shortly ago that the device is left alone.
    pub(super) fn alarm(&self, now: Instant) -> Option<HostKeyError> {
        let alarm = lock(&self.alarm);
        let (raised, error) = alarm.as_ref()?;
        (now.saturating_duration_since(*raised) < ALARM_REST).then(|| error.clone())
    }

    pub(super) fn raise(&self, now: Instant, error: HostKeyError) {
        *lock(&self.alarm) = Some((now, error));
    }

    pub(super) fn destination(&self, source: Option<IpAddr>) -> Destination {
        let target = &self.target;
        Destination {
            host: target.host.clone(),
            port: target.port,
            source,
            username: target.username.clone(),
            password: target.password.clone(),
            private_key: target.private_key.clone(),
            host_keys: target.host_key.clone(),
        }
    }

    /// Asks who is connected to the SSH port.
    pub(super) async fn ask(
        &self,
        connection: &dyn Connection,
        families: Families,
        deadline: Instant,
    ) -> Result<Vec<Row>, AskError> {
        if let Some(custom) = &self.target.custom {
            let text = run(connection, &custom.command, deadline).await?;
            return Ok(custom_rows(custom, &text, self.target.port)?);
        }
        let known = *lock(&self.dialect);
        if let Some(dialect) = known {
            let answer = self.ask_in(dialect, connection, families, deadline).await;
            // Another device may stand there now; the next look tries all dialects again.
            if matches!(answer, Err(AskError::Status { .. } | AskError::Parse(_))) {
                *lock(&self.dialect) = None;
            }
            return answer;
        }
        let mut refusals: Option<AskError> = None;
        for dialect in dialects(self.target.kind) {
            match self.ask_in(*dialect, connection, families, deadline).await {
                Ok(sessions) => {
                    *lock(&self.dialect) = Some(*dialect);
                    return Ok(sessions);
                }
                Err(error @ AskError::Ssh(_)) => return Err(error),
                // The answer that was understood best is the one to show: the first, unless it was no answer.
                Err(error) => {
                    let is_better = matches!(
                        (&refusals, &error),
                        (None, _) | (Some(AskError::Status { .. }), AskError::Parse(_))
                    );
                    if is_better {
                        refusals = Some(error);
                    }
                }
            }
        }
        // Every other kind has at least one dialect, so there is a refusal.
        Err(refusals
            .unwrap_or_else(|| SshError::Exec("no command is known for this device".to_owned()).into()))
    }

    async fn ask_in(
        &self,
        dialect: Dialect,
        connection: &dyn Connection,
        families: Families,
        deadline: Instant,
    ) -> Result<Vec<Row>, AskError> {
        let mut rows = Vec::new();
        for command in dialect.commands(connection.peer().ip(), families) {
            let text = run(connection, command, deadline).await?;
            rows.extend(dialect.rows(&text, self.target.port)?);
        }
        Ok(rows)
    }

    /// The kind that the device was found to be, or is configured as.
    pub(super) fn speaks(&self) -> Option<&'static str> {
        match dialects(self.target.kind) {
            [] => Some("custom"),
            [only] => Some(only.name),
            _ => lock(&self.dialect).map(|dialect| dialect.name),
        }
    }

    /// Runs a command for a policy, on a connection of its own.
    pub(super) async fn run_command(
        &self,
        shared: &Shared,
        arbiter: usize,
        command: &str,
        timeout: Duration,
    ) -> SshAnswer {
        let deadline = Instant::now() + timeout;
        match self.try_command(shared, arbiter, command, deadline).await {
            Ok(output) => SshAnswer::Ran {
                // A device that gives no status has reported no failure either.
                exit: output.exit.map_or(0, |exit| i32::try_from(exit).unwrap_or(i32::MAX)),
                stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            },
            Err(error) => SshAnswer::Failed { error: error.outcome(), message: error.to_string() },
        }
    }

    async fn try_command(
        &self,
        shared: &Shared,
        arbiter: usize,
        command: &str,
        deadline: Instant,
    ) -> Result<ExecOutput, SshError> {
        let destination = self.destination(shared.settings.source);
        let connection = {
            // The semaphore is never closed; were it, a connection more would do no harm.
            let _permit = shared.look_connects.acquire().await.ok();
            shared.connect(arbiter, &destination, deadline).await?
        };
        let output = connection.exec(command, deadline).await;
        connection.close().await;
        output
    }
}

/// The output of a command that ends well.
async fn run(connection: &dyn Connection, command: &str, deadline: Instant) -> Result<String, AskError> {
    let output = connection.exec(command, deadline).await?;
    if let Some(exit) = output.exit.filter(|exit| *exit != 0) {
        return Err(AskError::Status { command: command.to_owned(), exit, complaint: complaint(&output) });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What the device says about a command that failed: a colon and its first line.
fn complaint(output: &ExecOutput) -> String {
    let said = [&output.stderr, &output.stdout].into_iter().find_map(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
        Some(line.chars().filter(|c| !c.is_control()).take(COMPLAINT_CHARACTERS_MAX).collect::<String>())
    });
    said.map_or_else(String::new, |line| format!(": {line}"))
}
