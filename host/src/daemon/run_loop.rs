//! The run loop: the only `select!`, the only place where the clock is read.
//!
//! The law of the loop: whatever happens is given to the core; then every effect is performed in the order the core
//! asked for them, and a write of the state is on disk before the next effect is looked at.

use std::time::Duration;

use dr_watchdog_core::{Event, Moment, Now, Watchdog};
use dr_watchdog_sdk::Utc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::control::InFlight;
use super::effects::World;
use super::journal::Journal;
use super::mailing;
use super::peer_login;
use super::pending;
use super::policy_desk::Answered;
use super::requests;
use super::steps::StepEnd;
use super::systemd::Systemd;
use super::watched;
use crate::frames::{Request, Response};

/// Everything that can wake the loop.
#[derive(Debug)]
pub(super) struct Inbox {
    /// What tasks report to the core.
    pub events: mpsc::UnboundedReceiver<Event>,
    /// Answers of the policy.
    pub answers: mpsc::UnboundedReceiver<Answered>,
    /// Ends of steps.
    pub steps: mpsc::UnboundedReceiver<StepEnd>,
    /// Requests over the control socket.
    pub requests: mpsc::Receiver<(Request, oneshot::Sender<Response>)>,
    /// Log-ins at the other site that were tried.
    pub logins: mpsc::UnboundedReceiver<Result<(), String>>,
    /// Answers to them that are not yet written.
    pub in_flight: InFlight,
}

/// Reads both clocks. CLOCK_BOOTTIME goes on in suspend.
pub fn now() -> Now {
    let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let us = u64::try_from(boot.tv_sec).unwrap_or(0) * 1_000_000
        + u64::try_from(boot.tv_nsec).unwrap_or(0) / 1_000;
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Now {
        mono: Moment::from_us(us),
        wall: Utc::from_unix_ms(i64::try_from(wall.as_millis()).unwrap_or(i64::MAX)),
    }
}

/// Turns until a signal or a request ends the daemon.
///
/// # Errors
/// When signals cannot be received.
pub(super) async fn run(
    mut core: Watchdog,
    mut world: World,
    mut inbox: Inbox,
    mut journal: Journal,
) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut systemd = Systemd::from_environment();
    perform_all(&mut core, &mut world, &mut journal).await;
    world.show(now(), &core);
    while !world.is_ending() {
        let event = tokio::select! {
            biased;
            name = ended(&mut terminate, &mut interrupt) => {
                tracing::info!("{name} received: the watchdog ends; services are left as they are");
                break;
            }
            _ = hangup.recv() => requests::reload(&mut world, &core),
            Some(event) = inbox.events.recv() => Some(event),
            Some(end) = inbox.steps.recv() => Some(watched::step_ended(&mut world, now(), &core, end)),
            Some(answered) = inbox.answers.recv() => Some(world.answered(answered)),
            Some((request, reply)) = inbox.requests.recv() => {
                requests::handle(&mut world, &core, now(), request, reply)
            }
            () = systemd.due() => {
                systemd.ping();
                None
            }
            Some(result) = inbox.logins.recv() => {
                peer_login::ended(&mut world, now(), &core, result);
                None
            }
            () = until(core.poll_timeout()) => Some(Event::TimePassed),
        };
        if let Some(event) = event {
            watched::look(&mut world, now(), &event);
            give(&mut core, &mut journal, event);
        }
        perform_all(&mut core, &mut world, &mut journal).await;
        // A sweep of a thousand arbiters is a thousand events; the states are written down after the last of them.
        if inbox.events.is_empty() {
            mailing::settle(&mut world, now(), &core);
            pending::look(&mut world, now(), &core);
            world.show(now(), &core);
        }
        systemd.follow(&core);
    }
    systemd.ending();
    drop(inbox.requests);
    inbox.in_flight.written().await;
    world.end().await;
    Ok(())
}

/// Gives an event to the core; the journal has it first, so that it also has the one on which a core ends.
fn give(core: &mut Watchdog, journal: &mut Journal, event: Event) {
    let now = now();
    journal.event(now, &event, core.pending_effects());
    core.handle_event(now, event);
}

async fn perform_all(core: &mut Watchdog, world: &mut World, journal: &mut Journal) {
    while let Some(effect) = core.poll_effect() {
        journal.effect(&effect);
        if let Some(event) = world.perform(now(), core, effect).await {
            give(core, journal, event);
        }
    }
    world.answer_switching();
}

async fn ended(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

/// Sleeps until a moment. Tokio's clock stands still in suspend, so this only ever wakes the loop: what is due is
/// decided by CLOCK_BOOTTIME, and a wake-up too late is not possible by more than the suspend itself.
async fn until(moment: Option<Moment>) {
    match moment {
        Some(moment) => tokio::time::sleep(moment.since(now().mono)).await,
        None => std::future::pending().await,
    }
}
