//! What the `thrussh` library can show to log in: one private key or one password.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use thrussh_keys::Error;
use thrussh_keys::key::KeyPair;

use super::login::NO_PASSPHRASE;
use super::{Destination, SshError};

/// What to do where the library does not reach.
pub(super) const fn instead() -> &'static str {
    "the other adapter knows more: write adapter = \"russh\" under [ssh]"
}

/// What a destination shows to prove who we are.
pub(super) enum Proof {
    /// A private key; wins over the password.
    Key(Arc<KeyPair>),
    /// A password.
    Password(SecretString),
}

impl Proof {
    /// Reads the private key now, so that a broken one costs no connection.
    pub(super) fn new(of: &Destination) -> Result<Self, SshError> {
        let unusable = |why: String| SshError::PrivateKey { user: of.username.clone(), why };
        match (&of.private_key, &of.password) {
            (Some(text), passphrase) => {
                read_key(text, passphrase.as_ref()).map(Arc::new).map(Self::Key).map_err(unusable)
            }
            (None, Some(password)) => Ok(Self::Password(password.clone())),
            (None, None) => Err(unusable("there is neither a key nor a password".to_owned())),
        }
    }

    /// The password, where that is what is shown.
    pub(super) fn password(&self) -> &str {
        match self {
            Self::Key(_) => "",
            Self::Password(password) => password.expose_secret(),
        }
    }
}

fn read_key(text: &SecretString, passphrase: Option<&SecretString>) -> Result<KeyPair, String> {
    let text = text.expose_secret();
    let why = |error: Error| match error {
        Error::UnsupportedKeyType(kind) => {
            let kind = String::from_utf8_lossy(&kind).into_owned();
            format!("the library thrussh reads no keys of the kind {kind}; {}", instead())
        }
        other => format!("{other}; expected the text of an OpenSSH or PEM private key"),
    };
    match thrussh_keys::decode_secret_key(text, None) {
        Ok(key) => return Ok(key),
        Err(Error::KeyIsEncrypted) => {}
        Err(_) if text.contains("ENCRYPTED") => {}
        Err(error) => return Err(why(error)),
    }
    let passphrase = passphrase.ok_or(NO_PASSPHRASE)?;
    thrussh_keys::decode_secret_key(text, Some(passphrase.expose_secret()))
        .map_err(|error| format!("it is encrypted, and the arbiter's password does not open it ({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_refused_with_what_would_be_one() {
        let error = read_key(&SecretString::from("/etc/dr-watchdog/id_ed25519"), None).unwrap_err();
        assert!(error.contains("expected the text of"), "{error}");
    }
}
