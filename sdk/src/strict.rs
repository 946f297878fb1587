//! JSON that somebody wrote, read strictly: a key that stands twice is an error.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Reads a document.
///
/// # Errors
/// With line and column: it is no JSON, or an object names a key twice.
pub fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// Whether what is written as a list is meant as an object: the path of the first such place. A list would be read by
/// position, which nobody means.
pub fn list_for_object(written: &Value, read: &Value) -> Option<String> {
    fn at(written: &Value, read: &Value, path: &str) -> Option<String> {
        match (written, read) {
            (Value::Array(_), Value::Object(_)) => Some(path.to_owned()),
            (Value::Object(written), Value::Object(read)) => written.iter().find_map(|(key, value)| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                read.get(key).and_then(|read| at(value, read, &path))
            }),
            (Value::Array(written), Value::Array(read)) => {
                let mut pairs = written.iter().zip(read).enumerate();
                pairs.find_map(|(position, (value, read))| at(value, read, &format!("{path}[{position}]")))
            }
            _ => None,
        }
    }
    at(written, read, "")
}

/// Any value; at each object it looks for keys that it has seen.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(Self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(key) = object.next_key::<String>()? {
            if values.contains_key(&key) {
                return Err(A::Error::custom(format!("the key \"{key}\" stands twice in one object")));
            }
            values.insert(key, object.next_value_seed(Self)?);
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_value_is_read_as_it_stands() {
        let text = r#"{"a": [1, -2, 0.5, true, null, "x"], "b": {"a": {}}}"#;
        assert_eq!(parse(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn a_key_that_stands_twice_is_named_with_its_line() {
        let why = parse(b"{\"a\": 1,\n \"b\": {\"x\": 1, \"x\": 2}}").unwrap_err().to_string();
        assert!(why.contains("\"x\" stands twice") && why.contains("line 2"), "{why}");
        for wrong in ["", "{", "{} {}", "{\"a\":}"] {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_list_where_an_object_is_read_is_found_by_its_path() {
        let found = |written, read| list_for_object(&written, &read);
        assert_eq!(found(json!({"a": {"b": [1]}}), json!({"a": {"b": {"x": 1}}})), Some("a.b".to_owned()));
        assert_eq!(found(json!({"a": [[1]]}), json!({"a": [{"x": 1}]})), Some("a[0]".to_owned()));
        assert_eq!(found(json!({"a": [1]}), json!({"a": [1], "c": {}})), None);
    }
}
