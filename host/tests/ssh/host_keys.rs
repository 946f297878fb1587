//! Whose key is taken, through every adapter: pins, known hosts, nothing silently.

use std::path::PathBuf;
use std::process::Command;

use dr_watchdog::probe::ssh::SshError;
use dr_watchdog::probe::ssh::host_key::HostKeyError;
use tempfile::TempDir;

use crate::support::SOON;
use crate::support::sshd::Sshd;
use crate::{Instant, adapters, run_through};

/// A pin of no key at all.
const NOBODY: &str = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What `ssh-keyscan` writes about a server, as a file of known hosts; hashed if wanted.
fn scanned(folder: &TempDir, sshd: &Sshd, is_hashed: bool) -> PathBuf {
    let mut command = Command::new("ssh-keyscan");
    if is_hashed {
        command.arg("-H");
    }
    let port = sshd.address.port().to_string();
    let output = command.args(["-T", "20", "-p", &port, "127.0.0.1"]).output().unwrap();
    assert!(!output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = folder.path().join("known_hosts");
    std::fs::write(&file, output.stdout).unwrap();
    file
}

#[tokio::test]
async fn a_host_key_is_never_accepted_silently() {
    let sshd = Sshd::start();
    let mut to = sshd.destination();
    for (name, adapter) in adapters(&[]) {
        to.host_keys = vec![NOBODY.to_owned()];
        let error = adapter.connect(&to, Instant::now() + SOON).await.unwrap_err();
        assert!(matches!(error, SshError::HostKey(HostKeyError::Pinned { .. })), "{name}: {error}");
        assert_eq!(error.outcome().word(), "hostkey");
        assert!(error.to_string().contains(&sshd.fingerprint), "{name}: {error}");

        to.host_keys = Vec::new();
        let error = adapter.connect(&to, Instant::now() + SOON).await.unwrap_err();
        assert!(matches!(error, SshError::HostKey(HostKeyError::Unknown { .. })), "{name}: {error}");
        let pin = format!("hostKey = \"{}\"", sshd.fingerprint);
        assert!(error.to_string().contains(&pin), "{name}: {error}");
    }
}

#[tokio::test]
async fn the_pin_of_any_of_a_servers_keys_is_enough() {
    let other = Sshd::start_with("rsa", "");
    let sshd = Sshd::start_with("ed25519", &format!("HostKey {}\n", other.host_key().display()));
    for (name, adapter) in adapters(&[]) {
        for pin in [&other.fingerprint, &sshd.fingerprint] {
            let mut to = sshd.destination();
            to.host_keys = vec![pin.clone()];
            let output = run_through(adapter.as_ref(), &to, "echo either").await;
            assert_eq!(output.unwrap().stdout, b"either\n", "{name}");
        }
    }
}

/// A file as it is on real machines: every kind of key of a host, the one that an adapter cannot read among them, and
/// names that are hashed.
#[tokio::test]
async fn known_hosts_may_be_mixed_and_hashed() {
    let (rsa, ecdsa) = (Sshd::start_with("rsa", ""), Sshd::start_with("ecdsa", ""));
    let further = format!("HostKey {}\nHostKey {}\n", rsa.host_key().display(), ecdsa.host_key().display());
    let sshd = Sshd::start_with("ed25519", &further);
    let mut to = sshd.destination();
    to.host_keys = Vec::new();
    for is_hashed in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let file = scanned(&folder, &sshd, is_hashed);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("ecdsa-sha2-nistp256") && text.contains("ssh-rsa"), "{text}");
        assert_eq!(text.contains("127.0.0.1"), !is_hashed, "{text}");
        for (name, adapter) in adapters(&[file]) {
            let output = run_through(adapter.as_ref(), &to, "true").await;
            assert!(output.is_ok(), "{name}, hashed {is_hashed}: {output:?}");
        }
    }
}

#[tokio::test]
async fn a_changed_key_and_a_revoked_one_are_refused_with_file_and_line() {
    let sshd = Sshd::start();
    let mut to = sshd.destination();
    to.host_keys = Vec::new();
    let folder = tempfile::tempdir().unwrap();
    let other = Sshd::start();
    let public = |sshd: &Sshd| {
        std::fs::read_to_string(sshd.host_key().with_extension("pub")).unwrap().trim().to_owned()
    };
    let name = format!("[127.0.0.1]:{}", sshd.address.port());
    let changed = folder.path().join("changed");
    std::fs::write(&changed, format!("# device\n{name} {}\n", public(&other))).unwrap();
    let revoked = folder.path().join("revoked");
    let text = format!("{name} {key}\n@revoked * {key}\n", key = public(&sshd));
    std::fs::write(&revoked, text).unwrap();
    for (adapter_name, adapter) in adapters(&[changed]) {
        let error = adapter.connect(&to, Instant::now() + SOON).await.unwrap_err();
        assert!(matches!(error, SshError::HostKey(HostKeyError::Changed { .. })), "{adapter_name}: {error}");
        assert!(error.to_string().contains("changed, line 2"), "{adapter_name}: {error}");
    }
    for (adapter_name, adapter) in adapters(&[revoked]) {
        let error = adapter.connect(&to, Instant::now() + SOON).await.unwrap_err();
        assert!(matches!(error, SshError::HostKey(HostKeyError::Revoked { .. })), "{adapter_name}: {error}");
        assert!(error.to_string().contains("revoked, line 2"), "{adapter_name}: {error}");
    }
}

#[tokio::test]
async fn a_file_of_known_hosts_that_cannot_be_read_is_told_and_trusts_nobody() {
    let sshd = Sshd::start();
    let mut to = sshd.destination();
    to.host_keys = Vec::new();
    let folder = tempfile::tempdir().unwrap();
    for (name, adapter) in adapters(&[folder.path().to_owned()]) {
        let error = adapter.connect(&to, Instant::now() + SOON).await.unwrap_err();
        assert!(matches!(error, SshError::HostKey(HostKeyError::File(..))), "{name}: {error}");
    }
}
