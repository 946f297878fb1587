//! JSON text read straight into Lua tables.
//!
//! The host's answers come as text. Between the text and the tables stands no tree of JSON values, and where the
//! answer fits into what the policy may still use, its memory limit is checked once instead of at every string:
//! together they halve the time of an evaluation that looks at 50 arbiters.

use std::borrow::Cow;
use std::fmt;

use mlua::{IntoLua, Lua, LuaSerdeExt};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{convert, failure};

/// Most memory that Lua needs for one byte of JSON: objects with one entry each take about 54.
const MEMORY_PER_BYTE: usize = 64;
/// Room for the keys of an object: an arbiter's evidence has fewer.
const KEYS: usize = 8;

/// Reads a text of the host's; the same value that [`convert::to_lua`] makes.
pub(super) fn read(lua: &Lua, text: &str) -> mlua::Result<mlua::Value> {
    let limit = lua.set_memory_limit(0)?;
    let needed = text.len().saturating_mul(MEMORY_PER_BYTE);
    if lua.used_memory().saturating_add(needed) > limit {
        lua.set_memory_limit(limit)?;
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Seed { lua }.deserialize(&mut deserializer);
    lua.set_memory_limit(limit)?;
    read.or_else(|_| {
        // The longer way finds the same mistake and says what it is: no JSON, or no memory.
        let value = serde_json::from_str(text)
            .map_err(|error| failure::host(dr_watchdog_sdk::HostError::Failed(error.to_string())))?;
        convert::to_lua(lua, &value)
    })
}

struct Seed<'a> {
    lua: &'a Lua,
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = mlua::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<mlua::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = mlua::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<mlua::Value, E> {
        Ok(mlua::Value::Boolean(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<mlua::Value, E> {
        Ok(mlua::Value::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<mlua::Value, E> {
        Ok(i64::try_from(value).map_or(mlua::Value::Number(value as f64), mlua::Value::Integer))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<mlua::Value, E> {
        Ok(mlua::Value::Number(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<mlua::Value, E> {
        text.into_lua(self.lua).map_err(E::custom)
    }

    fn visit_unit<E: Error>(self) -> Result<mlua::Value, E> {
        Ok(mlua::Nil)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<mlua::Value, A::Error> {
        let mut next = entries.next_key()?;
        let keys = if next.is_some() { KEYS } else { 0 };
        let table = self.lua.create_table_with_capacity(0, keys).map_err(A::Error::custom)?;
        while let Some(Key(key)) = next {
            let value = entries.next_value_seed(Seed { lua: self.lua })?;
            if !value.is_nil() {
                table.raw_set(&*key, value).map_err(A::Error::custom)?;
            }
            next = entries.next_key()?;
        }
        Ok(mlua::Value::Table(table))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<mlua::Value, A::Error> {
        let table = self.lua.create_table().map_err(A::Error::custom)?;
        let mut position = 0;
        while let Some(value) = entries.next_element_seed(Seed { lua: self.lua })? {
            position += 1;
            table.raw_seti(position, value).map_err(A::Error::custom)?;
        }
        if position == 0 {
            // Handed back in the details of a verdict it is a list again.
            table.set_metatable(Some(self.lua.array_metatable())).map_err(A::Error::custom)?;
        }
        Ok(mlua::Value::Table(table))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn open(memory_bytes: usize) -> Lua {
        let lua = Lua::new();
        lua.set_memory_limit(memory_bytes).unwrap();
        lua
    }

    #[test]
    fn a_text_becomes_the_same_value_as_its_tree_and_comes_back_whole() {
        let lua = open(16 << 20);
        let value = json!({"a": [1, -2, 0.5, "x\n\u{e4}", true, []], "b": {}, "c": {"d": {"e": [[1], {"f": "g"}]}},
            "k": "long ".repeat(1_000), "n": 18_446_744_073_709_551_615_u64, "s": "\"\\"});
        let read = convert::from_lua(&read(&lua, &value.to_string()).unwrap()).unwrap();
        let built = convert::from_lua(&convert::to_lua(&lua, &value).unwrap()).unwrap();
        assert_eq!(read, built);
        assert_eq!(read["a"], value["a"]);
    }

    #[test]
    fn null_is_nil_in_objects_and_a_gap_in_lists() {
        let lua = open(16 << 20);
        let table = read(&lua, r#"{"a":null,"b":[null,2]}"#).unwrap();
        let table = table.as_table().unwrap();
        assert!(table.get::<mlua::Value>("a").unwrap().is_nil());
        assert_eq!(table.get::<mlua::Table>("b").unwrap().get::<i64>(2).unwrap(), 2);
    }

    #[test]
    fn an_answer_that_does_not_fit_is_a_memory_error_and_the_limit_stays() {
        let lua = open(1 << 20);
        let long = Value::Array((0..200_000).map(|_| json!([])).collect()).to_string();
        let error = read(&lua, &long).unwrap_err();
        assert!(matches!(error, mlua::Error::MemoryError(_)), "{error}");
        assert_eq!(lua.set_memory_limit(1 << 20).unwrap(), 1 << 20);
    }

    #[test]
    fn what_memory_per_byte_promises_holds_for_the_worst_text() {
        let objects = ["{\"\":1}", "{\"\":{\"\":{\"\":1}}}"];
        let lists = ["[[],[],[],[],[]]", "[{},{},{}]", "[1,1,1,1]", "[\"\",\"\"]"];
        for worst in objects.into_iter().chain(lists) {
            let lua = open(0);
            let text = format!("[{}]", vec![worst; 10_000].join(","));
            let before = lua.used_memory();
            let value = read(&lua, &text).unwrap();
            let used = lua.used_memory() - before;
            assert!(used < text.len() * MEMORY_PER_BYTE, "{worst}: {used} for {}", text.len());
            drop(value);
        }
    }

    #[test]
    fn what_is_no_json_is_the_hosts_mistake() {
        let error = read(&open(1 << 20), "{\"a\":").unwrap_err();
        assert!(error.to_string().contains("EOF"), "{error}");
    }
}
