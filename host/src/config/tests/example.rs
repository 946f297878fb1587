//! The example of two sites: accepted, complete, and true where it says "default".

use super::{Imagined, KEY, load_text};
use crate::config::raw::{self, Node, Raw};
use crate::config::{Config, defaults, safety_hash};

const A: &str = include_str!("../../../examples/two-sites/a.toml");
const B: &str = include_str!("../../../examples/two-sites/b.toml");

fn load(text: &str) -> (Config, Vec<String>) {
    let around = Imagined::default()
        .file("/etc/dr-watchdog/heartbeat.key", 0o600, "an example of a key, not a key")
        .file("/etc/dr-watchdog/arbiter-1.password", 0o600, "x")
        .file("/etc/dr-watchdog/smtp.password", 0o600, "x")
        .file("/etc/dr-watchdog/id_ed25519", 0o600, KEY)
        .file("/usr/bin/systemctl", 0o755, "");
    match load_text("/etc/dr-watchdog/dr-watchdog.toml", text, &around) {
        Ok(loaded) => loaded,
        Err(errors) => panic!("{errors}"),
    }
}

#[test]
fn both_files_are_accepted_without_a_doubt_and_fit_together() {
    let ((a, of_a), (b, of_b)) = (load(A), load(B));
    assert_eq!(of_b, Vec::<String>::new());
    assert_eq!(of_a, Vec::<String>::new());
    assert_eq!(safety_hash(&a), safety_hash(&b));
    assert_eq!(a.exclusion.wait, b.exclusion.wait, "the value of `wait` in a.toml is the default");
    assert_eq!((a.site.name.as_str(), b.site.name.as_str()), (b.peer.name.as_str(), a.peer.name.as_str()));
    assert_eq!((a.core.peer_vip.as_str(), b.core.peer_vip.as_str()), ("198.51.100.10", "192.0.2.10"));
    assert_ne!(a.site.index, b.site.index);
}

/// Every plain value with its line and the path of its key; positions in lists are left out.
fn leaves<'a>(node: &'a Node, path: &str, into: &mut Vec<(usize, String, &'a Raw)>) {
    match &node.value {
        Raw::Table(entries) => {
            for entry in entries {
                let below = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
                leaves(&entry.node, &below, into);
            }
        }
        Raw::List(list) if list.iter().any(|node| matches!(node.value, Raw::Table(_))) => {
            list.iter().for_each(|node| leaves(node, path, into));
        }
        plain => into.push((node.line, path.to_owned(), plain)),
    }
}

/// The table of defaults, with the defaults of arbiters and steps under their paths.
fn all_defaults() -> Vec<(String, Raw)> {
    let below = |path: &'static str| {
        move |each: &defaults::Default| defaults::Default {
            key: Box::leak(format!("{path}.{}", each.key).into_boxed_str()),
            ..*each
        }
    };
    let mut all = defaults::TABLE.to_vec();
    all.extend(defaults::OF_AN_ARBITER.iter().map(below("watchdog.failureDetection.arbiters")));
    all.extend(defaults::OF_A_STEP.iter().map(below("roleChange.beActive")));
    all.iter()
        .map(|each| {
            let node = raw::parse(&format!("x = {}", each.value)).unwrap();
            let Raw::Table(entries) = node.value else { panic!("a document is a table") };
            (each.key.to_owned(), entries[0].node.value.clone())
        })
        .collect()
}

#[test]
fn what_is_called_a_default_is_one_and_every_default_is_named() {
    let root = raw::parse(A).unwrap();
    let mut found = Vec::new();
    leaves(&root, "", &mut found);
    let lines: Vec<&str> = A.lines().collect();
    let defaults = all_defaults();
    let mut named = Vec::new();
    for (line, key, value) in &found {
        if !lines[line - 1].contains("(default)") {
            continue;
        }
        let default = defaults.iter().find(|(known, _)| known == key).map(|(_, value)| value);
        assert_eq!(default, Some(*value), "{key} in line {line}");
        named.push(key.clone());
    }
    assert_eq!(
        lines.iter().filter(|line| line.contains("(default)")).count(),
        named.len() + 1,
        "the head says it once"
    );
    // Keys that are written with another value than their default.
    let told_otherwise = [
        "site.initialRole",
        "core.peerLoadBalancerNodes",
        "core.peerBusinessLogicNodes",
        "core.peerDeviceMgtIps",
        "watchdog.notification.email",
        "exclusion.holdAddress",
        "exclusion.peerHoldAddresses",
        "policy.script.user",
    ];
    for (key, _) in &defaults {
        assert!(found.iter().any(|(_, written, _)| written == key), "{key} is not in the example");
        assert!(
            named.contains(key) || told_otherwise.contains(&key.as_str()),
            "{key} is not called a default"
        );
    }
}
