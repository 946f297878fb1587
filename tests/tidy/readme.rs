//! What the README promises: commands, examples, links that exist in the tree.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use dr_watchdog_tests::program::in_repository;

/// Commands that a newcomer types.
const COMMANDS: [&str; 2] = ["cargo run --release -- demo", "./tests/run"];
/// Files that are run by their path.
const EXECUTABLE: [&str; 2] = ["tests/run", ".ci/run"];
/// Begin of the block that shows a whole configuration, and the file it shows.
const EXAMPLES: &str = "host/examples/";

fn read(path: &str) -> String {
    fs::read_to_string(in_repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The fenced blocks of a page: what stands after the fence, what stands inside.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(_), Some(block)) => found.push(block),
            (Some(info), None) => open = Some((info.trim().to_owned(), String::new())),
            (None, Some((info, mut text))) => {
                text.push_str(line);
                text.push('\n');
                open = Some((info, text));
            }
            (None, None) => {}
        }
    }
    found
}

#[test]
fn the_readme_names_the_commands_of_a_newcomer() {
    let readme = read("README.md");
    for command in COMMANDS {
        assert!(readme.contains(command), "README.md does not name `{command}`");
    }
}

#[test]
fn what_is_run_by_its_path_may_be_run() {
    for path in EXECUTABLE {
        let mode = fs::metadata(in_repository(path)).unwrap().permissions().mode();
        assert!(mode & 0o111 == 0o111, "{path} may not be executed (mode {mode:o})");
    }
}

#[test]
fn the_configurations_in_the_readme_are_the_examples_that_are_checked() {
    let shown: Vec<(String, String)> =
        blocks(&read("README.md")).into_iter().filter(|(info, _)| info.starts_with("toml")).collect();
    assert!(!shown.is_empty(), "README.md shows no configuration");
    for (info, text) in shown {
        let name =
            info.strip_prefix("toml ").unwrap_or_else(|| panic!("```{info}: name the file that it shows"));
        assert!(name.starts_with(EXAMPLES), "{name} is no example");
        assert_eq!(text.trim_end(), read(name).trim_end(), "README.md and {name} differ");
    }
}

#[test]
fn every_file_that_the_readme_links_to_exists() {
    let readme = read("README.md");
    for (at, _) in readme.match_indices("](") {
        let target = readme[at + 2..].split(')').next().unwrap();
        if !target.contains("://") && !target.starts_with('#') {
            assert!(in_repository(target).exists(), "README.md links to {target}");
        }
    }
}
