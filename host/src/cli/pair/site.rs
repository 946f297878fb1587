//! The two sites as a command sees them: this one by its socket, the other one over SSH.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

use crate::cli::client::{self, ClientError};
use crate::config::{self, Config};
use crate::frames::ResponseError;
use crate::peer::remote::{self, Login, Remote};

/// Longest answer of the other site to one question.
const ASK_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a site did not answer.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum SiteError {
    /// It cannot be reached; nothing is known of what became of the question.
    #[error("{0}")]
    Unreachable(String),
    /// No daemon runs there.
    #[error("{0}")]
    Down(String),
    /// It said no: a word for programs, a sentence for people.
    #[error("{1}")]
    Refused(String, String),
}

/// A site that can be asked.
pub(in crate::cli) trait Site {
    /// Its name.
    fn name(&self) -> &str;

    /// One question to its daemon.
    fn ask(&self, method: &str, params: Value) -> Result<Value, SiteError>;
}

/// This site.
#[derive(Debug)]
pub(in crate::cli) struct Here {
    pub(in crate::cli) name: String,
    pub(in crate::cli) socket: PathBuf,
}

impl Site for Here {
    fn name(&self) -> &str {
        &self.name
    }

    fn ask(&self, method: &str, params: Value) -> Result<Value, SiteError> {
        client::ask(&self.socket, method, params).map_err(|error| match error {
            ClientError::Refused(ResponseError { kind, message }) => SiteError::Refused(kind, message),
            ClientError::Down(_) => SiteError::Down(config::chain(&error)),
            ClientError::Silent(..) | ClientError::Socket(..) | ClientError::Broken(_) => {
                SiteError::Unreachable(config::chain(&error))
            }
        })
    }
}

/// What a command at the other site did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Ran {
    /// Exit status.
    pub(in crate::cli) status: u32,
    /// Standard output.
    pub(in crate::cli) stdout: String,
    /// Standard error.
    pub(in crate::cli) stderr: String,
}

/// The other site. The connection is made when it is needed, kept, and made anew after it broke.
#[derive(Debug)]
pub(in crate::cli) struct There {
    name: String,
    to: Login,
    runtime: Runtime,
    local: LocalSet,
    remote: RefCell<Option<Remote>>,
}

impl There {
    /// The other site of this configuration; nothing is connected yet.
    pub(in crate::cli) fn new(config: &Config) -> Result<Self, String> {
        let to = remote::destination(config).map_err(|error| config::chain(&error))?;
        Self::at(&config.peer.name, to)
    }

    /// A site at this SSH server.
    pub(in crate::cli) fn at(name: &str, to: Login) -> Result<Self, String> {
        let (runtime, local) = crate::cli::runtime().map_err(|error| error.to_string())?;
        Ok(Self { name: name.to_owned(), to, runtime, local, remote: RefCell::new(None) })
    }

    /// Runs the program there; a connection that broke is made once more only if the command did not start.
    pub(in crate::cli) fn run(
        &self,
        arguments: &[&str],
        input: &[u8],
        limit: Duration,
    ) -> Result<Ran, String> {
        let mut kept = self.remote.borrow_mut();
        let remote = match kept.take() {
            Some(remote) => remote,
            None => self.connect()?,
        };
        let ended = self.local.block_on(&self.runtime, remote.run(arguments, input, limit));
        let output = ended.map_err(|error| config::chain(&error))?;
        *kept = Some(remote);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Ran {
            status: output.exit.unwrap_or(255),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        })
    }

    fn connect(&self) -> Result<Remote, String> {
        let connecting = self.local.block_on(&self.runtime, Remote::connect(&self.to));
        connecting.map_err(|error| config::chain(&error))
    }
}

impl Site for There {
    fn name(&self) -> &str {
        &self.name
    }

    fn ask(&self, method: &str, params: Value) -> Result<Value, SiteError> {
        let ran = self.run(&["ask", method, &params.to_string()], b"", ASK_TIMEOUT);
        answer(&ran.map_err(SiteError::Unreachable)?)
    }
}

/// Reads what `ask` printed there.
fn answer(ran: &Ran) -> Result<Value, SiteError> {
    let last = ran.stdout.lines().last().unwrap_or_default();
    let Ok(mut said) = serde_json::from_str::<Value>(last) else {
        return Err(SiteError::Unreachable(no_program(ran)));
    };
    let text = |key: &str| said["error"][key].as_str().unwrap_or("?").to_owned();
    match said.get("error").map(|_| text("kind")) {
        None => Ok(said["result"].take()),
        Some(kind) if kind == "down" => Err(SiteError::Down(text("message"))),
        Some(kind) => Err(SiteError::Refused(kind, text("message"))),
    }
}

/// The log-in worked, and the program there did not answer as ours does.
pub(in crate::cli) fn no_program(ran: &Ran) -> String {
    let said = ran.stderr.lines().next().or_else(|| ran.stdout.lines().next()).unwrap_or("nothing");
    format!(
        "the log-in at the other site works, but `{}` there ended with status {} and said: {said}; is this version ({}) installed there, where the shell of that user finds it?",
        remote::PROGRAM,
        ran.status,
        env!("CARGO_PKG_VERSION"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ran(status: u32, stdout: &str, stderr: &str) -> Ran {
        Ran { status, stdout: stdout.to_owned(), stderr: stderr.to_owned() }
    }

    #[test]
    fn the_other_sites_answer_is_read_behind_whatever_its_shell_prints_first() {
        let said = "Welcome!\n{\"version\":\"0.1.0\",\"result\":{\"role\":\"standby\"}}\n";
        assert_eq!(answer(&ran(0, said, "")).unwrap(), json!({"role": "standby"}));
        let down = "{\"version\":\"0.1.0\",\"error\":{\"kind\":\"down\",\"message\":\"no daemon\"}}\n";
        assert!(matches!(answer(&ran(0, down, "")), Err(SiteError::Down(why)) if why == "no daemon"));
        let refused = down.replace("down", "refused");
        assert!(
            matches!(answer(&ran(0, &refused, "")), Err(SiteError::Refused(kind, _)) if kind == "refused")
        );
    }

    #[test]
    fn a_site_without_the_program_says_what_its_shell_says() {
        let error = answer(&ran(127, "", "sh: 1: dr-watchdog: not found\n")).unwrap_err().to_string();
        assert!(
            error.contains("127") && error.contains("not found") && error.contains("installed"),
            "{error}"
        );
    }
}
