//! Lists of arbiters in CSV or JSON, read with every error at its line; pure.

use std::collections::BTreeMap;

use dr_watchdog_sdk::nearest::nearest;
use dr_watchdog_sdk::strict;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::config::host::{Spelled, host_trouble};

/// What a record may tell, in the manual's words.
pub(super) const FIELDS: [&str; 7] =
    ["host", "port", "username", "password", "privateKey", "kind", "hostKey"];
/// Kinds that need nothing more than their name.
const KINDS: [&str; 4] = ["auto", "junos", "linux", "bsd"];
/// Most records: more arbiters are refused by the configuration.
const RECORDS_MAX: usize = 1_000;
/// Most errors that are told.
const WRONGS_MAX: usize = 200;
const DEFAULT_PORT: u16 = 22;

/// One arbiter of a list.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(in crate::cli) struct Record {
    /// Line on which it begins, from 1.
    pub(in crate::cli) line: usize,
    /// Address or name.
    pub(in crate::cli) host: String,
    /// SSH port.
    pub(in crate::cli) port: u16,
    /// User.
    pub(in crate::cli) username: String,
    /// Password, if told.
    pub(in crate::cli) password: Option<String>,
    /// Private key or the path of its file, if told.
    pub(in crate::cli) private_key: Option<String>,
    /// Kind, if told.
    pub(in crate::cli) kind: Option<String>,
    /// Pinned host key, if told.
    #[serde(default)]
    pub(in crate::cli) host_key: Option<String>,
}

/// Something wrong with a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// From 1.
    pub(super) line: usize,
    /// What was found, and what would be right.
    pub(super) what: String,
}

/// The fields of one record with the line on which it begins.
type Fields = (usize, Vec<(String, String)>);

/// Reads a list; JSON if it begins as JSON does.
///
/// # Errors
/// Everything that is wrong with it, in the order of the lines.
pub(super) fn read(text: &str) -> Result<Vec<Record>, Vec<Wrong>> {
    let text = text.trim_start_matches('\u{feff}');
    let mut wrongs = Vec::new();
    let all = match text.trim_start().starts_with(['[', '{']) {
        true => from_json(text, &mut wrongs),
        false => from_csv(text, &mut wrongs),
    };
    if all.len() > RECORDS_MAX {
        let what = format!("{} records; at most {RECORDS_MAX} arbiters are taken", all.len());
        return Err(vec![Wrong { line: 1, what }]);
    }
    if all.is_empty() && wrongs.is_empty() {
        wrongs.push(Wrong { line: 1, what: "no arbiter in the file".to_owned() });
    }
    let mut records: Vec<Record> = Vec::new();
    let mut seen: BTreeMap<(Spelled, u16), usize> = BTreeMap::new();
    for (line, fields) in all {
        let record = lowered(line, &fields, &mut wrongs);
        let twin = seen.insert((Spelled::of(&record.host), record.port), line);
        if let Some(first) = twin.filter(|_| !record.host.is_empty()) {
            let what = format!(
                "{} port {} stands at line {first} already; each arbiter once",
                record.host, record.port
            );
            wrongs.push(Wrong { line, what });
        }
        records.push(record);
    }
    wrongs.sort_by_key(|wrong| wrong.line);
    wrongs.truncate(WRONGS_MAX);
    if wrongs.is_empty() { Ok(records) } else { Err(wrongs) }
}

fn lowered(line: usize, fields: &[(String, String)], wrongs: &mut Vec<Wrong>) -> Record {
    let mut wrong = |what: String| wrongs.push(Wrong { line, what });
    let field = |name: &str| {
        let found = fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        found.filter(|value| !value.trim().is_empty())
    };
    let mut trimmed = |name: &str, example: &str| {
        field(name).map(|value| value.trim().to_owned()).unwrap_or_else(|| {
            wrong(format!("no {name}; write for example {example}"));
            String::new()
        })
    };
    let host = trimmed("host", "203.0.113.1");
    let username = trimmed("username", "watchdog");
    if let Some(trouble) = host_trouble(&host).filter(|_| !host.is_empty()) {
        wrong(format!("host \"{host}\" is {}; {}", trouble.what, trouble.instead));
    }
    let port = match field("port") {
        None => DEFAULT_PORT,
        Some(written) => written.trim().parse().ok().filter(|port| *port > 0).unwrap_or_else(|| {
            wrong(format!("port \"{}\"; a whole number from 1 to 65535", written.trim()));
            DEFAULT_PORT
        }),
    };
    let kind = field("kind").map(|kind| kind.trim().to_owned());
    if let Some(kind) = kind.as_deref().filter(|kind| !KINDS.contains(kind)) {
        let hint = match kind {
            "custom" => {
                "; a custom one needs command and pattern, so write it into the configuration".to_owned()
            }
            _ => nearest(kind, KINDS).map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default(),
        };
        wrong(format!("kind \"{kind}\"; one of {}{hint}", KINDS.join(", ")));
    }
    let (password, private_key) =
        (field("password").map(str::to_owned), field("privateKey").map(str::to_owned));
    if password.is_none() && private_key.is_none() {
        wrong("neither password nor privateKey; both sites log in to the arbiter".to_owned());
    }
    let host_key = field("hostKey").map(|key| key.trim().to_owned());
    Record { line, host, port, username, password, private_key, kind, host_key }
}

fn unknown(line: usize, key: &str, wrongs: &mut Vec<Wrong>) {
    let hint = nearest(key, FIELDS).map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default();
    wrongs.push(Wrong {
        line,
        what: format!("the unknown field \"{key}\"; one of {}{hint}", FIELDS.join(", ")),
    });
}

fn from_json(text: &str, wrongs: &mut Vec<Wrong>) -> Vec<Fields> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wrapped<'a> {
        #[serde(borrow)]
        arbiters: Vec<&'a RawValue>,
    }
    let list = match text.trim_start().starts_with('{') {
        true => serde_json::from_str::<Wrapped<'_>>(text).map(|wrapped| wrapped.arbiters),
        false => serde_json::from_str::<Vec<&RawValue>>(text),
    };
    let list = match list {
        Ok(list) => list,
        Err(error) => {
            let what =
                format!("{}; a list [ … ] of objects, or {{ \"arbiters\": [ … ] }}", without_place(&error));
            wrongs.push(Wrong { line: error.line().max(1), what });
            return Vec::new();
        }
    };
    let begin = text.as_ptr() as usize;
    let mut all = Vec::new();
    for raw in list {
        // Each is a part of the text, so the distance is its position.
        let at = (raw.get().as_ptr() as usize).saturating_sub(begin);
        let line = text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
        let object = match strict::parse(raw.get().as_bytes()) {
            Ok(Value::Object(object)) => object,
            Ok(_) => {
                wrongs.push(Wrong {
                    line, what: "no object; each arbiter is { \"host\": …, … }".to_owned()
                });
                continue;
            }
            Err(error) => {
                let line = line + error.line().saturating_sub(1);
                wrongs.push(Wrong { line, what: without_place(&error) });
                continue;
            }
        };
        let mut fields = Vec::new();
        for (key, value) in object {
            match value {
                _ if !FIELDS.contains(&key.as_str()) => unknown(line, &key, wrongs),
                Value::String(text) => fields.push((key, text)),
                Value::Number(number) if key == "port" => fields.push((key, number.to_string())),
                Value::Null => {}
                other => wrongs.push(Wrong { line, what: format!("{key} = {other}; text in quotes") }),
            }
        }
        all.push((line, fields));
    }
    all
}

/// What the library says, without the place that it adds: that stands before it already, and counts from elsewhere.
fn without_place(error: &serde_json::Error) -> String {
    let said = error.to_string();
    said.rsplit_once(" at line ").map_or(said.as_str(), |(what, _)| what).to_owned()
}

fn from_csv(text: &str, wrongs: &mut Vec<Wrong>) -> Vec<Fields> {
    let mut rows = rows(text, wrongs).into_iter();
    let Some((line, header)) = rows.next() else { return Vec::new() };
    let header: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
    if !header.iter().any(|name| name == "host") {
        let what = format!("no header; the first line names the columns: {}", FIELDS.join(","));
        wrongs.push(Wrong { line, what });
        return Vec::new();
    }
    for name in header.iter().filter(|name| !FIELDS.contains(&name.as_str())) {
        unknown(line, name, wrongs);
    }
    for (at, name) in header.iter().enumerate().filter(|(at, name)| header[..*at].contains(name)) {
        wrongs.push(Wrong {
            line,
            what: format!("the column \"{name}\" stands twice, again as column {}", at + 1),
        });
    }
    let mut all = Vec::new();
    for (line, row) in rows {
        if row.len() != header.len() {
            let what = format!(
                "{} fields under {} columns; a comma within a field needs quotes around the field",
                row.len(),
                header.len()
            );
            wrongs.push(Wrong { line, what });
            continue;
        }
        all.push((line, header.iter().cloned().zip(row).collect()));
    }
    all
}

/// The rows that are not blank: commas part fields, quotes hold commas and newlines, `""` is a quote.
fn rows(text: &str, wrongs: &mut Vec<Wrong>) -> Vec<(usize, Vec<String>)> {
    let mut rows = Vec::new();
    let (mut row, mut field, mut begun) = (Vec::new(), String::new(), 1);
    let (mut line, mut is_quoted) = (1, false);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if is_quoted && characters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' if is_quoted || field.is_empty() => is_quoted = !is_quoted,
            ',' if !is_quoted => row.push(std::mem::take(&mut field)),
            '\n' if !is_quoted => {
                line += 1;
                end(&mut rows, begun, &mut row, &mut field);
                begun = line;
            }
            '\r' if !is_quoted && matches!(characters.peek(), Some('\n') | None) => {}
            _ => {
                line += usize::from(c == '\n');
                field.push(c);
            }
        }
    }
    if is_quoted {
        wrongs.push(Wrong { line: begun, what: "a quote that is never closed".to_owned() });
    }
    end(&mut rows, begun, &mut row, &mut field);
    rows
}

fn end(rows: &mut Vec<(usize, Vec<String>)>, line: usize, row: &mut Vec<String>, field: &mut String) {
    row.push(std::mem::take(field));
    let row = std::mem::take(row);
    if row.iter().any(|field| !field.trim().is_empty()) {
        rows.push((line, row));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(line: usize, host: &str) -> Record {
        Record {
            line,
            host: host.to_owned(),
            port: 22,
            username: "watchdog".to_owned(),
            password: Some("x".to_owned()),
            private_key: None,
            kind: None,
            host_key: None,
        }
    }

    fn lines(text: &str) -> Vec<(usize, String)> {
        read(text).unwrap_err().into_iter().map(|wrong| (wrong.line, wrong.what)).collect()
    }

    #[test]
    fn a_list_in_csv_is_read_with_quotes_and_newlines_in_fields() {
        let text = "\u{feff}host,username,password,port,privateKey,kind\r\n203.0.113.1,watchdog,x,,,\r\n\r\n\
            203.0.113.2,watchdog,\"a, \"\"b\"\"\",2222,\"-----BEGIN\nKEY-----\n\",junos\n203.0.113.3,watchdog,x,22,,\n";
        let records = read(text).unwrap();
        assert_eq!(records[0], record(2, "203.0.113.1"));
        let keyed = &records[1];
        assert_eq!((keyed.line, keyed.port, keyed.password.as_deref()), (4, 2222, Some("a, \"b\"")));
        assert_eq!(keyed.private_key.as_deref(), Some("-----BEGIN\nKEY-----\n"));
        assert_eq!(keyed.kind.as_deref(), Some("junos"));
        assert_eq!(records[2], record(7, "203.0.113.3"));
    }

    #[test]
    fn a_list_in_json_is_read_bare_or_as_arbiters() {
        let text = "[\n  {\"host\": \"203.0.113.1\", \"username\": \"watchdog\", \"password\": \"x\"},\n  {\"host\": \"203.0.113.2\",\n   \"port\": 22, \"username\": \"watchdog\", \"password\": \"x\", \"kind\": null}\n]";
        let expected = vec![record(2, "203.0.113.1"), record(3, "203.0.113.2")];
        assert_eq!(read(text).unwrap(), expected);
        assert_eq!(read(&format!("{{\"arbiters\": {text}}}")).unwrap(), expected);
    }

    #[test]
    fn every_error_is_told_at_its_line() {
        let text = "host,user,password,port,kind\n203.0.113.1,a,x,99999,\n,a,x,,\n203.0.113.2,b\n203.0.113.1,a,,22,cisco\n";
        let told = lines(text);
        let expected = [
            (1, "unknown field \"user\""),
            (2, "no username"),
            (2, "port \"99999\""),
            (3, "no host"),
            (3, "no username"),
            (4, "2 fields under 5 columns"),
            (5, "no username"),
            (5, "kind \"cisco\""),
            (5, "neither password nor privateKey"),
            (5, "stands at line 2 already"),
        ];
        assert_eq!(told.len(), expected.len(), "{told:#?}");
        for ((line, what), (expected_line, piece)) in told.iter().zip(expected) {
            assert!(
                *line == expected_line && what.contains(piece),
                "{line}: {what}; expected {expected_line}: {piece}"
            );
        }
    }

    #[test]
    fn what_is_no_list_is_told() {
        for (text, line, piece) in [
            ("", 1, "no arbiter"),
            ("203.0.113.1,a,b\n", 1, "no header"),
            ("host,username\n\"203.0.113.1,a\n", 2, "never closed"),
            ("[\n{\"host\": }\n]", 2, "a list [ … ]"),
            ("[\n7\n]", 2, "no object"),
            ("[{\"host\": 7}]", 1, "text in quotes"),
            ("[\n{\"host\": \"r1\",\n\"host\": \"r2\"}]", 3, "the key \"host\" stands twice"),
            ("{\"arbiters\": [], \"others\": []}", 1, "others"),
            ("host,host,username\n", 1, "the column \"host\" stands twice, again as column 2"),
            ("host,username,password\n300.1.1.1,w,x\n", 2, "\"300.1.1.1\" is no IPv4 address"),
            ("host,username,password\n0.0.0.0,w,x\n", 2, "means whichever machine"),
            ("host,username,password\n233.252.0.7,w,x\n", 2, "a group's address"),
            ("host,username,password\n::1,w,x\n0:0::1,w,x\n", 3, "stands at line 2 already"),
            ("{\"arbiter\": []}", 1, "arbiters"),
        ] {
            let told = lines(text);
            assert!(told.iter().any(|(at, what)| *at == line && what.contains(piece)), "{text:?}: {told:?}");
        }
        let many = "host,username,password\n".to_owned() + &"203.0.113.1,a,b\n".repeat(RECORDS_MAX + 1);
        assert!(lines(&many)[0].1.contains("1001 records"));
    }
}
