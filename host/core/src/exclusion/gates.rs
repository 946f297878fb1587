//! G0 to G9: what must be open before a site becomes active.
//!
//! A table with a sentence per row; the first gate that is closed is the printed reason.

/// Who wants the promotion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// A verdict.
    Automatic,
    /// An operator with `-a`.
    Manual,
    /// An operator with `--force`.
    Forced,
}

/// What the gates look at: one answer per gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// G0.
    pub is_site_ready: bool,
    /// G1.
    pub is_configuration_known: bool,
    /// G2.
    pub is_automatic_on: bool,
    /// G3.
    pub is_duty_owed: bool,
    /// G4.
    pub is_peer_silent: bool,
    /// G5.
    pub is_peer_gone: bool,
    /// G6.
    pub is_held: bool,
    /// G7.
    pub is_wanted: bool,
    /// G8.
    pub is_claim_passed: bool,
    /// G9, the part that can be known before: this site's data.
    pub is_data_good: bool,
}

/// One gate.
#[derive(Debug)]
pub struct Gate {
    /// Its name.
    pub name: &'static str,
    /// Why it is closed, for people.
    pub sentence: &'static str,
    /// Which ways it stops, in the order automatic, manual, forced.
    pub stops: [bool; 3],
    is_open: fn(&Facts) -> bool,
}

const fn gate(
    name: &'static str,
    stops: [bool; 3],
    is_open: fn(&Facts) -> bool,
    sentence: &'static str,
) -> Gate {
    Gate { name, sentence, stops, is_open }
}

/// The table (`exclusion-notes.md` 4).
pub static GATES: [Gate; 10] = [
    gate(
        "G0",
        [true, true, true],
        |facts| facts.is_site_ready,
        "this site is not a ready standby: it boots, changes its role, has not joined its pair, or keeps a promise to the other site",
    ),
    gate(
        "G1",
        [true, true, false],
        |facts| facts.is_configuration_known,
        "the two sites have not agreed on their safety settings",
    ),
    gate("G2", [true, false, false], |facts| facts.is_automatic_on, "automatic failover is off here"),
    gate(
        "G3",
        [true, true, false],
        |facts| facts.is_duty_owed,
        "the other site was released from its duty to stop, so its silence proves nothing",
    ),
    gate(
        "G4",
        [true, true, false],
        |facts| facts.is_peer_silent,
        "the other site was heard serving, stopping or claiming within F",
    ),
    gate(
        "G5",
        [true, true, false],
        |facts| facts.is_peer_gone,
        "the other site may have reached too many arbiters within F",
    ),
    gate(
        "G6",
        [true, true, false],
        |facts| facts.is_held,
        "this site does not hold sessions of the minimum age at enough arbiters",
    ),
    gate(
        "G7",
        [true, false, false],
        |facts| facts.is_wanted,
        "no verdict on young evidence asks for beActive",
    ),
    gate(
        "G8",
        [true, true, false],
        |facts| facts.is_claim_passed,
        "the claim has not found the arbiters free yet",
    ),
    gate(
        "G9",
        [true, false, false],
        |facts| facts.is_data_good,
        "this site served before and lost its lease; the other site may have served since and hold newer data",
    ),
];

/// The first gate that stops this way.
pub fn first_closed(facts: &Facts, way: Way) -> Option<&'static Gate> {
    GATES.iter().find(|gate| gate.stops[way as usize] && !(gate.is_open)(facts))
}

/// Whether the gates before the claim are open: those that say nobody else serves, and that this site may.
pub fn may_claim(facts: &Facts, way: Way) -> bool {
    let opened = Facts { is_held: true, is_claim_passed: true, ..*facts };
    first_closed(&opened, way).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gate_stops_exactly_the_ways_of_the_table() {
        let open = Facts {
            is_site_ready: true,
            is_configuration_known: true,
            is_automatic_on: true,
            is_duty_owed: true,
            is_peer_silent: true,
            is_peer_gone: true,
            is_held: true,
            is_wanted: true,
            is_claim_passed: true,
            is_data_good: true,
        };
        let cases: [(Facts, &str); 10] = [
            (Facts { is_site_ready: false, ..open }, "G0"),
            (Facts { is_configuration_known: false, ..open }, "G1"),
            (Facts { is_automatic_on: false, ..open }, "G2"),
            (Facts { is_duty_owed: false, ..open }, "G3"),
            (Facts { is_peer_silent: false, ..open }, "G4"),
            (Facts { is_peer_gone: false, ..open }, "G5"),
            (Facts { is_held: false, ..open }, "G6"),
            (Facts { is_wanted: false, ..open }, "G7"),
            (Facts { is_claim_passed: false, ..open }, "G8"),
            (Facts { is_data_good: false, ..open }, "G9"),
        ];
        for way in [Way::Automatic, Way::Manual, Way::Forced] {
            assert!(first_closed(&open, way).is_none());
            for (facts, name) in &cases {
                let gate = GATES.iter().find(|gate| gate.name == *name).unwrap();
                let found = first_closed(facts, way).map(|gate| gate.name);
                assert_eq!(found, gate.stops[way as usize].then_some(*name), "{name} {way:?}");
            }
        }
        let forced: Vec<_> = GATES.iter().filter(|gate| gate.stops[2]).map(|gate| gate.name).collect();
        assert_eq!(forced, ["G0"]);
    }
}
