//! The log-in: a private key if there is one, else the password, by whichever way the server asks for it.

use std::sync::Arc;

use russh::MethodKind;
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse, Prompt};
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, decode_secret_key};
use russh::{Error, MethodSet};
use secrecy::{ExposeSecret, SecretString};

use super::russh::Gate;
use super::{Destination, SshError};

/// Most rounds of questions in one keyboard-interactive log-in: a server that goes on asking is never satisfied.
const QUESTION_ROUNDS_MAX: usize = 8;
pub(super) const NO_PASSPHRASE: &str =
    "it is encrypted; write its passphrase as the password of this arbiter";

/// What a destination shows to prove who we are.
#[derive(Debug)]
pub(super) struct Credentials {
    user: String,
    key: Option<Arc<PrivateKey>>,
    password: Option<SecretString>,
}

impl Credentials {
    /// Reads the private key now, so that a broken one costs no connection.
    pub(super) fn new(of: &Destination) -> Result<Self, SshError> {
        let key = match &of.private_key {
            Some(text) => Some(Arc::new(
                read_key(text, of.password.as_ref())
                    .map_err(|why| SshError::PrivateKey { user: of.username.clone(), why })?,
            )),
            None => None,
        };
        Ok(Self { user: of.username.clone(), key, password: of.password.clone() })
    }

    /// Logs in.
    pub(super) async fn show(&self, handle: &mut Handle<Gate>) -> Result<(), Refusal> {
        match self.try_ways(handle).await {
            // The library reports a connection that broke as a refusal that offers nothing more.
            Err(Refusal::No(_, offered)) if offered.is_empty() && handle.is_closed() => {
                Err(Refusal::Broke(Error::Disconnect))
            }
            result => result,
        }
    }

    async fn try_ways(&self, handle: &mut Handle<Gate>) -> Result<(), Refusal> {
        let offered = match &self.key {
            Some(key) => match self.show_key(handle, key).await? {
                AuthResult::Success => return Ok(()),
                AuthResult::Failure { remaining_methods, partial_success: true }
                    if self.password.is_some() =>
                {
                    remaining_methods
                }
                AuthResult::Failure { remaining_methods, .. } => {
                    return Err(Refusal::No("with the private key", remaining_methods));
                }
            },
            // Asking what the server takes counts as no failed attempt; a password offered in vain does, and
            // attempts are what devices lock users out for.
            None => match handle.authenticate_none(self.user.clone()).await? {
                AuthResult::Success => return Ok(()),
                AuthResult::Failure { remaining_methods, .. } => remaining_methods,
            },
        };
        let Some(password) = &self.password else {
            return Err(Refusal::No("without password and key", offered));
        };
        if offered.contains(&MethodKind::Password) {
            let result = handle.authenticate_password(self.user.clone(), password.expose_secret()).await?;
            return match result {
                AuthResult::Success => Ok(()),
                AuthResult::Failure { remaining_methods, .. } => {
                    Err(Refusal::No("with the password", remaining_methods))
                }
            };
        }
        if offered.contains(&MethodKind::KeyboardInteractive) {
            return self.answer_questions(handle, password).await;
        }
        Err(Refusal::No("with a password, which it does not take", offered))
    }

    async fn show_key(
        &self,
        handle: &mut Handle<Gate>,
        key: &Arc<PrivateKey>,
    ) -> Result<AuthResult, Refusal> {
        let mut hashes = vec![None];
        if key.algorithm().is_rsa() {
            hashes = match handle.best_supported_rsa_hash().await? {
                Some(best) => vec![best],
                // The server does not say. SHA-1 is for the ones that are too old to know anything else.
                None => vec![Some(HashAlg::Sha512), None],
            };
        }
        let mut last = None;
        for hash in hashes {
            let shown = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
            let result = handle.authenticate_publickey(self.user.clone(), shown).await?;
            let is_final = match &result {
                AuthResult::Success => true,
                AuthResult::Failure { partial_success, .. } => *partial_success,
            };
            if is_final {
                return Ok(result);
            }
            last = Some(result);
        }
        last.ok_or(Refusal::Broke(Error::NoAuthMethod))
    }

    async fn answer_questions(
        &self,
        handle: &mut Handle<Gate>,
        password: &SecretString,
    ) -> Result<(), Refusal> {
        let mut asked = handle.authenticate_keyboard_interactive_start(self.user.clone(), None).await?;
        for _ in 0..QUESTION_ROUNDS_MAX {
            let prompts = match asked {
                KeyboardInteractiveAuthResponse::Success => return Ok(()),
                KeyboardInteractiveAuthResponse::Failure { remaining_methods, .. } => {
                    return Err(Refusal::No("with the password, asked for interactively", remaining_methods));
                }
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
            };
            let answers = answers(&prompts, password).ok_or_else(|| {
                Refusal::No(
                    "it asks more than a password",
                    MethodSet::from(&[MethodKind::KeyboardInteractive][..]),
                )
            })?;
            asked = handle.authenticate_keyboard_interactive_respond(answers).await?;
        }
        Err(Refusal::No("it never stops asking", MethodSet::from(&[MethodKind::KeyboardInteractive][..])))
    }
}

/// The password is given to one hidden question only: a question whose answer is shown asks for something else.
fn answers(prompts: &[Prompt], password: &SecretString) -> Option<Vec<String>> {
    match prompts {
        [] => Some(Vec::new()),
        [prompt] if !prompt.echo => Some(vec![password.expose_secret().to_owned()]),
        _ => None,
    }
}

/// How a log-in failed.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The server said no: what was tried, and what it would take.
    No(&'static str, MethodSet),
    /// The connection broke.
    Broke(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Broke(error)
    }
}

fn read_key(text: &SecretString, passphrase: Option<&SecretString>) -> Result<PrivateKey, String> {
    if let Some(key) = unencrypted(text)? {
        return Ok(key);
    }
    let passphrase = passphrase.ok_or(NO_PASSPHRASE)?;
    decode_secret_key(text.expose_secret(), Some(passphrase.expose_secret()))
        .map_err(|error| format!("it is encrypted, and the arbiter's password does not open it ({error})"))
}

/// The key, if it can be read without a passphrase; `None` if it is encrypted.
fn unencrypted(text: &SecretString) -> Result<Option<PrivateKey>, String> {
    let text = text.expose_secret();
    match decode_secret_key(text, None) {
        Ok(key) => Ok(Some(key)),
        Err(russh::keys::Error::KeyIsEncrypted) => Ok(None),
        Err(_) if text.contains("ENCRYPTED") => Ok(None),
        Err(error) => Err(format!("{error}; expected the text of an OpenSSH or PEM private key")),
    }
}

/// Why a private key cannot be used, as far as that can be told without opening it, which takes a while.
pub fn key_trouble(text: &SecretString, has_passphrase: bool) -> Option<String> {
    match unencrypted(text) {
        Ok(None) if !has_passphrase => Some(NO_PASSPHRASE.to_owned()),
        Ok(_) => None,
        Err(why) => Some(why),
    }
}

/// What a server takes, in its own words.
pub(super) fn words(methods: &MethodSet) -> String {
    let words: Vec<&str> = methods.iter().map(<&'static str>::from).collect();
    if words.is_empty() { "nothing more".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(text: &str, echo: bool) -> Prompt {
        Prompt { prompt: text.to_owned(), echo }
    }

    #[test]
    fn only_one_hidden_question_is_answered_with_the_password() {
        let secret = SecretString::from("s3cret");
        assert_eq!(answers(&[], &secret), Some(vec![]));
        assert_eq!(answers(&[prompt("Password: ", false)], &secret), Some(vec!["s3cret".to_owned()]));
        assert_eq!(answers(&[prompt("User: ", true)], &secret), None);
        assert_eq!(answers(&[prompt("Password: ", false), prompt("Token: ", false)], &secret), None);
    }

    #[test]
    fn what_is_no_key_is_refused_with_what_would_be_one() {
        let error = read_key(&SecretString::from("/etc/dr-watchdog/id_ed25519"), None).unwrap_err();
        assert!(error.contains("expected the text of"), "{error}");
    }
}
