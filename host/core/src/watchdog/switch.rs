//! The operator's switch of automatic failover: turned here, or at the other site.

use std::time::Duration;

use super::Watchdog;
use super::change::AfterWrite;
use crate::automatic::Turn;
use crate::durable::{OperatorOff, Switch};
use crate::effect::Trigger;
use crate::time::Now;

impl Watchdog {
    /// An operator disables automatic failover here.
    pub(super) fn operator_disabled(&mut self, now: Now, span: Option<Duration>, reason: String, by: String) {
        let until = span.map(|span| now.wall.plus_s(span.as_secs()));
        let off = OperatorOff { until, reason, by, since: now.wall };
        self.ask_release(now, span);
        self.turned_here(Some(off));
        if let Some(why) = self.automatic.why_off() {
            self.notify(Trigger::AutomaticFailoverDisabled, why);
        }
    }

    /// An operator enables automatic failover here.
    pub(super) fn operator_enabled(&mut self, now: Now) {
        self.resume_duty(now);
        self.turned_here(None);
        let text = match self.automatic.why_off() {
            None => "an operator enabled automatic failover".to_owned(),
            Some(why) => format!("an operator enabled automatic failover; still: {why}"),
        };
        self.notify(Trigger::AutomaticFailoverEnabled, text);
    }

    fn turned_here(&mut self, off: Option<OperatorOff>) {
        let switch = self.durable.switch;
        self.turn(Turn { count: switch.count + 1, site_index: self.settings.site_index & 1, off }, false);
    }

    /// Takes a turn; it is said when it is on disk.
    fn turn(&mut self, turn: Turn, is_agreed: bool) {
        self.durable.switch = Switch { count: turn.count, site_index: turn.site_index, is_agreed };
        self.durable.operator_off.clone_from(&turn.off);
        self.automatic.operator.clone_from(&turn.off);
        self.persist(AfterWrite::Turn { count: turn.count, site_index: turn.site_index });
    }

    /// A turn is on disk. The other site hears of it at once, and again with every heartbeat: one that is away now
    /// takes it when it is back.
    pub(super) fn turn_written(&mut self, count: u64, site_index: u8) {
        let switch = self.durable.switch;
        if (switch.count, switch.site_index) != (count, site_index) {
            // A later turn is on its way to the disk.
            return;
        }
        self.turn_said = Turn { count, site_index, off: self.durable.operator_off.clone() };
        if self.lease.is_none() {
            self.announce();
        }
    }

    /// How the switch was turned last, as it may be said to the other site. Under `lease` the duty says it.
    pub fn turn_said(&self) -> Option<&Turn> {
        self.lease.is_none().then_some(&self.turn_said)
    }

    /// Whether the other site has the same turn of the switch; `None` where nobody can tell.
    pub const fn is_switch_agreed(&self) -> Option<bool> {
        let switch = self.durable.switch;
        match &self.peer {
            _ if self.lease.is_some() => None,
            // The program there does not say.
            Some(peer) if peer.turn.is_none() => None,
            // Nobody turned it here, and nobody was heard.
            None if switch.count == 0 => None,
            _ => Some(switch.is_agreed || switch.count == 0),
        }
    }

    /// The other site said how the switch was turned last.
    pub(super) fn peer_turned(&mut self, now: Now, theirs: Option<Turn>) {
        let Some(theirs) = theirs.filter(|_| self.lease.is_none()) else { return };
        let switch = self.durable.switch;
        let own = Turn { count: switch.count, site_index: switch.site_index, off: None };
        if theirs.is_later_than(&own) {
            self.take_turn(now, theirs);
        } else if own.is_later_than(&theirs) {
            // It does not know yet.
            self.set_agreed(false);
            self.announce();
        } else {
            self.set_agreed(true);
        }
    }

    fn set_agreed(&mut self, is_agreed: bool) {
        if self.durable.switch.count > 0 && self.durable.switch.is_agreed != is_agreed {
            self.durable.switch.is_agreed = is_agreed;
            self.persist(AfterWrite::Nothing);
        }
    }

    fn take_turn(&mut self, now: Now, theirs: Turn) {
        let is_over = |off: &OperatorOff| off.until.is_some_and(|until| until <= now.wall);
        let off = theirs.off.filter(|off| !is_over(off));
        let before = self.automatic.operator.clone();
        self.turn(Turn { off, ..theirs }, true);
        match (before, &self.automatic.operator) {
            (before, Some(off)) if before.as_ref() != Some(off) => {
                let why = self.automatic.why_off().unwrap_or_default();
                self.notify(
                    Trigger::AutomaticFailoverDisabled,
                    format!("{why}; the switch was turned at the other site"),
                );
            }
            (Some(_), None) => self.notify(
                Trigger::AutomaticFailoverEnabled,
                "an operator enabled automatic failover at the other site".to_owned(),
            ),
            _ => {}
        }
    }
}
