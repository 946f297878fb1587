//! What an operator's command asks of this site, read from a request; how far it has come.

use dr_watchdog_core::exclusion::fact::{Command, Fact};
use dr_watchdog_core::heartbeat::Reach;
use dr_watchdog_core::transitions::Phase;
use dr_watchdog_core::{Event, Now, Watchdog};
use serde_json::{Value, json};

use super::requests::error;
use crate::config::{self, Config};
use crate::frames::ResponseError;

/// Reads a command; `None` where nothing is left to do.
///
/// # Errors
/// When it is none, or the core refuses it: the reason is a sentence.
pub(super) fn command(core: &Watchdog, now: Now, params: &Value) -> Result<Option<Event>, ResponseError> {
    if let Some(epoch) = params.get("epoch").and_then(Value::as_u64)
        && epoch != core.epoch()
    {
        let text = format!(
            "this site is at epoch {} and not at {epoch} any more: somebody else changed the roles; look at `health` and begin anew",
            core.epoch()
        );
        return Err(error("stale", text));
    }
    let is_forced = params.get("force") == Some(&Value::Bool(true));
    let refused = |why: Option<String>| why.map_or(Ok(()), |why| Err(error("refused", why)));
    let command = match params.get("command").and_then(Value::as_str) {
        Some("becomeActive") => {
            refused(core.why_not_active(now, is_forced))?;
            (!core.phase().claims_active()).then_some(Command::BecomeActive { is_forced })
        }
        Some("look") => Some(Command::Look),
        Some("handOver") => {
            refused(core.why_not_standby())?;
            Some(Command::HandOver)
        }
        Some("stop") => {
            refused(why_not_stopped(core, is_forced))?;
            // Without the other site's word a later start must not go on as if nothing had happened.
            (!is_forced).then_some(Command::Stop)
        }
        Some("promise") => {
            refused(why_no_promise(core))?;
            Some(Command::Promise)
        }
        Some("peerIsOff") => {
            refused(why_peer_is_not_off(core, now))?;
            Some(Command::PeerIsOff)
        }
        other => return Err(error("badRequest", format!("{other:?} is no command of an operator"))),
    };
    Ok(command.map(|command| Event::Exclusion(Fact::Operator(command))))
}

fn why_not_stopped(core: &Watchdog, is_forced: bool) -> Option<String> {
    let is_settled = matches!(core.phase(), Phase::Active | Phase::Standby | Phase::Standalone);
    (!is_settled && !is_forced).then(|| {
        format!("a role change is running here ({}); repeat the command when it is over", core.phase().word())
    })
}

fn why_no_promise(core: &Watchdog) -> Option<String> {
    (core.phase() != Phase::Standby)
        .then(|| format!("this site is {} and cannot give its word not to take over", core.phase().word()))
}

fn why_peer_is_not_off(core: &Watchdog, now: Now) -> Option<String> {
    core.fresh_peer(now).map(|peer| {
        format!(
            "the other site is not off: it was heard at {} and said that it is {}",
            peer.heard,
            peer.phase.word()
        )
    })
}

/// What a command that goes on can be followed by.
pub(super) fn progress(now: Now, core: &Watchdog, config: &Config) -> Value {
    let plan = core.running_plan().map(|(kind, step, steps)| {
        let named = match kind {
            dr_watchdog_core::effect::PlanKind::BeActive => &config.role_change.be_active,
            dr_watchdog_core::effect::PlanKind::BeStandby => &config.role_change.be_standby,
        };
        json!({"kind": kind.word(), "step": step, "steps": steps, "name": named.get(step).map(|step| &step.name)})
    });
    let names =
        |steps: &[config::model::Step]| steps.iter().map(|step| step.name.clone()).collect::<Vec<_>>();
    let standing = core.durable().standing;
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "site": config.site.name,
        "peer": config.peer.name,
        "role": core.role(),
        "phase": core.phase(),
        "epoch": core.epoch(),
        "bootEnd": core.boot_end(),
        "plan": plan,
        "beActive": names(&config.role_change.be_active),
        "beStandby": names(&config.role_change.be_standby),
        "handedOver": standing.is_handed_over,
        "promised": standing.is_promised,
        "peerIsOff": standing.is_peer_off,
        "peerReachable": matches!(core.reach(), Reach::Up { .. }),
        "peerHeard": core.fresh_peer(now).map(|peer| json!({"phase": peer.phase, "epoch": peer.epoch, "automaticFailover": peer.automatic_failover})),
        "failover": core.failover(),
        "holds": core.holds_open(),
        "whyNotActive": core.why_not_active(now, false),
    })
}
