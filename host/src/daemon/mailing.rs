//! Mailing: which of the core's notices and decisions are told, when a trouble is over.

use dr_watchdog_core::durable::Found;
use dr_watchdog_core::effect::{Decision, Notice, Trigger};
use dr_watchdog_core::heartbeat::Reach;
use dr_watchdog_core::transitions::Phase;
use dr_watchdog_core::{Now, Watchdog};
use dr_watchdog_sdk::Situation;
use dr_watchdog_sdk::sections::Role;
use dr_watchdog_sdk::verdict::Action;

use super::effects::World;
use crate::config::Config;
use crate::notify::Notifier;
use crate::notify::kind::{Kind, Meaning};
use crate::notify::message::Origin;
use crate::notify::server::Server;
use crate::paths::Paths;

/// Where a configuration wants mail to go.
pub fn server(config: &Config) -> Option<Server> {
    let notification = &config.watchdog.notification;
    Server::new(config.smtp.as_ref(), &notification.email, notification.interval.ms())
}

/// The notifier of the site; its deliveries run from now on.
pub(super) fn open(paths: &Paths, config: &Config) -> Notifier {
    let notifier = Notifier::open(&paths.mail_dir, server(config));
    notifier.start(|| super::now().wall);
    notifier
}

fn origin(world: &World, core: &Watchdog, record: Option<u64>) -> Origin {
    Origin {
        site: world.config.site.name.clone(),
        role: core.role().word().to_owned(),
        epoch: core.epoch(),
        record,
    }
}

/// A site starts with this state: a change of role that was stored and not mailed is mailed now.
pub(super) fn found(world: &mut World, found: &Found) {
    let Found::Good(durable) = found else { return };
    // With a plan on disk the change is not complete; its end is mailed.
    if durable.plan.is_some() {
        return;
    }
    let kind = match durable.role {
        Role::Active => Kind::BecameActive,
        Role::Standby => Kind::BecameStandby,
        Role::Standalone => return,
    };
    let origin = Origin {
        site: world.config.site.name.clone(),
        role: durable.role.word().to_owned(),
        epoch: durable.epoch,
        record: None,
    };
    world.notifier.found(super::now().wall, kind, &origin);
}

/// A notice of the core.
pub(super) fn notice(world: &mut World, now: Now, core: &Watchdog, notice: &Notice, record: Option<u64>) {
    let origin = origin(world, core, record);
    match Kind::of(notice.trigger) {
        Meaning::Alarm(kind) => world.notifier.alarm(now.wall, kind, &notice.text, &origin),
        Meaning::End(kind) => world.notifier.end(now.wall, kind, &notice.text, &origin),
    }
}

/// An alarm of the daemon's own.
pub(super) fn alarm(world: &mut World, now: Now, core: &Watchdog, kind: Kind, text: &str) {
    let origin = origin(world, core, None);
    world.notifier.alarm(now.wall, kind, text, &origin);
}

/// The end of one.
pub(super) fn end(world: &mut World, now: Now, core: &Watchdog, kind: Kind, text: &str) {
    let origin = origin(world, core, None);
    world.notifier.end(now.wall, kind, text, &origin);
}

/// A decision: that the arbiters are not managed by the active site is told whatever the gates say.
pub(super) fn decision(
    world: &mut World,
    now: Now,
    core: &Watchdog,
    decision: &Decision,
    asked_in: Situation,
    record: Option<u64>,
) {
    // The situation of the question: a verdict that was granted has ended it by now.
    let is_finding = decision.failure.is_none()
        && decision.verdict.action == Action::BeActive
        && matches!(asked_in, Situation::PeerLost | Situation::Waiting);
    if is_finding {
        let text = format!("{}: {}", decision.verdict.description, decision.outcome);
        let origin = origin(world, core, record);
        world.notifier.alarm(now.wall, Kind::ArbitersNotManaged, &text, &origin);
    }
}

/// Ends the troubles that are over and of which the core gives no word.
pub(super) fn settle(world: &mut World, now: Now, core: &Watchdog) {
    if core.boot_end().is_some() {
        return;
    }
    for kind in world.notifier.open_kinds() {
        if let Some(text) = over(world, core, kind) {
            end(world, now, core, kind, text);
        }
    }
}

/// Why a trouble is over, if it is.
fn over(world: &World, core: &Watchdog, kind: Kind) -> Option<&'static str> {
    let has_problem = |trigger| world.problems.contains_key(&trigger);
    let is_settled = matches!(core.phase(), Phase::Standby | Phase::Active | Phase::Standalone);
    let is_over = match kind {
        Kind::PeerLost | Kind::ArbitersNotManaged => matches!(core.reach(), Reach::Up { .. }),
        Kind::ArbitersBelowWarning => {
            let settings = core.settings();
            settings.thresholds.warning.is_met_by(core.pinged(), settings.arbiters.len() as u64)
        }
        Kind::AutomaticFailoverDisabled => core.automatic().is_on(),
        Kind::BothStandby => core.durable().both_standby_until.is_none(),
        Kind::GateClosed => core.situation().is_none() && is_settled,
        Kind::StepFailed => is_settled,
        Kind::PolicyFailed => !has_problem(Trigger::PolicyFailed),
        Kind::HostKeyChanged => core.host_key_alarms().next().is_none(),
        Kind::PolicyQuarantined => world.desk.status()["state"] != "quarantined",
        Kind::StateNotWritten => !has_problem(Trigger::StateNotWritten),
        // Nobody can say when these are over: the next one is told when the interval is.
        _ => false,
    };
    is_over.then_some(match kind {
        Kind::PeerLost | Kind::ArbitersNotManaged => "the other site answers",
        Kind::ArbitersBelowWarning => "enough arbiters answer",
        Kind::AutomaticFailoverDisabled => "automatic failover is enabled",
        Kind::BothStandby => "a site is active again",
        Kind::GateClosed => "the policy is no longer asked",
        Kind::StepFailed => "the role change that the step belonged to is over",
        Kind::HostKeyChanged => "every arbiter shows the host key that is expected",
        Kind::PolicyQuarantined => "the policy has been loaded again",
        Kind::PolicyFailed => "the policy has given a verdict",
        _ => "the state has been written",
    })
}
