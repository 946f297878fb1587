//! The six groups of `toolkit config update`: which keys each may change, and what each value may be; pure.

use toml_edit::{DocumentMut, Item, TableLike, Value};

use crate::cli::init::kind::Kind;

/// One key that may be changed.
#[derive(Debug)]
pub(super) struct Key {
    /// Path in the configuration.
    pub(super) path: &'static str,
    kind: Kind,
    /// What counts where the key is not written.
    pub(super) default: &'static str,
    /// Whether the other site gets the same.
    pub(super) is_shared: bool,
}

const fn key(path: &'static str, kind: Kind, default: &'static str) -> Key {
    Key { path, kind, default, is_shared: true }
}

const SECONDS_MAX: u64 = 86_400;
const TRUTH: Kind = Kind::Word(&["true", "false"]);

/// `--user-core`. The address is the other site's, so it differs between the two; the password is never shown.
pub(super) static CORE: [Key; 3] = [
    Key { path: "core.peerVip", kind: Kind::Address, default: "", is_shared: false },
    Key { path: "core.adminPass", kind: Kind::Optional, default: "", is_shared: false },
    key("core.scpTimeout", Kind::Whole(1, SECONDS_MAX), "120"),
];
/// `--user-file-backup`.
pub(super) static FILE_BACKUP: [Key; 3] = [
    key("file.backup.maxCount", Kind::Whole(1, 1_000), "3"),
    key("file.backup.hoursOfDay", Kind::Line, "*"),
    key("file.backup.daysOfWeek", Kind::Line, "*"),
];
/// `--user-file-restore`.
pub(super) static FILE_RESTORE: [Key; 2] =
    [key("file.restore.hoursOfDay", Kind::Line, "*"), key("file.restore.daysOfWeek", Kind::Line, "*")];
/// `--user-watchdog-heartbeat`.
pub(super) static HEARTBEAT: [Key; 3] = [
    key("watchdog.heartbeat.retries", Kind::Whole(0, 100), "4"),
    key("watchdog.heartbeat.timeout", Kind::Whole(1, SECONDS_MAX), "5"),
    key("watchdog.heartbeat.interval", Kind::Whole(1, SECONDS_MAX), "30"),
];
/// `--user-watchdog-notification`.
pub(super) static NOTIFICATION: [Key; 2] = [
    key("watchdog.notification.email", Kind::Email, ""),
    key("watchdog.notification.interval", Kind::Whole(1, 31_536_000), "3600"),
];
/// `--user-watchdog-failureDetection`.
pub(super) static FAILURE_DETECTION: [Key; 6] = [
    key("watchdog.failureDetection.isCustom", TRUTH, "false"),
    key("watchdog.failureDetection.script", Kind::Optional, ""),
    key("watchdog.failureDetection.threshold.failover", Kind::Share, "0.5"),
    key("watchdog.failureDetection.threshold.adjustManaged", Kind::Share, "0.5"),
    key("watchdog.failureDetection.threshold.warning", Kind::Share, "0.7"),
    key("watchdog.failureDetection.waitDuration", Kind::Span, "8h"),
];
/// What the bare command takes over from the other site.
pub(super) static CLUSTER: [Key; 7] = [
    Key { path: "core.peerVip", kind: Kind::Address, default: "", is_shared: false },
    Key { path: "core.peerLoadBalancerNodes", kind: Kind::Addresses, default: "", is_shared: false },
    Key { path: "core.peerBusinessLogicNodes", kind: Kind::Addresses, default: "", is_shared: false },
    Key { path: "mysql.peerNodes", kind: Kind::Addresses, default: "", is_shared: false },
    Key { path: "pgsql.peerNodes", kind: Kind::Addresses, default: "", is_shared: false },
    Key { path: "deviceManagement.peerNodes", kind: Kind::Addresses, default: "", is_shared: false },
    Key { path: "peer.name", kind: Kind::Name, default: "", is_shared: false },
];

/// Every group.
pub(super) fn all() -> impl Iterator<Item = &'static Key> {
    let groups: [&'static [Key]; 7] =
        [&CORE, &FILE_BACKUP, &FILE_RESTORE, &HEARTBEAT, &NOTIFICATION, &FAILURE_DETECTION, &CLUSTER];
    groups.into_iter().flatten()
}

/// The key of a path.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    all().find(|key| key.path == path)
}

impl Key {
    /// The end of its path, which may be typed alone.
    pub(super) fn last_word(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    /// Checks a value; it comes back in its one spelling.
    pub(super) fn check(&self, value: &str) -> Result<String, String> {
        self.kind.check(value)
    }

    fn toml(&self, value: &str) -> Value {
        match self.kind {
            Kind::Whole(..) => value.parse::<i64>().map_or_else(|_| Value::from(value), Value::from),
            Kind::Share => value.parse::<f64>().map_or_else(|_| Value::from(value), Value::from),
            Kind::Word(_) => value.parse::<bool>().map_or_else(|_| Value::from(value), Value::from),
            Kind::Addresses => {
                Value::from_iter(value.split(',').map(str::trim).filter(|one| !one.is_empty()))
            }
            _ => Value::from(value),
        }
    }

    /// Whether a configuration has the table of the key: a section that is not there is not begun for one list.
    pub(super) fn is_kept(&self, document: &DocumentMut) -> bool {
        self.path.split('.').next().is_some_and(|table| document.contains_key(table))
    }

    /// What stands in a configuration, or the default.
    pub(super) fn read(&self, document: &DocumentMut) -> String {
        let mut item = Some(document.as_item());
        for part in self.path.split('.') {
            item = item.and_then(Item::as_table_like).and_then(|table| table.get(part));
        }
        let text = item.and_then(Item::as_value).map(|value| match value {
            Value::String(text) => text.value().clone(),
            Value::Array(list) => {
                list.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>().join(", ")
            }
            other => other.clone().decorated("", "").to_string(),
        });
        let text = text.unwrap_or_else(|| self.default.to_owned());
        // In the one spelling, so that `192.0.2.1,192.0.2.2` is no difference.
        self.kind.check(&text).unwrap_or(text)
    }

    /// Writes a value; the comment beside it stays.
    pub(super) fn write(&self, document: &mut DocumentMut, value: &str) -> Result<(), String> {
        let (way, name) = self.path.rsplit_once('.').unwrap_or(("", self.path));
        let mut table: &mut dyn TableLike = document.as_table_mut();
        for part in way.split('.').filter(|part| !part.is_empty()) {
            let mut implicit = toml_edit::Table::new();
            implicit.set_implicit(true);
            table = table
                .entry(part)
                .or_insert(Item::Table(implicit))
                .as_table_like_mut()
                .ok_or_else(|| format!("{part} is no table"))?;
        }
        let mut new = self.toml(value);
        match table.get_mut(name).and_then(Item::as_value_mut) {
            Some(old) => {
                *new.decor_mut() = old.decor().clone();
                *old = new;
            }
            None => drop(table.insert(name, Item::Value(new))),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_changes_and_every_comment_stays() {
        let text = "# top\n[watchdog.heartbeat] # both\ninterval = 30  # s; a round\n\n[core]\npeerLoadBalancerNodes = [\"192.0.2.1\"] # nodes\n";
        let mut document: DocumentMut = text.parse().unwrap();
        find("watchdog.heartbeat.interval").unwrap().write(&mut document, "60").unwrap();
        find("core.peerLoadBalancerNodes").unwrap().write(&mut document, "192.0.2.1, 192.0.2.2").unwrap();
        find("watchdog.heartbeat.retries").unwrap().write(&mut document, "3").unwrap();
        let changed = document.to_string();
        for line in [
            "# top",
            "interval = 60  # s; a round",
            "peerLoadBalancerNodes = [\"192.0.2.1\", \"192.0.2.2\"] # nodes",
            "retries = 3",
        ] {
            assert!(changed.lines().any(|found| found == line), "{line}\n{changed}");
        }
    }

    #[test]
    fn what_is_not_written_reads_as_its_default_in_one_spelling() {
        let document: DocumentMut =
            "[core]\npeerLoadBalancerNodes = \"192.0.2.1,192.0.2.2\"\n".parse().unwrap();
        assert_eq!(find("core.scpTimeout").unwrap().read(&document), "120");
        assert_eq!(find("core.peerLoadBalancerNodes").unwrap().read(&document), "192.0.2.1, 192.0.2.2");
        for key in all().filter(|key| !key.default.is_empty()) {
            assert_eq!(key.check(key.default).as_deref(), Ok(key.default), "{}", key.path);
        }
    }
}
