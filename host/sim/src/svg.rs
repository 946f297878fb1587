//! A run as a drawing: roles, leases, arbiters, faults over time.

use std::fmt::Write as _;

use dr_watchdog_core::transitions::Phase;

use crate::fault::{Fault, Kind};
use crate::run::{Outcome, Plan};
use crate::world::Change;

const WIDTH: f64 = 1_200.0;
const LEFT: f64 = 150.0;
const LANE: f64 = 24.0;
const SECOND_US: u64 = 1_000_000;
/// Seconds that are shown before the first fault, after the last happening.
const MARGIN_S: u64 = 120;

struct Drawing {
    text: String,
    from_us: u64,
    to_us: u64,
    y: f64,
}

impl Drawing {
    fn x(&self, at_us: u64) -> f64 {
        let at_us = at_us.clamp(self.from_us, self.to_us);
        let share = (at_us - self.from_us) as f64 / (self.to_us - self.from_us).max(1) as f64;
        LEFT + share * (WIDTH - LEFT - 20.0)
    }

    fn lane(&mut self, name: &str) {
        self.y += LANE;
        // Writing to a String cannot fail; so it is below.
        let _ = writeln!(
            self.text,
            "<text x=\"8\" y=\"{:.0}\">{name}</text><line x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{2:.0}\" y2=\"{2:.0}\" stroke=\"#ddd\"/>",
            self.y + 14.0,
            WIDTH - 20.0,
            self.y + 20.0
        );
    }

    fn bar(&mut self, (from_us, to_us): (u64, u64), colour: &str, title: &str) {
        if to_us <= self.from_us || from_us >= self.to_us {
            return;
        }
        let (x, end) = (self.x(from_us), self.x(to_us));
        let _ = writeln!(
            self.text,
            "<rect x=\"{x:.1}\" y=\"{:.0}\" width=\"{:.1}\" height=\"16\" fill=\"{colour}\"><title>{title}: {:.1} s to {:.1} s</title></rect>",
            self.y + 3.0,
            (end - x).max(1.0),
            from_us as f64 / 1e6,
            to_us as f64 / 1e6
        );
    }
}

/// Draws a traced run.
pub fn draw(plan: &Plan, outcome: &Outcome) -> String {
    let first = plan.faults.iter().map(|fault| fault.at_s).min().unwrap_or(0).saturating_sub(MARGIN_S);
    let healed = plan.faults.iter().map(|fault| fault.at_s + fault.for_s).max().unwrap_or(0);
    let changed = outcome.changes.last().map_or(0, |(at_us, _)| at_us / SECOND_US);
    let (from_us, to_us) = (first * SECOND_US, (healed.max(changed) + MARGIN_S) * SECOND_US);
    let mut drawing = Drawing { text: String::new(), from_us, to_us, y: 40.0 };
    for site in 0..2 {
        roles(&mut drawing, outcome, site);
        serving(&mut drawing, outcome, site);
        lease(&mut drawing, outcome, site);
    }
    for arbiter in 0..plan.drawn.kinds.len() {
        arbiter_lane(&mut drawing, plan, arbiter);
    }
    for fault in &plan.faults {
        drawing.lane(fault_word(&fault.kind));
        drawing.bar(span(fault), "#d97706", &escaped(&format!("{:?}", fault.kind)));
    }
    let bottom = drawing.y + LANE + 8.0;
    let mut over = std::mem::take(&mut drawing.text);
    axis(&drawing, &mut over, bottom);
    for (at_us, span_us) in &outcome.overlaps {
        let (x, end) = (drawing.x(*at_us), drawing.x(at_us + span_us));
        let _ = writeln!(
            over,
            "<rect x=\"{x:.1}\" y=\"40\" width=\"{:.1}\" height=\"{:.0}\" fill=\"#dc2626\" fill-opacity=\"0.35\"><title>both serve</title></rect>",
            (end - x).max(2.0),
            bottom - 40.0
        );
    }
    let head = escaped(&format!("seed {}", plan.seed));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {:.0}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"8\" y=\"20\" font-size=\"14\">{head}: active green, changing yellow, standby grey, off black; both serve: red</text>\n{over}</svg>\n",
        bottom + 30.0
    )
}

fn span(fault: &Fault) -> (u64, u64) {
    (fault.at_s * SECOND_US, (fault.at_s + fault.for_s) * SECOND_US)
}

fn axis(drawing: &Drawing, text: &mut String, bottom: f64) {
    const TICKS: u64 = 8;
    for tick in 0..=TICKS {
        let at_us = drawing.from_us + (drawing.to_us - drawing.from_us) * tick / TICKS;
        let x = drawing.x(at_us);
        let _ = writeln!(
            text,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"40\" y2=\"{bottom:.0}\" stroke=\"#eee\"/><text x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{} s</text>",
            bottom + 16.0,
            at_us / SECOND_US
        );
    }
}

fn roles(drawing: &mut Drawing, outcome: &Outcome, site: usize) {
    drawing.lane(if site == 0 { "site 0: role" } else { "site 1: role" });
    let own: Vec<_> = outcome.tracks.iter().filter(|track| track.site == site).collect();
    let steps: Vec<_> = own.iter().filter(|track| !matches!(track.what, Change::Lease { .. })).collect();
    for (index, track) in steps.iter().enumerate() {
        let end_us = steps.get(index + 1).map_or(drawing.to_us, |next| next.at_us);
        let (colour, title) = match track.what {
            Change::Phase(Phase::Active) => ("#86efac", "active"),
            Change::Phase(Phase::Standby | Phase::Standalone) => ("#cbd5e1", "standby"),
            Change::Phase(phase) => ("#fde047", phase.word()),
            Change::Gone | Change::Lease { .. } => ("#111", "no watchdog"),
        };
        drawing.bar((track.at_us, end_us), colour, title);
    }
}

fn serving(drawing: &mut Drawing, outcome: &Outcome, site: usize) {
    drawing.lane(if site == 0 { "site 0: serves" } else { "site 1: serves" });
    for (index, (at_us, serving)) in outcome.changes.iter().enumerate() {
        let end_us = outcome.changes.get(index + 1).map_or(drawing.to_us, |(next, _)| *next);
        if serving[site] {
            drawing.bar((*at_us, end_us), "#16a34a", "serves");
        }
    }
}

fn lease(drawing: &mut Drawing, outcome: &Outcome, site: usize) {
    drawing.lane(if site == 0 { "site 0: lease" } else { "site 1: lease" });
    let mut open: Option<(u64, u64)> = None;
    for track in outcome.tracks.iter().filter(|track| track.site == site) {
        let Change::Lease { until_us } = track.what else { continue };
        open = match open {
            Some((from_us, end_us)) if track.at_us <= end_us => Some((from_us, until_us)),
            Some(ended) => {
                drawing.bar(ended, "#60a5fa", "lease");
                Some((track.at_us, until_us))
            }
            None => Some((track.at_us, until_us)),
        };
    }
    if let Some(last) = open {
        drawing.bar(last, "#60a5fa", "lease");
    }
}

fn arbiter_lane(drawing: &mut Drawing, plan: &Plan, arbiter: usize) {
    drawing.lane(&format!("r{arbiter} ({})", plan.drawn.kinds[arbiter].word()));
    drawing.bar((drawing.from_us, drawing.to_us), "#e0f2fe", "answers");
    for fault in &plan.faults {
        let (is_hit, colour, title) = match &fault.kind {
            Kind::ArbitersDown { arbiters } => (arbiters.contains(&arbiter), "#475569", "off"),
            Kind::ArbiterReboot { arbiter: hit } => (*hit == arbiter, "#475569", "restarts"),
            Kind::CutArbiters { site, arbiters } | Kind::CutPeerAndArbiters { site, arbiters } => (
                arbiters.contains(&arbiter),
                "#fb923c",
                if *site == 0 { "cut from site 0" } else { "cut from site 1" },
            ),
            Kind::Isolate { site } | Kind::IsolateOneWay { site, .. } => {
                (true, "#fb923c", if *site == 0 { "cut from site 0" } else { "cut from site 1" })
            }
            Kind::Lie { arbiter: hit } => (*hit == arbiter, "#f87171", "lies"),
            _ => (false, "", ""),
        };
        if is_hit {
            drawing.bar(span(fault), colour, title);
        }
    }
}

/// The verb of a fault, short enough for the margin.
fn fault_word(kind: &Kind) -> &'static str {
    match kind {
        Kind::PowerLoss { .. } => "power loss",
        Kind::Reboot { .. } => "reboot",
        Kind::CutPeer => "cut between sites",
        Kind::CutPeerOneWay { .. } => "cut one way",
        Kind::Isolate { .. } => "site isolated",
        Kind::IsolateOneWay { .. } => "isolated one way",
        Kind::CutArbiters { .. } => "cut from arbiters",
        Kind::CutPeerAndArbiters { .. } => "cut from both",
        Kind::ArbitersDown { .. } => "arbiters off",
        Kind::ArbiterReboot { .. } => "arbiter restarts",
        Kind::Freeze { .. } => "freeze",
        Kind::FreezeClock { .. } => "freeze with clock",
        Kind::Force { .. } => "--force",
        _ => "fault",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::run::run;

    #[test]
    fn a_drawing_has_a_lane_per_arbiter_and_closes_every_element() {
        let options = Options::default();
        let plan = Plan::draw(5, &options);
        let drawing = draw(&plan, &run(&options, &plan, true));
        assert!(drawing.starts_with("<svg ") && drawing.ends_with("</svg>\n"));
        for arbiter in 0..5 {
            assert!(drawing.contains(&format!(">r{arbiter} (")));
        }
        assert_eq!(drawing.matches("<rect").count() - 1, drawing.matches("</rect>").count());
        assert!(drawing.contains("active") && drawing.contains("lease"));
    }
}
