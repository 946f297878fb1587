//! The configuration as guests see it: the manual's keys, secrets as `***`.

use dr_watchdog_sdk::sections::Sections;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::model::{Config, MASK};

/// The sections that come from the configuration. The role, the last failover and the states are the daemon's.
pub fn sections(config: &Config) -> Sections {
    Sections {
        role: None,
        failover: None,
        core: Some(config.core.clone()),
        mysql: config.mysql.clone(),
        pgsql: config.pgsql.clone(),
        file: config.file.clone(),
        watchdog: Some(config.watchdog.clone()),
        device_management: config.device_management.clone(),
        states: None,
    }
}

/// The same document with the arbiters' credentials in the manual's shape, for a policy script that logs in by
/// itself. Nothing else gets it.
pub fn with_secrets(config: &Config, mut sections: Value) -> Value {
    let shown = sections.pointer_mut("/watchdog/failureDetection/arbiters").and_then(Value::as_array_mut);
    for (shown, arbiter) in shown.into_iter().flatten().zip(&config.arbiters) {
        // A document of other arbiters, such as a replayed one, must not get these credentials.
        let is_same = shown.get("host") == Some(&json!(arbiter.host))
            && shown.get("port").is_none_or(|port| *port == json!(arbiter.port));
        if let (true, Some(shown)) = (is_same, shown.as_object_mut()) {
            shown.insert("username".to_owned(), json!(arbiter.username));
            shown.insert("password".to_owned(), exposed(arbiter.password.as_ref()));
            shown.insert("privateKey".to_owned(), exposed(arbiter.private_key.as_ref()));
        }
    }
    sections
}

/// The same document with every secret as `***`: what all guests but such a script are given.
pub fn without_secrets(mut sections: Value) -> Value {
    let mask = |object: Option<&mut Value>, keys: &[&str]| {
        for (key, value) in object.and_then(Value::as_object_mut).into_iter().flatten() {
            if keys.contains(&key.as_str()) && *value != json!("") {
                *value = json!(MASK);
            }
        }
    };
    mask(sections.pointer_mut("/core"), &["adminPass"]);
    let arbiters = sections.pointer_mut("/watchdog/failureDetection/arbiters").and_then(Value::as_array_mut);
    for arbiter in arbiters.into_iter().flatten() {
        mask(Some(arbiter), &["password", "privateKey"]);
    }
    sections
}

fn exposed(secret: Option<&SecretString>) -> Value {
    json!(secret.map(ExposeSecret::expose_secret).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_secret_of_a_document_is_masked_and_what_is_empty_stays_empty() {
        let document = json!({"role": "standby", "core": {"peerVip": "192.0.2.1", "adminPass": "ABC"},
            "watchdog": {"failureDetection": {"arbiters": [
                {"host": "203.0.113.1", "username": "u", "password": "p", "privateKey": ""}]}}});
        let expected = json!({"role": "standby", "core": {"peerVip": "192.0.2.1", "adminPass": MASK},
            "watchdog": {"failureDetection": {"arbiters": [
                {"host": "203.0.113.1", "username": "u", "password": MASK, "privateKey": ""}]}}});
        assert_eq!(without_secrets(document), expected);
        assert_eq!(without_secrets(json!({"role": "active"})), json!({"role": "active"}));
    }
}
