//! Mail servers: a real one, and some that misbehave.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::Recipe;
use super::namespace::Namespace;
use crate::scratch::Scratch;
use crate::{needs, program, wait};

/// Where every mail server of the tests listens, in the namespace of its test.
pub const MAIL_ADDRESS: &str = "127.0.0.1";
/// Its port.
pub const MAIL_PORT: u16 = 2525;
/// User and password of a server that wants a log-in.
pub const MAIL_LOG_IN: (&str, &str) = ("watchdog", "a password of a test");
/// Longest start of a server.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Longest wait for a mail: some tries with their pauses, on a busy machine.
const MAIL_LIMIT: Duration = Duration::from_secs(90);

/// Lets a site mail to one person, in the clear, by the server of its test.
pub fn mailing(recipe: &mut Recipe) {
    recipe.more += &format!(
        "\n[watchdog.notification]\nemail = \"a@example.com\"\n[smtp]\nhost = \"{MAIL_ADDRESS}\"\nport = {MAIL_PORT}\n\
         from = \"watchdog@example.com\"\ntls = \"none\"\n"
    );
}

/// Waits until a server of this test has kept a mail of this kind; the first such.
///
/// # Panics
/// When none comes; it tells what came, and what the dump says.
#[track_caller]
pub fn arrives(scratch: &Scratch, kind: &str, dump: impl Fn() -> String) -> Kept {
    let of = || {
        let kept = all_kept(scratch);
        let found = kept.iter().find(|mail| mail.kind == kind).cloned();
        found.ok_or_else(|| format!("{:?}", kept.iter().map(|mail| mail.kind.as_str()).collect::<Vec<_>>()))
    };
    wait::until(&format!("a mail {kind}"), MAIL_LIMIT, of, dump)
}

/// A mail that a server has kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Who got it.
    pub recipients: Vec<String>,
    /// Its kind.
    pub kind: String,
    /// Its identity; a copy has the same.
    pub id: String,
    /// All of it.
    pub text: String,
}

/// A running mail server; it is killed when dropped.
#[derive(Debug)]
pub struct MailServer {
    folder: PathBuf,
    child: Child,
}

impl MailServer {
    /// A real server; `tls` as in `smtp.tls`.
    pub fn real(scratch: &Scratch, namespace: &Namespace, tls: &str, wants_log_in: bool) -> Self {
        let mut arguments: Vec<String> = [tls].map(str::to_owned).into();
        let (certificate, key) = certificate(scratch);
        arguments.extend([certificate, key].map(|path| path.to_str().unwrap().to_owned()));
        if wants_log_in {
            arguments.extend([MAIL_LOG_IN.0, MAIL_LOG_IN.1].map(str::to_owned));
        }
        Self::start(scratch, namespace, "real.py", &arguments)
    }

    /// A server with one fault; `tests/fixtures/mail/hostile.py` names them.
    pub fn hostile(scratch: &Scratch, namespace: &Namespace, fault: &str) -> Self {
        Self::start(scratch, namespace, "hostile.py", &[fault.to_owned()])
    }

    /// OpenSSL's own server, which speaks nothing newer than TLS 1.0.
    pub fn outdated(scratch: &Scratch, namespace: &Namespace) -> Self {
        let (certificate, key) = certificate(scratch);
        let mut command = namespace.command(&needs::program("openssl"));
        command.args(["s_server", "-quiet", "-tls1", "-cipher", "ALL:@SECLEVEL=0", "-accept"]);
        command.arg(format!("{MAIL_ADDRESS}:{MAIL_PORT}"));
        command.arg("-cert").arg(certificate).arg("-key").arg(key);
        Self::launch(scratch, namespace, command)
    }

    fn start(scratch: &Scratch, namespace: &Namespace, script: &str, arguments: &[String]) -> Self {
        let folder = folder(scratch);
        let mut command = namespace.command(&needs::program("python3"));
        command.arg(program::in_repository("tests/fixtures/mail").join(script)).arg(folder);
        command.args([MAIL_ADDRESS, &MAIL_PORT.to_string()]).args(arguments);
        Self::launch(scratch, namespace, command)
    }

    fn launch(scratch: &Scratch, namespace: &Namespace, mut command: Command) -> Self {
        let folder = folder(scratch);
        std::fs::create_dir_all(&folder).unwrap();
        let mut options = std::fs::OpenOptions::new();
        let log = options.create(true).append(true).open(scratch.join("mail-server.log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        let mut server = Self { folder, child: command.spawn().unwrap() };
        let listens = wait::poll(START_LIMIT, || {
            assert_eq!(server.child.try_wait().unwrap(), None, "{}", log_of(scratch));
            let mut list = namespace.command(&needs::program("ss"));
            let listed = program::run(list.args(["-Hltn", &format!("sport = :{MAIL_PORT}")])).stdout;
            wait::holds(!listed.trim().is_empty(), || "nothing listens".to_owned())
        });
        listens.unwrap_or_else(|why| panic!("the mail server does not start: {why}\n{}", log_of(scratch)));
        server
    }

    /// The mails that it has kept so far, in their order.
    pub fn kept(&self) -> Vec<Kept> {
        kept(&self.folder)
    }
}

/// The mails that the servers of this test have kept so far.
pub fn all_kept(scratch: &Scratch) -> Vec<Kept> {
    kept(&folder(scratch))
}

fn folder(scratch: &Scratch) -> PathBuf {
    scratch.join("mails")
}

fn log_of(scratch: &Scratch) -> String {
    std::fs::read_to_string(scratch.join("mail-server.log")).unwrap_or_default()
}

fn kept(folder: &Path) -> Vec<Kept> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "mail"));
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Kept {
    let text = std::fs::read_to_string(path).unwrap();
    let header = |name: &str| -> Vec<String> {
        let lines = text.lines().take_while(|line| !line.is_empty());
        lines.filter_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned()).collect()
    };
    let first = |name: &str| header(name).into_iter().next().unwrap_or_default();
    Kept {
        recipients: header("X-Recipient:"),
        kind: first("X-DR-Watchdog-Kind:"),
        id: first("Message-ID:"),
        text: text.clone(),
    }
}

/// A certificate of its own authority for the servers of this test, and its key.
pub fn certificate(scratch: &Scratch) -> (PathBuf, PathBuf) {
    let (certificate, key) = (scratch.join("mail.pem"), scratch.join("mail.key"));
    if !certificate.exists() {
        let mut command = program::clean(&needs::program("openssl"));
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
        command.args(["-days", "2", "-subj", "/CN=mail.example.com"]);
        command.args(["-addext", &format!("subjectAltName=IP:{MAIL_ADDRESS}")]);
        // An authority must not stand in as a server.
        command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        command.arg("-keyout").arg(&key).arg("-out").arg(&certificate);
        program::run(&mut command).expect(0);
    }
    (certificate, key)
}

impl Drop for MailServer {
    fn drop(&mut self) {
        // Either fails only where it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
