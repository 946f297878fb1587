//! The answer of a device that only its operator knows, read by the operator's own pattern.

use std::borrow::Cow;

use dr_watchdog_sdk::evidence::Session;
use regex_lite::Captures;

use super::{At, ParseError, Row, address, port, push};
use crate::config::model::Custom;

/// States that count, in whatever case: as `ss` and as `netstat` write them.
const ESTABLISHED: [&str; 2] = ["estab", "established"];
const MS_PER_S: u64 = 1_000;

/// The sessions of the rows. A line that is neither a row nor one to pass over is an error: a firmware that writes
/// its table another way must not look like an empty table.
pub(super) fn rows(custom: &Custom, output: &str, ssh_port: u16) -> Result<Vec<Row>, ParseError> {
    let mut rows = Vec::new();
    let mut lines = output.lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let mut line = Cow::Borrowed(line.trim_end());
        let mut is_match = custom.pattern.is_match(&line);
        if !is_match && is_passed_over(custom, &line) {
            continue;
        }
        // A row that the device wrapped: its rest is indented.
        if !is_match && let Some((_, rest)) = lines.next_if(|(_, next)| next.starts_with([' ', '\t'])) {
            line = Cow::Owned(format!("{line} {}", rest.trim()));
            is_match = custom.pattern.is_match(&line);
        }
        let at = At { command: &custom.command, number: index + 1, text: &line };
        let captures = is_match.then(|| custom.pattern.captures(&line)).flatten();
        let captures = captures.ok_or_else(|| at.wrong("neither pattern nor ignore matches it"))?;
        if let Some(found) = row(&at, &captures, ssh_port)? {
            push(&mut rows, found, &custom.command)?;
        }
    }
    Ok(rows)
}

fn is_passed_over(custom: &Custom, line: &str) -> bool {
    line.is_empty() || custom.ignore.as_ref().is_some_and(|ignore| ignore.is_match(line))
}

fn row(at: &At<'_>, captures: &Captures<'_>, ssh_port: u16) -> Result<Option<Row>, ParseError> {
    let field = |name: &str| captures.name(name).map(|field| field.as_str());
    if field("state").is_some_and(|state| !ESTABLISHED.contains(&state.to_lowercase().as_str())) {
        return Ok(None);
    }
    if let Some(local) = field("port") {
        let local = port(local).ok_or_else(|| at.wrong("the group \"port\" is no number"))?;
        if local != ssh_port {
            return Ok(None);
        }
    }
    let from = field("from").and_then(address);
    let from = from.ok_or_else(|| at.wrong("the group \"from\" is no IP address"))?;
    let number = |name: &str, why: &'static str| match field(name) {
        Some(written) => written.parse::<u64>().map(Some).map_err(|_| at.wrong(why)),
        None => Ok(None),
    };
    let age_ms = number("ageMs", "the group \"ageMs\" is no whole number")?;
    let age_s = number("ageS", "the group \"ageS\" is no whole number")?;
    let age_ms = age_ms.or(age_s.map(|age_s| age_s.saturating_mul(MS_PER_S)));
    let counter = number("counter", "the group \"counter\" is no whole number")?;
    Ok(Some(Row { session: Session { from, age_ms }, port: field("fromPort").and_then(port), counter }))
}

#[cfg(test)]
mod tests {
    use regex_lite::Regex;

    use super::*;

    fn sessions(custom: &Custom, output: &str, ssh_port: u16) -> Result<Vec<Session>, ParseError> {
        rows(custom, output, ssh_port).map(super::super::sessions)
    }

    fn custom(pattern: &str, ignore: Option<&str>) -> Custom {
        Custom {
            command: "show sessions".to_owned(),
            pattern: Regex::new(pattern).unwrap(),
            ignore: ignore.map(|ignore| Regex::new(ignore).unwrap()),
        }
    }

    #[test]
    fn rows_are_read_by_their_groups() {
        let pattern = r"^(?<state>\w+) (?<port>\d+) <- (?<from>\S+):\d+ idle (?<ageS>\d+)$";
        let custom = custom(pattern, Some("^(#|Sessions)"));
        let output = "Sessions:\r\n# state port from\n\nESTABLISHED 22 <- 198.51.100.7:5000 idle 4\nCLOSED 22 <- 198.51.100.8:1 idle 0\nESTAB 443 <- 198.51.100.9:1 idle 0\nestab 22 <- [2001:db8::1]:7 idle 0\n";
        let found = sessions(&custom, output, 22).unwrap();
        let seen: Vec<_> = found.iter().map(|session| (session.from.as_str(), session.age_ms)).collect();
        assert_eq!(seen, [("198.51.100.7", Some(4_000)), ("2001:db8::1", Some(0))]);
    }

    #[test]
    fn a_line_that_nobody_knows_is_an_error_and_not_an_empty_table() {
        let custom = custom(r"^tcp (?<from>\S+)(?: (?<ageMs>\S+))?$", None);
        assert_eq!(sessions(&custom, "", 22).unwrap(), []);
        for (output, why) in [
            (
                "tcp 192.0.2.1\nunknown command\n",
                "line 2 of the answer is not understood (neither pattern nor ignore",
            ),
            ("tcp router-1\n", "\"from\" is no IP address"),
            ("tcp 192.0.2.1 soon\n", "\"ageMs\" is no whole number"),
        ] {
            let error = sessions(&custom, output, 22).unwrap_err().to_string();
            assert!(error.starts_with("show sessions: ") && error.contains(why), "{error}");
        }
    }

    #[test]
    fn what_was_received_is_counted_by_its_group() {
        let custom = custom(r"^(?<from>\S+) received (?<counter>\S+)$", None);
        assert_eq!(rows(&custom, "198.51.100.7 received 4213\n", 22).unwrap()[0].counter, Some(4_213));
        let error = rows(&custom, "198.51.100.7 received much\n", 22).unwrap_err().to_string();
        assert!(error.contains("\"counter\" is no whole number"), "{error}");
    }

    #[test]
    fn a_wrapped_row_is_one_row_and_its_port_is_read_by_its_group() {
        let custom = custom(r"^(?<state>\w+) (?<from>\S+):(?<fromPort>\d+)$", None);
        let found =
            rows(&custom, "ESTABLISHED\n   198.51.100.7:5000\nESTABLISHED 198.51.100.8:1\n", 22).unwrap();
        let seen: Vec<_> = found.iter().map(|row| (row.session.from.as_str(), row.port)).collect();
        assert_eq!(seen, [("198.51.100.7", Some(5_000)), ("198.51.100.8", Some(1))]);
        for torn in ["ESTABLISHED\n198.51.100.7:5000\n", "ESTABLISHED\n   what\n"] {
            assert!(rows(&custom, torn, 22).is_err(), "{torn}");
        }
    }
}
