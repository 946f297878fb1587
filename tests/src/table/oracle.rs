//! What the table of the default rules says, written a second time as plainly as it is printed.

use dr_watchdog_sdk::{Role, Situation};

use super::Answer;
use super::cases::{Case, Wait, now};

/// Length of `waitDuration` in the cases.
const WAIT_S: u64 = 8 * 3_600;

/// The expected answer.
pub fn answer(case: &Case) -> Answer {
    let state = if case.role == Role::Active { "active" } else { "standby" };
    let is_met =
        |count: u64, threshold: f64| count * 10_000 >= (threshold * 10_000.0).round() as u64 * case.total;
    let failover = |count| is_met(count, case.failover);
    let wait = || match case.wait {
        Wait::Begins => Some(now().plus_s(WAIT_S)),
        Wait::Open => case.wait.time(),
        Wait::Over => None,
    };
    let (action, until) = match (case.role, case.situation) {
        _ if case.total == 0 => ("nothing", None),
        (Role::Active, _) => (if failover(case.pinged) { "nothing" } else { "beStandby" }, None),
        (_, Situation::BothStandby) if case.was_last_active && failover(case.pinged) => ("beActive", None),
        (_, Situation::BothStandby | Situation::Waiting) => match wait() {
            Some(until) => ("wait", Some(until)),
            None => ("nothing", None),
        },
        (_, Situation::PeerLost) => {
            let stays = failover(case.managed)
                || !is_met(case.total - case.unreachable, case.adjust_managed)
                || failover(case.managed + case.unreachable);
            (if stays { "nothing" } else { "beActive" }, None)
        }
    };
    Answer {
        state: state.to_owned(),
        action: action.to_owned(),
        wait_time: until.map(|until| until.to_string()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standby(total: u64, managed: u64, unreachable: u64) -> Case {
        Case {
            role: Role::Standby,
            situation: Situation::PeerLost,
            wait: Wait::Begins,
            was_last_active: false,
            total,
            pinged: total,
            managed,
            unreachable,
            failover: 0.5,
            adjust_managed: 0.5,
        }
    }

    /// The rows of the manual's own examples.
    #[test]
    fn known_rows() {
        for (total, managed, unreachable, action) in [
            (3, 0, 0, "beActive"),
            (10, 3, 2, "nothing"),
            (10, 3, 1, "beActive"),
            (4, 2, 0, "nothing"),
            (3, 0, 3, "nothing"),
            (0, 0, 0, "nothing"),
        ] {
            assert_eq!(
                answer(&standby(total, managed, unreachable)).action,
                action,
                "{total} {managed} {unreachable}"
            );
        }
    }
}
