//! The safety settings' check: what is refused, and what is warned of, with the arithmetic.

use std::time::Duration;

use super::agreed::Agreed;
use super::quorum::{ARBITERS_MAX, Set};
use crate::settings::Heartbeat;

/// What the check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// The settings cannot be used.
    pub errors: Vec<String>,
    /// They can, at a price.
    pub warnings: Vec<String>,
}

/// Everything the check looks at.
#[derive(Debug)]
pub struct Checked<'a> {
    /// The safety settings.
    pub agreed: &'a Agreed,
    /// Heartbeats of the site.
    pub heartbeat: &'a Heartbeat,
    /// `waitDuration`; `None` = for ever.
    pub wait_duration: Option<Duration>,
    /// The longest fence that a drill has measured.
    pub fence_measured: Option<Duration>,
    /// Whether holds and looks leave from the same address.
    pub is_hold_address_the_looks: bool,
}

/// Checks them.
pub fn check(checked: &Checked<'_>) -> Findings {
    let mut findings = Findings::default();
    check_timers(checked, &mut findings);
    check_arbiters(checked, &mut findings);
    findings
}

fn check_timers(checked: &Checked<'_>, findings: &mut Findings) {
    let (timers, heartbeat) = (&checked.agreed.timers, checked.heartbeat);
    let s = |span: Duration| format!("{} s", span.as_secs_f64());
    let errors = &mut findings.errors;
    let formula = timers.formula();
    if timers.wait < formula {
        errors.push(format!(
            "exclusion.wait (F) is {}, but (L {} + the larger of D {} and W {}) x (1 + 2 x {} ppm) + {} = {}; leave it out or raise it",
            s(timers.wait), s(timers.lease), s(timers.fence), s(timers.look_age_max()),
            timers.clock_error_ppm, s(timers.slack), s(formula)
        ));
    }
    if timers.lease < 3 * timers.keep_alive {
        errors.push(format!(
            "exclusion.lease (L) is {}, less than 3 keepalives of {}: two lost packets would end it",
            s(timers.lease),
            s(timers.keep_alive)
        ));
    }
    if timers.lease < 2 * heartbeat.timeout {
        errors.push(format!(
            "exclusion.lease (L) is {}, less than 2 x heartbeat.timeout {}",
            s(timers.lease),
            s(heartbeat.timeout)
        ));
    }
    if heartbeat.interval * 2 > timers.lease {
        errors.push(format!(
            "heartbeat.interval is {}, more than half of exclusion.lease (L) {}: one lost heartbeat would leave the lease to the arbiters alone",
            s(heartbeat.interval), s(timers.lease)
        ));
    }
    if let Some(measured) = checked.fence_measured.filter(|measured| timers.fence < 3 * *measured) {
        errors.push(format!(
            "exclusion.fenceDeadline (D) is {}, less than 3 x the fence time of {} that the drill measured",
            s(timers.fence),
            s(measured)
        ));
    }
    if timers.lease < timers.hold_age_min() + 2 * timers.keep_alive {
        findings.warnings.push(format!(
            "exclusion.lease (L) is {}, less than P {} + 2 keepalives of {}: a move of the VIP while the other site is cut off may end the lease",
            s(timers.lease), s(timers.hold_age_min()), s(timers.keep_alive)
        ));
    }
    if let Some(wait) = checked.wait_duration.filter(|wait| *wait < timers.wait) {
        findings.warnings.push(format!(
            "waitDuration is {}, less than exclusion.wait (F) {}: it never ends a wait earlier",
            s(wait),
            s(timers.wait)
        ));
    }
}

fn check_arbiters(checked: &Checked<'_>, findings: &mut Findings) {
    let agreed = checked.agreed;
    let total = agreed.arbiters.len();
    if total == 0 {
        findings.errors.push(
            "exclusion.mode = \"lease\" needs arbiters: without them every cut between the sites, and every death of the standby, would stop the active; configure arbiters, or use mode \"verdict\" (no bound) or \"fence\"".to_owned(),
        );
        return;
    }
    if total > ARBITERS_MAX {
        findings.errors.push(format!("{total} arbiters are configured; at most {ARBITERS_MAX} can be"));
    }
    if agreed.threshold == 0 {
        findings.errors.push(
            "threshold.failover = 0 would let the active serve on no arbiter at all; under \"lease\" it must be above 0".to_owned(),
        );
    }
    let set = Set::new((0..total).collect(), agreed.threshold());
    if set.need == total && total > 1 {
        findings.warnings.push(format!(
            "threshold.failover needs all {total} arbiters: one that is down, with the other site silent, stops the active"
        ));
    }
    if total == 2 {
        findings
            .warnings
            .push("with 2 arbiters, one that is down stops automatic failover; use 3".to_owned());
    } else if total.is_multiple_of(2) {
        findings.warnings.push(format!(
            "{total} arbiters: an even number tolerates no more than {} would; use an odd one",
            total - 1
        ));
    }
    let is_marked = agreed.arbiters.iter().all(|(_, kind)| *kind == super::agreed::Kind::Mark);
    if checked.is_hold_address_the_looks && !is_marked {
        findings.errors.push(
            "exclusion.holdAddress is the address from which this node looks at the arbiters, so two standbys would take each other's looks for holds; give the holds the VIP, or use arbiters of kind mark".to_owned(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::agreed::Kind;
    use super::super::timers::Timers;
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn agreed(total: usize, change: impl Fn(&mut Agreed)) -> Agreed {
        let arbiters = (0..total).map(|i| (format!("r{i}"), Kind::Age)).collect();
        let mut agreed = Agreed { version: 1, arbiters, threshold: 5_000, timers: Timers::reference() };
        change(&mut agreed);
        agreed
    }

    fn found(agreed: &Agreed) -> Findings {
        let heartbeat = Heartbeat { interval: 30 * S, timeout: 5 * S, tries: 5 };
        check(&Checked {
            agreed,
            heartbeat: &heartbeat,
            wait_duration: Some(28_800 * S),
            fence_measured: None,
            is_hold_address_the_looks: false,
        })
    }

    #[test]
    fn the_reference_profile_has_nothing_to_say() {
        assert_eq!(found(&agreed(5, |_| {})), Findings::default());
    }

    #[test]
    fn the_fast_profile_warns_of_vip_moves() {
        let fast = agreed(5, |agreed| agreed.timers = Timers::fast());
        let heartbeat = Heartbeat { interval: 5 * S, timeout: S, tries: 5 };
        let findings = check(&Checked {
            agreed: &fast,
            heartbeat: &heartbeat,
            wait_duration: None,
            fence_measured: None,
            is_hold_address_the_looks: false,
        });
        assert_eq!((findings.errors.len(), findings.warnings.len()), (0, 1));
        assert!(findings.warnings[0].contains("move of the VIP"));
    }

    #[test]
    fn every_refusal_names_its_arithmetic() {
        type Case = (Agreed, &'static str);
        let cases: [Case; 6] = [
            (agreed(5, |a| a.timers.wait = 79 * S), "= 80 s"),
            (agreed(5, |a| a.timers.keep_alive = 21 * S), "3 keepalives"),
            (
                agreed(5, |a| {
                    a.timers.lease = 9 * S;
                    a.timers.keep_alive = 3 * S
                }),
                "2 x heartbeat.timeout",
            ),
            (agreed(5, |a| a.timers.lease = 50 * S), "half of exclusion.lease"),
            (agreed(0, |_| {}), "needs arbiters"),
            (agreed(3, |a| a.threshold = 0), "threshold.failover = 0"),
        ];
        for (agreed, word) in cases {
            let errors = found(&agreed).errors;
            assert!(errors.iter().any(|error| error.contains(word)), "{word}: {errors:?}");
        }
        assert!(found(&agreed(2, |_| {})).warnings[0].contains("2 arbiters"));
        assert!(found(&agreed(4, |_| {})).warnings[0].contains("even"));
        assert!(found(&agreed(3, |a| a.threshold = 10_000)).warnings[0].contains("all 3"));
    }
}
