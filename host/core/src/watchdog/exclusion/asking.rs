//! What becomes of a verdict under `lease`: a request, weighed by the tables.

use dr_watchdog_sdk::Verdict;
use dr_watchdog_sdk::verdict::Action;

use super::super::Watchdog;
use crate::time::Now;
use crate::transitions::Phase;

impl Watchdog {
    /// Takes a verdict that passed the first gates and changes the role, if carried out; what became of it.
    pub(in super::super) fn request(&mut self, now: Now, verdict: &Verdict) -> Option<String> {
        self.lease.as_ref()?;
        let asked = self.asking.last.unwrap_or(now.mono);
        match (verdict.action, self.phase) {
            (Action::BeActive, Phase::Standby) => Some(self.wish(now, asked)),
            (Action::BeStandby, Phase::Active) => Some(self.standby_wanted(now).to_owned()),
            _ => None,
        }
    }

    /// Ends what an earlier verdict asked for and this one does not.
    pub(in super::super) fn forget_other_requests(&mut self, action: Option<Action>) {
        if action != Some(Action::BeActive) {
            self.unwish();
        }
        if action != Some(Action::BeStandby)
            && let Some(state) = self.lease.as_mut()
        {
            state.standby_wanted = None;
        }
    }
}
