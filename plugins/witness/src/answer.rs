//! What is asked of the witness with what it answers, as text; pure.

use std::net::SocketAddr;

use serde::Deserialize;

use crate::rules::Witness;

const SCHEME: &str = "http://";
const PORT: u16 = 80;

/// Address and path of a URL.
pub(crate) fn target(url: &str) -> Result<(SocketAddr, String), String> {
    let rest = url.strip_prefix(SCHEME).ok_or_else(|| format!("\"{url}\" does not begin with {SCHEME}"))?;
    let (place, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let with_port = || place.parse::<SocketAddr>().ok();
    let without =
        || place.trim_matches(['[', ']']).parse().ok().map(|address| SocketAddr::new(address, PORT));
    let address = with_port().or_else(without);
    let address = address.ok_or_else(|| format!("\"{place}\" is no address: names are not looked up"))?;
    if path.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
        return Err(format!("the path \"{path}\" holds a blank"));
    }
    Ok((address, path.to_owned()))
}

/// The request for this path. HTTP/1.0: the answer ends where the connection does.
pub(crate) fn request(address: SocketAddr, path: &str) -> String {
    format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nAccept: application/json\r\nConnection: close\r\n\r\n")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    other_serves: bool,
    age_s: u64,
}

/// What a response says.
pub(crate) fn read(response: &str) -> Result<Witness, String> {
    let (head, body) =
        response.split_once("\r\n\r\n").ok_or_else(|| "its answer is no HTTP response".to_owned())?;
    let status = head.lines().next().unwrap_or_default();
    let code = status.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
    if code != Some("200") {
        return Err(format!("it answers \"{}\"", status.chars().take(100).collect::<String>()));
    }
    let body: Body = serde_json::from_str(body.trim())
        .map_err(|error| format!("its answer is not {{\"otherServes\": …, \"ageS\": …}}: {error}"))?;
    Ok(Witness::Sees { other_serves: body.other_serves, age_s: body.age_s })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_an_address() {
        let (address, path) = target("http://198.51.100.7:8080/sites/a?x=1").unwrap();
        assert_eq!((address.to_string().as_str(), path.as_str()), ("198.51.100.7:8080", "/sites/a?x=1"));
        assert_eq!(target("http://198.51.100.7").unwrap().0.port(), 80);
        assert_eq!(target("http://[::1]:81/").unwrap().0.to_string(), "[::1]:81");
        for bad in [
            "https://198.51.100.7/",
            "http://witness.example.com/",
            "198.51.100.7",
            "http://198.51.100.7/a b",
        ] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_a_whole_answer_is_a_sight() {
        let good =
            "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{\"otherServes\":false,\"ageS\":4}\n";
        assert_eq!(read(good), Ok(Witness::Sees { other_serves: false, age_s: 4 }));
        for bad in [
            "",
            "HTTP/1.1 503 Service Unavailable\r\n\r\n{\"otherServes\":false,\"ageS\":4}",
            "HTTP/1.1 200 OK\r\n\r\n{\"otherServes\":false}",
            "HTTP/1.1 200 OK\r\n\r\n{\"otherServes\":false,\"ageS\":-1}",
            "HTTP/1.1 200 OK\r\n\r\n<html>",
            "{\"otherServes\":false,\"ageS\":4}",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
