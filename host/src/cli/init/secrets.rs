//! What `init` makes out of chance: the heartbeat key, the pair's id, passwords, a certificate, an SSH key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use serde::{Deserialize, Serialize};

/// Bytes of the heartbeat key: as many as the hash that signs with it has.
const KEY_BYTES: usize = 32;
/// Bytes of the pair's id.
const ID_BYTES: usize = 16;
/// Bytes of a password: 24 letters in base64.
const PASSWORD_BYTES: usize = 18;

/// What both sites share.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shared {
    /// The pair's id.
    pub(super) cluster_id: String,
    /// Signs heartbeats.
    pub(super) heartbeat_key: String,
    /// Of the replication users, in the order of the questions: MySQL's two, PostgreSQL's two.
    pub(super) passwords: [String; 4],
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("cluster_id", &self.cluster_id).finish_non_exhaustive()
    }
}

/// A certificate with its key, in PEM.
pub(super) struct Certificate {
    pub(super) certificate: String,
    pub(super) key: String,
}

fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        // Never stops short of its buffer for so few bytes, but may be interrupted by a signal.
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())
            .map_err(|error| format!("the system gives no random numbers: {error}"))?;
    }
    Ok(bytes)
}

impl Shared {
    /// New ones.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub(super) fn new() -> Result<Self, String> {
        let id: [u8; ID_BYTES] = random()?;
        let password = || random::<PASSWORD_BYTES>().map(|bytes| STANDARD.encode(bytes));
        Ok(Self {
            cluster_id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
            heartbeat_key: STANDARD.encode(random::<KEY_BYTES>()?),
            passwords: [password()?, password()?, password()?, password()?],
        })
    }
}

/// A self-signed certificate for a site, by the names under which databases connect.
///
/// # Errors
/// When it cannot be made.
pub(super) fn certificate(site: &str, addresses: &[String]) -> Result<Certificate, String> {
    let failed = |error: rcgen::Error| format!("no certificate can be made: {error}");
    let key = rcgen::KeyPair::generate().map_err(failed)?;
    let mut params = rcgen::CertificateParams::new(addresses.to_vec()).map_err(failed)?;
    params.distinguished_name.push(rcgen::DnType::CommonName, format!("dr-watchdog {site}"));
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok(Certificate { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// A new SSH key: the private half, and the public one as a line for `authorized_keys`.
///
/// # Errors
/// When it cannot be made.
pub(super) fn ssh_key(comment: &str) -> Result<(String, String), String> {
    let failed = |error: russh::keys::ssh_key::Error| format!("no SSH key can be made: {error}");
    let mut key = PrivateKey::from(Ed25519Keypair::from_seed(&random()?));
    key.set_comment(comment);
    let private = key.to_openssh(LineEnding::LF).map_err(failed)?.to_string();
    let public = key.public_key().to_openssh().map_err(failed)?;
    Ok((private, public))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_new_each_time_and_has_its_shape() {
        let (one, other) = (Shared::new().unwrap(), Shared::new().unwrap());
        assert_eq!((one.cluster_id.len(), one.heartbeat_key.len()), (32, 44));
        assert_ne!(one.cluster_id, other.cluster_id);
        assert_ne!(one.passwords[0], one.passwords[1]);
        assert!(!format!("{one:?}").contains(&one.heartbeat_key));
    }

    #[test]
    fn a_certificate_and_an_ssh_key_are_what_they_say() {
        let made = certificate("a", &["192.0.2.10".to_owned()]).unwrap();
        assert!(made.certificate.starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(made.key.contains("PRIVATE KEY"));
        let (private, public) = ssh_key("dr-watchdog site a").unwrap();
        assert!(russh::keys::decode_secret_key(&private, None).is_ok());
        assert!(public.starts_with("ssh-ed25519 ") && public.ends_with("dr-watchdog site a"), "{public}");
    }
}
