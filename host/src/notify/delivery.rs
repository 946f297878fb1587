//! Delivery: takes the mails that wait to the server, until it has taken them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use dr_watchdog_sdk::Utc;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::queue::{Mail, Queue};
use super::retry::{self, Trouble};
use super::server::Server;
use super::smtp::Session;

/// Reads the wall clock, for the age of a mail.
pub type Clock = fn() -> Utc;

/// Longest rest of the task: nothing is due later than a mail's longest pause.
const REST_MAX: Duration = Duration::from_secs(3_600);

/// What the task and the notifier both know.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) queue: RefCell<Queue>,
    pub(super) server: RefCell<Option<Server>>,
    /// How often the server was another one.
    pub(super) generation: Cell<u64>,
    pub(super) status: RefCell<Status>,
    /// A mail was queued, or the server is another one.
    pub(super) wake: Notify,
}

/// How delivery goes.
#[derive(Debug, Default)]
pub(super) struct Status {
    pub(super) delivered: u64,
    pub(super) given_up: u64,
    pub(super) last_delivered: Option<Utc>,
    /// Why mail waits; `None` when it does not.
    pub(super) trouble: Option<String>,
}

/// When what is tried again.
#[derive(Debug, Default)]
struct Schedule {
    server: Next,
    mails: BTreeMap<u64, Next>,
}

/// Tries so far, and the next one.
#[derive(Debug, Clone, Copy, Default)]
struct Next {
    tries: u32,
    due: Option<Instant>,
}

impl Next {
    fn is_due(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| due <= now)
    }

    fn failed(&mut self, trouble: &Trouble) {
        self.tries = self.tries.saturating_add(1);
        self.due = Some(Instant::now() + retry::pause(trouble, self.tries));
    }
}

/// Delivers for ever.
pub(super) async fn run(shared: Rc<Shared>, clock: Clock) {
    let mut schedule = Schedule::default();
    let mut known = 0;
    loop {
        let server = shared.server.borrow().clone();
        if let Some(server) = server {
            let generation = shared.generation.get();
            if generation != known {
                // The pauses were for another server, or another password.
                schedule = Schedule::default();
                known = generation;
            }
            pass(&shared, &server, &mut schedule, clock).await;
        }
        let rest = rest(&shared, &schedule);
        // Its end is as good a reason to go on as being woken.
        let _ = timeout(rest, shared.wake.notified()).await;
    }
}

/// How long nothing is due.
fn rest(shared: &Shared, schedule: &Schedule) -> Duration {
    let numbers = shared.queue.borrow().numbers();
    let now = Instant::now();
    let due = |number: &u64| {
        let mail = schedule.mails.get(number).and_then(|next| next.due);
        mail.max(schedule.server.due).map_or(Duration::ZERO, |due| due.saturating_duration_since(now))
    };
    let is_silent = shared.server.borrow().is_none();
    numbers.iter().filter(|_| !is_silent).map(due).min().unwrap_or(REST_MAX).min(REST_MAX)
}

/// Tries every mail that is due.
async fn pass(shared: &Shared, server: &Server, schedule: &mut Schedule, clock: Clock) {
    if !schedule.server.is_due(Instant::now()) {
        return;
    }
    let mut session = None;
    for number in due(shared, schedule) {
        let Some(mail) = shared.queue.borrow().get(number).cloned() else { continue };
        let mut open = match session.take().filter(Session::is_usable) {
            Some(open) => open,
            None => match Session::open(server).await {
                Ok(open) => open,
                Err(trouble) => return server_failed(shared, schedule, &trouble, clock),
            },
        };
        let given = open.give(&server.from, &mail).await;
        if let Some(trouble) = settle(shared, schedule, number, &mail, given, clock) {
            return server_failed(shared, schedule, &trouble, clock);
        }
        session = Some(open);
    }
    if let Some(session) = session {
        session.close().await;
        schedule.server = Next::default();
    }
}

/// The mails to be tried now: changes of role first, then the oldest.
fn due(shared: &Shared, schedule: &Schedule) -> Vec<u64> {
    let now = Instant::now();
    let queue = shared.queue.borrow();
    let mut numbers = queue.numbers();
    numbers.retain(|number| schedule.mails.get(number).is_none_or(|next| next.is_due(now)));
    numbers.sort_by_key(|number| !queue.get(*number).is_some_and(|mail| mail.is_role_change));
    numbers
}

/// Takes what became of a mail; a trouble that every other mail would meet is returned.
fn settle(
    shared: &Shared,
    schedule: &mut Schedule,
    number: u64,
    mail: &Mail,
    given: Vec<Result<(), Trouble>>,
    clock: Clock,
) -> Option<Trouble> {
    let subject = &mail.message.subject;
    let mut left = Vec::new();
    let mut worst: Option<Trouble> = None;
    let mut of_server = None;
    for (recipient, result) in mail.recipients.iter().zip(given) {
        match result {
            Ok(()) => {
                tracing::info!(recipient, "mailed: {subject}");
                let mut status = shared.status.borrow_mut();
                status.delivered += 1;
                status.last_delivered = Some(clock());
            }
            Err(trouble) => {
                let why = trouble.why();
                tracing::warn!(recipient, "not mailed yet: {subject}: {why}");
                left.push((recipient.clone(), trouble.clone()));
                if matches!(trouble, Trouble::Server(_)) {
                    of_server = Some(trouble);
                } else if worst
                    .as_ref()
                    .is_none_or(|worst| retry::pause(&trouble, 1) < retry::pause(worst, 1))
                {
                    // The one that may be tried soonest sets the pace of the mail.
                    worst = Some(trouble);
                }
            }
        }
    }
    let next = schedule.mails.entry(number).or_default();
    if let Some(trouble) = &worst {
        next.failed(trouble);
    }
    let age_ms = clock().unix_ms().saturating_sub(mail.message.time.unix_ms());
    let tries = next.tries;
    left.retain(|(recipient, trouble)| {
        let is_given_up = retry::is_given_up(trouble, age_ms, tries);
        if is_given_up {
            give_up(shared, recipient, subject, trouble);
        }
        !is_given_up
    });
    if left.is_empty() {
        schedule.mails.remove(&number);
    }
    shared.status.borrow_mut().trouble = left.first().map(|(_, trouble)| trouble.why().to_owned());
    let recipients: Vec<String> = left.into_iter().map(|(recipient, _)| recipient).collect();
    if recipients != mail.recipients {
        update(shared, number, recipients);
    }
    of_server
}

fn update(shared: &Shared, number: u64, recipients: Vec<String>) {
    if let Err(error) = shared.queue.borrow_mut().update(number, recipients) {
        tracing::warn!(%error, "the queue of mails could not be written; a mail may be sent twice after a restart");
    }
}

fn give_up(shared: &Shared, recipient: &str, subject: &str, trouble: &Trouble) {
    tracing::error!(recipient, "given up: {subject}: {}", trouble.why());
    shared.status.borrow_mut().given_up += 1;
}

/// No mail can be delivered for now.
fn server_failed(shared: &Shared, schedule: &mut Schedule, trouble: &Trouble, clock: Clock) {
    tracing::warn!("mail waits: {}", trouble.why());
    schedule.server.failed(trouble);
    shared.status.borrow_mut().trouble = Some(trouble.why().to_owned());
    let numbers = shared.queue.borrow().numbers();
    for number in numbers {
        let Some(mail) = shared.queue.borrow().get(number).cloned() else { continue };
        let age_ms = clock().unix_ms().saturating_sub(mail.message.time.unix_ms());
        if retry::is_given_up(trouble, age_ms, schedule.server.tries) {
            mail.recipients.iter().for_each(|each| give_up(shared, each, &mail.message.subject, trouble));
            schedule.mails.remove(&number);
            update(shared, number, Vec::new());
        }
    }
}
