//! The answer of `ss -Htnoi`.
//!
//! One row per socket, then a line of details that begins with white space:
//! ```text
//! ESTAB 0      0      192.0.2.1:22   198.51.100.7:51234 timer:(keepalive,119min,0)
//!          cubic wscale:7,7 rto:204 rtt:0.1/0.05 lastsnd:4 lastrcv:4 lastack:4
//! ```

use dr_watchdog_sdk::evidence::Session;

use super::{At, ParseError, Row, address, port, push};

/// No header, TCP, numbers, timers, details.
pub(super) const COMMAND: &str = "ss -Htnoi";
/// State, two queues, two addresses.
const FIELDS: usize = 5;

/// States as `ss` writes them. A word that is none of them begins no row.
const STATES: [&str; 12] = [
    "ESTAB",
    "SYN-SENT",
    "SYN-RECV",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "TIME-WAIT",
    "CLOSE-WAIT",
    "LAST-ACK",
    "LISTEN",
    "CLOSING",
    "UNCONN",
    "NEW-SYN-RECV",
];

pub(super) fn rows(output: &str, ssh_port: u16) -> Result<Vec<Row>, ParseError> {
    let mut rows: Vec<Row> = Vec::new();
    // What the details that follow belong to: nothing yet, a row that does not count, or the last session.
    let mut current = Current::Nothing;
    for (number, line) in &joined(output) {
        let at = At { command: COMMAND, number: *number, text: line };
        if is_indented(line) {
            match current {
                Current::Nothing => return Err(at.wrong("details without a row before them")),
                Current::Other => {}
                Current::Session => read_details(&at, rows.last_mut())?,
            }
            continue;
        }
        current = Current::Other;
        if let Some(found) = row(&at, ssh_port)? {
            push(&mut rows, found, COMMAND)?;
            current = Current::Session;
            // With `ss -O`, or where a device joins lines, the details stand on the row itself.
            read_details(&at, rows.last_mut())?;
        }
    }
    Ok(rows)
}

/// The lines that say something, from the first row on, with their numbers. A row that lacks an address goes on in
/// the line below: long addresses do not fit into every width.
fn joined(output: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (index, line) in output.lines().enumerate().skip(first_row(output)) {
        if line.trim().is_empty() {
            continue;
        }
        match lines.last_mut() {
            Some((_, row)) if is_indented(line) && is_short(row) => {
                row.push(' ');
                row.push_str(line.trim());
            }
            _ => lines.push((index + 1, line.to_owned())),
        }
    }
    lines
}

fn is_short(row: &str) -> bool {
    !is_indented(row) && row.split_whitespace().count() < FIELDS
}

/// Position of the first row: some shells greet even those who only want a command run. Where no row follows, or
/// where what stands before it might be a row that is not understood, nothing is passed over.
fn first_row(output: &str) -> usize {
    let begins_row = |line: &str| {
        line.split_whitespace().next().is_some_and(|first| STATES.contains(&first)) && !is_indented(line)
    };
    let first = output.lines().position(begins_row).unwrap_or(0);
    let looks_like_one = |line: &str| {
        line.split_whitespace().skip(1).take(2).filter(|field| field.parse::<u64>().is_ok()).count() == 2
    };
    if output.lines().take(first).any(looks_like_one) { 0 } else { first }
}

fn is_indented(line: &str) -> bool {
    line.starts_with([' ', '\t'])
}

enum Current {
    Nothing,
    Other,
    Session,
}

/// The session of a row, if it is an established one at the SSH port.
fn row(at: &At<'_>, ssh_port: u16) -> Result<Option<Row>, ParseError> {
    let mut fields = at.text.split_whitespace();
    let state = fields.next().filter(|state| STATES.contains(state));
    let Some(state) = state else { return Err(at.wrong("it begins with no state of a TCP socket")) };
    for _ in 0..2 {
        let queue = fields.next().and_then(|field| field.parse::<u64>().ok());
        queue.ok_or_else(|| at.wrong("no length of a queue behind the state"))?;
    }
    let local = fields.next().ok_or_else(|| at.wrong("the local address is missing"))?;
    let peer = fields.next().ok_or_else(|| at.wrong("the peer's address is missing"))?;
    if state != "ESTAB" {
        return Ok(None);
    }
    let (_, local_port) = split(local).ok_or_else(|| at.wrong("the local address has no port"))?;
    let (from, from_port) = split(peer).ok_or_else(|| at.wrong("the peer's address has no port"))?;
    let local_port = port(local_port).ok_or_else(|| at.wrong("the local port is no number"))?;
    let from = address(from).ok_or_else(|| at.wrong("the peer's address is no IP address"))?;
    let session = Session { from, age_ms: None };
    Ok((local_port == ssh_port).then(|| Row { session, port: port(from_port), counter: None }))
}

fn split(written: &str) -> Option<(&str, &str)> {
    written.rsplit_once(':')
}

/// `lastrcv:` is left out where it is 0, so details without it say "just now". Bytes are counted by kernels since 4.1
/// and segments since 4.2; bytes are the better proof, because a bare acknowledgement brings none.
fn read_details(at: &At<'_>, row: Option<&mut Row>) -> Result<(), ParseError> {
    let Some(Row { session, counter, .. }) = row else { return Ok(()) };
    let count = |written: &str| {
        written.parse::<u64>().map_err(|_| at.wrong("what was received on the session is no number"))
    };
    let mut segments = None;
    for field in at.text.split_whitespace() {
        if let Some(written) = field.strip_prefix("lastrcv:") {
            let age_ms = written.parse().map_err(|_| at.wrong("lastrcv is no number of milliseconds"))?;
            session.age_ms = Some(age_ms);
        } else if field.starts_with("rto:") {
            session.age_ms = session.age_ms.or(Some(0));
        } else if let Some(written) = field.strip_prefix("bytes_received:") {
            *counter = Some(count(written)?);
        } else if let Some(written) = field.strip_prefix("segs_in:") {
            segments = Some(count(written)?);
        }
    }
    *counter = counter.or(segments);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(output: &str, ssh_port: u16) -> Result<Vec<Session>, ParseError> {
        rows(output, ssh_port).map(super::super::sessions)
    }

    fn seen(output: &str) -> Vec<(String, Option<u64>)> {
        sessions(output, 22).unwrap().into_iter().map(|session| (session.from, session.age_ms)).collect()
    }

    fn one(from: &str, age_ms: Option<u64>) -> Vec<(String, Option<u64>)> {
        vec![(from.to_owned(), age_ms)]
    }

    #[test]
    fn rows_with_details_are_sessions_with_an_age() {
        let output = "\
ESTAB      0      0               192.0.2.1:22         198.51.100.7:51234 timer:(keepalive,119min,0) 
\t cubic wscale:7,7 rto:204 rtt:0.1/0.05 ato:40 mss:1448 lastsnd:1320 lastrcv:1200 lastack:1160 pacing_rate 9Mbps
ESTAB      0      36     [::ffff:192.0.2.1]:22       [::ffff:198.51.100.8]:50000
\t ts sack bbr rto:204 rtt:0.05/0.02 minrtt:0.05
";
        let expected = vec![("198.51.100.7".to_owned(), Some(1_200)), ("198.51.100.8".to_owned(), Some(0))];
        assert_eq!(seen(output), expected);
    }

    #[test]
    fn an_idle_machine_answers_with_nothing() {
        assert_eq!(seen(""), []);
        assert_eq!(seen("\n"), []);
    }

    #[test]
    fn every_way_to_write_an_address_is_read() {
        for (peer, from) in [
            ("198.51.100.7:51234", "198.51.100.7"),
            ("198.51.100.7%eth0:51234", "198.51.100.7"),
            ("[2001:db8::7]:51234", "2001:db8::7"),
            ("2001:db8::7:51234", "2001:db8::7"),
            ("[fe80::7]%eth0:51234", "fe80::7%eth0"),
            ("[fe80::7%eth0.12]:51234", "fe80::7%eth0.12"),
            ("::ffff:198.51.100.7:51234", "198.51.100.7"),
        ] {
            assert_eq!(seen(&format!("ESTAB 0 0 192.0.2.1:22 {peer}")), one(from, None), "{peer}");
        }
    }

    #[test]
    fn other_ports_and_other_states_are_no_sessions() {
        let output = "\
ESTAB      0 0 192.0.2.1:2222 198.51.100.7:22
\t cubic rto:204 lastrcv:3
ESTAB      0 0 192.0.2.1:220 198.51.100.7:51234
CLOSE-WAIT 0 0 192.0.2.1:22 198.51.100.7:51235
FIN-WAIT-1 0 1 192.0.2.1:22 198.51.100.7:51236 timer:(on,1.2sec,3)
SYN-RECV   0 0 192.0.2.1:22 198.51.100.7:51237
LISTEN     0 128 0.0.0.0:22 0.0.0.0:*
LAST-ACK   0 0 192.0.2.1:22 198.51.100.7:51238
";
        assert_eq!(seen(output), []);
        assert_eq!(sessions(output, 2222).unwrap().len(), 1);
    }

    #[test]
    fn details_on_the_row_itself_are_read_too() {
        let joined = "ESTAB 0 0 192.0.2.1:22 198.51.100.7:5000 cubic rto:204 lastrcv:44 lastack:1";
        assert_eq!(seen(joined), one("198.51.100.7", Some(44)));
    }

    #[test]
    fn what_was_received_is_counted_in_bytes_or_else_in_segments() {
        for (details, expected) in [
            ("cubic bytes_sent:9 bytes_received:4213 segs_out:3 segs_in:17 lastrcv:4", Some(4_213)),
            ("cubic segs_out:3 segs_in:17 data_segs_in:9 lastrcv:4", Some(17)),
            ("cubic rto:204 lastrcv:4", None),
        ] {
            let output = format!("ESTAB 0 0 192.0.2.1:22 198.51.100.7:5000\n\t {details}\n");
            assert_eq!(rows(&output, 22).unwrap()[0].counter, expected, "{details}");
        }
        let wrong = "ESTAB 0 0 192.0.2.1:22 198.51.100.7:5000\n\t bytes_received:many\n";
        assert!(rows(wrong, 22).unwrap_err().to_string().contains("is no number"));
    }

    #[test]
    fn details_of_another_row_are_not_taken_for_the_sessions_own() {
        let output = "\
ESTAB 0 0 192.0.2.1:22 198.51.100.7:5000
\t cubic rto:204 lastrcv:9000
ESTAB 0 0 192.0.2.1:443 198.51.100.8:5000
\t cubic rto:204 lastrcv:1
";
        assert_eq!(seen(output), one("198.51.100.7", Some(9_000)));
    }

    #[test]
    fn details_wrapped_over_two_lines_belong_to_one_row() {
        let output = "ESTAB 0 0 192.0.2.1:22 198.51.100.7:5000\n\t cubic rto:204\n\t lastrcv:9000\n";
        assert_eq!(seen(output), one("198.51.100.7", Some(9_000)));
    }

    #[test]
    fn a_row_wrapped_between_its_addresses_is_one_row() {
        let output = "ESTAB 0 0 [2001:db8:1111:2222:3333:4444:5555:6666]:22\n      [2001:db8::7]:51234\n\t cubic rto:204 lastrcv:8\n";
        assert_eq!(seen(output), one("2001:db8::7", Some(8)));
        assert_eq!(rows(output, 22).unwrap()[0].port, Some(51_234));
    }

    #[test]
    fn a_greeting_before_the_rows_is_passed_over_and_an_unknown_row_is_not() {
        let row = "ESTAB 0 0 192.0.2.1:22 198.51.100.7:5000\n";
        let greeting = "*** authorised use only ***\n\n  Last login: Mon\n";
        assert_eq!(seen(&format!("{greeting}{row}")), one("198.51.100.7", None));
        for output in [
            format!("{greeting}NEW-STATE 0 0 192.0.2.1:22 198.51.100.8:5000\n{row}"),
            format!("{row}{greeting}"),
            greeting.to_owned(),
        ] {
            assert!(sessions(&output, 22).is_err(), "{output}");
        }
    }

    #[test]
    fn carriage_returns_are_no_part_of_an_address() {
        assert_eq!(seen("ESTAB 0 0 192.0.2.1:22 198.51.100.7:5000\r\n"), one("198.51.100.7", None));
    }

    #[test]
    fn what_is_no_row_is_an_error_that_shows_it() {
        for (output, why) in [
            ("Welcome to arbiter 3\n", "no state"),
            ("\t cubic rto:204 lastrcv:3\n", "without a row"),
            ("ESTAB 0\n", "no length"),
            ("ESTAB x 0 192.0.2.1:22 198.51.100.7:5000\n", "no length"),
            ("ESTAB 0 0 192.0.2.1:22\n", "peer's address is missing"),
            ("ESTAB 0 0 192.0.2.1:22 198.51.100.7\n", "no port"),
            ("ESTAB 0 0 192.0.2.1:22 router-7:5000\n", "no IP address"),
            ("ESTAB 0 0 192.0.2.1:sunrpc 198.51.100.7:5000\n", "no number"),
            ("ESTAB 0 0 192.0.2.1:22 198.51.100.7:5000\n\t rto:1 lastrcv:soon\n", "lastrcv"),
        ] {
            let error = sessions(output, 22).unwrap_err().to_string();
            assert!(error.contains(why), "{output:?}: {error}");
            assert!(error.starts_with("ss -Htnoi: line "), "{error}");
        }
    }
}
