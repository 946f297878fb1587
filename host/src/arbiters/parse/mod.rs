//! What a device answers when it is asked who is connected to it, read into sessions; pure.
//!
//! A session counts here if it is established and its local port is the SSH port. What is not understood is an
//! error and never "nobody is there": the site would become active on a misread table.

mod bsd;
mod custom;
mod junos;
mod linux;
mod netstat;

use std::net::IpAddr;

use dr_watchdog_sdk::evidence::Session;

use crate::config::model::{Custom, Kind};

/// Most characters of a device's line that an error shows.
const SHOWN_CHARACTERS_MAX: usize = 80;
/// Most sessions that one device may show: a table longer than this is no table of SSH sessions.
const SESSIONS_MAX: usize = 65_536;
/// Longest zone of an address: interfaces of devices have longer names than those of Linux.
const ZONE_BYTES_MAX: usize = 64;

/// Why a device's answer was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The table has no header, so it may be no table at all.
    #[error(
        "{command}: no line \"Proto … Local Address … Foreign Address\" in the answer, which begins \"{begins}\""
    )]
    NoHeader {
        /// What was asked.
        command: String,
        /// The first line of the answer, shortened.
        begins: String,
    },
    /// A line is no row of the table.
    #[error("{command}: line {line} of the answer is not understood ({why}): \"{text}\"")]
    Line {
        /// What was asked.
        command: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
        /// The line, shortened.
        text: String,
    },
    /// There are more sessions than any device has.
    #[error("{command}: more than {SESSIONS_MAX} sessions in one answer")]
    TooMany {
        /// What was asked.
        command: String,
    },
}

/// How one kind of device is asked, and how its answer is read.
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// The kind, as the configuration names it.
    pub name: &'static str,
    /// The command for sessions over IPv4.
    command: &'static str,
    /// The command for sessions over IPv6, where that is another one.
    command_v6: &'static str,
    read: fn(&str, u16) -> Result<Vec<Row>, ParseError>,
}

/// One established session at the SSH port, as a device shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What policies see of it.
    pub session: Session,
    /// Port of the other end, where it is shown as a number.
    pub port: Option<u16>,
    /// How much the device has received on it, where it counts that: bytes or segments, whichever it shows.
    pub counter: Option<u64>,
}

/// The families of addresses that a device is asked about, where it has a table for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Families {
    v4: bool,
    v6: bool,
}

impl Families {
    /// That of one address.
    pub fn only(address: IpAddr) -> Self {
        let is_v4 = address.to_canonical().is_ipv4();
        Self { v4: is_v4, v6: !is_v4 }
    }

    /// Those that the sessions of the other site may have. A name may stand for either.
    pub fn of(peer_addresses: &[String]) -> Self {
        let parsed: Vec<Option<IpAddr>> = peer_addresses.iter().map(|text| plain(text)).collect();
        Self {
            v4: parsed.iter().any(|address| address.is_none_or(|address| address.is_ipv4())),
            v6: parsed.iter().any(|address| address.is_none_or(|address| address.is_ipv6())),
        }
    }
}

/// Linux, by iproute2: details follow each row on a line of their own, no header.
pub const LINUX: Dialect =
    Dialect { name: "linux", command: linux::COMMAND, command_v6: linux::COMMAND, read: linux::rows };
/// Junos.
pub const JUNOS: Dialect =
    Dialect { name: "junos", command: junos::COMMAND, command_v6: junos::COMMAND_V6, read: junos::rows };
/// FreeBSD and its relatives.
pub const BSD: Dialect =
    Dialect { name: "bsd", command: bsd::COMMAND, command_v6: bsd::COMMAND, read: bsd::rows };

/// What `auto` tries, in this order: the cheapest question that other kinds refuse clearly comes first.
pub const ALL: [Dialect; 3] = [LINUX, JUNOS, BSD];

/// The dialects that a kind may speak.
pub const fn dialects(kind: Kind) -> &'static [Dialect] {
    match kind {
        Kind::Auto => &ALL,
        Kind::Linux => &[LINUX],
        Kind::Junos => &[JUNOS],
        Kind::Bsd => &[BSD],
        // It is asked in the operator's words only.
        Kind::Custom => &[],
    }
}

impl Dialect {
    /// What to ask a device that is reached at this address: the table of each family in which the other site may
    /// stand. Asked about the wrong family, a device would truthfully say that nobody is there.
    pub fn commands(&self, device: IpAddr, families: Families) -> Vec<&'static str> {
        let is_known = families.v4 || families.v6;
        let wants_v4 = if is_known { families.v4 } else { device.is_ipv4() };
        let wants_v6 = if is_known { families.v6 } else { device.is_ipv6() };
        let mut commands = Vec::new();
        commands.extend(wants_v4.then_some(self.command));
        commands.extend(wants_v6.then_some(self.command_v6));
        commands.dedup();
        commands
    }

    /// The established sessions at the device's SSH port, with what only this room wants to know of them.
    ///
    /// # Errors
    /// When a line is not understood.
    pub fn rows(&self, output: &str, ssh_port: u16) -> Result<Vec<Row>, ParseError> {
        (self.read)(output, ssh_port)
    }

    /// The established sessions at the device's SSH port.
    ///
    /// # Errors
    /// When a line is not understood.
    pub fn sessions(&self, output: &str, ssh_port: u16) -> Result<Vec<Session>, ParseError> {
        self.rows(output, ssh_port).map(sessions)
    }
}

/// What policies see of the rows.
pub fn sessions(rows: Vec<Row>) -> Vec<Session> {
    rows.into_iter().map(|row| row.session).collect()
}

/// The established sessions in the answer to the operator's own command.
///
/// # Errors
/// When a line is not understood.
pub fn custom_sessions(custom: &Custom, output: &str, ssh_port: u16) -> Result<Vec<Session>, ParseError> {
    custom_rows(custom, output, ssh_port).map(sessions)
}

/// The same with the port of the other end, where the pattern has a group for it.
///
/// # Errors
/// When a line is not understood.
pub fn custom_rows(custom: &Custom, output: &str, ssh_port: u16) -> Result<Vec<Row>, ParseError> {
    custom::rows(custom, output, ssh_port)
}

/// Where a line of the answer stands, for errors about it.
#[derive(Debug, Clone, Copy)]
struct At<'a> {
    command: &'a str,
    number: usize,
    text: &'a str,
}

impl At<'_> {
    fn wrong(&self, why: &'static str) -> ParseError {
        ParseError::Line {
            command: self.command.to_owned(),
            line: self.number,
            why,
            text: shortened(self.text),
        }
    }
}

fn shortened(line: &str) -> String {
    let clean = line.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = clean.clone().take(SHOWN_CHARACTERS_MAX).collect();
    if clean.count() > SHOWN_CHARACTERS_MAX {
        short.push('…');
    }
    short
}

/// Adds a session, within the limit.
fn push(rows: &mut Vec<Row>, row: Row, command: &str) -> Result<(), ParseError> {
    if rows.len() >= SESSIONS_MAX {
        return Err(ParseError::TooMany { command: command.to_owned() });
    }
    rows.push(row);
    Ok(())
}

/// An address as devices write it: in brackets or not, with a zone or not, IPv4 inside IPv6 or not. A link-local
/// address keeps its zone, because without it it may be anybody's; elsewhere the zone says nothing about the host.
fn address(written: &str) -> Option<String> {
    let address = plain(written)?;
    let zone = written.split_once('%').map(|(_, zone)| zone.trim_end_matches(']'));
    match (address, zone) {
        (IpAddr::V6(local), Some(zone)) if local.is_unicast_link_local() => {
            // Nothing that no interface is called: the zone is printed and handed to policies.
            let is_name = !zone.is_empty()
                && zone.len() <= ZONE_BYTES_MAX
                && zone.chars().all(|c| c.is_ascii_alphanumeric() || "._-/:".contains(c));
            is_name.then(|| format!("{local}%{zone}"))
        }
        _ => Some(address.to_string()),
    }
}

/// The address alone. Its zone may stand within the brackets or behind them.
fn plain(written: &str) -> Option<IpAddr> {
    let inner = written.trim().strip_prefix('[').map_or(written, |rest| rest.trim_end_matches(']'));
    let bare = inner.split_once('%').map_or(inner, |(bare, _)| bare).trim_end_matches(']');
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// A port as devices write it; Junos and BSD may name port 22.
fn port(written: &str) -> Option<u16> {
    if written == "ssh" { Some(22) } else { written.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_every_shape_are_read() {
        for (written, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("2001:DB8:0::1", Some("2001:db8::1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("[::ffff:192.0.2.1]", Some("192.0.2.1")),
            ("fe80::1%em0.100", Some("fe80::1%em0.100")),
            ("fe80::1%ge-0/0/0.0", Some("fe80::1%ge-0/0/0.0")),
            ("[fe80::1%eth0]", Some("fe80::1%eth0")),
            ("[fe80::1]%eth0", Some("fe80::1%eth0")),
            ("fe80::1", Some("fe80::1")),
            ("fe80::1%", None),
            ("fe80::1%\u{1b}[2J", None),
            ("[2001:db8::1]%vrf-red", Some("2001:db8::1")),
            ("192.0.2.1%eth0", Some("192.0.2.1")),
            ("*", None),
            ("", None),
            ("192.0.2.300", None),
            ("router-1", None),
        ] {
            assert_eq!(address(written).as_deref(), expected, "{written}");
        }
    }

    #[test]
    fn a_device_is_asked_about_every_family_that_the_other_site_may_use() {
        let families =
            |list: &[&str]| Families::of(&list.iter().map(|&one| one.to_owned()).collect::<Vec<_>>());
        let (v4, v6): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), "2001:db8::1".parse().unwrap());
        let [inet, inet6] = [junos::COMMAND, junos::COMMAND_V6];
        for (list, device, expected) in [
            (&[][..], v4, &[inet][..]),
            (&[], v6, &[inet6]),
            (&["192.0.2.10"], v6, &[inet]),
            (&["2001:db8::10"], v4, &[inet6]),
            (&["::ffff:192.0.2.10"], v4, &[inet]),
            (&["192.0.2.10", "2001:db8::10"], v4, &[inet, inet6]),
            (&["site-a.example.com"], v4, &[inet, inet6]),
        ] {
            assert_eq!(JUNOS.commands(device, families(list)), expected, "{list:?} at {device}");
        }
        assert_eq!(LINUX.commands(v4, families(&["192.0.2.10", "2001:db8::10"])), [linux::COMMAND]);
    }

    #[test]
    fn a_long_line_with_control_characters_is_shown_short_and_clean() {
        let shown = shortened(&format!("\u{1b}[31m{}", "x".repeat(500)));
        assert!(!shown.chars().any(char::is_control));
        assert_eq!(shown.chars().count(), SHOWN_CHARACTERS_MAX + 1);
    }

    #[test]
    fn no_dialect_takes_the_answer_of_another_for_its_own() {
        let linux = "ESTAB 0 0 192.0.2.1:22 192.0.2.9:1000\n\t cubic rto:204 lastrcv:7\n";
        let netstat = "Active Internet connections (including servers)\n\
            Proto Recv-Q Send-Q  Local Address   Foreign Address   (state)\n\
            tcp4       0      0  192.0.2.1.22    192.0.2.9.1000    ESTABLISHED\n";
        assert!(LINUX.sessions(netstat, 22).is_err());
        assert!(JUNOS.sessions(linux, 22).is_err());
        assert!(BSD.sessions(linux, 22).is_err());
        for dialect in ALL {
            for refusal in [
                "error: unknown command: ss\n",
                "-sh: ss: not found\n",
                "syntax error, expecting <command>.\n",
            ] {
                assert!(dialect.sessions(refusal, 22).is_err(), "{}: {refusal}", dialect.name);
            }
        }
    }

    #[test]
    fn no_input_makes_a_parser_panic() {
        // A small generator of its own: what matters is that every run reads the same inputs.
        const PIECES: [&str; 24] = [
            "ESTAB",
            "tcp4",
            "tcp",
            "Proto",
            "Recv-Q",
            "Local Address",
            "Foreign Address",
            "(state)",
            "ESTABLISHED",
            "192.0.2.1.22",
            "[::1]:22",
            "%",
            "0",
            " ",
            "\t",
            "\n",
            "*.*",
            "lastrcv:",
            "99999999999999999999",
            "\u{fffd}",
            ":::22",
            "]",
            "re0:",
            "…",
        ];
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..12 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                text.push_str(PIECES[usize::try_from(seed % 24).unwrap()]);
            }
            for dialect in ALL {
                let _ = dialect.sessions(&text, 22);
            }
        }
    }
}
