//! Hosts as people write them: which are none, and which are the same; pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// Longest name, and longest part of one between two dots.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

const V4_FORM: &str = "four numbers from 0 to 255 without zeros before them, such as 203.0.113.1";
const V6_FORM: &str = "an address such as 2001:db8::1, alone; the port has its own key";
const NAME_FORM: &str = "an address, or a name of letters, digits, - and _ with dots between its parts";
const ONE_DEVICE: &str = "the address of one device that both sites reach";

/// Why something is no host, and what would be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostTrouble {
    /// What it is.
    pub what: &'static str,
    /// What would be right.
    pub instead: &'static str,
}

/// Why a text is no host that can be an arbiter, if it is none.
pub fn host_trouble(host: &str) -> Option<HostTrouble> {
    let wrong = |what, instead| Some(HostTrouble { what, instead });
    if let Ok(address) = host.parse::<IpAddr>() {
        return address_trouble(address.to_canonical()).and_then(|what| wrong(what, ONE_DEVICE));
    }
    if host.contains('%') {
        return wrong("an address with a zone, which means another host at every machine", ONE_DEVICE);
    }
    if host.contains(':') {
        return wrong("no IPv6 address", V6_FORM);
    }
    // Resolvers read such texts as addresses of their own making: 127.1 and 0177.0.0.1 are both 127.0.0.1.
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let is_hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    if !last.is_empty() && (is_number(last, 10) || is_hexadecimal.is_some_and(|rest| is_number(rest, 16))) {
        return wrong("no IPv4 address", V4_FORM);
    }
    if is_name(host) { None } else { wrong("no name", NAME_FORM) }
}

fn is_number(text: &str, radix: u32) -> bool {
    text.chars().all(|c| c.is_digit(radix))
}

fn is_name(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.split('.').all(is_label)
}

/// Why no single device can have this address.
fn address_trouble(address: IpAddr) -> Option<&'static str> {
    let is_reserved = match address {
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.octets()[0] >= 240,
        IpAddr::V6(_) => false,
    };
    match address {
        _ if address.is_unspecified() => Some("no address: it means whichever machine says it"),
        _ if address.is_multicast() => Some("a group's address"),
        IpAddr::V4(Ipv4Addr::BROADCAST) => Some("everybody's address"),
        _ if is_reserved => Some("an address that no device has"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            Some("an address that means something on one link only")
        }
        _ => None,
    }
}

/// A host in its one spelling, so that two ways to write it are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spelled(String);

impl Spelled {
    /// That of a host as it was written.
    pub fn of(host: &str) -> Self {
        Self(match host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().to_string(),
            Err(_) => host.trim_end_matches('.').to_lowercase(),
        })
    }
}

impl fmt::Display for Spelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_one_device_can_be_reached_by_is_a_host() {
        for (host, expected) in [
            ("203.0.113.1", None),
            ("2001:DB8::1", None),
            ("::ffff:192.0.2.1", None),
            ("127.0.0.1", None),
            ("r1.example.com.", None),
            ("r_1", None),
            ("300.1.1.1", Some("no IPv4 address")),
            ("127.0.0.03", Some("no IPv4 address")),
            ("127.0.0.1.", Some("no IPv4 address")),
            ("127.1", Some("no IPv4 address")),
            ("2130706433", Some("no IPv4 address")),
            ("0x7f.0x1", Some("no IPv4 address")),
            ("1.2.3", Some("no IPv4 address")),
            ("2001:db8::g", Some("no IPv6 address")),
            ("192.0.2.1:22", Some("no IPv6 address")),
            ("fe80::1%eth0", Some("an address with a zone, which means another host at every machine")),
            ("fe80::1", Some("an address that means something on one link only")),
            ("0.0.0.0", Some("no address: it means whichever machine says it")),
            ("::", Some("no address: it means whichever machine says it")),
            ("::ffff:0.0.0.0", Some("no address: it means whichever machine says it")),
            ("0.0.0.7", Some("an address that no device has")),
            ("233.252.0.1", Some("a group's address")),
            ("ff02::1", Some("a group's address")),
            ("255.255.255.255", Some("everybody's address")),
            ("241.0.0.1", Some("an address that no device has")),
            ("", Some("no name")),
            ("a..b", Some("no name")),
            ("-r1", Some("no name")),
            ("r1/24", Some("no name")),
            ("röuter", Some("no name")),
        ] {
            assert_eq!(host_trouble(host).map(|trouble| trouble.what), expected, "{host}");
        }
        assert!(host_trouble(&"x".repeat(LABEL_BYTES_MAX + 1)).is_some());
        assert!(host_trouble(&"x.".repeat(NAME_BYTES_MAX)).is_some());
    }

    #[test]
    fn two_ways_to_write_a_host_are_one() {
        for (one, other) in [
            ("2001:DB8:0::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("R1.Example.com.", "r1.example.com"),
        ] {
            assert_eq!(Spelled::of(one), Spelled::of(other), "{one}");
        }
        assert_ne!(Spelled::of("192.0.2.1"), Spelled::of("192.0.2.10"));
    }
}
