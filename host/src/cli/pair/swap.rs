//! Which site becomes standby and which becomes active in a planned switch, from what both say.

use dr_watchdog_core::transitions::Phase;

use super::state::State;

/// A planned switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Swap {
    /// Whether this site is the one that becomes standby.
    pub(in crate::cli) is_from_here: bool,
    /// Whether it is standby already: an earlier command did that half.
    pub(in crate::cli) is_half_done: bool,
}

/// Finds the switch that is meant.
///
/// # Errors
/// When there is none, in a sentence that says what to do.
pub(in crate::cli) fn swap(here: &State, there: &State) -> Result<Swap, String> {
    let half = |is_from_here, is_half_done| Ok(Swap { is_from_here, is_half_done });
    let serves = |state: &State| state.phase.may_serve();
    match (serves(here), serves(there)) {
        _ if here.phase == Phase::Standalone || there.phase == Phase::Standalone => {
            Err("a site is standalone; there is no pair to switch".to_owned())
        }
        (true, true) => Err(format!(
            "site {} is {} and site {} is {}: wait until one of them is standby; the one with the higher epoch ({}) stays",
            here.site,
            here.phase.word(),
            there.site,
            there.phase.word(),
            here.epoch.max(there.epoch)
        )),
        (true, false) if here.phase == Phase::Promoting => Err(promoting(here)),
        (false, true) if there.phase == Phase::Promoting => Err(promoting(there)),
        (true, false) => ready(there).and_then(|()| half(true, false)),
        (false, true) => ready(here).and_then(|()| half(false, false)),
        (false, false) => match (here.handed_over, there.handed_over) {
            (true, false) => half(true, true),
            (false, true) => half(false, true),
            _ => Err(format!(
                "both sites are standby, and no switch between them was begun; decide which one shall serve and run `manualFailover -a` there (site {} or site {})",
                here.site, there.site
            )),
        },
    }
}

fn promoting(state: &State) -> String {
    format!(
        "site {} is just becoming active; nothing is to be done, or repeat the command when it is",
        state.site
    )
}

/// Whether the site that shall become active could.
fn ready(state: &State) -> Result<(), String> {
    match &state.boot_end {
        Some(until) => Err(format!(
            "site {} is booting until {until}; repeat the command then, or when it hears this site",
            state.site
        )),
        None if state.peer_heard.is_none() => Err(format!(
            "site {} does not hear the other site's signed heartbeats, so it would not know when it may begin; check UDP at peer.heartbeatPort and the heartbeatKey",
            state.site
        )),
        None => Ok(()),
    }
}

/// The plan in words, a line each.
pub(in crate::cli) fn words(swap: Swap, here: &State, there: &State) -> Vec<String> {
    let (from, to) = if swap.is_from_here { (here, there) } else { (there, here) };
    let mut lines = Vec::new();
    if swap.is_half_done {
        lines.push(format!("1. site {} is standby already (an earlier command)", from.site));
    } else {
        lines.push(format!("1. site {} becomes standby: {}", from.site, steps(&from.be_standby)));
    }
    lines.push(format!("2. site {} hears from it that it is standby", to.site));
    lines.push(format!("3. site {} becomes active: {}", to.site, steps(&to.be_active)));
    if from.version != to.version {
        lines.push(format!(
            "warning: site {} runs version {}, site {} runs {}",
            from.site, from.version, to.site, to.version
        ));
    }
    lines
}

pub(in crate::cli) fn steps(names: &[String]) -> String {
    if names.is_empty() { "no step is configured".to_owned() } else { names.join(", then ") }
}

#[cfg(test)]
mod tests {
    use super::super::state::Heard;
    use super::*;

    fn state(site: &str, phase: Phase) -> State {
        State {
            version: "0.1.0".to_owned(),
            site: site.to_owned(),
            phase,
            epoch: 4,
            boot_end: None,
            plan: None,
            be_active: vec!["start".to_owned()],
            be_standby: vec!["close".to_owned(), "stop".to_owned()],
            handed_over: false,
            peer_heard: Some(Heard { phase: Phase::Standby, epoch: 2 }),
            why_not_active: None,
        }
    }

    #[test]
    fn the_site_that_serves_becomes_standby_from_whichever_site_the_command_is_given() {
        let (a, b) = (state("a", Phase::Active), state("b", Phase::Standby));
        assert_eq!(swap(&a, &b), Ok(Swap { is_from_here: true, is_half_done: false }));
        assert_eq!(swap(&b, &a), Ok(Swap { is_from_here: false, is_half_done: false }));
        let stuck = state("a", Phase::DemotionFailed);
        assert_eq!(swap(&stuck, &b), Ok(Swap { is_from_here: true, is_half_done: false }));
        let plan = words(Swap { is_from_here: false, is_half_done: false }, &b, &a);
        assert_eq!(plan[0], "1. site a becomes standby: close, then stop");
        assert_eq!(plan[2], "3. site b becomes active: start");
    }

    #[test]
    fn an_interrupted_switch_goes_on_and_a_finished_half_is_not_repeated() {
        let (mut a, b) = (state("a", Phase::Standby), state("b", Phase::Standby));
        assert!(swap(&a, &b).unwrap_err().contains("manualFailover -a"));
        a.handed_over = true;
        let on = Swap { is_from_here: true, is_half_done: true };
        assert_eq!(swap(&a, &b), Ok(on));
        assert_eq!(swap(&b, &a), Ok(Swap { is_from_here: false, is_half_done: true }));
        assert!(words(on, &a, &b)[0].contains("already"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_reason() {
        let (a, mut b) = (state("a", Phase::Active), state("b", Phase::Standby));
        for (other, words) in [
            (state("b", Phase::Active), "higher epoch"),
            (state("b", Phase::Demoting), "is demoting"),
            (state("b", Phase::Standalone), "standalone"),
        ] {
            assert!(swap(&a, &other).unwrap_err().contains(words), "{words}");
        }
        assert!(swap(&state("a", Phase::Promoting), &b).unwrap_err().contains("becoming active"));
        b.peer_heard = None;
        assert!(swap(&a, &b).unwrap_err().contains("heartbeatKey"));
        b.boot_end = Some("2026-01-01T00:00:00+00:00".to_owned());
        assert!(swap(&a, &b).unwrap_err().contains("booting until"));
    }
}
