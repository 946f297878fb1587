//! Which keys the sections have, from the same types that everybody else reads them with.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use dr_watchdog_sdk::Sections;
use serde_json::Value;

/// Nesting of the schema that is followed; the contract's is 6.
const DEPTH_MAX: usize = 32;

/// What may stand at a place of the sections.
#[derive(Debug, PartialEq)]
pub(super) enum Shape {
    /// Anything.
    Open,
    /// An object with these keys.
    Object(BTreeMap<String, Self>),
    /// A list of such.
    List(Box<Self>),
}

/// The shape of all sections.
pub(super) fn sections() -> &'static Shape {
    static SHAPE: OnceLock<Shape> = OnceLock::new();
    SHAPE.get_or_init(|| {
        let root = schemars::schema_for!(Sections).to_value();
        shape(&root, &root, 0)
    })
}

impl Shape {
    /// What stands at a key; `None` if there is no such key.
    pub(super) fn key(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(keys) => keys.get(key),
            Self::Open | Self::List(_) => Some(&Self::Open),
        }
    }

    /// What an entry of a list is.
    pub(super) const fn entry(&self) -> &Self {
        match self {
            Self::List(entry) => entry,
            Self::Open | Self::Object(_) => &Self::Open,
        }
    }

    /// Every key there is.
    pub(super) fn keys(&self) -> Vec<&str> {
        match self {
            Self::Object(keys) => keys.keys().map(String::as_str).collect(),
            Self::Open | Self::List(_) => Vec::new(),
        }
    }
}

fn shape(schema: &Value, root: &Value, depth: usize) -> Shape {
    if depth > DEPTH_MAX {
        return Shape::Open;
    }
    let deeper = |schema: &Value| shape(schema, root, depth + 1);
    if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#')) {
        return root.pointer(name).map_or(Shape::Open, deeper);
    }
    // An optional section is "it or null".
    if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
        let present =
            choices.iter().find(|choice| choice.get("type").and_then(Value::as_str) != Some("null"));
        return present.map_or(Shape::Open, deeper);
    }
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        return Shape::Object(properties.iter().map(|(key, schema)| (key.clone(), deeper(schema))).collect());
    }
    match schema.get("items") {
        Some(items) => Shape::List(Box::new(deeper(items))),
        None => Shape::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_follows_the_contract_down_to_an_arbiters_port() {
        let detection = sections().key("watchdog").and_then(|shape| shape.key("failureDetection")).unwrap();
        assert!(detection.keys().contains(&"waitDuration"));
        assert!(detection.key("arbiters").unwrap().entry().key("port").is_some());
        assert!(detection.key("arbiters").unwrap().entry().key("prot").is_none());
        assert!(sections().key("core").unwrap().key("peerVp").is_none());
        let service = sections()
            .key("states")
            .and_then(|shape| shape.key("heartbeat"))
            .unwrap()
            .key("service")
            .unwrap();
        assert!(service.key("situation").is_some() && service.key("sitation").is_none());
        let monitor = sections().key("states").and_then(|shape| shape.key("arbiterMonitor")).unwrap();
        assert_eq!(monitor.key("service").unwrap().key("anything"), Some(&Shape::Open));
    }
}
