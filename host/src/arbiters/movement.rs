//! How fresh the sessions of a device are, which may show an age, a count or neither; pure.
//!
//! A count proves a contact only by having changed, so its age is the time since a look of this series showed another
//! one. A series that broke begins anew, and every row of it counts as moved just then.

use std::collections::BTreeMap;
use std::time::Duration;

use dr_watchdog_sdk::evidence::Session;
use tokio::time::Instant;

use super::parse::Row;
use crate::config::model::Freshness;

/// Sessions that a device does not tell apart share a place here.
type Place = (String, Option<u16>);

/// What one look showed, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    /// When it was asked.
    pub(super) begun: Instant,
    /// When it had answered.
    pub(super) answered: Instant,
    /// Whether it was asked over the connection of the look before.
    pub(super) is_unbroken: bool,
}

/// The counts of one device's sessions, from look to look.
#[derive(Debug, Default)]
pub(super) struct Movement {
    /// When the last look was asked.
    last_begun: Option<Instant>,
    seen: BTreeMap<Place, Counted>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Counted {
    /// In order, where several share a place.
    counts: Vec<u64>,
    moved: Instant,
}

impl Movement {
    /// Takes the rows of a look of the running series; `gap_max` is the longest gap that leaves it unbroken.
    pub(super) fn looked(&mut self, rows: &[Row], shown: Shown, gap_max: Duration) {
        let is_unbroken = shown.is_unbroken
            && self.last_begun.is_some_and(|begun| shown.answered.duration_since(begun) <= gap_max);
        let mut now: BTreeMap<Place, Counted> = BTreeMap::new();
        for row in rows {
            let Some(count) = row.counter else { continue };
            let counted = now.entry(place(row));
            let counted = counted.or_insert_with(|| Counted { counts: Vec::new(), moved: shown.answered });
            counted.counts.push(count);
        }
        for (place, counted) in &mut now {
            counted.counts.sort_unstable();
            let before = self.seen.get(place).filter(|before| is_unbroken && before.counts == counted.counts);
            counted.moved = before.map_or(shown.answered, |before| before.moved);
        }
        self.seen = now;
        self.last_begun = Some(shown.begun);
    }

    /// Forgets the series: what is seen next is seen for the first time.
    pub(super) fn broken(&mut self) {
        *self = Self::default();
    }

    /// How long ago the count of a session moved, where this series has seen it as it is now.
    fn age(&self, row: &Row, now: Instant) -> Option<Duration> {
        let (counted, count) = (self.seen.get(&place(row))?, row.counter?);
        counted.counts.contains(&count).then(|| now.saturating_duration_since(counted.moved))
    }

    /// The sessions as policies see them. What is not known to be old counts as fresh, so an age is left out wherever
    /// there is none to be believed.
    pub(super) fn sessions(&self, rows: Vec<Row>, freshness: Freshness, now: Instant) -> Vec<Session> {
        let counted =
            |row: &Row| self.age(row, now).map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        rows.into_iter()
            .map(|row| {
                let age_ms = match freshness {
                    Freshness::Auto => row.session.age_ms.or_else(|| counted(&row)),
                    Freshness::Age => row.session.age_ms,
                    Freshness::Counter => counted(&row),
                    Freshness::Presence => None,
                };
                Session { from: row.session.from, age_ms }
            })
            .collect()
    }
}

fn place(row: &Row) -> Place {
    (row.session.from.clone(), row.port)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: Duration = Duration::from_secs(15);

    fn row(port: u16, age_ms: Option<u64>, counter: Option<u64>) -> Row {
        Row { session: Session { from: "192.0.2.10".to_owned(), age_ms }, port: Some(port), counter }
    }

    /// A series of looks at these seconds; the ages that the last one shows under each way to tell.
    struct Series {
        begin: Instant,
        movement: Movement,
    }

    impl Series {
        fn new() -> Self {
            Self { begin: Instant::now(), movement: Movement::default() }
        }

        fn look(
            &mut self,
            at_s: u64,
            is_unbroken: bool,
            rows: &[Row],
            freshness: Freshness,
        ) -> Vec<Option<u64>> {
            let at = self.begin + Duration::from_secs(at_s);
            let shown = Shown { begun: at, answered: at, is_unbroken };
            self.movement.looked(rows, shown, GAP);
            let sessions = self.movement.sessions(rows.to_vec(), freshness, at);
            sessions.into_iter().map(|session| session.age_ms).collect()
        }
    }

    #[test]
    fn a_count_that_stands_still_grows_old_from_the_look_that_first_showed_it() {
        let mut series = Series::new();
        for at_s in [0, 5, 10] {
            let ages = series.look(at_s, at_s > 0, &[row(1, None, Some(7))], Freshness::Counter);
            assert_eq!(ages, [Some(at_s * 1_000)]);
        }
        let both = [row(1, None, Some(8)), row(2, None, Some(1))];
        assert_eq!(series.look(15, true, &both, Freshness::Counter), [Some(0), Some(0)], "moved, and new");
        assert_eq!(series.look(20, true, &both, Freshness::Counter), [Some(5_000), Some(5_000)]);
    }

    #[test]
    fn a_series_that_broke_says_nothing_of_what_it_saw_before() {
        let rows = [row(1, None, Some(7))];
        for (at_s, is_unbroken, why) in [(10, false, "another connection"), (16, true, "a gap longer than G")]
        {
            let mut series = Series::new();
            series.look(0, false, &rows, Freshness::Counter);
            assert_eq!(series.look(at_s, is_unbroken, &rows, Freshness::Counter), [Some(0)], "{why}");
        }
        let mut series = Series::new();
        series.look(0, false, &rows, Freshness::Counter);
        series.movement.broken();
        assert_eq!(series.look(5, true, &rows, Freshness::Counter), [Some(0)], "a look that failed");
    }

    #[test]
    fn the_best_that_a_row_shows_is_taken_unless_one_is_chosen() {
        let rows = [row(1, Some(900), Some(7)), row(2, None, Some(7)), row(3, None, None)];
        for (freshness, expected) in [
            (Freshness::Auto, [Some(900), Some(5_000), None]),
            (Freshness::Age, [Some(900), None, None]),
            (Freshness::Counter, [Some(5_000), Some(5_000), None]),
            (Freshness::Presence, [None, None, None]),
        ] {
            let mut series = Series::new();
            series.look(0, false, &rows, freshness);
            assert_eq!(series.look(5, true, &rows, freshness), expected, "{}", freshness.word());
        }
    }

    #[test]
    fn sessions_that_a_device_does_not_tell_apart_move_together() {
        let bare = |counter| Row { port: None, ..row(1, None, Some(counter)) };
        let mut series = Series::new();
        series.look(0, false, &[bare(7), bare(9)], Freshness::Counter);
        assert_eq!(series.look(5, true, &[bare(9), bare(7)], Freshness::Counter), [Some(5_000); 2]);
        assert_eq!(series.look(10, true, &[bare(9), bare(8)], Freshness::Counter), [Some(0); 2]);
    }

    #[test]
    fn a_look_beside_the_series_believes_it_only_where_the_count_is_the_same() {
        let mut series = Series::new();
        series.look(0, false, &[row(1, None, Some(7))], Freshness::Counter);
        let later = series.begin + Duration::from_secs(4);
        let ages = |rows: &[Row]| -> Vec<Option<u64>> {
            let sessions = series.movement.sessions(rows.to_vec(), Freshness::Counter, later);
            sessions.into_iter().map(|session| session.age_ms).collect()
        };
        assert_eq!(
            ages(&[row(1, None, Some(7)), row(1, None, Some(8)), row(2, None, Some(7))]),
            [Some(4_000), None, None]
        );
    }
}
