//! Licences of everything the program is built from.

use std::fs;

use dr_watchdog_tests::program::in_repository;

use crate::manifest::packages;
use crate::tree::demand;

/// Licences that ask for no more than to be named.
const PERMISSIVE: [&str; 12] = [
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "0BSD",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "CC0-1.0",
    "BSL-1.0",
];
/// What must not be built: its C code alone takes longer than everything else.
const UNWANTED: [&str; 2] = ["aws-lc-sys", "aws-lc-rs"];

/// Whether one of the choices that an SPDX expression leaves is permissive.
fn is_permissive(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    split(&expression, " OR ").iter().any(|choice| {
        split(choice, " AND ").iter().all(|part| {
            let part = part.trim();
            let inner = part.strip_prefix('(').and_then(|part| part.strip_suffix(')'));
            inner.map_or_else(|| PERMISSIVE.contains(&part), is_permissive)
        })
    })
}

/// Splits at an operator outside of parentheses.
fn split<'a>(expression: &'a str, operator: &str) -> Vec<&'a str> {
    let (mut parts, mut depth, mut begin) = (Vec::new(), 0, 0);
    for (at, character) in expression.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ' ' if depth == 0 && at >= begin && expression[at..].starts_with(operator) => {
                parts.push(&expression[begin..at]);
                begin = at + operator.len();
            }
            _ => {}
        }
    }
    parts.push(&expression[begin..]);
    parts
}

fn unwanted(lock: &str) -> Vec<String> {
    let is_locked = |name: &&&str| lock.lines().any(|line| line == format!("name = \"{name}\""));
    UNWANTED.iter().filter(is_locked).map(|name| format!("Cargo.lock: {name}")).collect()
}

#[test]
fn every_dependency_has_a_permissive_licence() {
    let others = packages(false);
    assert!(others.len() > 50, "cargo names {} packages", others.len());
    let bad = others.iter().filter_map(|package| {
        let licence = package["license"].as_str().unwrap_or("none");
        (!is_permissive(licence)).then(|| format!("{}: {licence}", package["name"]))
    });
    demand("licences", &bad.collect::<Vec<_>>());
}

#[test]
fn the_lock_has_nothing_unwanted() {
    demand("unwanted packages", &unwanted(&fs::read_to_string(in_repository("Cargo.lock")).unwrap()));
}

#[test]
fn an_unwanted_package_is_found() {
    assert_eq!(unwanted("[[package]]\nname = \"aws-lc-sys\"\n"), ["Cargo.lock: aws-lc-sys"]);
}

#[test]
fn a_licence_is_judged_by_the_best_choice_it_leaves() {
    for good in ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "(MIT OR GPL-3.0) AND Unicode-3.0"] {
        assert!(is_permissive(good), "{good}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND MPL-2.0", "none", ""] {
        assert!(!is_permissive(bad), "{bad}");
    }
}

#[test]
fn our_own_licence_is_in_the_tree() {
    let licence = fs::read_to_string(in_repository("LICENSE")).unwrap();
    assert!(
        licence.contains("Apache License") && licence.contains("Version 2.0"),
        "LICENSE is not Apache-2.0"
    );
    for package in packages(true) {
        assert_eq!(package["license"], "Apache-2.0", "{}", package["name"]);
    }
}
