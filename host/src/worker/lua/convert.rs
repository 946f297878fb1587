//! Values between JSON and Lua.

use mlua::{IntoLua, Lua, LuaSerdeExt, Table};
use serde_json::{Map, Number, Value};

use super::config::Node;
use super::failure;

/// Nesting of a value that a policy hands over; deeper is a loop.
const DEPTH_MAX: usize = 64;
/// Doubles beyond this are not whole numbers any more (2^53).
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// A JSON value as Lua has it; objects and lists become tables that the policy may change.
pub(super) fn to_lua(lua: &Lua, value: &Value) -> mlua::Result<mlua::Value> {
    match value {
        Value::Object(object) => {
            let table = lua.create_table_with_capacity(0, object.len())?;
            for (key, value) in object {
                if !value.is_null() {
                    table.raw_set(key.as_str(), to_lua(lua, value)?)?;
                }
            }
            Ok(mlua::Value::Table(table))
        }
        Value::Array(list) => {
            let table = lua.create_table_with_capacity(list.len(), 0)?;
            for (position, value) in list.iter().enumerate() {
                table.raw_set(position + 1, to_lua(lua, value)?)?;
            }
            if list.is_empty() {
                // Handed back in the details of a verdict it is a list again.
                table.set_metatable(Some(lua.array_metatable()))?;
            }
            Ok(mlua::Value::Table(table))
        }
        scalar_value => scalar(lua, scalar_value),
    }
}

/// A JSON value that is neither object nor list; null is nil.
pub(super) fn scalar(lua: &Lua, value: &Value) -> mlua::Result<mlua::Value> {
    match value {
        Value::Bool(value) => Ok(mlua::Value::Boolean(*value)),
        Value::Number(number) => Ok(match number.as_i64() {
            Some(whole) => mlua::Value::Integer(whole),
            None => mlua::Value::Number(number.as_f64().unwrap_or(f64::NAN)),
        }),
        Value::String(text) => text.as_str().into_lua(lua),
        Value::Null | Value::Object(_) | Value::Array(_) => Ok(mlua::Nil),
    }
}

/// A Lua value as JSON. Whole numbers are JSON integers however Lua holds them; an empty table is an object.
pub(super) fn from_lua(value: &mlua::Value) -> mlua::Result<Value> {
    convert(value, "", 0)
}

fn convert(value: &mlua::Value, path: &str, depth: usize) -> mlua::Result<Value> {
    let wrong = |what: &str| Err(failure::verdict(format!("{}: {what} has no form in JSON", shown(path))));
    if depth > DEPTH_MAX {
        return wrong("a table nested deeper than 64 levels, or in itself,");
    }
    match value {
        mlua::Value::Nil => Ok(Value::Null),
        mlua::Value::Boolean(value) => Ok(Value::Bool(*value)),
        mlua::Value::Integer(value) => Ok(Value::Number((*value).into())),
        mlua::Value::Number(value) if value.fract() == 0.0 && value.abs() <= WHOLE_MAX => {
            Ok(Value::Number((*value as i64).into()))
        }
        mlua::Value::Number(value) => match Number::from_f64(*value) {
            Some(number) => Ok(Value::Number(number)),
            None => wrong("a number that is infinite or none at all"),
        },
        mlua::Value::String(text) => match text.to_str() {
            Ok(text) => Ok(Value::String(text.to_owned())),
            Err(_) => wrong("a text that is no UTF-8"),
        },
        mlua::Value::Table(table) => from_table(table, path, depth),
        mlua::Value::UserData(data) => match data.borrow::<Node>() {
            Ok(node) => Ok(node.value()),
            Err(_) => wrong("such a value"),
        },
        other => wrong(&format!("a {}", other.type_name())),
    }
}

fn from_table(table: &Table, path: &str, depth: usize) -> mlua::Result<Value> {
    let length = table.raw_len();
    let mut list = Vec::new();
    let mut object = Map::new();
    for pair in table.pairs::<mlua::Value, mlua::Value>() {
        let (key, value) = pair?;
        match key {
            mlua::Value::Integer(index) if length > 0 && index == list.len() as i64 + 1 => {
                list.push(convert(&value, &format!("{path}[{index}]"), depth + 1)?);
            }
            mlua::Value::String(key) => {
                let key = key
                    .to_str()
                    .map_err(|_| failure::verdict(format!("{}: a key is no UTF-8", shown(path))))?;
                let below = if path.is_empty() { key.to_owned() } else { format!("{path}.{}", &*key) };
                object.insert(key.to_owned(), convert(&value, &below, depth + 1)?);
            }
            other => {
                let found = other.to_string()?;
                let text = format!(
                    "{}: the key {found} fits neither a list without gaps nor an object",
                    shown(path)
                );
                return Err(failure::verdict(text));
            }
        }
    }
    match (list.is_empty(), object.is_empty()) {
        (false, true) => Ok(Value::Array(list)),
        // The mark that an empty list of the host's carries.
        (true, true) if table.metatable().is_some() => Ok(Value::Array(list)),
        (true, _) => Ok(Value::Object(object)),
        (false, false) => {
            Err(failure::verdict(format!("{}: a table is a list or an object, not both", shown(path))))
        }
    }
}

fn shown(path: &str) -> &str {
    if path.is_empty() { "verdict" } else { path }
}
