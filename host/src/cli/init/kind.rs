//! Kinds of answers: what is right, in its one spelling; pure.

use std::net::IpAddr;

/// Longest name: it stands in every line of the log.
const NAME_CHARS_MAX: usize = 64;

/// What an answer must be.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) enum Kind {
    Name,
    Address,
    Addresses,
    Whole(u64, u64),
    Share,
    Span,
    Email,
    AbsolutePath,
    /// Anything in one line; empty where the flag says so.
    Line,
    Optional,
    /// `SHA256:…`, or nothing.
    Fingerprint,
    Word(&'static [&'static str]),
}

impl Kind {
    /// Checks an answer; it comes back in its one spelling.
    ///
    /// # Errors
    /// What would be right.
    pub(in crate::cli) fn check(self, answer: &str) -> Result<String, String> {
        let answer = answer.trim();
        let is_line = !answer.is_empty() && !answer.chars().any(char::is_control);
        match self {
            Self::Name if is_line && answer.chars().count() <= NAME_CHARS_MAX => Ok(answer.to_owned()),
            Self::Name => Err(format!("a name of 1 to {NAME_CHARS_MAX} characters in one line")),
            Self::Address => address(answer),
            Self::Addresses => {
                let each: Result<Vec<String>, String> =
                    answer.split(',').map(|one| address(one.trim())).collect();
                each.map(|all| all.join(", "))
            }
            Self::Whole(least, most) => {
                let number = answer.parse::<u64>().ok().filter(|number| (least..=most).contains(number));
                number
                    .map(|number| number.to_string())
                    .ok_or(format!("a whole number from {least} to {most}"))
            }
            Self::Share => share(answer),
            Self::Span => dr_watchdog_sdk::hours::Hours::parse(answer)
                .map(|_| answer.to_owned())
                .map_err(|error| error.to_string()),
            Self::Email => emails(answer),
            Self::AbsolutePath if answer.starts_with('/') && is_line => Ok(answer.to_owned()),
            Self::AbsolutePath => Err("a path that begins with /".to_owned()),
            Self::Line if is_line => Ok(answer.to_owned()),
            Self::Line => Err("one line of text".to_owned()),
            Self::Optional if answer.is_empty() || is_line => Ok(answer.to_owned()),
            Self::Optional => Err("one line of text, or nothing".to_owned()),
            Self::Fingerprint => fingerprint(answer),
            Self::Word(words) => {
                let known = words.iter().find(|word| **word == answer);
                known.map(|word| (*word).to_owned()).ok_or_else(|| format!("one of {}", words.join(", ")))
            }
        }
    }
}

fn address(answer: &str) -> Result<String, String> {
    answer
        .parse::<IpAddr>()
        .map(|address| address.to_string())
        .map_err(|_| "an IP address such as 192.0.2.10 or 2001:db8::10".to_owned())
}

fn share(answer: &str) -> Result<String, String> {
    let wrong = || "a share from 0 to 1 with at most 4 decimals, or a percentage such as 50%".to_owned();
    let ten_thousandths = match answer.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent * 100.0),
        None => answer.parse::<f64>().map(|share| share * 10_000.0),
    };
    let number = ten_thousandths.map_err(|_| wrong())?;
    let is_whole = (number - number.round()).abs() < 1e-6;
    if !is_whole || !(0.0..=10_000.0).contains(&number) {
        return Err(wrong());
    }
    Ok(format!("{}", number.round() / 10_000.0))
}

fn emails(answer: &str) -> Result<String, String> {
    let is_address = |address: &str| {
        let halves = address.split_once('@');
        halves.is_some_and(|(user, domain)| {
            !user.is_empty() && domain.contains('.') && !domain.contains(['@', ' ']) && !user.contains(' ')
        })
    };
    let all: Vec<&str> = answer.split(',').map(str::trim).collect();
    match all.iter().find(|address| !is_address(address)) {
        None => Ok(all.join(", ")),
        Some(wrong) => Err(format!("\"{wrong}\" is no mail address such as admin@example.com")),
    }
}

fn fingerprint(answer: &str) -> Result<String, String> {
    /// SHA-256 in base64 without padding.
    const DIGITS: usize = 43;
    let answer = answer.trim_end_matches('=');
    let is_right = answer.strip_prefix("SHA256:").is_some_and(|digits| digits.len() == DIGITS);
    if answer.is_empty() || is_right {
        return Ok(answer.to_owned());
    }
    Err("SHA256:… with 43 characters, as `ssh-keygen -lf` prints it".to_owned())
}
