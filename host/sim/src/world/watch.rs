//! What an observer outside of both sites sees: who serves, for how long, how often both.

use dr_watchdog_core::transitions::Phase;

/// A line of a run's story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Microseconds after the start.
    pub at_us: u64,
    /// Which site; `None` = the world.
    pub site: Option<usize>,
    /// What happened.
    pub text: String,
}

/// A change that a drawing shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// What the watchdog does from now on.
    Phase(Phase),
    /// There is no watchdog from now on.
    Gone,
    /// The guard is armed until a true time.
    Lease {
        /// Until then.
        until_us: u64,
    },
}

/// A change of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Track {
    /// Microseconds after the start.
    pub at_us: u64,
    /// Which site.
    pub site: usize,
    /// What changed.
    pub what: Change,
}

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    is_traced: bool,
    /// The story, where it is wanted.
    pub notes: Vec<Note>,
    /// Changes for a drawing, where the story is wanted.
    pub tracks: Vec<Track>,
    serving: [bool; 2],
    since_us: u64,
    /// Every change of who serves.
    pub changes: Vec<(u64, [bool; 2])>,
    /// Times at which both served, as begin, length.
    pub overlaps: Vec<(u64, u64)>,
    /// Since when the sites can talk to each other, if they can.
    path_since_us: Option<u64>,
    /// The longest time at which both served although they could talk.
    pub longest_talking_us: u64,
    /// Longest time without an active, once there was one.
    pub longest_none_us: u64,
    /// Whether anybody has ever served.
    pub has_begun: bool,
    /// When a fault last healed.
    pub healed_us: u64,
    /// When the services of a site were last stopped in order.
    pub stopped_us: u64,
    /// When the orderly stop that takes longest ends, if nothing interrupts it.
    pub stop_due_us: u64,
    /// When the watchdog of the machine that was switched on last starts.
    pub boot_due_us: u64,
    /// Highest epoch written by each site.
    pub epochs: [u64; 2],
    /// Sites whose epoch fell.
    pub fallen: Vec<usize>,
    /// Times from a true loss of the active to serving again, all else being well.
    pub failovers_us: Vec<u64>,
    /// A true loss that nobody has taken over yet: the site, when.
    pub(super) loss: Option<(usize, u64)>,
    /// A site that stopped although it was well.
    pub(super) well_stopped: Option<usize>,
    /// Failovers although the active was well.
    pub needless: u64,
    /// Happenings in all.
    pub happenings: u64,
    /// Site changes its state on purpose: its epoch may fall.
    pub forgives_epoch: [bool; 2],
}

impl Watch {
    pub(super) fn new(is_traced: bool) -> Self {
        Self { is_traced, ..Self::default() }
    }

    pub(super) fn note(&mut self, at_us: u64, site: Option<usize>, text: impl FnOnce() -> String) {
        if self.is_traced {
            self.notes.push(Note { at_us, site, text: text() });
        }
    }

    pub(super) fn track(&mut self, at_us: u64, site: usize, what: Change) {
        if self.is_traced {
            self.tracks.push(Track { at_us, site, what });
        }
    }

    pub(super) fn epoch(&mut self, site: usize, epoch: u64) {
        if epoch < self.epochs[site] && !self.forgives_epoch[site] {
            self.fallen.push(site);
        }
        self.epochs[site] = epoch;
    }

    pub(super) const fn is_serving(&self, site: usize) -> bool {
        self.serving[site]
    }

    /// Whether the sites can talk from now on.
    pub(super) fn path(&mut self, now_us: u64, is_whole: bool) {
        if !is_whole {
            self.weigh_talking(now_us);
        }
        self.path_since_us = is_whole.then(|| self.path_since_us.unwrap_or(now_us));
    }

    fn weigh_talking(&mut self, now_us: u64) {
        if let Some(since_us) = self.path_since_us.filter(|_| self.serving == [true, true]) {
            self.longest_talking_us = self.longest_talking_us.max(now_us - since_us.max(self.since_us));
        }
    }

    /// Who serves from now on.
    pub(super) fn serving(&mut self, now_us: u64, serving: [bool; 2]) {
        let before = self.serving;
        if serving == before {
            return;
        }
        let span = now_us - self.since_us;
        self.weigh_talking(now_us);
        if before == [true, true] && span > 0 {
            self.overlaps.push((self.since_us, span));
        }
        if before == [false, false] && self.has_begun {
            self.longest_none_us = self.longest_none_us.max(span);
        }
        for site in 0..2 {
            if serving[site] && !before[site] {
                self.begins(now_us, site);
            }
        }
        self.has_begun |= serving != [false, false];
        self.serving = serving;
        self.since_us = now_us;
        self.changes.push((now_us, serving));
        self.note(now_us, None, || match serving {
            [true, true] => "BOTH SERVE".to_owned(),
            [true, false] => "site 0 serves".to_owned(),
            [false, true] => "site 1 serves".to_owned(),
            [false, false] => "nobody serves".to_owned(),
        });
    }

    fn begins(&mut self, now_us: u64, site: usize) {
        if let Some((lost, at_us)) = self.loss.take()
            && lost != site
        {
            self.failovers_us.push(now_us - at_us);
        }
        if self.well_stopped.take().is_some_and(|stopped| stopped != site) {
            self.needless += 1;
        }
    }

    /// Closes the books at the end of the run.
    pub fn finish(&mut self, now_us: u64) {
        self.weigh_talking(now_us);
        if self.serving == [true, true] && now_us > self.since_us {
            self.overlaps.push((self.since_us, now_us - self.since_us));
        }
        if self.serving == [false, false] && self.has_begun {
            self.longest_none_us = self.longest_none_us.max(now_us - self.since_us);
        }
    }
}
