//! The last address that each name had, for the time in which no name server answers; pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

/// Most names that are remembered: a thousand arbiters, with room for those of earlier configurations.
const NAMES_MAX: usize = 4_096;
/// How long an address is believed that nobody has told again: a name server may be down for a night, and it is not
/// for years that a device keeps its address.
const AGE_MAX: Duration = Duration::from_secs(24 * 3_600);

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct LastKnown(BTreeMap<String, (IpAddr, Instant)>);

impl LastKnown {
    /// Nothing.
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// A name server has told this address now. Where no room is left, the name that was told longest ago is forgotten.
    pub(super) fn told(&mut self, name: &str, address: IpAddr, now: Instant) {
        if self.0.len() >= NAMES_MAX
            && !self.0.contains_key(name)
            && let Some(oldest) =
                self.0.iter().min_by_key(|(_, (_, told))| *told).map(|(name, _)| name.clone())
        {
            self.0.remove(&oldest);
        }
        self.0.insert(name.to_owned(), (address, now));
    }

    /// The address of a name with its age, unless that is too old.
    pub(super) fn of(&self, name: &str, now: Instant) -> Option<(IpAddr, Duration)> {
        let (address, told) = self.0.get(name)?;
        let age = now.saturating_duration_since(*told);
        (age <= AGE_MAX).then_some((*address, age))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_believed_for_a_day() {
        let (mut known, begin) = (LastKnown::new(), Instant::now());
        let address = IpAddr::from([192, 0, 2, 1]);
        known.told("r1", address, begin);
        assert_eq!(known.of("r1", begin + AGE_MAX), Some((address, AGE_MAX)));
        assert_eq!(known.of("r1", begin + AGE_MAX + Duration::from_secs(1)), None);
        assert_eq!(known.of("r2", begin), None);
    }

    #[test]
    fn the_name_that_was_told_longest_ago_makes_room() {
        let (mut known, begin) = (LastKnown::new(), Instant::now());
        let address = IpAddr::from([192, 0, 2, 1]);
        for number in 0..=NAMES_MAX {
            let at = begin + Duration::from_millis(u64::try_from(number).unwrap());
            known.told(&format!("r{number}"), address, at);
        }
        assert_eq!(known.0.len(), NAMES_MAX);
        assert!(known.of("r0", begin).is_none() && known.of("r1", begin).is_some());
    }
}
