//! Addresses that stand in the tree: documentation's own, nobody's real ones.

use std::net::Ipv4Addr;

use crate::tree::{File, demand, files};

/// This file names what it looks for.
const EXEMPT: &str = "tests/tidy/addresses.rs";

/// Whether an address may stand anywhere.
fn is_nobodys(address: Ipv4Addr) -> bool {
    let octets = address.octets();
    // Documentation has a group of its own; what begins with 0, or with 240 and more, no device may have.
    let is_group = octets.starts_with(&[233, 252, 0]);
    address.is_documentation() || address.is_loopback() || is_group || matches!(octets[0], 0 | 240..)
}

/// Every other address.
pub(crate) fn real(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.path != EXEMPT) {
        for (index, line) in file.text.lines().enumerate() {
            for word in line.split(|c: char| !c.is_ascii_digit() && c != '.') {
                let address = word.trim_matches('.').parse::<Ipv4Addr>();
                if address.is_ok_and(|address| !is_nobodys(address)) {
                    complaints.push(format!("{}:{}: {word}", file.path, index + 1));
                }
            }
        }
    }
    complaints
}

#[test]
fn every_address_is_one_for_documentation() {
    demand("addresses", &real(&files()));
}

#[test]
fn an_address_of_somebody_is_found() {
    let files = [
        File::sample("a.md", "ping 8.8.8.8 or 192.0.2.1.\n"),
        File::sample("b.rs", "\"10.0.0.1:22\" \"127.0.0.1\" version 0.9.1 203.0.113.7\n"),
    ];
    assert_eq!(real(&files), ["a.md:1: 8.8.8.8", "b.rs:1: 10.0.0.1"]);
}
