//! Words that do not belong in the tree.

use std::path::Path;

use dr_watchdog_tests::program::repository;

use crate::tree::{File, demand, files};

/// Words in any file, each with the reason. They are looked for without regard to case.
const ANYWHERE: [(&str, &str); 7] = [
    ("todo", "finish it or leave it out"),
    ("fixme", "finish it or leave it out"),
    ("xxx:", "finish it or leave it out"),
    ("/root/", "a path of the machine it was written on"),
    ("issue #", "say what it is about instead"),
    ("helper", "name what it does"),
    (": to be written", "write it or leave it out"),
];
/// Words in Rust code, each with the reason.
const IN_CODE: [(&str, &str); 3] = [
    ("#[ignore", "a test that does not run guards nothing"),
    ("should_panic", "check what the panic says"),
    ("unimplemented!", "write it or leave it out"),
];
/// Words in the code of tests: files below a folder `tests`, or what follows `#[cfg(test)]`.
const IN_TESTS: [(&str, &str); 2] =
    [("thread::sleep", "wait for a state, with a limit"), ("time::sleep(", "wait for a state, with a limit")];
/// This file names the words; `Cargo.lock` is not read at all.
const EXEMPT: [&str; 1] = ["tests/tidy/words.rs"];
/// The manual's own sample password (`xxx`) stands in fixtures, and lints are named in the manifest.
const ALLOWED: [(&str, &str); 1] = [("Cargo.toml", "todo")];

/// Every place of such a word.
pub(crate) fn banned(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| !EXEMPT.contains(&file.path.as_str())) {
        for (index, line) in file.text.lines().enumerate() {
            let lower = line.to_lowercase();
            for (word, why) in ANYWHERE {
                let is_allowed = ALLOWED.contains(&(file.path.as_str(), word));
                if !is_allowed && has_word(&lower, word) {
                    complaints.push(format!("{}:{}: \"{word}\": {why}", file.path, index + 1));
                }
            }
        }
        let mut is_test = file.path.starts_with("tests/") || file.path.contains("/tests/");
        for (number, line) in file.code_lines().filter(|_| file.is_rust()) {
            is_test |= line.starts_with("#[cfg(test)]");
            let tests = IN_TESTS.iter().filter(|_| is_test);
            for (word, why) in IN_CODE.iter().chain(tests).filter(|(word, _)| line.contains(word)) {
                complaints.push(format!("{}:{number}: \"{word}\": {why}", file.path));
            }
        }
    }
    complaints
}

/// Whether the line has it, not as the middle of a longer word.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() && word.starts_with(char::is_alphanumeric))
    })
}

/// Places that name the folder in which this checkout lies: a path of the machine, wherever that is.
fn own_paths(files: &[File], checkout: &Path) -> Vec<String> {
    let around = checkout.parent().filter(|parent| parent.parent().is_some()).unwrap_or(checkout);
    let path = format!("{}/", around.display());
    let lines = files.iter().flat_map(|file| file.text.lines().enumerate().map(move |line| (file, line)));
    let found = lines.filter(|(_, (_, line))| line.contains(&path));
    found.map(|(file, (index, _))| format!("{}:{}: a path of this machine", file.path, index + 1)).collect()
}

#[test]
fn no_banned_word_is_in_the_tree() {
    demand("banned words", &banned(&files()));
}

#[test]
fn no_path_of_this_machine_is_in_the_tree() {
    demand("paths of this machine", &own_paths(&files(), &repository()));
}

#[test]
fn a_path_of_this_machine_is_found() {
    let files = [File::sample("a.md", "fine\nsee /srv/builds/other\n")];
    assert_eq!(own_paths(&files, Path::new("/srv/builds/here")), ["a.md:2: a path of this machine"]);
}

#[test]
fn banned_words_are_found_wherever_they_stand() {
    let bad = [
        File::sample("a.md", "See Issue #3.\nA Helper.\n"),
        File::sample("b.rs", "// TODO: later\n#[ignore]\nthread::sleep(x);\n"),
        File::sample("b/tests/x.rs", "thread::sleep(x);\nlet s = \"thread::sleep\";\n"),
        File::sample("c.toml", "path = \"/root/x\"\n"),
        File::sample("d.sh", "mastodon=1\n"),
    ];
    let found = banned(&bad);
    let places: Vec<&str> = found.iter().map(|complaint| complaint.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["a.md:1", "a.md:2", "b.rs:1", "b.rs:2", "b/tests/x.rs:1", "c.toml:1"]);
}
