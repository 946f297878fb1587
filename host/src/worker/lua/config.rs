//! `dr.config`: the sections as a policy reads them, each value converted when it is read.

use std::rc::Rc;

use dr_watchdog_sdk::nearest::nearest;
use mlua::{AnyUserData, IntoLua, IntoLuaMulti, Lua, MetaMethod, UserData, UserDataMethods};
use serde_json::Value;

use super::convert::scalar;
use super::shape::{self, Shape};

/// An object or a list of the sections. Read-only: a policy that could change what it sees would be hard to trust.
#[derive(Debug, Clone)]
pub(super) struct Node {
    root: Rc<Value>,
    /// Positions from the root down.
    path: Vec<usize>,
    shape: &'static Shape,
}

impl Node {
    /// All sections.
    pub(super) fn root(sections: Value) -> Self {
        Self { root: Rc::new(sections), path: Vec::new(), shape: shape::sections() }
    }

    /// The JSON it stands for.
    pub(super) fn value(&self) -> &Value {
        self.path.iter().fold(&*self.root, |value, position| child(value, *position).unwrap_or(&Value::Null))
    }

    fn below(
        &self,
        lua: &Lua,
        position: usize,
        value: &Value,
        shape: &'static Shape,
    ) -> mlua::Result<mlua::Value> {
        if !matches!(value, Value::Object(_) | Value::Array(_)) {
            return scalar(lua, value);
        }
        let mut path = Vec::with_capacity(self.path.len() + 1);
        path.extend_from_slice(&self.path);
        path.push(position);
        lua.create_userdata(Self { root: Rc::clone(&self.root), path, shape })?.into_lua(lua)
    }

    fn at(&self, lua: &Lua, key: &mlua::Value) -> mlua::Result<mlua::Value> {
        match (self.value(), key) {
            (Value::Array(list), mlua::Value::Integer(index)) => {
                let position = usize::try_from(*index).ok().and_then(|index| index.checked_sub(1));
                match position.and_then(|position| list.get(position).map(|value| (position, value))) {
                    Some((position, value)) => self.below(lua, position, value, self.shape.entry()),
                    None => Ok(mlua::Nil),
                }
            }
            (Value::Object(object), mlua::Value::String(key)) => {
                let key = &*key.to_str()?;
                let key = if self.path.is_empty() && key == "psql" { "pgsql" } else { key };
                let found = object.iter().enumerate().find(|(_, (name, _))| name.as_str() == key);
                match (found, self.shape.key(key)) {
                    (Some((position, (_, value))), shape) => {
                        self.below(lua, position, value, shape.unwrap_or(&Shape::Open))
                    }
                    (None, Some(_)) => Ok(mlua::Nil),
                    (None, None) => Err(mlua::Error::runtime(self.wrong_key(key))),
                }
            }
            (Value::Array(_), other) => {
                let found = other.to_string()?;
                Err(mlua::Error::runtime(format!(
                    "{} is a list; \"{found}\" is no number of an entry",
                    self.name()
                )))
            }
            (_, other) => {
                let found = other.to_string()?;
                Err(mlua::Error::runtime(format!("{} has no key {found}", self.name())))
            }
        }
    }

    fn wrong_key(&self, key: &str) -> String {
        let keys = self.shape.keys();
        let hint = match nearest(key, keys.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("it has {}", keys.join(", ")),
        };
        format!("{} has no key \"{key}\"; {hint}", self.name())
    }

    /// Its place, as a policy writes it.
    fn name(&self) -> String {
        let mut name = "dr.config".to_owned();
        let mut value = &*self.root;
        for position in &self.path {
            match value {
                Value::Object(object) => {
                    name.push('.');
                    name.push_str(object.keys().nth(*position).map_or("?", String::as_str));
                }
                _ => name.push_str(&format!("[{}]", position + 1)),
            }
            value = child(value, *position).unwrap_or(&Value::Null);
        }
        name
    }

    fn pairs(&self, lua: &Lua) -> mlua::Result<impl IntoLuaMulti + use<>> {
        let (node, mut position) = (self.clone(), 0);
        let next = lua.create_function_mut(move |lua, _: (mlua::Value, mlua::Value)| {
            let found = match node.value() {
                Value::Object(object) => object.iter().nth(position).map(|(key, value)| {
                    let shape = node.shape.key(key).unwrap_or(&Shape::Open);
                    Ok((key.as_str().into_lua(lua)?, node.below(lua, position, value, shape)?))
                }),
                Value::Array(list) => list.get(position).map(|value| {
                    let index = (position + 1).into_lua(lua)?;
                    Ok((index, node.below(lua, position, value, node.shape.entry())?))
                }),
                _ => None,
            };
            position += 1;
            found.unwrap_or(Ok((mlua::Nil, mlua::Nil)))
        })?;
        Ok((next, mlua::Nil, mlua::Nil))
    }
}

impl UserData for Node {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Index, |lua, this, key: mlua::Value| this.at(lua, &key));
        methods.add_meta_method(MetaMethod::Len, |_, this, ()| match this.value() {
            Value::Array(list) => Ok(list.len()),
            Value::Object(object) => Ok(object.len()),
            _ => Ok(0),
        });
        methods
            .add_meta_function(MetaMethod::Pairs, |lua, this: AnyUserData| this.borrow::<Self>()?.pairs(lua));
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.value().to_string()));
        methods.add_meta_method(MetaMethod::NewIndex, |_, this, (key, _): (mlua::Value, mlua::Value)| {
            let key = key.to_string()?;
            Err::<(), _>(mlua::Error::runtime(format!(
                "{}.{key} cannot be set: the sections are read-only",
                this.name()
            )))
        });
    }
}

fn child(value: &Value, position: usize) -> Option<&Value> {
    match value {
        Value::Object(object) => object.values().nth(position),
        Value::Array(list) => list.get(position),
        _ => None,
    }
}
