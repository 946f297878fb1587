//! A conversation with the mail server.

use std::fmt::Display;
use std::future::Future;
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, Message};
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::queue::Mail;
use super::retry::Trouble;
use super::server::Server;
use super::stream::Limited;
use crate::config::chain;
use crate::config::model::Tls;

/// The word that a mail is kept may take so many times the timeout: servers scan a mail first. RFC 5321 asks for ten
/// minutes; so long the other mails would wait too.
const KEPT_TIMEOUTS: u32 = 2;
/// Longest wait for a good-bye, which changes nothing any more.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);

/// A conversation in which mails can be given.
pub struct Session {
    connection: AsyncSmtpConnection,
    timeout: Duration,
    is_broken: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("is_broken", &self.is_broken).finish_non_exhaustive()
    }
}

type SmtpError = lettre::transport::smtp::Error;

/// One answer of the server, in time.
async fn answer<T>(
    what: &str,
    limit: Duration,
    asked: impl Future<Output = Result<T, SmtpError>>,
) -> Result<T, Failure> {
    match timeout(limit, asked).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Failure::new(what, &error)),
        Err(_) => Err(Failure {
            why: format!("{what}: no answer within {} s", limit.as_secs_f64()),
            kind: FailureKind::Silence,
        }),
    }
}

/// An answer that did not come, or was none.
#[derive(Debug)]
struct Failure {
    why: String,
    kind: FailureKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FailureKind {
    /// 4xx.
    ForNow,
    /// 5xx.
    ForGood,
    /// Nothing came in time.
    Silence,
    /// The connection broke, or something came that is no answer.
    Broken,
}

impl Failure {
    fn new(what: &str, error: &SmtpError) -> Self {
        let kind = match () {
            () if error.is_transient() => FailureKind::ForNow,
            () if error.is_permanent() => FailureKind::ForGood,
            () => FailureKind::Broken,
        };
        let why = chain(error);
        let hint = hint(&why).map(|hint| format!("; {hint}")).unwrap_or_default();
        Self { why: format!("{what}: {why}{hint}"), kind }
    }

    fn of_server(self) -> Trouble {
        Trouble::Server(self.why)
    }
}

/// What a person may do about the answers that need explaining.
fn hint(why: &str) -> Option<&'static str> {
    let has = |words: &[&str]| words.iter().any(|word| why.contains(word));
    match () {
        () if has(&["ProtocolVersion", "VersionIsDisabled", "Tls12NotOffered", "incompatible"]) => Some(
            "the server offers no TLS 1.2 or later: bring it up to date; there is no way around that here",
        ),
        () if has(&["UnknownIssuer", "CaUsedAsEndEntity"]) => Some(
            "the server's certificate is signed by nobody whom this machine trusts: name its authority in smtp.caFile",
        ),
        () if has(&["NotValidForName"]) => {
            Some("the server's certificate is for another name: smtp.host must be the one in it")
        }
        () if has(&["InvalidContentType", "corrupt message"]) => {
            Some("the server does not begin with TLS on this port: try smtp.tls = \"starttls\"")
        }
        () if has(&["STARTTLS is not supported"]) => Some(
            "nothing is sent in the clear while smtp.tls = \"starttls\": enable it there, or set \"none\"",
        ),
        () => None,
    }
}

fn hello() -> ClientId {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    // RFC 5321 wants a name or an address literal; a name with other characters would be refused by strict servers.
    let is_name = |name: &String| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
    };
    ClientId::Domain(name.filter(is_name).unwrap_or_else(|| "localhost".to_owned()))
}

fn encryption(server: &Server) -> Result<TlsParameters, Trouble> {
    let trouble = |error: SmtpError| Failure::new("encryption", &error).of_server();
    let mut builder = TlsParameters::builder(server.host.clone());
    if let Some(ca) = &server.ca {
        builder = builder.add_root_certificate(Certificate::from_pem(ca.as_bytes()).map_err(trouble)?);
    }
    builder.build_rustls().map_err(trouble)
}

impl Session {
    /// Connects, encrypts and logs in.
    ///
    /// # Errors
    /// Always [`Trouble::Server`].
    pub async fn open(server: &Server) -> Result<Self, Trouble> {
        let place = format!("{} port {}", server.host, server.port);
        let name = hello();
        let connection = match server.tls {
            Tls::Implicit => {
                let to = (server.host.as_str(), server.port);
                let opened =
                    AsyncSmtpConnection::connect_tokio1(to, None, &name, Some(encryption(server)?), None);
                answer(&place, server.timeout, opened).await.map_err(Failure::of_server)?
            }
            Tls::StartTls | Tls::None => {
                let connected =
                    timeout(server.timeout, TcpStream::connect((server.host.as_str(), server.port)));
                let tcp = match connected.await {
                    Ok(Ok(tcp)) => tcp,
                    Ok(Err(error)) => return Err(Trouble::Server(format!("{place}: {error}"))),
                    Err(_) => {
                        let limit = server.timeout.as_secs_f64();
                        return Err(Trouble::Server(format!("{place}: no connection within {limit} s")));
                    }
                };
                let opened = AsyncSmtpConnection::connect_with_transport(Box::new(Limited::new(tcp)), &name);
                answer(&place, server.timeout, opened).await.map_err(Failure::of_server)?
            }
        };
        let mut session = Self { connection, timeout: server.timeout, is_broken: false };
        if server.tls == Tls::StartTls {
            let encrypted = session.connection.starttls(encryption(server)?, &name);
            answer("STARTTLS", server.timeout, encrypted).await.map_err(Failure::of_server)?;
        }
        if let Some((user, password)) = &server.log_in {
            let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            let logged_in = session.connection.auth(&mechanisms, &credentials);
            answer("log-in", server.timeout, logged_in).await.map_err(Failure::of_server)?;
        }
        Ok(session)
    }

    /// Whether the server can still be talked to.
    pub const fn is_usable(&self) -> bool {
        !self.is_broken
    }

    /// Asks whether the server would take a mail for each recipient, and gives none.
    pub async fn would_take(&mut self, from: &str, recipients: &[String]) -> Vec<Result<(), Trouble>> {
        let all = |trouble: &Trouble| recipients.iter().map(|_| Err(trouble.clone())).collect();
        let sender = match from.parse::<Address>() {
            Ok(sender) => sender,
            Err(error) => return all(&Trouble::Refused(format!("smtp.from: {error}"))),
        };
        if let Err(trouble) = self.begin(sender).await {
            return all(&trouble);
        }
        let named = self.name_all(recipients).await;
        self.reset().await;
        named
    }

    async fn begin(&mut self, sender: Address) -> Result<(), Trouble> {
        let begun = self.ask("MAIL FROM", MailFrom::new(Some(sender), Vec::new())).await;
        begun.map_err(|failure| {
            self.is_broken = true;
            failure.of_server()
        })
    }

    async fn name_all(&mut self, recipients: &[String]) -> Vec<Result<(), Trouble>> {
        let mut named = Vec::with_capacity(recipients.len());
        for recipient in recipients {
            named.push(self.name(recipient).await);
            if self.is_broken {
                let trouble = Trouble::Server("the server ended the conversation".to_owned());
                return recipients.iter().map(|_| Err(trouble.clone())).collect();
            }
        }
        named
    }

    /// Gives one mail; what became of it, recipient by recipient.
    pub async fn give(&mut self, from: &str, mail: &Mail) -> Vec<Result<(), Trouble>> {
        let all = |trouble: &Trouble| mail.recipients.iter().map(|_| Err(trouble.clone())).collect();
        let (sender, text) = match (from.parse::<Address>(), compose(from, mail)) {
            (Ok(sender), Ok(text)) => (sender, text),
            (Err(error), _) => return all(&Trouble::Refused(format!("smtp.from: {error}"))),
            (_, Err(why)) => return all(&Trouble::Refused(why)),
        };
        if let Err(trouble) = self.begin(sender).await {
            return all(&trouble);
        }
        let taken = self.name_all(&mail.recipients).await;
        if self.is_broken {
            return taken;
        }
        if taken.iter().all(Result::is_err) {
            self.reset().await;
            return taken;
        }
        let kept = self.hand_over(&text).await;
        taken.into_iter().map(|taken| taken.and_then(|()| kept.clone())).collect()
    }

    /// One command, and the answer to it in time.
    async fn ask(&mut self, what: &str, command: impl Display) -> Result<(), Failure> {
        answer(what, self.timeout, self.connection.command(command)).await.map(|_| ())
    }

    /// Names one recipient.
    async fn name(&mut self, recipient: &str) -> Result<(), Trouble> {
        let address: Address = recipient
            .parse()
            .map_err(|error| Trouble::Refused(format!("watchdog.notification.email {recipient}: {error}")))?;
        let what = format!("RCPT TO {recipient}");
        let named = self.ask(&what, Rcpt::new(address, Vec::new())).await;
        named.map_err(|failure| self.trouble(failure))
    }

    async fn hand_over(&mut self, text: &[u8]) -> Result<(), Trouble> {
        let begun = self.ask("DATA", Data).await;
        begun.map_err(|failure| self.trouble(failure))?;
        let kept =
            answer("end of the mail", self.timeout * KEPT_TIMEOUTS, self.connection.message(text)).await;
        kept.map(|_| ()).map_err(|failure| {
            if failure.kind == FailureKind::Silence {
                self.is_broken = true;
                return Trouble::Unsure(format!("{}; the server may have kept the mail", failure.why));
            }
            self.trouble(failure)
        })
    }

    const fn is_answer(failure: &Failure) -> bool {
        matches!(failure.kind, FailureKind::ForNow | FailureKind::ForGood)
    }

    fn trouble(&mut self, failure: Failure) -> Trouble {
        self.is_broken |= !Self::is_answer(&failure);
        match failure.kind {
            FailureKind::ForNow => Trouble::Deferred(failure.why),
            FailureKind::ForGood => Trouble::Refused(failure.why),
            FailureKind::Silence | FailureKind::Broken => failure.of_server(),
        }
    }

    async fn reset(&mut self) {
        self.is_broken |= self.ask("RSET", Rset).await.is_err();
    }

    /// Says good-bye; whether the server hears it matters to nobody.
    pub async fn close(mut self) {
        if !self.is_broken {
            let _ = timeout(QUIT_TIMEOUT, self.connection.quit()).await;
        }
    }
}

/// The mail as it crosses the wire.
fn compose(from: &str, mail: &Mail) -> Result<Vec<u8>, String> {
    let message = &mail.message;
    let mailbox = |address: &str| -> Result<Mailbox, String> {
        address
            .parse::<Address>()
            .map(|address| Mailbox::new(None, address))
            .map_err(|e| format!("{address}: {e}"))
    };
    let written = UNIX_EPOCH + Duration::from_millis(u64::try_from(message.time.unix_ms()).unwrap_or(0));
    let mut builder = Message::builder()
        .from(mailbox(from)?)
        .date(written)
        .subject(message.subject.clone())
        .message_id(Some(mail.message_id.clone()))
        .header(ContentType::TEXT_PLAIN);
    for recipient in &mail.recipients {
        // One that cannot be written is refused when it is named; the others get the mail.
        if let Ok(recipient) = mailbox(recipient) {
            builder = builder.to(recipient);
        }
    }
    for (name, value) in [
        // No vacation notice answers a machine that says it is one.
        (HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated"),
        (HeaderName::new_from_ascii_str("X-DR-Watchdog-Site"), &message.site),
        (HeaderName::new_from_ascii_str("X-DR-Watchdog-Kind"), &message.kind),
    ] {
        builder = builder.raw_header(HeaderValue::new(name, value.to_owned()));
    }
    let composed = builder.body(message.body.clone());
    composed
        .map(|message| message.formatted())
        .map_err(|error| format!("the mail cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::message::Message;
    use dr_watchdog_sdk::Utc;

    #[test]
    fn a_mail_says_that_a_machine_wrote_it_and_keeps_its_identity_in_every_copy() {
        let message = Message {
            kind: "becameActive".to_owned(),
            site: "ü".to_owned(),
            time: Utc::from_unix_ms(1_700_000_000_000),
            subject: "[dr-watchdog] site ü: is active now".to_owned(),
            body: "What happened:\n  →\n.\n".to_owned(),
        };
        let mail = Mail {
            message,
            recipients: vec!["a@example.com".to_owned(), "not an address".to_owned()],
            is_role_change: true,
            is_end: false,
            message_id: "<1.2@dr-watchdog>".to_owned(),
        };
        let text = String::from_utf8(compose("w@example.com", &mail).unwrap()).unwrap();
        for line in [
            "From: w@example.com\r\n",
            "To: a@example.com\r\n",
            "Message-ID: <1.2@dr-watchdog>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "X-DR-Watchdog-Kind: becameActive\r\n",
            "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        assert!(text.is_ascii(), "every server takes it\n{text}");
        assert!(compose("nobody", &mail).is_err());
    }

    #[test]
    fn the_errors_that_need_explaining_are_explained() {
        assert!(hint("invalid peer certificate: UnknownIssuer").unwrap().contains("smtp.caFile"));
        assert!(hint("received fatal alert: ProtocolVersion").unwrap().contains("TLS 1.2"));
        assert!(hint("permanent error (550)").is_none());
    }
}
