//! Notification: alarms become mail, each trouble once, and no mail is lost on its way.

pub mod damping;
pub mod kind;
pub mod message;
pub mod queue;
pub mod retry;
pub mod server;
pub mod smtp;

mod delivery;
mod memory;
mod stream;

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;

use dr_watchdog_sdk::Utc;
use serde_json::{Value, json};

pub use delivery::Clock;
use delivery::Shared;
use kind::Kind;
use memory::Memory;
use message::{Message, Origin};
use queue::{Mail, Queue};
use server::Server;

/// Takes alarms; the mails that are due for them are on disk when it returns.
#[derive(Debug)]
pub struct Notifier {
    memory: Memory,
    shared: Rc<Shared>,
}

impl Notifier {
    /// The notifier of a site, with whatever still waits in its folder. Where the folder cannot be used, mails wait in
    /// memory only.
    pub fn open(folder: &Path, server: Option<Server>) -> Self {
        let (queue, complaints) = Queue::open(folder);
        for complaint in complaints {
            tracing::error!("mail: {complaint}");
        }
        let interval_ms = server.as_ref().map_or(0, |server| server.interval_ms);
        let mut memory = Memory::read(folder);
        for number in queue.numbers() {
            if let Some(mail) = queue.get(number) {
                memory.remind(mail, interval_ms);
            }
        }
        Self { memory, shared: Rc::new(Shared::new(queue, server)) }
    }

    /// Delivers what waits, in the background. The task ends with the runtime; what it has not delivered stays on disk.
    pub fn start(&self, clock: Clock) {
        tokio::task::spawn_local(delivery::run(Rc::clone(&self.shared), clock));
    }

    /// From now on mail goes there.
    pub fn set_server(&self, server: Option<Server>) {
        self.shared.server.replace(server);
        self.shared.generation.set(self.shared.generation.get() + 1);
        self.shared.wake.notify_one();
    }

    /// An alarm.
    pub fn alarm(&mut self, now: Utc, kind: Kind, text: &str, origin: &Origin) {
        let Some(interval_ms) = self.interval_ms() else { return };
        if let Some(due) = self.memory.damping.alarm(now, kind, interval_ms) {
            self.put(now, kind, message::alarm(now, kind, text, origin, due), false);
        }
    }

    /// The end of a trouble.
    pub fn end(&mut self, now: Utc, kind: Kind, text: &str, origin: &Origin) {
        let was_open = self.memory.damping.is_open(kind);
        match self.memory.damping.end(kind) {
            Some(due) => self.put(now, kind, message::end(now, kind, text, origin, due), true),
            None if was_open => self.memory.write(),
            None => {}
        }
    }

    /// Kinds of trouble that go on.
    pub fn open_kinds(&self) -> Vec<Kind> {
        Kind::all().filter(|kind| self.memory.damping.is_open(*kind)).collect()
    }

    /// The role in which a site starts. If the last mail told another one, the watchdog ended between the change and
    /// its mail, which is written now.
    pub fn found(&mut self, now: Utc, kind: Kind, origin: &Origin) {
        match self.memory.told_role() {
            Some(told) if told != kind => {
                let text = format!(
                    "the watchdog of this site starts and finds it {}; it ended before the change could be mailed",
                    origin.role
                );
                self.alarm(now, kind, &text, origin);
            }
            Some(_) => {}
            None => {
                self.memory.tell_role(kind);
                self.memory.write();
            }
        }
    }

    fn interval_ms(&self) -> Option<u64> {
        self.shared.server.borrow().as_ref().map(|server| server.interval_ms)
    }

    fn put(&mut self, now: Utc, kind: Kind, message: Message, is_end: bool) {
        let Some(server) = self.shared.server.borrow().clone() else { return };
        let mut queue = self.shared.queue.borrow_mut();
        let domain = server.from.rsplit('@').next().unwrap_or("localhost");
        let message_id = format!("<{}.{}.dr-watchdog@{domain}>", now.unix_ms(), queue.next_number());
        let is_role_change = kind.is_role_change();
        tracing::info!(kind = kind.about().word, "mail is queued: {}", message.subject);
        let (dropped, written) =
            queue.put(Mail { message, recipients: server.recipients, is_role_change, is_end, message_id });
        if let Some(dropped) = dropped {
            tracing::error!("the queue of mails is full; dropped: {}", dropped.message.subject);
            self.shared.status.borrow_mut().given_up += 1;
        }
        if let Err(error) = written {
            tracing::error!(%error, "a mail is only in memory, and lost if the watchdog ends before it is delivered");
        }
        drop(queue);
        if is_role_change {
            self.memory.tell_role(kind);
        }
        self.memory.write();
        self.shared.wake.notify_one();
    }

    /// What `health` says of mail; null where nobody is to be mailed.
    pub fn status(&self) -> Value {
        let server = self.shared.server.borrow();
        let Some(server) = server.as_ref() else { return Value::Null };
        let status = self.shared.status.borrow();
        json!({
            "server": format!("{}:{}", server.host, server.port),
            "recipients": server.recipients,
            "waiting": self.shared.queue.borrow().waiting(),
            "delivered": status.delivered,
            "givenUp": status.given_up,
            "lastDelivered": status.last_delivered,
            "trouble": status.trouble,
            "caEnds": server.ca_ends,
        })
    }
}

/// Gives a message to the server at once, outside of the queue: `notify test`. Each recipient with what became of it.
///
/// # Errors
/// When there is no conversation with the server.
pub async fn send_now(
    server: &Server,
    message: Message,
) -> Result<Vec<(String, Result<(), String>)>, String> {
    let domain = server.from.rsplit('@').next().unwrap_or("localhost");
    let message_id = format!("<{}.{}.test@{domain}>", message.time.unix_ms(), std::process::id());
    let mail = Mail {
        message,
        recipients: server.recipients.clone(),
        is_role_change: false,
        is_end: false,
        message_id,
    };
    let mut session = smtp::Session::open(server).await.map_err(|trouble| trouble.why().to_owned())?;
    let given = session.give(&server.from, &mail).await;
    session.close().await;
    let words = given.into_iter().map(|result| result.map_err(|trouble| trouble.why().to_owned()));
    Ok(mail.recipients.into_iter().zip(words).collect())
}

impl Shared {
    fn new(queue: Queue, server: Option<Server>) -> Self {
        Self {
            queue: RefCell::new(queue),
            server: RefCell::new(server),
            generation: Cell::new(0),
            status: RefCell::default(),
            wake: tokio::sync::Notify::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Tls;

    fn server() -> Server {
        Server {
            host: "192.0.2.1".to_owned(),
            port: 25,
            tls: Tls::None,
            ca: None,
            ca_ends: None,
            log_in: None,
            from: "w@example.com".to_owned(),
            timeout: std::time::Duration::from_secs(30),
            recipients: vec!["a@example.com".to_owned()],
            interval_ms: 3_600_000,
        }
    }

    fn origin(role: &str) -> Origin {
        Origin { site: "a".to_owned(), role: role.to_owned(), epoch: 2, record: None }
    }

    fn at(ms: i64) -> Utc {
        Utc::from_unix_ms(1_700_000_000_000 + ms)
    }

    fn waiting(notifier: &Notifier) -> u64 {
        notifier.status()["waiting"].as_u64().unwrap()
    }

    #[test]
    fn ten_thousand_alarms_are_one_mail_also_over_restarts() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..10 {
            let mut notifier = Notifier::open(folder.path(), Some(server()));
            for ms in 0..1_000 {
                notifier.alarm(at(round * 1_000 + ms), Kind::PolicyFailed, "it hangs", &origin("standby"));
            }
            assert_eq!(waiting(&notifier), 1, "round {round}");
        }
    }

    #[test]
    fn a_restart_between_queue_and_memory_mails_nothing_twice() {
        let folder = tempfile::tempdir().unwrap();
        let mut notifier = Notifier::open(folder.path(), Some(server()));
        notifier.found(at(0), Kind::BecameStandby, &origin("standby"));
        notifier.alarm(at(1), Kind::PolicyFailed, "x", &origin("standby"));
        notifier.alarm(at(2), Kind::BecameActive, "x", &origin("active"));
        std::fs::remove_file(Memory::file(folder.path())).unwrap();
        let mut notifier = Notifier::open(folder.path(), Some(server()));
        notifier.alarm(at(3), Kind::PolicyFailed, "x", &origin("active"));
        notifier.found(at(4), Kind::BecameActive, &origin("active"));
        assert_eq!(waiting(&notifier), 2);
    }

    #[test]
    fn a_change_of_role_that_was_not_mailed_is_mailed_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let mut notifier = Notifier::open(folder.path(), Some(server()));
        notifier.found(at(0), Kind::BecameStandby, &origin("standby"));
        assert_eq!(waiting(&notifier), 0, "the first start changes nothing");
        let mut notifier = Notifier::open(folder.path(), Some(server()));
        notifier.found(at(1), Kind::BecameActive, &origin("active"));
        assert_eq!(waiting(&notifier), 1);
        let mut notifier = Notifier::open(folder.path(), Some(server()));
        notifier.found(at(2), Kind::BecameActive, &origin("active"));
        assert_eq!(waiting(&notifier), 1);
    }

    #[test]
    fn where_nobody_is_to_be_mailed_nothing_is_queued() {
        let folder = tempfile::tempdir().unwrap();
        let mut notifier = Notifier::open(folder.path(), None);
        notifier.alarm(at(0), Kind::BecameActive, "x", &origin("active"));
        assert_eq!(notifier.status(), Value::Null);
        assert_eq!(Queue::open(folder.path()).0.waiting(), 0);
    }
}
