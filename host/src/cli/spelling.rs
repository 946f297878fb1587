//! The spellings of options that old fingers use: one dash, an en dash pasted from a manual.

use std::ffi::{OsStr, OsString};

/// Long options that the manual writes with one dash, or that people type so.
const LONG: [&str; 12] = [
    "list",
    "include",
    "help",
    "enable-automatic-failover",
    "disable-automatic-failover",
    "user-core",
    "user-file-backup",
    "user-file-restore",
    "user-watchdog-heartbeat",
    "user-watchdog-notification",
    "user-watchdog-failureDetection",
    "version",
];
/// Dashes that a word processor makes of `-`.
const DASHES: [char; 5] = ['-', '\u{2010}', '\u{2012}', '\u{2013}', '\u{2014}'];

/// The arguments as they were meant; what follows a bare `--` is left alone.
pub fn meant(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut is_over = false;
    let mut meant = Vec::new();
    for arg in args {
        is_over |= arg == OsStr::new("--");
        let word = if is_over { None } else { arg.to_str().and_then(long) };
        meant.push(word.map_or(arg, OsString::from));
    }
    meant
}

fn long(arg: &str) -> Option<String> {
    let rest = arg.trim_start_matches(DASHES);
    let dashes = &arg[..arg.len() - rest.len()];
    let name = rest.split('=').next().unwrap_or(rest);
    let is_typographic = dashes.chars().any(|dash| dash != '-');
    let is_known = !dashes.is_empty() && LONG.contains(&name);
    match () {
        () if is_known => Some(format!("--{rest}")),
        () if is_typographic && name.chars().count() > 1 => Some(format!("--{rest}")),
        () if is_typographic && !rest.is_empty() => Some(format!("-{rest}")),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        let args = line.split(' ').map(OsString::from);
        meant(args).into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn one_dash_two_dashes_and_pasted_dashes_mean_the_same() {
        for include in ["--include", "-include", "\u{2013}include", "\u{2013}-include", "\u{2014}include"] {
            assert_eq!(words(&format!("api v1 config {include} role,core"))[3], "--include", "{include}");
            assert_eq!(words(&format!("api v1 config {include}=role"))[3], "--include=role", "{include}");
        }
        assert_eq!(words("status -disable-automatic-failover 30m")[1], "--disable-automatic-failover");
        assert_eq!(words("start \u{2013}a")[1], "-a");
    }

    #[test]
    fn what_is_no_such_option_is_left_alone() {
        assert_eq!(words("init -a -s"), ["init", "-a", "-s"]);
        assert_eq!(words("ping 192.0.2.1 -x"), ["ping", "192.0.2.1", "-x"]);
        assert_eq!(words("step -- -list"), ["step", "--", "-list"]);
        assert_eq!(words("-"), ["-"]);
    }
}
