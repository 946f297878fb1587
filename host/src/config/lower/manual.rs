//! `[core]`, `[mysql]`, `[pgsql]`, `[file]`, `[deviceManagement]`: the sections of the manual, lowered.

use std::net::IpAddr;

use dr_watchdog_sdk::sections::{Backup, Core, DeviceManagement, File, Mysql, Pgsql, Restore};

use crate::config::defaults;
use crate::config::error::quoted;
use crate::config::model::MASK;
use crate::config::reader::{Keys, Reader};
use crate::config::secret::secret;

const CORE: Keys = Keys::new(&[
    "peerVip",
    "adminPass",
    "scpTimeout",
    "peerLoadBalancerNodes",
    "peerBusinessLogicNodes",
    "peerDeviceMgtIps",
]);
const MYSQL: Keys = Keys::new(&["hasDedicatedDb", "peerVip", "peerNodes"]);
const PGSQL: Keys = Keys::new(&["hasFmpm", "peerFmpmVip", "peerNodes"]);
const FILE: Keys = Keys::new(&["backup", "restore"]);
const BACKUP: Keys = Keys::new(&["maxCount", "hoursOfDay", "daysOfWeek"]);
const RESTORE: Keys = Keys::new(&["hoursOfDay", "daysOfWeek"]);
const DEVICE_MANAGEMENT: Keys = Keys::new(&["peerNodes", "nodes", "ip"]);
/// Longest copy between the sites, in seconds: a day.
const SCP_TIMEOUT_S_MAX: i64 = 86_400;
const BACKUPS_MAX: i64 = 10_000;

fn list(table: &Reader<'_>, key: &str) -> String {
    table.addresses(key).join(",")
}

fn vip(table: &Reader<'_>, key: &str) -> String {
    table.address(key).map(|vip| vip.to_string()).unwrap_or_default()
}

pub(super) fn core(root: &Reader<'_>, own_vip: Option<&str>) -> Core {
    let table = root.table("core", CORE);
    table.required_text("peerVip", "\"192.0.2.10\"");
    let peer_vip = if table.text("peerVip").is_some_and(|vip| vip.trim().is_empty()) {
        String::new()
    } else {
        vip(&table, "peerVip")
    };
    if !peer_vip.is_empty() && own_vip == Some(peer_vip.as_str()) {
        table.wrong("peerVip", format!("{peer_vip}, which is site.vip"), "the address of the other site");
    }
    Core {
        peer_vip,
        // Nothing in this version needs the passwords, so they are not even kept.
        admin_pass: secret(&table, "adminPass").map(|_| MASK.to_owned()).unwrap_or_default(),
        scp_timeout: table.whole("scpTimeout", 1, SCP_TIMEOUT_S_MAX).unwrap_or(defaults::SCP_TIMEOUT_S),
        peer_load_balancer_nodes: list(&table, "peerLoadBalancerNodes"),
        peer_business_logic_nodes: list(&table, "peerBusinessLogicNodes"),
        peer_device_mgt_ips: list(&table, "peerDeviceMgtIps"),
    }
}

pub(super) fn mysql(root: &Reader<'_>) -> Option<Mysql> {
    let table = root.table("mysql", MYSQL);
    let mysql = Mysql {
        has_dedicated_db: table.is_true("hasDedicatedDb").unwrap_or_default(),
        peer_vip: vip(&table, "peerVip"),
        peer_nodes: list(&table, "peerNodes"),
    };
    table.is_written().then_some(mysql)
}

/// `[psql]` is the manual's own misprint (reading A7).
pub(super) fn pgsql(root: &Reader<'_>) -> Option<Pgsql> {
    if root.get("pgsql").is_some() && root.get("psql").is_some() {
        root.wrong("psql", "[psql] beside [pgsql]", "one of them: psql is another spelling of pgsql");
    }
    let name = if root.get("psql").is_some() { "psql" } else { "pgsql" };
    let table = root.table(name, PGSQL);
    let pgsql = Pgsql {
        has_fmpm: table.is_true("hasFmpm").unwrap_or_default(),
        peer_fmpm_vip: vip(&table, "peerFmpmVip"),
        peer_nodes: list(&table, "peerNodes"),
    };
    table.is_written().then_some(pgsql)
}

pub(super) fn file(root: &Reader<'_>) -> Option<File> {
    let table = root.table("file", FILE);
    let (backup, restore) = (table.table("backup", BACKUP), table.table("restore", RESTORE));
    let (hours, days) = (("hoursOfDay", 23), ("daysOfWeek", 7));
    let file = File {
        backup: Backup {
            max_count: backup.whole("maxCount", 1, BACKUPS_MAX).unwrap_or(Backup::default().max_count),
            hours_of_day: times(&backup, hours).unwrap_or(Backup::default().hours_of_day),
            days_of_week: times(&backup, days).unwrap_or(Backup::default().days_of_week),
        },
        restore: Restore {
            hours_of_day: times(&restore, hours).unwrap_or(Restore::default().hours_of_day),
            days_of_week: times(&restore, days).unwrap_or(Restore::default().days_of_week),
        },
    };
    table.is_written().then_some(file)
}

/// `*`, or numbers with commas.
fn times(table: &Reader<'_>, (key, max): (&str, u8)) -> Option<String> {
    let text = table.filled_text(key)?;
    let is_number = |part: &str| part.trim().parse::<u8>().is_ok_and(|number| number <= max);
    if text != "*" && !text.split(',').all(is_number) {
        table.wrong(key, quoted(text), format!("\"*\", or numbers from 0 to {max} with commas"));
    }
    Some(text.to_owned())
}

pub(super) fn device_management(root: &Reader<'_>) -> Option<DeviceManagement> {
    let table = root.table("deviceManagement", DEVICE_MANAGEMENT);
    let ip = table.text("ip").unwrap_or_default().trim();
    // `address,interface` of this node (reading A37).
    if !ip.is_empty() && ip.split(',').next().is_none_or(|address| address.trim().parse::<IpAddr>().is_err())
    {
        table.wrong("ip", quoted(ip), "an address with its interface, such as \"192.0.2.10,eth0\"");
    }
    let device_management = DeviceManagement {
        peer_nodes: list(&table, "peerNodes"),
        nodes: list(&table, "nodes"),
        ip: ip.to_owned(),
    };
    table.is_written().then_some(device_management)
}
