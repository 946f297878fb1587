//! Arrows: who may know whom, among the packages, among the rooms of the host.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::{dependencies, packages};
use crate::tree::{File, demand, files};

/// What a package may depend on when it is built.
struct Package {
    name: &'static str,
    /// Packages of this workspace; nothing points back.
    ours: &'static [&'static str],
    /// Packages of others; `None`: whatever it needs.
    others: Option<&'static [&'static str]>,
}

const PACKAGES: [Package; 7] = [
    Package { name: "dr-watchdog-sdk", ours: &[], others: Some(&["serde", "serde_json", "schemars"]) },
    Package {
        name: "dr-watchdog-core",
        ours: &["dr-watchdog-sdk"],
        others: Some(&["serde", "serde_json", "thiserror"]),
    },
    Package {
        name: "dr-watchdog-arbitration",
        ours: &["dr-watchdog-sdk"],
        others: Some(&["serde", "serde_json", "schemars"]),
    },
    Package {
        name: "dr-watchdog-witness",
        ours: &["dr-watchdog-sdk"],
        others: Some(&["serde", "serde_json", "schemars"]),
    },
    Package {
        name: "dr-watchdog-sim",
        ours: &["dr-watchdog-arbitration", "dr-watchdog-core", "dr-watchdog-sdk"],
        others: Some(&["serde", "serde_json", "thiserror"]),
    },
    Package {
        name: "dr-watchdog",
        ours: &["dr-watchdog-core", "dr-watchdog-sdk", "dr-watchdog-sim"],
        others: None,
    },
    Package {
        name: "dr-watchdog-tests",
        ours: &[
            "dr-watchdog",
            "dr-watchdog-arbitration",
            "dr-watchdog-core",
            "dr-watchdog-sdk",
            "dr-watchdog-sim",
        ],
        others: None,
    },
];

/// Floors of the host that every room stands on.
const FLOORS: [&str; 4] = ["durable_file", "frames", "paths", "probe"];

/// Edges between rooms of the host, each with the reason. Everything else is a complaint.
const ROOMS: &[(&str, &str, &str)] = &[
    ("main", "cli", "the binary is the command line"),
    ("lib", "cli", "so is the library's only function"),
    ("cli", "*", "commands are thin: each calls one room"),
    ("daemon", "*", "effects, the building of the rooms, and the desks between them and the core"),
    ("demo", "cli", "it re-executes the program and asks its daemons as a person would"),
    ("demo", "config", "it writes the configuration of its sites"),
    ("policy", "worker", "the two ends of one socketpair speak the same frames"),
    ("worker", "policy", "a guest's failure is the policy's failure"),
    ("policy", "cli", "a script finds its socket under the variable that the commands read"),
    ("worker", "cli", "its exit status is one of the named ones"),
    ("peer", "config", "heartbeats tell the hash of the settings that both sites must share"),
    ("arbiters", "config", "the kind of a device is written in the configuration"),
    ("notify", "config", "the mail server is written in the configuration"),
    ("config", "policy", "what may be granted to a guest is the policy room's own list"),
    ("policy", "config", "the limits of a guest are written in the configuration"),
];

fn room(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("host/src/")?;
    Some(inside.split(['/', '.']).next().unwrap_or(inside))
}

/// Every `crate::room` of a line.
fn named_rooms(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("crate::").filter_map(|(at, matched)| {
        let rest = &line[at + matched.len()..];
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
        (end > 0).then(|| &rest[..end])
    })
}

/// Edges that are not in the table, with the first place of each.
pub(crate) fn strange_edges(files: &[File]) -> Vec<String> {
    let rooms: BTreeSet<&str> = files.iter().filter_map(|file| room(&file.path)).collect();
    let mut places = BTreeMap::new();
    for file in files {
        let Some(from) = room(&file.path) else { continue };
        for (number, line) in file.code_lines() {
            // `use crate::{a, b}` names its rooms in the braces.
            let grouped = line.split_once("crate::{").map(|(_, group)| group).unwrap_or_default();
            let in_group =
                grouped.split([',', '{', '}', ' ', ';']).map(|part| part.split(':').next().unwrap_or(part));
            for to in named_rooms(&line).chain(in_group).filter(|to| rooms.contains(to) && *to != from) {
                places.entry((from.to_owned(), to.to_owned())).or_insert(format!("{}:{number}", file.path));
            }
        }
    }
    let is_known = |from: &str, to: &str| {
        FLOORS.contains(&to) && !FLOORS.contains(&from)
            || ROOMS.iter().any(|(a, b, _)| *a == from && (*b == to || *b == "*"))
    };
    let strange = places.iter().filter(|((from, to), _)| !is_known(from, to));
    strange.map(|((from, to), place)| format!("{place}: {from} knows {to}")).collect()
}

fn strange_dependencies(name: &str, found: &[String]) -> Vec<String> {
    let Some(package) = PACKAGES.iter().find(|package| package.name == name) else {
        return vec![format!("{name}: a package that the table of arrows does not know")];
    };
    let is_allowed = |dependency: &str| {
        package.ours.contains(&dependency)
            || (!dependency.starts_with("dr-watchdog")
                && package.others.is_none_or(|others| others.contains(&dependency)))
    };
    let strange = found.iter().filter(|dependency| !is_allowed(dependency));
    strange.map(|dependency| format!("{name} depends on {dependency}")).collect()
}

#[test]
fn no_package_points_back() {
    let complaints = packages(true).into_iter().flat_map(|package| {
        strange_dependencies(package["name"].as_str().unwrap(), &dependencies(package, None))
    });
    demand("arrows between packages", &complaints.collect::<Vec<_>>());
}

#[test]
fn rooms_of_the_host_know_only_whom_they_may() {
    demand("arrows between rooms", &strange_edges(&files()));
}

#[test]
fn a_package_that_points_back_is_found() {
    let found = ["dr-watchdog", "tokio", "serde"].map(str::to_owned);
    let strange = strange_dependencies("dr-watchdog-sdk", &found);
    assert_eq!(strange, ["dr-watchdog-sdk depends on dr-watchdog", "dr-watchdog-sdk depends on tokio"]);
    assert_eq!(strange_dependencies("other", &[]).len(), 1);
}

#[test]
fn a_room_that_knows_another_is_found() {
    let files = [
        File::sample("host/src/peer/link.rs", "use crate::frames;\nuse crate::policy::Runner;\n"),
        File::sample("host/src/policy/mod.rs", "use crate::{peer, paths::Paths};\n"),
        File::sample("host/src/probe/ping.rs", "use crate::paths::Paths;\n"),
        File::sample("host/src/frames.rs", "use crate::probe;\n"),
        File::sample("host/src/paths.rs", "\n"),
        File::sample("host/src/cli/run.rs", "use crate::policy; use crate::Globals;\n"),
    ];
    let found = strange_edges(&files);
    assert_eq!(
        found,
        [
            "host/src/frames.rs:1: frames knows probe",
            "host/src/peer/link.rs:2: peer knows policy",
            "host/src/policy/mod.rs:1: policy knows peer",
            "host/src/probe/ping.rs:1: probe knows paths",
        ]
    );
}
