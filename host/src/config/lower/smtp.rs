//! `[smtp]`, lowered.

use std::time::Duration;

use super::site::word;
use super::watchdog::is_mail_address;
use crate::config::error::quoted;
use crate::config::model::{Smtp, Tls};
use crate::config::reader::{Keys, Reader};
use crate::config::secret::secret;

const SMTP: Keys = Keys::new(&["host", "port", "tls", "caFile", "username", "password", "from", "timeout"]);
const TLS: [(&str, Tls); 3] = [("starttls", Tls::StartTls), ("implicit", Tls::Implicit), ("none", Tls::None)];

/// How long each answer of the server is awaited.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// Longest `caFile`: the authorities of a whole system are about 250 KiB.
const CA_BYTES_MAX: u64 = 1 << 20;

const fn port(tls: Tls) -> u16 {
    match tls {
        Tls::StartTls => 587,
        Tls::Implicit => 465,
        Tls::None => 25,
    }
}

/// The certificates of `caFile`.
fn ca(table: &Reader<'_>) -> Option<String> {
    let path = table.report.resolved(table.filled_text("caFile")?);
    let form = "a file of certificates, each between BEGIN CERTIFICATE and END CERTIFICATE";
    let read = table.report.around().read(&path, CA_BYTES_MAX);
    let text = match read.map(|bytes| String::from_utf8(bytes).unwrap_or_default()) {
        Ok(text) => text,
        Err(error) => {
            table.wrong("caFile", format!("the file {} ({error})", path.display()), form);
            return None;
        }
    };
    if !text.contains("-----BEGIN CERTIFICATE-----") {
        table.wrong("caFile", format!("the file {}, which holds none", path.display()), form);
        return None;
    }
    Some(text)
}

pub(super) fn smtp(root: &Reader<'_>) -> Option<Smtp> {
    let table = root.table("smtp", SMTP);
    if !table.is_written() {
        return None;
    }
    let tls = word(&table, "tls", &TLS).unwrap_or(Tls::StartTls);
    let username = table.filled_text("username").map(str::to_owned);
    let password = secret(&table, "password");
    if username.is_some() && table.get("password").is_none() {
        table.missing("password", "{ file = \"smtp-password\" }");
    }
    if password.is_some() && table.get("username").is_none() {
        table.missing("username", "\"watchdog\"");
    }
    if password.is_some() && tls == Tls::None {
        table.warn("tls", "\"none\": the password crosses the network for everyone to read");
    }
    let from = table.required_text("from", "\"watchdog@example.com\"");
    if !from.is_empty() && !is_mail_address(from) {
        table.wrong("from", quoted(from), "a mail address such as \"watchdog@example.com\"");
    }
    Some(Smtp {
        host: table.required_text("host", "\"mail.example.com\"").to_owned(),
        port: table.whole("port", 1, 65_535).unwrap_or(port(tls)),
        tls,
        ca: ca(&table),
        username,
        password,
        from: from.to_owned(),
        timeout: table.span("timeout").unwrap_or(TIMEOUT_DEFAULT),
    })
}
