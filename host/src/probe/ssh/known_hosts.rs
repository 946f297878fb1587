//! Files of known hosts as `ssh` writes them: plain, with wildcards, hashed, revoked.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use russh::keys::PublicKey;
use sha1::Sha1;

use super::host_key::{self, HostKeyError};

/// Largest file that is read: a hundred thousand hosts.
pub const FILE_BYTES_MAX: u64 = 16 << 20;

/// One key that a file has for a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// The key.
    pub key: PublicKey,
    /// Whether it is marked as revoked.
    pub is_revoked: bool,
}

impl Known {
    /// File and line, for messages.
    pub fn place(&self) -> String {
        format!("{}, line {}", self.file.display(), self.line)
    }
}

/// The files that `ssh` reads too, for a user with this home.
pub fn standard_files(home: Option<&str>) -> Vec<PathBuf> {
    let home = home.map(|home| Path::new(home).join(".ssh/known_hosts"));
    home.into_iter().chain([PathBuf::from("/etc/ssh/ssh_known_hosts")]).collect()
}

/// The keys that a file has for a host; none if there is no file.
///
/// # Errors
/// When the file exists but cannot be read.
pub fn read(file: &Path, host: &str, port: u16) -> Result<Vec<Known>, HostKeyError> {
    let wrong = |why: String| HostKeyError::File(file.to_owned(), why);
    match std::fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(wrong(error.to_string())),
        Ok(about) if about.len() > FILE_BYTES_MAX => {
            return Err(wrong(format!("it is larger than {FILE_BYTES_MAX} bytes")));
        }
        Ok(_) => {}
    }
    let text = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    Ok(find(&String::from_utf8_lossy(&text), file, host, port))
}

/// Where these files revoke a key of a host, told by its fingerprint.
///
/// # Errors
/// When a file exists but cannot be read: then nobody knows.
pub fn revocation(
    files: &[PathBuf],
    host: &str,
    port: u16,
    fingerprint: &str,
) -> Result<Option<Known>, HostKeyError> {
    for file in files {
        let mut revoked = read(file, host, port)?.into_iter().filter(|known| known.is_revoked);
        if let Some(known) = revoked.find(|known| host_key::fingerprint(&known.key) == fingerprint) {
            return Ok(Some(known));
        }
    }
    Ok(None)
}

/// The keys in a text. A line that is not understood concerns no host: `ssh` passes it over, and a key of a kind
/// that this program cannot read could not be shown to it either.
fn find(text: &str, file: &Path, host: &str, port: u16) -> Vec<Known> {
    let name = if port == 22 { host.to_lowercase() } else { format!("[{}]:{port}", host.to_lowercase()) };
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut fields = line.split_whitespace().peekable();
        let marker = fields.next_if(|field| field.starts_with('@'));
        // A certificate authority vouches for certificates, and those are never asked for.
        if line.trim_start().starts_with('#') || marker.is_some_and(|marker| marker != "@revoked") {
            continue;
        }
        let (Some(hosts), Some(kind), Some(key)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        if !names(hosts, &name) {
            continue;
        }
        if let Ok(key) = PublicKey::from_openssh(&format!("{kind} {key}")) {
            found.push(Known { file: file.to_owned(), line: index + 1, key, is_revoked: marker.is_some() });
        }
    }
    found
}

/// Whether a list of patterns names the host; one that begins with `!` takes it out again.
fn names(patterns: &str, name: &str) -> bool {
    let mut is_named = false;
    for pattern in patterns.split(',') {
        if let Some(hashed) = pattern.strip_prefix("|1|") {
            is_named |= is_hash_of(hashed, name);
        } else if let Some(pattern) = pattern.strip_prefix('!') {
            if matches(pattern.to_lowercase().as_bytes(), name.as_bytes()) {
                return false;
            }
        } else {
            is_named |= matches(pattern.to_lowercase().as_bytes(), name.as_bytes());
        }
    }
    is_named
}

/// `salt|hash`, both in base64: the hash is HMAC-SHA-1 of the name. That hides names, it protects nothing.
fn is_hash_of(hashed: &str, name: &str) -> bool {
    let Some((salt, hash)) = hashed.split_once('|') else { return false };
    let (Ok(salt), Ok(hash)) = (STANDARD.decode(salt), STANDARD.decode(hash)) else { return false };
    Hmac::<Sha1>::new_from_slice(&salt)
        .is_ok_and(|mac| mac.chain_update(name.as_bytes()).verify_slice(&hash).is_ok())
}

/// Whether a pattern with `*` and `?` fits, in time that grows with the product of the lengths only.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut of) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while of < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, of));
                at += 1;
            }
            Some(&c) if c == b'?' || c == name[of] => {
                at += 1;
                of += 1;
            }
            _ => match star {
                Some((star_at, star_of)) => {
                    star = Some((star_at, star_of + 1));
                    at = star_at + 1;
                    of = star_of + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    fn count(text: &str, host: &str, port: u16) -> usize {
        find(text, Path::new("known_hosts"), host, port).len()
    }

    #[test]
    fn hosts_are_found_by_name_pattern_port_and_hash() {
        // "example.com", hashed by ssh-keygen -H.
        let hashed = "|1|O33ESRMWPVkMYIwJ1Uw+n877jTo=|nuuC5vEqXlEZ/8BXQR7m619W6Ak=";
        for (hosts, host, port, expected) in [
            ("192.0.2.1", "192.0.2.1", 22, 1),
            ("192.0.2.1", "192.0.2.1", 2222, 0),
            ("[192.0.2.1]:2222", "192.0.2.1", 2222, 1),
            ("[192.0.2.1]:2222", "192.0.2.1", 22, 0),
            ("a,192.0.2.1", "192.0.2.1", 22, 1),
            ("192.0.2.*", "192.0.2.17", 22, 1),
            ("192.0.2.*,!192.0.2.17", "192.0.2.17", 22, 0),
            ("192.0.2.?", "192.0.2.17", 22, 0),
            ("Example.COM", "example.com", 22, 1),
            (hashed, "example.com", 22, 1),
            (hashed, "example.org", 22, 0),
            ("|1|broken", "example.com", 22, 0),
            ("*", "anything", 22, 1),
        ] {
            assert_eq!(
                count(&format!("{hosts} {KEY} a comment\n"), host, port),
                expected,
                "{hosts} {host}:{port}"
            );
        }
    }

    #[test]
    fn lines_that_are_no_keys_spoil_nothing() {
        let text = format!(
            "\n# 192.0.2.1 {KEY}\n192.0.2.1 ssh-weird AAAA\n192.0.2.1\n@cert-authority * {KEY}\n192.0.2.1 {KEY}\n"
        );
        let found = find(&text, Path::new("known_hosts"), "192.0.2.1", 22);
        assert_eq!(found.iter().map(|known| known.line).collect::<Vec<_>>(), [6]);
    }

    #[test]
    fn keys_of_several_kinds_are_all_found() {
        let rsa_cut = "ssh-rsa AAAAB3NzaC1yc2EAAA";
        let ecdsa = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZM\
                     y7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=";
        let text = format!("192.0.2.1 {rsa_cut}\n192.0.2.1 {ecdsa}\n192.0.2.1 {KEY}\n");
        assert_eq!(count(&text, "192.0.2.1", 22), 2);
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        let pattern = "*a".repeat(500);
        assert!(!matches(pattern.as_bytes(), "a".repeat(400).as_bytes()));
    }
}
