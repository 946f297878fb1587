//! The mail server as it is configured, with the recipients.

use std::time::Duration;

use dr_watchdog_sdk::Utc;
use secrecy::SecretString;

use crate::config::certificate::earliest_end;
use crate::config::model::{Smtp, Tls};

/// Recipients at most: who needs more has a list at his mail server.
const RECIPIENTS_MAX: usize = 20;

/// Where mail goes.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// Certificates that are trusted beside those of the system.
    pub ca: Option<String>,
    /// When the first of them ends.
    pub ca_ends: Option<Utc>,
    /// User and password, if it wants a log-in.
    pub log_in: Option<(String, SecretString)>,
    /// Sender.
    pub from: String,
    /// How long each of its answers is awaited.
    pub timeout: Duration,
    /// Who gets it.
    pub recipients: Vec<String>,
    /// The same trouble is told once in so many milliseconds.
    pub interval_ms: u64,
}

impl Server {
    /// The server of a configuration; `None` where nobody is to be mailed.
    pub fn new(smtp: Option<&Smtp>, email: &str, interval_ms: u64) -> Option<Self> {
        let recipients = recipients(email);
        let smtp = smtp.filter(|_| !recipients.is_empty())?;
        Some(Self {
            host: smtp.host.clone(),
            port: smtp.port,
            tls: smtp.tls,
            ca: smtp.ca.clone(),
            ca_ends: smtp.ca.as_deref().and_then(earliest_end),
            log_in: smtp.username.clone().zip(smtp.password.clone()),
            from: smtp.from.clone(),
            timeout: smtp.timeout,
            recipients,
            interval_ms,
        })
    }
}

/// The addresses of `watchdog.notification.email`, each once.
pub fn recipients(email: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for address in email.split(',').map(str::trim).filter(|address| !address.is_empty()) {
        if found.len() < RECIPIENTS_MAX && !found.iter().any(|known| known == address) {
            found.push(address.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_are_separated_by_commas_and_each_gets_one_mail() {
        assert_eq!(
            recipients(" a@example.com, b@example.com,a@example.com,"),
            ["a@example.com", "b@example.com"]
        );
        assert!(recipients("").is_empty());
    }
}
