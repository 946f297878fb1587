//! What both sites must agree on: the release from the duty to stop, and the safety settings.

use std::time::Duration;

use super::super::Watchdog;
use super::super::change::AfterWrite;
use crate::effect::Trigger;
use crate::exclusion::agreed::{Agreed, Versions};
use crate::exclusion::memory::Promise;
use crate::exclusion::message::{Duty, Signed};
use crate::exclusion::rules::Rule;
use crate::exclusion::state::{Joining, Release};
use crate::time::{Moment, Now};
use crate::transitions::Phase;

/// A release "until further notice", as a moment.
const FOR_EVER: Moment = Moment::from_us(u64::MAX / 2);
/// A span that only what is left of such a release has.
const FOR_EVER_SPAN: Duration = Duration::from_micros(u64::MAX / 4);

impl Watchdog {
    /// An operator at the active wants it to serve whatever happens.
    pub(in super::super) fn ask_release(&mut self, now: Now, span: Option<Duration>) {
        let is_active = self.phase.claims_active();
        let Some(state) = self.lease.as_mut().filter(|_| is_active) else { return };
        // The promise to this request takes the place of the one before it, and must not end before what that one
        // allows this site. Only `Resume` shortens a release.
        let left = if state.is_forced { Duration::ZERO } else { state.evidence.grant_left(now.mono) };
        let span = span.map(|span| span.max(left)).filter(|span| *span < FOR_EVER_SPAN);
        // The moment of asking makes the number unique at this site.
        let id = now.mono.us() ^ state.run;
        state.release = Some(Release { id, asked: now.mono, span, is_in_force: false });
        self.announce();
    }

    /// An operator answers for the other site: it serves nothing. An active is released from its duty without the
    /// other site's promise, a standby takes over without the gates; both until the other site is heard again.
    pub(super) fn peer_is_off(&mut self, now: Now) {
        if !self.phase.claims_active() {
            self.become_active(now, true);
            return;
        }
        let Some(state) = self.lease.as_mut() else { return };
        let id = now.mono.us() ^ state.run;
        state.release = Some(Release { id, asked: now.mono, span: None, is_in_force: true });
        state.is_forced = true;
        state.evidence.grant(FOR_EVER);
        state.reckon();
        self.notify(
            Trigger::Exclusion,
            "an operator says that the other site is off: this site serves whatever happens, until the other site is heard".to_owned(),
        );
    }

    /// The other site is heard: what an operator has said of it ends. An off that is still wanted is asked for again.
    pub(super) fn end_force(&mut self) {
        let is_off_wanted = self.automatic.operator.is_some();
        let Some(state) = self.lease.as_mut() else { return };
        if std::mem::take(&mut state.is_forced) {
            state.release = state.release.filter(|_| is_off_wanted);
            if let Some(release) = state.release.as_mut() {
                release.is_in_force = false;
            }
            state.evidence.revoke_grant();
            state.reckon();
        }
    }

    /// It takes its duty back: the guard first, the word after it.
    pub(in super::super) fn resume_duty(&mut self, now: Now) {
        let Some(state) = self.lease.as_mut() else { return };
        state.is_stopping = false;
        if state.release.take().is_some() {
            state.evidence.revoke_grant();
            state.reckon();
            self.check_lease(now);
            self.advance_serving(now);
            self.announce();
        }
    }

    /// Takes what the other site owes, has promised, or wants to be released from.
    pub(super) fn take_duty(&mut self, now: Now, signed: &Signed) {
        let is_standby = !self.phase.claims_active();
        let Some(state) = self.lease.as_mut() else { return };
        let (promise, timers) = (state.memory.promise, state.timers);
        match signed.duty {
            Duty::OffWanted { id, seconds }
                if is_standby && promise.is_none_or(|promise| promise.id != id) =>
            {
                state.memory.promise = Some(Promise { id, seconds });
                state.begin_promise(now.mono);
                self.close_claim(now.mono);
                self.persist(AfterWrite::Promise);
            }
            Duty::Off { id } if is_standby && promise.is_none_or(|promise| promise.id != id) => {
                // The promise was lost with the state; for how long it was is not known any more.
                state.memory.promise = Some(Promise { id, seconds: None });
                state.begin_promise(now.mono);
                self.close_claim(now.mono);
                self.persist(AfterWrite::Promise);
            }
            Duty::Owed if promise.is_some() && !state.is_stopping => {
                state.end_promise();
                self.persist(AfterWrite::Nothing);
            }
            _ => {}
        }
        let Some(state) = self.lease.as_mut() else { return };
        if let Some(release) = state.release.as_mut().filter(|release| !release.is_in_force)
            && signed.promised == Some(release.id)
        {
            release.is_in_force = true;
            // Counted from the asking: its answer may have been on its way for as long as a cut lasted.
            let end = release.span.map_or(FOR_EVER, |span| release.asked.plus(timers.shortest(span)));
            state.evidence.grant(end);
            state.reckon();
        }
    }

    /// `stop` at a standby, or at the other site that serves on without its watchdog: from then on that one owes no
    /// lease, so its silence proves nothing. The promise outlives this run, and ends with the other site's first word
    /// to a later one.
    pub(super) fn promise_to_stay(&mut self, now: Now) {
        let is_standby = self.phase == Phase::Standby;
        let Some(state) = self.lease.as_mut().filter(|_| is_standby) else { return };
        state.is_stopping = true;
        state.wish = None;
        let id = now.mono.us() ^ state.run;
        let kept = state.memory.promise.filter(|promise| promise.seconds.is_none());
        state.memory.promise = Some(kept.unwrap_or(Promise { id, seconds: None }));
        state.begin_promise(now.mono);
        self.close_claim(now.mono);
        self.durable.standing.is_promised = true;
        self.persist(AfterWrite::Promise);
    }

    /// `stop` at the active: the watchdog ends, the services go on without guard. Nobody ends serving at a lease's end
    /// then, so it waits for the other site's promise; asked for again, it finds it.
    pub(super) fn stop_serving_watch(&mut self, now: Now) {
        if self.phase != Phase::Active {
            return;
        }
        if self.why_not_stopped().is_none() {
            self.remember(|standing| standing.is_stopped = true);
            return;
        }
        let is_asked = self.lease().is_some_and(|state| {
            state.release.is_some_and(|release| release.span.is_none() && !release.is_in_force)
        });
        if !is_asked {
            self.ask_release(now, None);
        }
    }

    /// The watchdog starts after such a stop: services may run without guard at nodes that it cannot reach, so the other
    /// site's promise must stand until the fence has ended all of them. Its number is a new one; the other site takes it
    /// as a promise that was lost.
    pub(in super::super) fn stay_released_until_fenced(&mut self, now: Now) {
        let is_stopped = self.durable.standing.is_stopped;
        let Some(state) = self.lease.as_mut().filter(|_| is_stopped) else { return };
        let id = now.mono.us() ^ state.run;
        state.release = Some(Release { id, asked: now.mono, span: None, is_in_force: true });
    }

    /// Why the watchdog of an active site cannot be stopped yet, if so: the other site has not promised to stay standby
    /// until further notice.
    pub fn why_not_stopped(&self) -> Option<String> {
        let state = self.lease().filter(|_| self.phase == Phase::Active)?;
        let is_agreed = state.release.is_some_and(|release| release.is_in_force && release.span.is_none());
        (!is_agreed).then(|| {
            "the other site has not promised to stay standby, and without the watchdog nobody ends serving here when the lease ends; repeat the command when the other site is heard, or use stop --services, or stop --force".to_owned()
        })
    }

    /// The promise is on disk: it may be said.
    pub(in super::super) fn promise_written(&mut self) {
        if let Some(state) = self.lease.as_mut() {
            state.said_promise = state.memory.promise.map(|promise| promise.id);
        }
        self.announce();
    }

    /// An operator proposed new safety settings at this site.
    pub(super) fn proposed(&mut self, now: Now, mut agreed: Agreed) {
        let is_peer_ready = self.talking(now.mono).is_some_and(|peer| peer.is_joined);
        let is_active = self.phase.claims_active();
        let Some(state) = self.lease.as_mut() else { return };
        let is_free = state.memory.versions.next.is_none() && state.joining == Joining::Joined;
        if !is_free || !is_peer_ready || !is_active {
            let text = "the safety settings stay as agreed: they can only be changed at the active, while the other site is heard and no other change is under way".to_owned();
            self.notify(Trigger::Exclusion, text);
            return;
        }
        agreed.version = state.memory.versions.current.version + 1;
        if state.rules.has(Rule::JointChange) {
            self.become_joint(now, agreed);
        } else {
            state.memory.versions = Versions::single(agreed);
            state.said = state.memory.versions.say();
            self.versions_changed(now.mono);
            self.persist(AfterWrite::Versions);
        }
    }

    /// From now on both versions count; it is said once it is on disk.
    fn become_joint(&mut self, now: Now, next: Agreed) {
        if let Some(state) = self.lease.as_mut() {
            state.memory.versions.next = Some(next);
        }
        self.versions_changed(now.mono);
        self.persist(AfterWrite::Versions);
    }

    /// Takes the versions that the other site is at.
    pub(super) fn take_versions(&mut self, now: Now, signed: &Signed) {
        let Some(state) = self.lease.as_mut() else { return };
        let versions = &state.memory.versions;
        if let (Joining::Lost { told: None }, Some(agreed), true) =
            (state.joining, &signed.proposal, signed.is_joined)
        {
            // A site without its state takes the agreed version as it finds it.
            state.memory.versions = Versions::single((**agreed).clone());
            state.said = state.memory.versions.say();
            self.versions_changed(now.mono);
            return;
        }
        let follows = versions.current.version + 1;
        let proposal = signed.proposal.as_ref().filter(|agreed| agreed.version == follows);
        if let (None, Some(agreed)) = (&versions.next, proposal) {
            let agreed = (**agreed).clone();
            self.become_joint(now, agreed);
            return;
        }
        let has_heard = signed.say.newest() == follows && state.said.next == Some(follows);
        if let Some(next) = versions.next.clone().filter(|_| has_heard) {
            // What counts changes only when it is on disk: until then both versions do.
            state.memory.versions = Versions::single(next);
            self.persist(AfterWrite::Versions);
        }
    }

    /// The versions are on disk.
    pub(in super::super) fn versions_written(&mut self, now: Moment) {
        if let Some(state) = self.lease.as_mut() {
            state.said = state.memory.versions.say();
        }
        self.versions_changed(now);
        self.announce();
    }

    fn versions_changed(&mut self, now: Moment) {
        let Some(state) = self.lease.as_mut() else { return };
        for name in state.memory.versions.names() {
            if !self.settings.arbiters.contains(&name) {
                self.settings.arbiters.push(name);
            }
        }
        let names = self.settings.arbiters.clone();
        self.view.grow(names.len());
        state.refresh_versions(now, &names);
    }
}
