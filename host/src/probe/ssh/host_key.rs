//! Whether a server's host key is the expected one.
//!
//! Nothing is accepted silently: neither an unknown key nor a changed one. A pin in the configuration decides alone;
//! without one, the known hosts do.

use std::path::PathBuf;

use russh::keys::{Algorithm, HashAlg, PublicKey};

use super::known_hosts::{self, Known};

/// Why a server was not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostKeyError {
    /// It shows another key than the pinned one.
    #[error(
        "{host} shows another host key than the pinned one: {kind} {seen}, expected {expected}. Either somebody \
         stands between, or the device was replaced: compare with the device's own console, then write \
         hostKey = \"{seen}\" for this arbiter"
    )]
    Pinned {
        /// Host and port.
        host: String,
        /// Kind of the key shown.
        kind: String,
        /// Fingerprint of the key shown.
        seen: String,
        /// The pins.
        expected: String,
    },
    /// It shows another key than the known hosts have.
    #[error(
        "{host} shows another host key than {place}: {kind} {seen}. Either somebody stands between, or the device \
         was replaced: compare with the device's own console, then correct that line or write hostKey = \"{seen}\" \
         for this arbiter"
    )]
    Changed {
        /// Host and port.
        host: String,
        /// File and line of the known key.
        place: String,
        /// Kind of the key shown.
        kind: String,
        /// Fingerprint of the key shown.
        seen: String,
    },
    /// The key is marked as revoked.
    #[error("{host} shows a host key that {place} revokes: {kind} {seen}")]
    Revoked {
        /// Host and port.
        host: String,
        /// File and line of the mark.
        place: String,
        /// Kind of the key shown.
        kind: String,
        /// Fingerprint of the key shown.
        seen: String,
    },
    /// Nobody knows the server.
    #[error(
        "the host key of {host} is not known: it shows {kind} {seen}. Compare with the device's own console, then \
         write hostKey = \"{seen}\" for this arbiter"
    )]
    Unknown {
        /// Host and port.
        host: String,
        /// Kind of the key shown.
        kind: String,
        /// Fingerprint of the key shown.
        seen: String,
    },
    /// The known hosts could not be read.
    #[error("the known hosts in {0} cannot be read: {1}")]
    File(PathBuf, String),
}

impl HostKeyError {
    /// Whether somebody else may stand there: an unknown server is only one that nobody has written down yet.
    pub const fn is_alarm(&self) -> bool {
        match self {
            Self::Pinned { .. } | Self::Changed { .. } | Self::Revoked { .. } => true,
            Self::Unknown { .. } | Self::File(..) => false,
        }
    }
}

/// Who decides about a server's key.
#[derive(Debug, Clone)]
pub struct Judge {
    host: String,
    port: u16,
    pins: Vec<String>,
    known: Vec<Known>,
}

impl Judge {
    /// Reads what is known of the server.
    ///
    /// # Errors
    /// When a file of known hosts exists but cannot be read. With a pin, no file is read.
    pub fn new(host: &str, port: u16, pins: &[String], files: &[PathBuf]) -> Result<Self, HostKeyError> {
        let mut known = Vec::new();
        if pins.is_empty() {
            for file in files {
                known.extend(known_hosts::read(file, host, port)?);
            }
        }
        Ok(Self { host: host.to_owned(), port, pins: pins.to_vec(), known })
    }

    /// The kinds of keys to ask the server for, best first: those that are known, if any. A server with several
    /// keys would else show one that nobody has written down.
    pub fn preferred(&self, all: &[Algorithm]) -> Vec<Algorithm> {
        // An RSA key is one key, whatever hash it signs with.
        let same = |a: Algorithm, b: Algorithm| a == b || (a.clone().is_rsa() && b.clone().is_rsa());
        let is_known =
            |kind: &Algorithm| self.known.iter().any(|known| same(known.key.algorithm(), kind.clone()));
        let (mut first, rest): (Vec<_>, Vec<_>) = all.iter().cloned().partition(is_known);
        first.extend(rest);
        first
    }

    /// Decides.
    ///
    /// # Errors
    /// Whenever the key is not an expected one.
    pub fn check(&self, key: &PublicKey) -> Result<(), HostKeyError> {
        let seen = fingerprint(key);
        let kind = key.algorithm().to_string();
        let host = if self.port == 22 { self.host.clone() } else { format!("{}:{}", self.host, self.port) };
        if !self.pins.is_empty() {
            let is_pinned = self.pins.iter().any(|pin| pin.trim_end_matches('=') == seen);
            let expected = self.pins.join(" or ");
            return if is_pinned { Ok(()) } else { Err(HostKeyError::Pinned { host, kind, seen, expected }) };
        }
        let same = |known: &&Known| known.key.key_data() == key.key_data();
        if let Some(known) = self.known.iter().filter(|known| known.is_revoked).find(same) {
            return Err(HostKeyError::Revoked { host, place: known.place(), kind, seen });
        }
        let mut valid = self.known.iter().filter(|known| !known.is_revoked);
        if valid.clone().any(|known| same(&known)) {
            return Ok(());
        }
        match valid.next() {
            Some(known) => Err(HostKeyError::Changed { host, place: known.place(), kind, seen }),
            None => Err(HostKeyError::Unknown { host, kind, seen }),
        }
    }
}

/// The fingerprint as `ssh-keygen -l` shows it: `SHA256:…`.
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA6rWI3G2sz07DnfFlrouTcysQlj2P+jpNSOEWD9OJ3X";

    fn key(text: &str) -> PublicKey {
        PublicKey::from_openssh(text).unwrap()
    }

    fn with_file(text: &str) -> Judge {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("known_hosts");
        std::fs::write(&file, text).unwrap();
        Judge::new("192.0.2.1", 22, &[], &[file]).unwrap()
    }

    #[test]
    fn a_pinned_key_is_taken_and_any_other_refused() {
        let pins = [fingerprint(&key(TWO)), fingerprint(&key(ONE))];
        let judge = Judge::new("192.0.2.1", 2222, &pins, &[]).unwrap();
        assert_eq!(judge.check(&key(ONE)), Ok(()));
        let judge = Judge::new("192.0.2.1", 2222, &pins[..1], &[]).unwrap();
        let error = judge.check(&key(ONE)).unwrap_err();
        assert!(matches!(error, HostKeyError::Pinned { .. }));
        let text = error.to_string();
        assert!(text.contains("192.0.2.1:2222") && text.contains(&pins[0]), "{text}");
        assert!(text.contains(&format!("hostKey = \"{}\"", pins[1])), "{text}");
    }

    #[test]
    fn an_unknown_server_is_refused_with_the_line_that_would_pin_it() {
        let judge = Judge::new("192.0.2.1", 22, &[], &[PathBuf::from("/nonexistent/known_hosts")]).unwrap();
        let error = judge.check(&key(ONE)).unwrap_err().to_string();
        assert!(error.contains(&format!("hostKey = \"{}\"", fingerprint(&key(ONE)))), "{error}");
    }

    #[test]
    fn known_hosts_take_refuse_and_revoke() {
        assert_eq!(with_file(&format!("192.0.2.1 {ONE}\n")).check(&key(ONE)), Ok(()));
        let changed = with_file(&format!("# a comment\n192.0.2.1 {TWO}\n")).check(&key(ONE)).unwrap_err();
        assert!(
            matches!(&changed, HostKeyError::Changed { place, .. } if place.ends_with("known_hosts, line 2"))
        );
        let revoked = format!("192.0.2.1 {ONE}\n@revoked * {ONE}\n");
        assert!(matches!(with_file(&revoked).check(&key(ONE)), Err(HostKeyError::Revoked { .. })));
        let other = with_file(&format!("192.0.2.2 {ONE}\n")).check(&key(ONE)).unwrap_err();
        assert!(matches!(other, HostKeyError::Unknown { .. }));
    }

    #[test]
    fn the_kinds_of_known_keys_are_asked_for_first() {
        let rsa = Algorithm::Rsa { hash: Some(HashAlg::Sha256) };
        let judge = with_file(&format!("192.0.2.1 {ONE}\n"));
        assert_eq!(judge.preferred(&[rsa.clone(), Algorithm::Ed25519]), [Algorithm::Ed25519, rsa]);
    }
}
