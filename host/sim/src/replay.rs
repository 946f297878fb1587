//! A journal played again: the same events into a new core, which must ask for the same effects.

use dr_watchdog_core::Watchdog;
use dr_watchdog_core::journal::{Line, text};

/// How far a journal was played.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replayed {
    /// Version of the program that wrote it.
    pub version: String,
    /// Events given.
    pub events: u64,
    /// Effects compared.
    pub effects: u64,
    /// Whether it ends because it was full.
    pub is_full: bool,
    /// Whether its last line is cut off, as after a power loss.
    pub is_cut: bool,
}

/// Why a journal cannot be played, or where the core did something else.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A line is none of a journal.
    #[error("line {line} is no line of a journal")]
    Unreadable {
        /// Counted from 1.
        line: u64,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// It does not begin with what a core is made of, or does so twice.
    #[error("line {line}: a journal begins with a line of type \"begin\", and has no other")]
    NoBegin {
        /// Counted from 1.
        line: u64,
    },
    /// The core asked for something else, or for more or less.
    #[error(
        "line {line}: the journal of version {version} and this program differ\n  journal: {logged}\n  replay:  {replayed}"
    )]
    Different {
        /// Counted from 1.
        line: u64,
        /// Version of the program that wrote it.
        version: String,
        /// As it was.
        logged: String,
        /// As it is.
        replayed: String,
    },
}

/// Plays the lines of a journal.
///
/// # Errors
/// When a line cannot be read, or the core does something else than the journal says.
pub fn replay<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Replayed, ReplayError> {
    let mut lines = lines.enumerate().map(|(index, text)| (index as u64 + 1, text)).peekable();
    let mut replayed = Replayed::default();
    let mut core: Option<Watchdog> = None;
    while let Some((line, text)) = lines.next() {
        let is_last = lines.peek().is_none();
        let found = match serde_json::from_str(text) {
            Ok(found) => found,
            Err(error) if is_last && error.is_eof() => {
                replayed.is_cut = true;
                break;
            }
            Err(source) => return Err(ReplayError::Unreadable { line, source }),
        };
        match (found, core.as_mut()) {
            (Line::Begin(begin), None) => {
                replayed.version.clone_from(&begin.version);
                core = Some(begin.core());
            }
            (Line::Begin(_), Some(_)) | (_, None) => return Err(ReplayError::NoBegin { line }),
            (Line::Full, Some(_)) => replayed.is_full = true,
            (found, Some(core)) => play(core, found, line, &mut replayed)?,
        }
    }
    if replayed.version.is_empty() {
        return Err(ReplayError::NoBegin { line: 1 });
    }
    Ok(replayed)
}

fn play(core: &mut Watchdog, found: Line, line: u64, replayed: &mut Replayed) -> Result<(), ReplayError> {
    let different = |logged: String, again: String| ReplayError::Different {
        line,
        version: replayed.version.clone(),
        logged,
        replayed: again,
    };
    match found {
        Line::Event { now, event, pending } => {
            let waiting = core.pending_effects();
            if waiting != pending {
                let told = |count: usize| format!("{count} effects wait when this event comes");
                return Err(different(told(pending), told(waiting)));
            }
            core.handle_event(now, event);
            replayed.events += 1;
        }
        Line::Effect { effect } => {
            let again = core.poll_effect().map_or_else(|| "nothing".to_owned(), |effect| text(&effect));
            if again != effect {
                return Err(different(effect, again));
            }
            replayed.effects += 1;
        }
        Line::Begin(_) | Line::Full => {}
    }
    Ok(())
}
