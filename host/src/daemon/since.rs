//! Since when each service is as it is.

use std::collections::BTreeMap;

use dr_watchdog_sdk::Utc;
use serde_json::{Value, json};

/// What is remembered of the services.
#[derive(Debug, Default)]
pub(super) struct Since {
    services: BTreeMap<String, (Value, Utc)>,
}

impl Since {
    /// Takes the states as they are now.
    pub(super) fn look(&mut self, now: Utc, states: &Value) {
        for (name, state) in states.as_object().into_iter().flatten() {
            let message = &state["msg"];
            // Figures in a description change; what counts is whether it is well, and the code.
            let standing = json!([message["state"], message["payload"]["code"]]);
            let known = self.services.entry(name.clone()).or_insert_with(|| (standing.clone(), now));
            if known.0 != standing {
                *known = (standing, now);
            }
        }
    }

    /// Adds it to the services of `health`.
    pub(super) fn add_to(&self, services: &mut Value) {
        for (name, service) in services.as_object_mut().into_iter().flatten() {
            service["since"] = json!(self.services.get(name).map(|(_, since)| since));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_as_it_is_since_its_state_or_code_changed() {
        let states = |state: bool, description: &str| json!({"heartbeat": {"msg": {"state": state, "description": description, "payload": {"code": 0}}}});
        let mut since = Since::default();
        since.look(Utc::from_unix_ms(1_000), &states(true, "a"));
        since.look(Utc::from_unix_ms(2_000), &states(true, "b"));
        let shown = |since: &Since| {
            let mut services = json!({"heartbeat": {}, "other": {}});
            since.add_to(&mut services);
            services
        };
        assert_eq!(shown(&since)["heartbeat"]["since"], json!(Utc::from_unix_ms(1_000)));
        assert_eq!(shown(&since)["other"]["since"], Value::Null);
        since.look(Utc::from_unix_ms(3_000), &states(false, "b"));
        assert_eq!(shown(&since)["heartbeat"]["since"], json!(Utc::from_unix_ms(3_000)));
    }
}
