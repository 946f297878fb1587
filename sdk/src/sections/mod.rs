//! The sections: what a policy sees, one JSON document in exactly the manual's shape (its Table 1).
//!
//! Every section is optional on reading, because an old script's sample or a partial document is still a document;
//! a section without data is absent, never null (reading A31). Unknown keys are ignored on reading, so that a
//! policy built today reads the document of a later host.

mod core;
mod device_management;
mod file;
mod mysql;
mod pgsql;
mod role;
mod seconds;
mod states;
mod watchdog;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::core::Core;
pub use device_management::DeviceManagement;
pub use file::{Backup, File, Restore};
pub use mysql::Mysql;
pub use pgsql::Pgsql;
pub use role::{LastFailover, Role};
pub use seconds::Seconds;
pub use states::{HeartbeatService, Message, ServiceState, Situation, States};
pub use watchdog::{Arbiter, FailureDetection, Heartbeat, Notification, Thresholds, Watchdog};

/// The names of the sections, in the manual's order.
pub const NAMES: [&str; 9] =
    ["role", "failover", "core", "mysql", "pgsql", "file", "watchdog", "deviceManagement", "states"];

/// The canonical name of a section; `psql` is the manual's own misprint of `pgsql` (reading A7).
pub fn canonical_name(name: &str) -> Option<&'static str> {
    let name = if name == "psql" { "pgsql" } else { name };
    NAMES.into_iter().find(|known| *known == name)
}

/// All sections of one site.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sections {
    /// The role of this site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The kind of failover that happened last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover: Option<LastFailover>,
    /// The other site's nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core: Option<Core>,
    /// The other site's MySQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mysql: Option<Mysql>,
    /// The other site's PostgreSQL.
    #[serde(default, alias = "psql", skip_serializing_if = "Option::is_none")]
    pub pgsql: Option<Pgsql>,
    /// Backup and restore of configuration and RRD files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<File>,
    /// The watchdog's own settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<Watchdog>,
    /// Addresses from which devices are managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_management: Option<DeviceManagement>,
    /// What the services of the watchdog last said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub states: Option<States>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn sample() -> Value {
        json!({
            "role": "active",
            "failover": "",
            "core": {"peerVip": "192.0.2.210", "adminPass": "ABCDE12345", "scpTimeout": 120,
                "peerLoadBalancerNodes": "192.0.2.211", "peerBusinessLogicNodes": "192.0.2.211",
                "peerDeviceMgtIps": "192.0.2.211"},
            "mysql": {"hasDedicatedDb": false, "peerVip": "192.0.2.210", "peerNodes": "192.0.2.211"},
            "pgsql": {"hasFmpm": false, "peerFmpmVip": "192.0.2.210", "peerNodes": "192.0.2.211"},
            "file": {"backup": {"maxCount": 3, "hoursOfDay": "*", "daysOfWeek": "*"},
                "restore": {"hoursOfDay": "*", "daysOfWeek": "*"}},
            "watchdog": {"heartbeat": {"retries": 4, "timeout": 5, "interval": 30},
                "notification": {"email": "abc@example.com", "interval": 3600},
                "failureDetection": {"isCustom": false, "script": "/var/cache/jmp-geo/watchdog/bin/arbitration",
                    "threshold": {"failover": 0.5, "adjustManaged": 0.5, "warning": 0.7}, "waitDuration": "8h",
                    "arbiters": [{"username": "user1", "password": "xxx", "host": "192.0.2.114", "port": 22,
                        "privateKey": ""}]}},
            "deviceManagement": {"peerNodes": "192.0.2.211", "nodes": "192.0.2.222", "ip": "192.0.2.228,eth0"},
            "states": {"heartbeat": {"progress": "unknown",
                "msg": {"service": "heartbeat", "description": "", "state": true, "force": false,
                    "progress": "unknown", "payload": {"localFailover": false}, "time": "2015-07-18T22:17:49+00:00"},
                "service": {"booting": false, "bootEndTime": null, "waitTime": null, "automaticFailover": false,
                    "automaticFailoverEndTime": "2015-07-18T07:41:41+00:00"}},
                "pgsqlMonitor": {"progress": "unknown",
                    "msg": {"service": "pgsqlMonitor", "description": "check it", "state": false, "force": false,
                        "progress": "unknown", "payload": {"code": 1098}, "time": "2015-07-18T22:18:27+00:00"},
                    "service": {}}}
        })
    }

    #[test]
    fn the_manuals_samples_are_read_and_written_the_same() {
        let sections: Sections = serde_json::from_value(sample()).unwrap();
        assert_eq!(serde_json::to_value(&sections).unwrap(), sample());
    }

    #[test]
    fn the_manuals_misprint_of_pgsql_is_read() {
        let sections: Sections = serde_json::from_value(json!({"psql": sample()["pgsql"]})).unwrap();
        assert_eq!(serde_json::to_value(&sections).unwrap(), json!({"pgsql": sample()["pgsql"]}));
        assert_eq!(canonical_name("psql"), Some("pgsql"));
        assert_eq!(canonical_name("Core"), None);
    }

    #[test]
    fn a_document_with_one_section_or_with_later_keys_is_still_read() {
        let sections: Sections =
            serde_json::from_value(json!({"role": "standby", "later": 1, "core": {"peerVip": "192.0.2.1"}}))
                .unwrap();
        assert_eq!(sections.role, Some(Role::Standby));
        assert_eq!(sections.core.unwrap().peer_vip, "192.0.2.1");
    }
}
