//! The story of a run as lines for people.

use crate::run::{Outcome, Plan};
use crate::world::Note;

/// Most lines of a story; a longer one keeps its end.
const LINES_MAX: usize = 400;

/// The first line is the seed with everything drawn; the rest is what happened, one line each.
pub fn lines(plan: &Plan, outcome: &Outcome) -> Vec<String> {
    let mut story = Vec::new();
    let mut repeated: [usize; 3] = [0; 3];
    let mut last: [Option<&str>; 3] = [None; 3];
    for note in &outcome.notes {
        let who = note.site.unwrap_or(2);
        // A policy that says the same every 30 s tells nothing new.
        if last[who] == Some(note.text.as_str()) {
            repeated[who] += 1;
            continue;
        }
        if let (Some(text), times @ 1..) = (last[who], std::mem::take(&mut repeated[who])) {
            story.push(format!("{:>12}    {}  ({times} times more: {text})", "", name(note.site)));
        }
        last[who] = Some(note.text.as_str());
        story.push(line(note));
    }
    for violation in &outcome.violations {
        story.push(format!("broken: {}: {}", violation.invariant, violation.text));
    }
    let skipped = story.len().saturating_sub(LINES_MAX);
    let mut all = vec![plan.line()];
    if skipped > 0 {
        all.push(format!("({skipped} lines left out)"));
    }
    all.extend(story.into_iter().skip(skipped));
    all
}

fn line(note: &Note) -> String {
    format!("{:>12.3} s  {}  {}", note.at_us as f64 / 1e6, name(note.site), note.text)
}

fn name(site: Option<usize>) -> &'static str {
    match site {
        Some(0) => "site 0",
        Some(_) => "site 1",
        None => "world ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::run::run;

    #[test]
    fn a_story_begins_with_its_seed_and_says_a_repeated_thing_once() {
        let options = Options::default();
        let plan = Plan::draw(3, &options);
        let outcome = run(&options, &plan, true);
        let lines = lines(&plan, &outcome);
        assert!(lines[0].starts_with("seed 3 "), "{}", lines[0]);
        assert!(lines.len() <= LINES_MAX + 2);
        assert!(lines.iter().any(|line| line.contains("site 0 serves")));
        let texts: Vec<_> = lines.iter().filter(|line| line.contains("site 1  verdict")).collect();
        assert!(texts.windows(2).all(|pair| pair[0][14..] != pair[1][14..] || pair[0].contains("more")));
    }
}
