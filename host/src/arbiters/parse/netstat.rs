//! Tables in the manner of BSD's netstat: a header, then one row per socket, addresses as `address.port`.

use dr_watchdog_sdk::evidence::Session;

use super::{At, ParseError, Row, address, port, push, shortened};

/// Columns of addresses narrower than this cut long addresses off.
const WIDE_COLUMN: usize = 40;
/// Characters of an address that a narrow column shows; the port follows in any case.
const NARROW_CHARACTERS: usize = 16;
/// Protocol, two queues, two addresses, state.
const FIELDS: usize = 6;

/// The established sessions at the SSH port.
///
/// What stands before a header is not read (a banner, the name of a routing engine), so a table without one is an
/// error. A device of several parts prints several headers.
pub(super) fn rows(command: &str, output: &str, ssh_port: u16) -> Result<Vec<Row>, ParseError> {
    let mut rows = Vec::new();
    let (mut is_headed, mut is_in_table, mut is_narrow) = (false, false, false);
    let joined = joined(output);
    for (number, line) in &joined {
        if let Some(width) = column_width(line) {
            (is_headed, is_in_table, is_narrow) = (true, true, width < WIDE_COLUMN);
            continue;
        }
        // "Active UNIX domain sockets" begins a table of another kind.
        if line.starts_with("Active ") {
            is_in_table = false;
            continue;
        }
        if !is_in_table || is_ornament(line) {
            continue;
        }
        let at = At { command, number: *number, text: line };
        if let Some(found) = row(&at, ssh_port, is_narrow)? {
            push(&mut rows, found, command)?;
        }
    }
    if !is_headed {
        let begins = output.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        return Err(ParseError::NoHeader { command: command.to_owned(), begins: shortened(begins) });
    }
    Ok(rows)
}

/// The lines with their numbers; a line that begins with white space goes on the one before it, as does one that
/// begins no row where the row before it lacks something.
fn joined(output: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (index, line) in output.lines().enumerate() {
        let is_continued = line.starts_with([' ', '\t']);
        match lines.last_mut() {
            Some((_, row)) if begins_row(row) && (is_continued || (is_short(row) && is_rest(line))) => {
                row.push(' ');
                row.push_str(line.trim());
            }
            _ => lines.push((index + 1, line.trim().to_owned())),
        }
    }
    lines
}

fn begins_row(line: &str) -> bool {
    line.split_whitespace().nth(1).is_some_and(|queue| queue.parse::<u64>().is_ok())
}

/// Whether the row of a TCP socket lacks its last columns.
fn is_short(row: &str) -> bool {
    row.starts_with("tcp") && row.split_whitespace().count() < FIELDS
}

/// Whether a line may be the rest of the one before.
fn is_rest(line: &str) -> bool {
    !begins_row(line)
        && !is_ornament(line.trim())
        && !line.starts_with("Active ")
        && column_width(line).is_none()
}

/// Width of the column of addresses, if this is a header.
fn column_width(line: &str) -> Option<usize> {
    let local = line.starts_with("Proto ").then(|| line.find("Local Address")).flatten()?;
    line.find("Foreign Address")?.checked_sub(local)
}

/// Lines between the tables of a device of several parts: `re0:`, `-----`, `{master:0}`, nothing.
fn is_ornament(line: &str) -> bool {
    line.is_empty()
        || line.chars().all(|c| c == '-')
        || (line.starts_with('{') && line.ends_with('}'))
        || (line.ends_with(':') && !line.contains(char::is_whitespace))
}

fn row(at: &At<'_>, ssh_port: u16, is_narrow: bool) -> Result<Option<Row>, ParseError> {
    let mut fields = at.text.split_whitespace();
    let protocol = fields.next().unwrap_or_default();
    for _ in 0..2 {
        let queue = fields.next().and_then(|field| field.parse::<u64>().ok());
        queue.ok_or_else(|| at.wrong("no row of a socket"))?;
    }
    if !protocol.starts_with("tcp") {
        return Ok(None);
    }
    let local = fields.next().ok_or_else(|| at.wrong("the local address is missing"))?;
    let foreign = fields.next().ok_or_else(|| at.wrong("the foreign address is missing"))?;
    let state = fields.next().ok_or_else(|| at.wrong("the state is missing"))?;
    let is_word = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_' || c == '-';
    // The rest of a port that was wrapped is no state either.
    if !state.starts_with(|c: char| c.is_ascii_uppercase()) || !state.chars().all(is_word) {
        return Err(at.wrong("the sixth column is no state"));
    }
    if state != "ESTABLISHED" {
        return Ok(None);
    }
    // Addresses of IPv4 contain dots themselves, names of interfaces too: only the last one parts off the port.
    let (_, local_port) = local.rsplit_once('.').ok_or_else(|| at.wrong("the local address has no port"))?;
    let (from, from_port) =
        foreign.rsplit_once('.').ok_or_else(|| at.wrong("the foreign address has no port"))?;
    let local_port = port(local_port).ok_or_else(|| at.wrong("the local port is no number"))?;
    // What is left of a cut address may be an address too, and nobody would know it for the other site's.
    if is_narrow && from.contains(':') && from.len() >= NARROW_CHARACTERS {
        return Err(at.wrong("the column is narrow, so this IPv6 address may have been cut off"));
    }
    let from = address(from).ok_or_else(|| at.wrong("the foreign address is no IP address"))?;
    let session = Session { from, age_ms: None };
    Ok((local_port == ssh_port).then(|| Row { session, port: port(from_port), counter: None }))
}
