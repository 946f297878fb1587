//! A real `sshd` as an arbiter, which root may log in to with a key.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use super::namespace::Namespace;
use crate::scratch::Scratch;
use crate::{needs, program, wait};

/// Longest start of an `sshd`.
const START_LIMIT: Duration = Duration::from_secs(20);

/// The keys of a laboratory: one of all arbiters, one of both sites.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The arbiters' private host key.
    pub host: PathBuf,
    /// Its fingerprint, `SHA256:…`.
    pub fingerprint: String,
    /// The sites' private key.
    pub client: PathBuf,
}

impl Keys {
    /// New keys.
    pub fn new(scratch: &Scratch) -> Self {
        let (host, client) = (scratch.join("host_key"), scratch.join("client_key"));
        for (key, kind) in [(&host, "ecdsa"), (&client, "ed25519")] {
            program::system("ssh-keygen", &["-q", "-t", kind, "-N", "", "-f", text(key)]);
        }
        let shown = program::system("ssh-keygen", &["-l", "-f", text(&host)]);
        let fingerprint = shown.split_whitespace().find(|word| word.starts_with("SHA256:"));
        Self { fingerprint: fingerprint.unwrap().to_owned(), host, client }
    }

    /// The host key, as a file of known hosts has it.
    pub fn public(&self) -> String {
        std::fs::read_to_string(self.host.with_extension("pub")).unwrap()
    }
}

/// The users of this machine, with a plain shell for root: what somebody's `.bashrc` starts at every log-in would be
/// measured as the arbiter's slowness, and what is killed in it would leave its locks behind.
fn users() -> String {
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let others: Vec<&str> = users.lines().filter(|line| !line.starts_with("root:")).collect();
    format!("root:x:0:0:root:/:/bin/sh\n{}\n", others.join("\n"))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A running `sshd`.
#[derive(Debug)]
pub struct Arbiter {
    sshd: Child,
}

impl Arbiter {
    /// Starts one and waits until it greets. Dead clients stay listed for half a minute, as on a real device: the
    /// watchdog must judge them by their age.
    pub fn start(namespace: &Namespace, scratch: &Scratch, keys: &Keys) -> Self {
        Self::start_with(namespace, scratch, keys, "")
    }

    /// The `sshd` of a site: what logs in finds the program under test, and the site's files.
    pub fn start_at_site(namespace: &Namespace, scratch: &Scratch, keys: &Keys, root: &Path) -> Self {
        let folder = scratch.join("programs");
        std::fs::create_dir_all(&folder).unwrap();
        let link = folder.join("dr-watchdog");
        if !link.exists() {
            std::os::unix::fs::symlink(program::twin(), &link).unwrap();
        }
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folder.display());
        let environment = format!("SetEnv PATH={path} DR_WATCHDOG_ROOT={} LC_ALL=C.UTF-8\n", root.display());
        Self::start_with(namespace, scratch, keys, &environment)
    }

    /// One with lines of configuration that win over the usual ones.
    pub fn start_with(namespace: &Namespace, scratch: &Scratch, keys: &Keys, first: &str) -> Self {
        let public = std::fs::read_to_string(keys.client.with_extension("pub")).unwrap();
        let authorized = scratch.write(format!("{}.keys", namespace.name()), public);
        let config = scratch.write(
            format!("{}.conf", namespace.name()),
            format!(
                "{first}Port 22\nHostKey {}\nAuthorizedKeysFile {}\nPermitRootLogin yes\nPasswordAuthentication no\n\
                 KbdInteractiveAuthentication no\nStrictModes no\nUsePAM no\nUseDNS no\nPidFile none\n\
                 ClientAliveInterval 5\nClientAliveCountMax 3\nMaxStartups 100\nMaxSessions 100\nPrintMotd no\n\
                 PrintLastLog no\n",
                keys.host.display(),
                authorized.display(),
            ),
        );
        // Where Debian's sshd separates its privileges; a machine that never ran the service lacks it.
        std::fs::create_dir_all("/run/sshd").unwrap();
        let log = scratch.join(format!("{}.log", namespace.name()));
        let users = scratch.write(format!("{}.passwd", namespace.name()), users());
        // `ip netns exec` has given this shell a mount namespace of its own.
        let mut command = namespace.command(&needs::program("sh"));
        command.arg("-c").arg("mount --bind \"$0\" /etc/passwd && exec \"$1\" -D -e -f \"$2\"");
        command.arg(users).arg(needs::program("sshd")).arg(config);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        let arbiter = Self { sshd: command.spawn().unwrap() };
        let listens = || {
            let listed =
                namespace.command(&needs::program("ss")).args(["-Hltn", "sport", "=", ":22"]).output();
            wait::holds(!listed.unwrap().stdout.is_empty(), || "nothing listens on port 22".to_owned())
        };
        wait::until("sshd listens", START_LIMIT, listens, || std::fs::read_to_string(log).unwrap());
        arbiter
    }
}

impl Drop for Arbiter {
    fn drop(&mut self) {
        // Either fails only where it has ended by itself; its children end with the namespace.
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }
}
