//! `mode`, `[site]`, `[peer]`, lowered.

use dr_watchdog_sdk::nearest::nearest;
use dr_watchdog_sdk::sections::Role;
use secrecy::ExposeSecret;

use crate::config::defaults;
use crate::config::error::quoted;
use crate::config::model::{Mode, Peer, Site};
use crate::config::reader::{Keys, Reader};
use crate::config::secret::secret;

const SITE: Keys = Keys::new(&["name", "vip", "nodes", "sourceAddress", "initialRole", "index"]);
const PEER: Keys =
    Keys::new(&["name", "sshUser", "sshPort", "identity", "hostKey", "heartbeatPort", "heartbeatKey"]);
/// Shortest key of the heartbeat: 128 bits. Its length is all that can be checked of its strength.
const HEARTBEAT_KEY_BYTES_MIN: usize = 16;
/// Longest name: it stands in every line of the log.
const NAME_CHARS_MAX: usize = 64;

/// A word out of a few; anything else is reported with the nearest one.
pub(super) fn word<T: Copy>(table: &Reader<'_>, key: &str, words: &[(&str, T)]) -> Option<T> {
    let found = table.text(key)?;
    let known = words.iter().find(|(word, _)| *word == found).map(|(_, value)| *value);
    if known.is_none() {
        let expected = words.iter().map(|(word, _)| quoted(word)).collect::<Vec<_>>().join(" or ");
        let hint = nearest(found, words.iter().map(|(word, _)| *word)).map(quoted);
        table.report.error(table.line_of(key), &table.path_of(key), quoted(found), expected, hint);
    }
    known
}

pub(super) fn mode(root: &Reader<'_>) -> Mode {
    word(root, "mode", &[("enforce", Mode::Enforce), ("observe", Mode::Observe)]).unwrap_or(Mode::Enforce)
}

pub(super) fn site(root: &Reader<'_>) -> Site {
    let table = root.table("site", SITE);
    let roles = [("standby", Role::Standby), ("active", Role::Active), ("standalone", Role::Standalone)];
    if table.get("index").is_none() {
        table.missing("index", "0");
    }
    let index = table.value("index", "0 at one site, 1 at the other", |raw| match raw {
        super::Raw::Integer(0) => Some(0),
        super::Raw::Integer(1) => Some(1),
        _ => None,
    });
    Site {
        name: name(&table, "\"a\""),
        vip: table.address("vip").map(|vip| vip.to_string()),
        nodes: table.addresses("nodes"),
        source_address: table.address("sourceAddress"),
        initial_role: word(&table, "initialRole", &roles).unwrap_or(Role::Standby),
        index: index.unwrap_or(0),
    }
}

pub(super) fn peer(root: &Reader<'_>, own_name: &str) -> Peer {
    let table = root.table("peer", PEER);
    let name = name(&table, "\"b\"");
    if !name.is_empty() && name == own_name {
        table.wrong("name", format!("{}, which is site.name", quoted(&name)), "the name of the other site");
    }
    let heartbeat_key = secret(&table, "heartbeatKey");
    match &heartbeat_key {
        Some(key) if key.expose_secret().len() < HEARTBEAT_KEY_BYTES_MIN => table.wrong(
            "heartbeatKey",
            format!("{} bytes", key.expose_secret().len()),
            format!("at least {HEARTBEAT_KEY_BYTES_MIN} bytes; `head -c 32 /dev/urandom | base64` makes one"),
        ),
        None if table.get("heartbeatKey").is_none_or(is_empty_text) => table.warn(
            "heartbeatKey",
            "none is set, so the sites exchange no signed heartbeats and neither knows the other's role; \
             `head -c 32 /dev/urandom | base64` makes one, which both sites need",
        ),
        _ => {}
    }
    let host_key = table.filled_text("hostKey").map(str::to_owned);
    if let Some(key) = &host_key {
        check_host_key(&table, key);
    }
    Peer {
        name,
        heartbeat_port: table.whole("heartbeatPort", 1, 65_535).unwrap_or(defaults::HEARTBEAT_PORT),
        heartbeat_key,
        ssh_user: table.filled_text("sshUser").map(str::to_owned),
        ssh_port: table.whole("sshPort", 1, 65_535).unwrap_or(defaults::SSH_PORT),
        identity: table.filled_text("identity").map(|path| table.report.resolved(path)),
        host_key,
    }
}

fn is_empty_text(node: &super::Node) -> bool {
    matches!(&node.value, super::Raw::Text(text) if text.is_empty())
}

fn name(table: &Reader<'_>, example: &str) -> String {
    let name = table.required_text("name", example);
    if name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        table.wrong("name", quoted(name), format!("at most {NAME_CHARS_MAX} characters in one line"));
    }
    name.to_owned()
}

/// A pinned host key as `ssh-keygen -lf` prints it.
pub(super) fn check_host_key(table: &Reader<'_>, key: &str) {
    /// SHA-256 in base64 without padding.
    const DIGITS: usize = 43;
    let is_fingerprint = key.strip_prefix("SHA256:").is_some_and(|digits| {
        digits.len() == DIGITS
            && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
    });
    if !is_fingerprint {
        let expected =
            "a fingerprint SHA256:… with 43 characters, as `ssh-keyscan HOST | ssh-keygen -lf -` prints it";
        table.wrong("hostKey", quoted(key), expected);
    }
}
