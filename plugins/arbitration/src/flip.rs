//! The smallest change of evidence that would change what is done, found by trying every one.
//!
//! Architecture invariant: it asks the same table as the verdict; no rule is written a second time here.

use dr_watchdog_sdk::verdict::Action;

use crate::rules::{self, Counts, Facts, Weighs};

/// More arbiters than this are not searched: the number of moves grows with the square, and nobody configures more.
const ARBITERS_MAX: u64 = 1_000;

/// A signed number of arbiters that enter a class.
#[derive(Debug, Clone, Copy)]
struct Move {
    pinged: i64,
    managed: i64,
    unreachable: i64,
    free: i64,
}

/// The smallest change in a sentence, such as "1 more arbiter managed by the other site, 1 fewer free → nothing";
/// `None` where no evidence would change the action.
pub fn smallest(facts: &Facts) -> Option<String> {
    search(facts).map(|(_, step, action)| format!("{} → {}", sentence(step), action.word()))
}

/// How many arbiters must change their class, how, and what would be done then.
fn search(facts: &Facts) -> Option<(i64, Move, Action)> {
    let rule = rules::decide(facts)?;
    if facts.counts.total > ARBITERS_MAX {
        return None;
    }
    for arbiters in 1..=facts.counts.total as i64 {
        for step in moves(rule.weighs, arbiters) {
            let Some(counts) = moved(facts.counts, step) else { continue };
            let Some(other) = rules::decide(&Facts { counts, ..*facts }) else { continue };
            if other.action != rule.action {
                return Some((arbiters, step, other.action));
            }
        }
    }
    None
}

/// Every way in which exactly this many arbiters change their class; moves between two classes come first.
fn moves(weighs: Weighs, arbiters: i64) -> Vec<Move> {
    let pings = |pinged| Move { pinged, managed: 0, unreachable: 0, free: 0 };
    match weighs {
        Weighs::Nothing => Vec::new(),
        Weighs::Pings => vec![pings(arbiters), pings(-arbiters)],
        Weighs::Sessions => {
            let (simple, mixed): (Vec<Move>, Vec<Move>) = ring(arbiters).partition(Move::is_simple);
            [simple, mixed].concat()
        }
    }
}

/// The splits around the present one from which exactly `arbiters` arbiters have moved: a hexagon of six times as
/// many points. Only they are tried, because trying the square around them takes seconds with 1,000 arbiters.
fn ring(arbiters: i64) -> impl Iterator<Item = Move> {
    let point = |managed: i64, unreachable: i64| Move {
        pinged: 0,
        managed,
        unreachable,
        free: -managed - unreachable,
    };
    // All leave or all enter the class of the managed ones …
    let sides = (0..=arbiters).flat_map(move |some| [point(arbiters, -some), point(-arbiters, some)]);
    // … or fewer of them do, and then one of the other classes gains or loses all.
    let rest = (1 - arbiters..arbiters).flat_map(move |managed| {
        let (gains, loses) = (managed.max(0), managed.min(0));
        [point(managed, arbiters - gains), point(managed, -arbiters - loses)]
    });
    sides.chain(rest)
}

impl Move {
    /// Whether it is a move from one class to one other.
    fn is_simple(&self) -> bool {
        [self.managed, self.unreachable, self.free].contains(&0)
    }
}

fn moved(counts: Counts, step: Move) -> Option<Counts> {
    let free = counts.total.checked_sub(counts.managed + counts.unreachable)?;
    free.checked_add_signed(step.free)?;
    let next = Counts {
        total: counts.total,
        pinged: counts.pinged.checked_add_signed(step.pinged)?,
        managed: counts.managed.checked_add_signed(step.managed)?,
        unreachable: counts.unreachable.checked_add_signed(step.unreachable)?,
    };
    (next.pinged <= next.total).then_some(next)
}

fn sentence(step: Move) -> String {
    let classes = [
        (step.pinged, "answering ping"),
        (step.managed, "managed by the other site"),
        (step.unreachable, "unreachable by SSH"),
        (step.free, "reached and free"),
    ];
    let entered = classes.iter().filter(|(count, _)| *count > 0);
    let left = classes.iter().filter(|(count, _)| *count < 0);
    let parts: Vec<String> = entered
        .chain(left)
        .enumerate()
        .map(|(at, (count, class))| {
            let direction = if *count > 0 { "more" } else { "fewer" };
            let noun = match (at, count.unsigned_abs()) {
                (0, 1) => " arbiter",
                (0, _) => " arbiters",
                _ => "",
            };
            format!("{} {direction}{noun} {class}", count.unsigned_abs())
        })
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use dr_watchdog_sdk::threshold::Threshold;
    use dr_watchdog_sdk::{Role, Situation, Utc};

    fn facts(role: Role, situation: Situation, counts: [u64; 4]) -> Facts {
        let [total, pinged, managed, unreachable] = counts;
        Facts {
            role,
            situation,
            was_last_active: true,
            counts: Counts { total, pinged, managed, unreachable },
            failover: Threshold::HALF,
            adjust_managed: Threshold::HALF,
            now: Utc::from_unix_ms(0),
            wait_until: Utc::from_unix_ms(1_000),
        }
    }

    #[test]
    fn the_smallest_change_is_told_for_each_kind_of_evidence() {
        use Role::{Active, Standby};
        use Situation::{BothStandby, PeerLost, Waiting};
        let cases = [
            (Active, PeerLost, [3, 2, 0, 0], Some("1 fewer arbiter answering ping → beStandby")),
            (Active, PeerLost, [5, 1, 0, 0], Some("2 more arbiters answering ping → nothing")),
            (
                Standby,
                PeerLost,
                [2, 0, 0, 0],
                Some("1 more arbiter managed by the other site, 1 fewer reached and free → nothing"),
            ),
            (
                Standby,
                PeerLost,
                [4, 0, 2, 0],
                Some("1 more arbiter reached and free, 1 fewer managed by the other site → beActive"),
            ),
            (
                Standby,
                PeerLost,
                [3, 0, 1, 2],
                Some("2 more arbiters reached and free, 2 fewer unreachable by SSH → beActive"),
            ),
            (Standby, BothStandby, [3, 3, 0, 0], Some("2 fewer arbiters answering ping → wait")),
            (Standby, Waiting, [3, 3, 0, 0], None),
            (Active, PeerLost, [0, 0, 0, 0], None),
        ];
        for (role, situation, counts, expected) in cases {
            assert_eq!(smallest(&facts(role, situation, counts)).as_deref(), expected, "{role:?} {counts:?}");
        }
    }

    #[test]
    fn no_smaller_change_exists_than_the_one_that_is_told() {
        for total in 0..=6_u64 {
            for managed in 0..=total {
                for unreachable in 0..=total - managed {
                    let here = facts(Role::Standby, Situation::PeerLost, [total, 0, managed, unreachable]);
                    let found = search(&here).map(|(arbiters, _, _)| arbiters as u64);
                    assert_eq!(found, nearest_other(&here), "{here:?}");
                }
            }
        }
    }

    #[test]
    fn the_ring_is_every_move_of_that_many_arbiters_once() {
        for arbiters in 1..=7_i64 {
            let mut found: Vec<(i64, i64)> =
                ring(arbiters).map(|step| (step.managed, step.unreachable)).collect();
            let mut expected = Vec::new();
            for managed in -arbiters..=arbiters {
                for unreachable in -arbiters..=arbiters {
                    let free = -managed - unreachable;
                    if managed.max(0) + unreachable.max(0) + free.max(0) == arbiters {
                        expected.push((managed, unreachable));
                    }
                }
            }
            found.sort_unstable();
            assert_eq!(found, expected);
        }
    }

    /// Brute force over all splits: the fewest arbiters that must change class for another action.
    fn nearest_other(facts: &Facts) -> Option<u64> {
        let (now, total) = (facts.counts, facts.counts.total);
        let action = rules::decide(facts).unwrap().action;
        let mut best = None;
        for managed in 0..=total {
            for unreachable in 0..=total - managed {
                let counts = Counts { managed, unreachable, ..now };
                if rules::decide(&Facts { counts, ..*facts }).unwrap().action == action {
                    continue;
                }
                let free = |counts: Counts| total - counts.managed - counts.unreachable;
                let size = (managed.abs_diff(now.managed)
                    + unreachable.abs_diff(now.unreachable)
                    + free(counts).abs_diff(free(now)))
                    / 2;
                best = Some(best.map_or(size, |known: u64| known.min(size)));
            }
        }
        best
    }
}
