//! Signed heartbeats: what this site says, and what it takes from what the other one says.

use super::super::Watchdog;
use super::super::change::AfterWrite;
use crate::effect::{Effect, Trigger};
use crate::event::Beat;
use crate::exclusion::active::Sight;
use crate::exclusion::claim::Claim;
use crate::exclusion::memory::NO_CLUSTER;
use crate::exclusion::message::{Ballot, Echo, Signed, Stance};
use crate::exclusion::request::Request;
use crate::exclusion::rules::Rule;
use crate::exclusion::state::{Joining, Peer, State, Worth};
use crate::time::Now;
use crate::transitions::Phase;

impl Watchdog {
    /// Says what this site is now.
    pub(in super::super) fn announce(&mut self) {
        if self.lease.is_some() {
            self.say(None, None);
        } else {
            self.effects.push_back(Effect::SendHeartbeat);
        }
    }

    fn stance(&self) -> Stance {
        let is_fenced = self.lease().is_none_or(|state| state.is_fenced);
        match (self.phase, self.claim()) {
            (Phase::Active | Phase::Promoting, _) => Stance::Active,
            (Phase::Demoting | Phase::DemotionFailed | Phase::Standby, _) if !is_fenced => Stance::Stopping,
            (Phase::Standby, Claim::Looking { .. } | Claim::Ripening { .. }) => {
                Stance::Claiming { epoch: self.durable.next_epoch(self.settings.site_index) }
            }
            _ => Stance::Standby,
        }
    }

    /// Sends a signed heartbeat, as an answer or with a ballot.
    pub(super) fn say(&mut self, echo: Option<Echo>, ballot: Option<Ballot>) {
        let now = self.last_now;
        let stance = self.stance();
        let phase = match (stance, self.phase) {
            (Stance::Standby | Stance::Claiming { .. }, Phase::Demoting | Phase::DemotionFailed) => {
                Phase::Standby
            }
            (_, phase) => phase,
        };
        let (site_index, epoch) = (self.settings.site_index, self.durable.epoch);
        let automatic_failover = self.automatic.is_on();
        let Some(state) = self.lease.as_mut() else { return };
        let worth = match (ballot, stance) {
            (Some(Ballot::Ask { .. }), _) => Worth::Vote,
            (_, Stance::Standby) => Worth::Nothing,
            _ => Worth::Lease,
        };
        let me = state.send(now.mono, worth, echo.is_none());
        let beat = Beat {
            site_index,
            epoch,
            phase,
            config_equal: None,
            automatic_failover,
            turn: None,
            heard: now.wall,
        };
        let is_peer_lost = state.peer.is_some_and(|peer| !peer.is_joined);
        let versions = &state.memory.versions;
        let proposal = versions.next.clone().filter(|_| state.said.next.is_some());
        let proposal = proposal.or_else(|| is_peer_lost.then(|| versions.current.clone()));
        let signed = Signed {
            beat,
            cluster: state.memory.cluster,
            me,
            echo,
            stance,
            is_joined: state.joining == Joining::Joined,
            served_epoch: state.memory.served_epoch,
            seen_of_peer: state.memory.peer_epoch,
            ballot,
            say: state.said,
            proposal: proposal.map(Box::new),
            holds: if stance == Stance::Active { held(state, now) } else { Vec::new() },
            duty: state.duty(),
            promised: state.said_promise,
            hands_over: state.hands_over_until.is_some(),
        };
        self.effects.push_back(Effect::Exclusion(Request::Send(Box::new(signed))));
    }

    /// A signed heartbeat of the other site: its silence ends before anything else, the answer leaves last.
    pub(super) fn signed_heard(&mut self, now: Now, signed: Signed) {
        let Some(state) = self.lease.as_mut() else { return };
        let are_joined = state.joining == Joining::Joined && signed.is_joined;
        let are_known = signed.cluster != NO_CLUSTER && state.memory.cluster != NO_CLUSTER;
        let is_other_pair = signed.cluster != state.memory.cluster && are_joined && are_known;
        let is_old = state
            .peer
            .is_some_and(|peer| peer.me.run == signed.me.run && peer.me.sequence >= signed.me.sequence);
        if is_other_pair || is_old {
            return;
        }
        if are_joined && state.memory.cluster == NO_CLUSTER {
            // Made active by force without its state: the key that signs is the pair's, so this is its other half.
            state.memory.cluster = signed.cluster;
        }
        if signed.stance.breaks_silence() {
            state.silence = now.mono;
            state.were_open = false;
        }
        if signed.echo.is_none() {
            state.regular_heard = Some(now.mono);
        }
        state.peer = Some(Peer {
            at: now.mono,
            me: signed.me,
            stance: signed.stance,
            is_joined: signed.is_joined,
            served_epoch: signed.served_epoch,
            seen_of_us: signed.seen_of_peer,
            say: signed.say,
            hands_over: signed.hands_over,
        });
        state.peer_holds.clone_from(&signed.holds);
        self.end_force();
        if signed.stance.breaks_silence() {
            self.close_claim(now.mono);
        }
        self.weigh_versions(&signed);
        // A site without its state is told the safety settings first; only then does it know what the other knows.
        self.take_versions(now, &signed);
        self.take_state(now, &signed);
        self.take_duty(now, &signed);
        self.heartbeat_heard(now, signed.beat.clone());
        self.weigh_epochs(&signed);
        let granted = self.take_answer(now, &signed);
        let ballot = match signed.ballot {
            Some(Ballot::Ask { is_manual }) => self.vote(now, &signed, is_manual),
            Some(Ballot::Grant) | None => None,
        };
        if signed.echo.is_none() {
            self.say(Some(signed.me), ballot);
        }
        if granted {
            self.promote_by_vote();
        }
    }

    /// Takes what an answer proves; whether it was a vote for this site.
    fn take_answer(&mut self, now: Now, signed: &Signed) -> bool {
        let Some(state) = self.lease.as_mut() else { return false };
        let Some((sent, worth)) = signed.echo.and_then(|echo| state.answered(echo)) else { return false };
        state.unanswered = None;
        if signed.stance != Stance::Standby {
            return false;
        }
        match (worth, signed.ballot) {
            (Worth::Lease, _) if self.phase.claims_active() => {
                state.evidence.peer_acknowledged(sent);
                state.reckon();
                false
            }
            (Worth::Vote, Some(Ballot::Grant)) => {
                let is_timely = now.mono < sent.plus(state.timers.lease) && state.asking.is_some();
                if is_timely && self.phase == Phase::Standby {
                    state.evidence.peer_acknowledged(sent);
                    state.reckon();
                }
                is_timely
            }
            _ => false,
        }
    }

    /// Only an active's or a claim's epoch demotes; a standby's is overtaken.
    fn weigh_epochs(&mut self, signed: &Signed) {
        let own = self.durable.epoch;
        match signed.stance {
            Stance::Claiming { epoch } if self.phase.claims_active() && epoch > own => {
                self.follow_sight(Sight { is_higher_epoch: true, ..Sight::default() });
            }
            Stance::Standby if self.phase == Phase::Active && signed.beat.epoch > own => {
                self.durable.epoch = self.durable.next_epoch(self.settings.site_index);
                let epoch = self.durable.epoch;
                if let Some(state) = self.lease.as_mut() {
                    state.memory.served_epoch = epoch;
                }
                self.effects.push_back(Effect::Exclusion(Request::Mark { epoch, is_claim: false }));
                self.persist(AfterWrite::Nothing);
            }
            _ => {}
        }
    }

    /// The other site goes on to a version only when it has heard this one say that it is on disk here too. A newer
    /// one than this site knows of proves that an older image of its state was restored.
    fn weigh_versions(&mut self, signed: &Signed) {
        let Some(state) = self.lease.as_ref() else { return };
        let is_old = signed.say.current > state.memory.versions.say().newest();
        let is_whole = state.joining == Joining::Joined && signed.is_joined;
        if !is_old || !is_whole || !state.rules.has(Rule::Amnesia) || !state.rules.has(Rule::JointChange) {
            return;
        }
        if self.phase.claims_active() {
            self.follow_sight(Sight { has_time_slipped: true, ..Sight::default() });
        }
        if let Some(state) = self.lease.as_mut() {
            state.joining = Joining::Lost { told: None };
        }
        self.close_claim(self.last_now.mono);
        let text = "this site's safety settings are older than what the two sites agreed on: an older image of its state was restored; it takes over what the other site says, and neither votes nor claims for F";
        self.notify(Trigger::StateUnusable, text.to_owned());
        self.persist(AfterWrite::Nothing);
    }

    /// Neither site remembers that it has served, but the other one has heard this one serve, in the epoch that it
    /// still has: an image of the middle of its promotion was restored. It is the last active, or nobody would be.
    fn remember_serving(&mut self, signed: &Signed) {
        let Some(state) = self.lease.as_mut().filter(|_| self.phase == Phase::Standby) else { return };
        let has_nobody_served = state.memory.served_epoch == 0 && signed.served_epoch == 0;
        if has_nobody_served && signed.seen_of_peer > 0 && signed.seen_of_peer == self.durable.epoch {
            state.memory.served_epoch = signed.seen_of_peer;
            self.durable.failover = dr_watchdog_sdk::sections::LastFailover::ActiveToStandby;
            self.asking.previous = None;
            self.persist(AfterWrite::Nothing);
        }
    }

    /// What the other site knows of this one: a state that is older than that was lost or restored.
    fn take_state(&mut self, now: Now, signed: &Signed) {
        let Some(state) = self.lease.as_mut() else { return };
        if signed.stance == Stance::Active && signed.beat.epoch > state.memory.peer_epoch {
            state.memory.peer_epoch = signed.beat.epoch;
            self.persist(AfterWrite::Nothing);
        }
        let Some(state) = self.lease.as_mut() else { return };
        if signed.stance != Stance::Active || signed.beat.epoch < self.durable.epoch {
            // The other site does not serve with newer data, so ours is the newest.
            state.memory.is_data_doubtful =
                state.memory.is_data_doubtful && signed.served_epoch > state.memory.served_epoch;
            if !state.memory.is_data_doubtful {
                state.doubt_until = None;
            }
        }
        if !signed.is_joined || !state.rules.has(Rule::Amnesia) {
            return;
        }
        self.remember_serving(signed);
        let Some(state) = self.lease.as_mut() else { return };
        let is_old = signed.seen_of_peer > self.durable.epoch;
        let version = state.memory.versions.current.version;
        let is_version_known = signed.say.current == version || signed.say.next == Some(version);
        if state.joining == (Joining::Lost { told: None }) && !is_version_known {
            return;
        }
        let is_told = matches!(state.joining, Joining::Lost { told: Some(_) });
        if !is_old && (state.joining == Joining::Joined || is_told) {
            return;
        }
        if is_old && self.phase.claims_active() {
            self.follow_sight(Sight { has_time_slipped: true, ..Sight::default() });
        }
        self.durable.epoch_seen = self.durable.epoch_seen.max(signed.seen_of_peer).max(signed.beat.epoch);
        let Some(state) = self.lease.as_mut() else { return };
        if signed.seen_of_peer > signed.served_epoch {
            // This site served last; only its memory of it is gone.
            self.durable.failover = dr_watchdog_sdk::sections::LastFailover::ActiveToStandby;
        }
        if is_old {
            self.durable.epoch = signed.seen_of_peer;
            state.memory.served_epoch = state.memory.served_epoch.max(signed.seen_of_peer);
        }
        state.memory.cluster = signed.cluster;
        state.joining = Joining::Lost { told: Some(now.mono) };
        let text = "this site's state was lost or is older than what the other site knows of it; it takes over what the other site says, and neither votes nor claims for F";
        self.notify(Trigger::StateUnusable, text.to_owned());
        self.persist(AfterWrite::Nothing);
    }
}

/// Arbiters at which this site has held a session for the minimum age, by position in the agreed version.
fn held(state: &State, now: Now) -> Vec<bool> {
    let sets = state.quorum.sets();
    let members = sets.first().map(|set| set.members.as_slice()).unwrap_or_default();
    members.iter().map(|i| state.evidence.is_ripe(now.mono, *i, &state.timers)).collect()
}
