//! How many arbiters the active needs, against how many the standby must find stale.
//!
//! `need` fresh ones keep the active; `n − need + 1` stale ones let the standby take over. The sum is n + 1, so the
//! two always share an arbiter, for every n and every threshold, exactly half included.

use dr_watchdog_sdk::threshold::{SCALE, Threshold};

use crate::time::Moment;

/// Most arbiters of one site.
pub const ARBITERS_MAX: usize = 64;

/// Arbiters the active needs: `max(1, ceil(T·n))` in whole numbers.
pub fn need(threshold: Threshold, total: usize) -> usize {
    let scaled = threshold.ten_thousandths() * total as u64;
    usize::try_from(scaled.div_ceil(SCALE)).unwrap_or(usize::MAX).max(1)
}

/// One agreed set of arbiters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Positions in the settings.
    pub members: Vec<usize>,
    /// Arbiters the active needs.
    pub need: usize,
}

impl Set {
    /// A set with its need.
    pub fn new(members: Vec<usize>, threshold: Threshold) -> Self {
        let need = need(threshold, members.len());
        Self { members, need }
    }

    /// Arbiters that the standby must find stale.
    pub const fn need_stale(&self) -> usize {
        (self.members.len() + 1).saturating_sub(self.need)
    }
}

/// The sets in force: one, or two while the safety settings change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    sets: Vec<Set>,
}

impl Quorum {
    /// The sets that all must agree.
    pub const fn new(sets: Vec<Set>) -> Self {
        Self { sets }
    }

    /// Those sets.
    pub fn sets(&self) -> &[Set] {
        &self.sets
    }

    /// Whether enough arbiters are held, in every set.
    pub fn is_held(&self, is_held: impl Fn(usize) -> bool) -> bool {
        self.sets.iter().all(|set| set.members.iter().filter(|i| is_held(**i)).count() >= set.need)
    }

    /// Whether enough arbiters are stale, in every set.
    pub fn is_free(&self, is_stale: impl Fn(usize) -> bool) -> bool {
        self.sets.iter().all(|set| set.members.iter().filter(|i| is_stale(**i)).count() >= set.need_stale())
    }

    /// The instant at which enough arbiters had been heard: the need-th newest, of the set where it is oldest.
    pub fn need_th_newest(&self, heard: impl Fn(usize) -> Option<Moment>) -> Option<Moment> {
        let of = |set: &Set| {
            let age = |i: usize| heard(i).map(|moment| u64::MAX - moment.us());
            nth_smallest(&set.members, set.need, age).map(|age| Moment::from_us(u64::MAX - age))
        };
        self.sets.iter().map(of).try_fold(None, |oldest: Option<Moment>, moment| {
            let moment = moment?;
            Some(Some(oldest.map_or(moment, |oldest| oldest.min(moment))))
        })?
    }

    /// The last contact that must be old enough for the standby to take over: of each set the contact number
    /// `n − need + 1` from the oldest, of the set where it is newest.
    pub fn decisive_contact(&self, contact: impl Fn(usize) -> Moment) -> Moment {
        let of = |set: &Set| {
            let oldest = nth_smallest(&set.members, set.need_stale(), |i| Some(contact(i).us()));
            Moment::from_us(oldest.unwrap_or(u64::MAX))
        };
        self.sets.iter().map(of).max().unwrap_or(Moment::from_us(u64::MAX))
    }
}

/// The n-th of the smallest, counted from 1; `None` where there are fewer. It counts instead of sorting, without a
/// buffer: this runs at every answer of every arbiter, and there are few arbiters.
fn nth_smallest(members: &[usize], n: usize, key: impl Fn(usize) -> Option<u64>) -> Option<u64> {
    members.iter().find_map(|i| {
        let own = (key(*i)?, *i);
        let before = members.iter().filter(|j| key(**j).is_some_and(|other| (other, **j) < own));
        (before.count() + 1 == n).then_some(own.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fresh_and_the_stale_always_share_an_arbiter() {
        for total in 1..=39 {
            for hundredths in 0..=100 {
                let threshold = Threshold::from_ten_thousandths(hundredths * 100).unwrap();
                let set = Set::new((0..total).collect(), threshold);
                assert!(set.need + set.need_stale() > total, "n = {total}, T = {hundredths} %");
                assert!(set.need >= 1 && set.need <= total && set.need_stale() >= 1);
            }
        }
    }

    #[test]
    fn the_need_of_the_table_in_the_notes() {
        let needs: Vec<_> = (1..=7).map(|n| need(Threshold::HALF, n)).collect();
        assert_eq!(needs, [1, 1, 2, 2, 3, 3, 4]);
        let stale: Vec<_> =
            (1..=7).map(|n| Set::new((0..n).collect(), Threshold::HALF).need_stale()).collect();
        assert_eq!(stale, [1, 2, 2, 3, 3, 4, 4]);
    }

    #[test]
    fn the_need_th_newest_of_the_worse_set_counts() {
        let at = |us| Some(Moment::from_us(us));
        let heard = [at(50), at(40), at(30), None, at(10)];
        let set = |members: &[usize]| Set::new(members.to_vec(), Threshold::HALF);
        let one = Quorum::new(vec![set(&[0, 1, 2, 3, 4])]);
        assert_eq!(one.need_th_newest(|i| heard[i]), at(30));
        let joint = Quorum::new(vec![set(&[0, 1, 2]), set(&[2, 3, 4])]);
        assert_eq!(joint.need_th_newest(|i| heard[i]), at(10));
        let starved = Quorum::new(vec![set(&[0, 1, 2]), set(&[3])]);
        assert_eq!(starved.need_th_newest(|i| heard[i]), None);
        let contacts = [50, 40, 30, 20, 10].map(Moment::from_us);
        assert_eq!(one.decisive_contact(|i| contacts[i]), contacts[2]);
        assert_eq!(joint.decisive_contact(|i| contacts[i]), contacts[1]);
    }
}
