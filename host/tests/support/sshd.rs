//! A real OpenSSH server on loopback, with its own keys, that ends with the test.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dr_watchdog::probe::ssh::Destination;
use secrecy::SecretString;
use tempfile::TempDir;

const SSHD: &str = "/usr/sbin/sshd";
/// Who may log in with a password, where a server is started for that.
pub(crate) const ACCOUNT: &str = "watchdog";
/// The password of that account.
pub(crate) const ACCOUNT_PASSWORD: &str = "correct horse";
/// The same as `crypt` keeps it.
const ACCOUNT_HASH: &str = "$5$watchdog$ZwTrn7cD1jq/58Y4bAF9VDlthS9.00CfDYGfvMUH3i0";
/// Gives this process other files of accounts than the machine has, then becomes the server.
const MOUNT_AND_SERVE: &str = "cd \"$0\" && mount --bind passwd /etc/passwd && mount --bind shadow /etc/shadow && \
    mount --bind pam /etc/pam.d/sshd && exec \"$@\"";

/// How a server with an account asks for its password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    /// By the method `password`.
    Password,
    /// By questions.
    Interactively,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Sshd {
    child: Child,
    folder: TempDir,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Fingerprint of its host key, `SHA256:…`.
    pub(crate) fingerprint: String,
}

impl Sshd {
    /// A server with an ed25519 host key.
    pub(crate) fn start() -> Self {
        Self::start_with("ed25519", "")
    }

    /// A server with a host key of this kind and further lines of configuration.
    pub(crate) fn start_with(host_key: &str, further: &str) -> Self {
        Self::serve(host_key, further, Command::new(SSHD), tempfile::tempdir().expect("a folder"))
    }

    /// A server with the account. Other tests, and the machine, see nothing of it.
    pub(crate) fn with_account(asks: Asks) -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "accounts are mounted over those of the machine: run as root"
        );
        let folder = tempfile::tempdir().expect("a folder");
        let users = std::fs::read_to_string("/etc/passwd").expect("a file");
        let write =
            |name: &str, text: String| std::fs::write(folder.path().join(name), text).expect("a file");
        write("passwd", format!("{users}{ACCOUNT}:x:64001:65534::/:/bin/sh\n"));
        write("shadow", format!("root:*:19000:0:99999:7:::\n{ACCOUNT}:{ACCOUNT_HASH}:19000:0:99999:7:::\n"));
        write(
            "pam",
            "auth required pam_unix.so\naccount required pam_permit.so\nsession required pam_permit.so\n"
                .into(),
        );
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", MOUNT_AND_SERVE]).arg(folder.path()).arg(SSHD);
        // The first line of a kind counts.
        let method = match asks {
            Asks::Password => "UsePAM no\nPasswordAuthentication yes\nKbdInteractiveAuthentication no\n",
            Asks::Interactively => {
                "UsePAM yes\nPasswordAuthentication no\nKbdInteractiveAuthentication yes\n"
            }
        };
        Self::serve("ed25519", method, command, folder)
    }

    fn serve(host_key: &str, further: &str, mut command: Command, folder: TempDir) -> Self {
        let key = folder.path().join("host_key");
        generate_key(&key, host_key, "");
        let user_key = folder.path().join("user_key");
        generate_key(&user_key, "ed25519", "");
        std::fs::copy(user_key.with_extension("pub"), folder.path().join("authorized_keys")).expect("a copy");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("an address");
        drop(free);
        // Where sshd runs as root it wants this folder; an installed service has it already.
        if nix::unistd::geteuid().is_root() {
            std::fs::create_dir_all("/run/sshd").expect("the folder of privilege separation");
        }
        let config = folder.path().join("sshd_config");
        std::fs::write(&config, configuration(folder.path(), &key, address.port(), further)).expect("a file");
        let log = std::fs::File::create(folder.path().join("log")).expect("a file");
        let mut child = command
            .args(["-D", "-e", "-f"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("openssh-server is installed");
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            let has_ended = child.try_wait().expect("a state").is_some();
            let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            assert!(!has_ended && begun.elapsed() < Duration::from_secs(20), "sshd does not listen: {log}");
            std::thread::yield_now();
        }
        Self { child, fingerprint: fingerprint(&key), folder, address }
    }

    /// A log-in with the right key and the right pin.
    pub(crate) fn destination(&self) -> Destination {
        Destination {
            host: self.address.ip().to_string(),
            port: self.address.port(),
            source: None,
            username: user(),
            password: None,
            private_key: Some(self.private_key()),
            host_keys: vec![self.fingerprint.clone()],
        }
    }

    /// The private key that the server lets in.
    pub(crate) fn private_key(&self) -> SecretString {
        read(&self.folder.path().join("user_key"))
    }

    /// The file of its host key.
    pub(crate) fn host_key(&self) -> PathBuf {
        self.folder.path().join("host_key")
    }

    /// Lets another new key in too, and gives it.
    pub(crate) fn let_in(&self, kind: &str, passphrase: &str) -> SecretString {
        let path = self.folder.path().join(format!("user_key_{kind}"));
        generate_key(&path, kind, passphrase);
        let authorized = self.folder.path().join("authorized_keys");
        let mut all = std::fs::read_to_string(&authorized).expect("a file");
        all.push_str(&std::fs::read_to_string(path.with_extension("pub")).expect("a file"));
        std::fs::write(authorized, all).expect("a file");
        read(&path)
    }

    /// A file of known hosts that has this server's key.
    pub(crate) fn known_hosts(&self) -> PathBuf {
        let public = std::fs::read_to_string(self.folder.path().join("host_key.pub")).expect("a file");
        let path = self.folder.path().join("known_hosts");
        std::fs::write(&path, format!("[{}]:{} {public}", self.address.ip(), self.address.port()))
            .expect("a file");
        path
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // Its own pid; the sessions that it forked end with their connections.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Who runs the tests, and so whom the server lets in.
pub(crate) fn user() -> String {
    nix::unistd::User::from_uid(nix::unistd::geteuid()).expect("a user").expect("a user").name
}

fn configuration(folder: &Path, key: &Path, port: u16, further: &str) -> String {
    let mut text = String::new();
    let folder = folder.display();
    let _ = writeln!(
        text,
        "{further}ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nPidFile none\nUsePAM no\nStrictModes no\n\
         AuthorizedKeysFile {folder}/authorized_keys\nPermitRootLogin yes\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nMaxStartups 1000\nLogLevel VERBOSE\nPrintMotd no\n",
        key.display()
    );
    text
}

fn generate_key(path: &Path, kind: &str, passphrase: &str) {
    let bits = if kind == "rsa" { "2048" } else { "256" };
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-b", bits, "-N", passphrase, "-C", "test", "-f"])
        .arg(path)
        .status()
        .expect("ssh-keygen is installed");
    assert!(made.success(), "ssh-keygen made no {kind} key");
}

fn fingerprint(key: &Path) -> String {
    let output = Command::new("ssh-keygen").arg("-lf").arg(key).output().expect("ssh-keygen is installed");
    let text = String::from_utf8(output.stdout).expect("text");
    text.split_whitespace().nth(1).expect("a fingerprint").to_owned()
}

fn read(path: &Path) -> SecretString {
    SecretString::from(std::fs::read_to_string(path).expect("a file"))
}
