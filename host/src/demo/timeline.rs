//! The live timeline: what happens, as it happens, for people or for programs.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Instant;

use anstyle::{AnsiColor, Style};
use serde_json::json;

/// Width where standard output is no terminal.
const WIDTH_DEFAULT: usize = 110;
/// Narrowest text column: below it wrapping helps nobody.
const TEXT_WIDTH_MIN: usize = 40;
/// Columns before the text: time, two badges, actor.
const INDENT: usize = 40;
/// The same while nobody knows what the sites are doing.
const INDENT_BEFORE: usize = 14;

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something was built or started.
    Start,
    /// The timers and their arithmetic.
    Timers,
    /// A site heard the other.
    Heartbeat,
    /// A link was cut.
    Cut,
    /// A link was restored.
    Restored,
    /// A site said something that it would mail.
    Notice,
    /// What the arbiters show.
    Evidence,
    /// A policy answered.
    Decision,
    /// A step of a role change ran.
    Step,
    /// A site's phase changed.
    Transition,
    /// A site is as it should be.
    Settled,
}

impl Kind {
    /// The word as JSON has it.
    const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Timers => "timers",
            Self::Heartbeat => "heartbeat",
            Self::Cut => "cut",
            Self::Restored => "restored",
            Self::Notice => "notice",
            Self::Evidence => "evidence",
            Self::Decision => "decision",
            Self::Step => "step",
            Self::Transition => "transition",
            Self::Settled => "settled",
        }
    }

    const fn style(self) -> Style {
        match self {
            Self::Start | Self::Timers | Self::Heartbeat | Self::Evidence => Style::new().dimmed(),
            Self::Cut => AnsiColor::Red.on_default().bold(),
            Self::Restored | Self::Settled => AnsiColor::Green.on_default().bold(),
            Self::Notice => AnsiColor::Yellow.on_default(),
            Self::Decision => AnsiColor::Magenta.on_default(),
            Self::Step => AnsiColor::Cyan.on_default(),
            Self::Transition => Style::new().bold(),
        }
    }
}

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// A person.
    Person,
    /// A program: one JSON object a line.
    Program,
}

/// The timeline.
#[derive(Debug)]
pub struct Timeline {
    reader: Reader,
    begun: Instant,
    width: usize,
    phases: BTreeMap<&'static str, String>,
}

impl Timeline {
    /// A timeline that begins now.
    pub fn begin(reader: Reader) -> Self {
        let terminal = rustix::termios::tcgetwinsize(io::stdout()).map(|size| usize::from(size.ws_col));
        let width = terminal.ok().filter(|width| *width > 0).unwrap_or(WIDTH_DEFAULT);
        Self { reader, begun: Instant::now(), width, phases: BTreeMap::new() }
    }

    /// Remembers what a site is doing; every line shows it.
    pub fn phase(&mut self, site: &'static str, phase: &str) {
        self.phases.insert(site, phase.to_owned());
    }

    /// Shows an event. `site` is empty where none did it.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn show(&self, site: &str, kind: Kind, text: &str) -> io::Result<()> {
        let at_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        match self.reader {
            Reader::Program => {
                let site = Some(site).filter(|site| !site.is_empty());
                let event =
                    json!({"type": "event", "atMs": at_ms, "site": site, "kind": kind.word(), "text": text});
                writeln!(io::stdout().lock(), "{event}")
            }
            Reader::Person => {
                let mut out = anstream::stdout().lock();
                if matches!(kind, Kind::Cut | Kind::Restored) {
                    writeln!(out)?;
                }
                self.write_for_people(&mut out, at_ms, site, kind, text)?;
                out.flush()
            }
        }
    }

    fn write_for_people(
        &self,
        out: &mut impl Write,
        at_ms: u64,
        site: &str,
        kind: Kind,
        text: &str,
    ) -> io::Result<()> {
        let style = kind.style();
        let has_badges = !self.phases.is_empty();
        let indent = if has_badges { INDENT } else { INDENT_BEFORE };
        let lines = wrapped(text, self.width.saturating_sub(indent).max(TEXT_WIDTH_MIN));
        for (index, line) in lines.iter().enumerate() {
            if index == 0 {
                let (seconds, tenths) = (at_ms / 1_000, at_ms % 1_000 / 100);
                write!(out, "{seconds:>4}.{tenths} s  ")?;
                if has_badges {
                    self.badge(out, "a")?;
                    self.badge(out, "b")?;
                }
                write!(out, "{site:>2}  ")?;
            } else {
                write!(out, "{:indent$}", "")?;
            }
            writeln!(out, "{style}{line}{style:#}")?;
        }
        Ok(())
    }

    fn badge(&self, out: &mut impl Write, site: &'static str) -> io::Result<()> {
        let phase = self.phases.get(site).map_or("", String::as_str);
        let (style, shown) = match phase {
            "active" => (AnsiColor::Black.on(AnsiColor::Green).bold(), "ACTIVE"),
            "standby" => (AnsiColor::Blue.on_default(), "standby"),
            "demotionFailed" => (AnsiColor::Red.on_default().bold(), "failed"),
            "" => (Style::new().dimmed(), "-"),
            other => (AnsiColor::Yellow.on_default().bold(), other),
        };
        write!(out, "{style}{site} {shown:<9}{style:#}  ")
    }
}

/// Breaks a text at blanks into lines of at most `width`; a longer word has a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let needed = line.chars().count() + 1 + word.chars().count();
            if !line.is_empty() && needed > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_blanks_and_never_lost() {
        let text = "the other site does not answer\nsecond";
        assert_eq!(wrapped(text, 14), ["the other site", "does not", "answer", "second"]);
        assert_eq!(wrapped("unbreakable", 3), ["unbreakable"]);
    }

    #[test]
    fn a_line_shows_when_who_is_what_and_what_happened() {
        let mut timeline = Timeline::begin(Reader::Person);
        timeline.phase("a", "active");
        timeline.phase("b", "standby");
        let mut out = Vec::new();
        timeline
            .write_for_people(&mut out, 12_345, "b", Kind::Decision, "its policy answers nothing")
            .unwrap();
        let shown = anstream::adapter::strip_bytes(&out).into_vec();
        assert_eq!(
            String::from_utf8(shown).unwrap(),
            "  12.3 s  a ACTIVE     b standby     b  its policy answers nothing\n"
        );
    }
}
