//! The tree: every text file of the repository.

use std::fs;
use std::path::Path;

use dr_watchdog_tests::program::repository;

/// Endings of the files that people write here; a file without one is a script if it says so in its first line.
const TEXT_ENDINGS: [&str; 15] =
    ["rs", "toml", "md", "sh", "py", "pl", "lua", "c", "h", "json", "jsonl", "conf", "txt", "sql", "service"];
/// What is not ours: build results, git's own files.
const SKIPPED_FOLDERS: [&str; 2] = ["target", ".git"];

/// A file.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// Below the root of the repository, with `/`.
    pub(crate) path: String,
    /// Its content.
    pub(crate) text: String,
}

impl File {
    /// A sample for the test of a rule.
    pub(crate) fn sample(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether it is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Its lines without comments and without the content of strings, numbered from 1: enough to look for words of
    /// the language. Block comments are not used in this house; raw strings end where their line ends.
    pub(crate) fn code_lines(&self) -> impl Iterator<Item = (usize, String)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, code(line)))
    }
}

fn code(line: &str) -> String {
    let mut kept = String::new();
    let (mut is_quoted, mut previous) = (false, ' ');
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if is_quoted => {
                characters.next();
            }
            // A quoted quote is a character, not the begin of a string.
            '"' if !(previous == '\'' && characters.peek() == Some(&'\'')) => is_quoted = !is_quoted,
            '/' if !is_quoted && characters.peek() == Some(&'/') => break,
            _ if !is_quoted => kept.push(character),
            _ => {}
        }
        previous = character;
    }
    kept
}

/// Every text file of the repository, in the order of their paths.
pub(crate) fn files() -> Vec<File> {
    let mut found = Vec::new();
    collect(&repository(), "", &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 50, "the tree is not where it was expected: {} files", found.len());
    found
}

fn collect(folder: &Path, prefix: &str, found: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && !SKIPPED_FOLDERS.contains(&name.as_str()) {
            collect(&entry.path(), &format!("{path}/"), found);
        } else if kind.is_file() && path != "Cargo.lock" {
            let ending = name.rsplit_once('.').map(|(_, ending)| ending);
            let bytes = fs::read(entry.path()).unwrap();
            if ending.is_some_and(|ending| TEXT_ENDINGS.contains(&ending)) || bytes.starts_with(b"#!") {
                let text = String::from_utf8(bytes).unwrap_or_else(|_| panic!("{path} is not UTF-8"));
                found.push(File { path, text });
            }
        }
    }
}

/// Demands that a rule has nothing to complain of.
#[track_caller]
pub(crate) fn demand(rule: &str, complaints: &[String]) {
    assert!(complaints.is_empty(), "{rule}\n  {}", complaints.join("\n  "));
}

#[test]
fn comments_and_strings_are_no_code() {
    let file = File::sample("x.rs", "let a = \"un//safe\\\"\"; b // unsafe\nlet q = '\"'; unsafe {}\n");
    let lines: Vec<String> = file.code_lines().map(|(_, line)| line).collect();
    assert_eq!(lines, ["let a = ; b ", "let q = '\"'; unsafe {}"]);
}
