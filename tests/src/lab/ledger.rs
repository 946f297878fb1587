//! The ledger: when which site began and ended to serve, written by the steps of the role changes themselves.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::scratch::Scratch;

/// Appends `time site word` in one write (`O_APPEND` keeps the lines of two writers apart), then takes its time.
const SCRIPT: &str =
    "#!/bin/sh\nprintf '%s %s %s\\n' \"$(date +%s%N)\" \"$2\" \"$3\" >>\"$1\"\nexec sleep \"$4\"\n";

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Nanoseconds since 1970, one clock for all.
    pub at_ns: u128,
    /// Which site.
    pub site: String,
    /// What it did.
    pub word: String,
}

/// A file that every step appends to.
#[derive(Debug, Clone)]
pub struct Ledger {
    file: PathBuf,
    script: PathBuf,
}

impl Ledger {
    /// An empty one.
    pub fn new(scratch: &Scratch) -> Self {
        let file = scratch.write("ledger", "");
        Self { file, script: scratch.executable("ledger.sh", SCRIPT) }
    }

    /// The command of a step that enters `word`, as it stands in a configuration.
    pub fn command(&self, site: &str, word: &str) -> String {
        self.slow_command(site, word, "0")
    }

    /// The same, of a step that goes on for so many seconds after its entry.
    pub fn slow_command(&self, site: &str, word: &str, seconds: &str) -> String {
        let parts = [path(&self.script), path(&self.file), site, word, seconds];
        let quoted = parts.map(|part| format!("\"{part}\""));
        format!("[{}]", quoted.join(", "))
    }

    /// All entries, in the order of their times.
    pub fn entries(&self) -> Vec<Entry> {
        let text = std::fs::read_to_string(&self.file).unwrap();
        let mut entries: Vec<Entry> = text.lines().map(entry).collect();
        entries.sort_by_key(|entry| entry.at_ns);
        entries
    }

    /// How often a word was entered.
    pub fn count(&self, word: &str) -> usize {
        self.entries().iter().filter(|entry| entry.word == word).count()
    }

    /// Demands that at no instant both sites served.
    #[track_caller]
    pub fn never_both(&self) {
        if let Err(why) = check_never_both(&self.entries()) {
            panic!("{why}\n{self}");
        }
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "ledger:")?;
        self.entries()
            .iter()
            .try_for_each(|entry| writeln!(f, "  {} {} {}", entry.at_ns, entry.site, entry.word))
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn entry(line: &str) -> Entry {
    let mut words = line.split(' ').map(str::to_owned);
    let mut next = || words.next().unwrap_or_else(|| panic!("a line of the ledger is short: {line}"));
    Entry { at_ns: next().parse().unwrap(), site: next(), word: next() }
}

fn check_never_both(entries: &[Entry]) -> Result<(), String> {
    let mut serving: Vec<&str> = Vec::new();
    for entry in entries {
        match entry.word.as_str() {
            "serve" if serving.contains(&entry.site.as_str()) => {}
            "serve" => serving.push(&entry.site),
            "stop" => serving.retain(|site| *site != entry.site),
            _ => {}
        }
        if serving.len() > 1 {
            return Err(format!("both sites serve from {} on", entry.at_ns));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(lines: &[&str]) -> Vec<Entry> {
        lines.iter().map(|line| entry(line)).collect()
    }

    #[test]
    fn two_sites_that_serve_at_once_are_found_and_a_clean_handover_is_not() {
        let clean = ledger(&["1 a serve", "5 a stop", "6 b serve", "7 b serve", "9 b stop", "9 a serve"]);
        assert_eq!(check_never_both(&clean), Ok(()));
        let both = ledger(&["1 a serve", "6 b serve", "7 a stop"]);
        assert_eq!(check_never_both(&both), Err("both sites serve from 6 on".to_owned()));
    }
}
