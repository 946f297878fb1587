//! How a source file begins, how long it may be.

use crate::tree::{File, demand, files};

/// Longest source file: what one reading holds.
const LINES_MAX: usize = 400;

/// The first line says what the file is; an "and" in it says that it is two. What follows a colon or a semicolon only
/// describes the thing.
pub(crate) fn first_lines(files: &[File]) -> Vec<String> {
    files.iter().filter(|file| file.is_rust()).filter_map(first_line).collect()
}

fn first_line(file: &File) -> Option<String> {
    let first = file.text.lines().next().unwrap_or_default();
    let path = &file.path;
    match first.strip_prefix("//! ") {
        None => Some(format!("{path}: begins with \"{first}\", not with a `//!` line that says what it is")),
        Some(sentence) if names_two(sentence) => {
            Some(format!("{path}: its first line says \"and\": {sentence}"))
        }
        Some(sentence) if sentence.len() < 10 => {
            Some(format!("{path}: its first line says nothing: {sentence}"))
        }
        Some(_) => None,
    }
}

fn names_two(sentence: &str) -> bool {
    let name = sentence.split([':', ';']).next().unwrap_or(sentence);
    // "Configuration and state" may be one thing; what follows a comma is another.
    name.contains(", and ")
}

/// Files of Rust that are longer than one reading.
pub(crate) fn sizes(files: &[File]) -> Vec<String> {
    let long = files.iter().filter(|file| file.is_rust()).filter_map(|file| {
        let lines = file.text.lines().count();
        (lines > LINES_MAX).then(|| format!("{}: {lines} lines, at most {LINES_MAX}", file.path))
    });
    long.collect()
}

#[test]
fn every_source_file_says_in_its_first_line_what_it_is() {
    demand("first lines", &first_lines(&files()));
}

#[test]
fn no_source_file_is_longer_than_one_reading() {
    demand("sizes", &sizes(&files()));
}

#[test]
fn a_file_without_a_first_line_or_with_two_purposes_is_found() {
    let bad = [
        File::sample("a.rs", "use std::fs;\n"),
        File::sample("b.rs", "//! Reads files, and writes them.\n"),
        File::sample("c.rs", "//! x\n"),
        File::sample("d.rs", "//! The files of a band: songs and sheets.\n"),
        File::sample("e.md", "Text and more text\n"),
    ];
    assert_eq!(first_lines(&bad).len(), 3, "{:?}", first_lines(&bad));
}

#[test]
fn a_file_of_401_lines_is_found() {
    let files = [400, 401].map(|lines| File::sample("a.rs", &"x\n".repeat(lines)));
    assert_eq!(sizes(&files), ["a.rs: 401 lines, at most 400"]);
}
