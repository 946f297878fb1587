//! `dr.config`: the sections as a policy reads them, each level taken apart when it is looked at.
//!
//! They come as text. Most policies look at a handful of values, so no tree is built of the hundreds that there are.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use dr_watchdog_sdk::nearest::nearest;
use mlua::{AnyUserData, IntoLua, IntoLuaMulti, Lua, MetaMethod, UserData, UserDataMethods};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::convert::scalar;
use super::shape::{self, Shape};

/// An object or a list of the sections. Read-only: a policy that could change what it sees would be hard to trust.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// All sections, as they came.
    text: Rc<str>,
    /// Where this one stands.
    at: Range<usize>,
    /// Its place, as a policy writes it.
    name: Rc<str>,
    shape: &'static Shape,
    members: Rc<OnceCell<Members>>,
}

/// What an object or a list holds, one level down: where each value stands in the text.
#[derive(Debug)]
enum Members {
    Object(Vec<(String, Range<usize>)>),
    List(Vec<Range<usize>>),
    Neither,
}

impl Node {
    /// All sections.
    pub(super) fn root(sections: String) -> Self {
        let text: Rc<str> = sections.into();
        let at = 0..text.len();
        Self { text, at, name: "dr.config".into(), shape: shape::sections(), members: Rc::default() }
    }

    /// The JSON it stands for.
    pub(super) fn value(&self) -> Value {
        read(self.json()).unwrap_or_default()
    }

    fn json(&self) -> &str {
        self.text.get(self.at.clone()).unwrap_or_default()
    }

    fn members(&self) -> &Members {
        self.members.get_or_init(|| {
            let json = self.json();
            let mut reader = serde_json::Deserializer::from_str(json);
            // What came is JSON: the host wrote it.
            let found = reader.deserialize_any(Level { whole: json, starts: self.at.start });
            found.unwrap_or(Members::Neither)
        })
    }

    fn below(
        &self,
        lua: &Lua,
        at: &Range<usize>,
        place: impl FnOnce() -> String,
        shape: &'static Shape,
    ) -> mlua::Result<mlua::Value> {
        let json = self.text.get(at.clone()).unwrap_or_default();
        if !json.starts_with(['{', '[']) {
            return scalar(lua, &read(json).unwrap_or_default());
        }
        let name = format!("{}{}", self.name, place()).into();
        let (text, at) = (Rc::clone(&self.text), at.clone());
        lua.create_userdata(Self { text, at, name, shape, members: Rc::default() })?.into_lua(lua)
    }

    fn at(&self, lua: &Lua, key: &mlua::Value) -> mlua::Result<mlua::Value> {
        match (self.members(), key) {
            (Members::List(list), mlua::Value::Integer(index)) => {
                let position = usize::try_from(*index).ok().and_then(|index| index.checked_sub(1));
                match position.and_then(|position| list.get(position)) {
                    Some(at) => self.below(lua, at, || format!("[{index}]"), self.shape.entry()),
                    None => Ok(mlua::Nil),
                }
            }
            (Members::Object(object), mlua::Value::String(key)) => {
                let key = &*key.to_str()?;
                let key = if self.at.start == 0 && key == "psql" { "pgsql" } else { key };
                let found = object.iter().find(|(name, _)| name == key);
                match (found, self.shape.key(key)) {
                    (Some((_, at)), shape) => {
                        self.below(lua, at, || format!(".{key}"), shape.unwrap_or(&Shape::Open))
                    }
                    (None, Some(_)) => Ok(mlua::Nil),
                    (None, None) => Err(mlua::Error::runtime(self.wrong_key(key))),
                }
            }
            (Members::List(_), other) => {
                let found = other.to_string()?;
                Err(mlua::Error::runtime(format!(
                    "{} is a list; \"{found}\" is no number of an entry",
                    self.name
                )))
            }
            (_, other) => {
                let found = other.to_string()?;
                Err(mlua::Error::runtime(format!("{} has no key {found}", self.name)))
            }
        }
    }

    fn wrong_key(&self, key: &str) -> String {
        let keys = self.shape.keys();
        let hint = match nearest(key, keys.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("it has {}", keys.join(", ")),
        };
        format!("{} has no key \"{key}\"; {hint}", self.name)
    }

    fn pairs(&self, lua: &Lua) -> mlua::Result<impl IntoLuaMulti + use<>> {
        let (node, mut position) = (self.clone(), 0);
        let next = lua.create_function_mut(move |lua, _: (mlua::Value, mlua::Value)| {
            let found = match node.members() {
                Members::Object(object) => object.get(position).map(|(key, at)| {
                    let shape = node.shape.key(key).unwrap_or(&Shape::Open);
                    let value = node.below(lua, at, || format!(".{key}"), shape)?;
                    Ok((key.as_str().into_lua(lua)?, value))
                }),
                Members::List(list) => list.get(position).map(|at| {
                    let index = position + 1;
                    let value = node.below(lua, at, || format!("[{index}]"), node.shape.entry())?;
                    Ok((index.into_lua(lua)?, value))
                }),
                Members::Neither => None,
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
        methods.add_meta_method(MetaMethod::Len, |_, this, ()| match this.members() {
            Members::List(list) => Ok(list.len()),
            Members::Object(object) => Ok(object.len()),
            Members::Neither => Ok(0),
        });
        methods
            .add_meta_function(MetaMethod::Pairs, |lua, this: AnyUserData| this.borrow::<Self>()?.pairs(lua));
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.json().to_owned()));
        methods.add_meta_method(MetaMethod::NewIndex, |_, this, (key, _): (mlua::Value, mlua::Value)| {
            let key = key.to_string()?;
            Err::<(), _>(mlua::Error::runtime(format!(
                "{}.{key} cannot be set: the sections are read-only",
                this.name
            )))
        });
    }
}

fn read(json: &str) -> serde_json::Result<Value> {
    serde_json::from_str(json)
}

/// Finds where the members of one level stand, without a look into them.
struct Level<'a> {
    whole: &'a str,
    starts: usize,
}

impl Level<'_> {
    fn place(&self, member: &RawValue) -> Range<usize> {
        // A member is a part of the whole text; only its distance from the begin is wanted.
        let start = self.starts + (member.get().as_ptr().addr() - self.whole.as_ptr().addr());
        start..start + member.get().len()
    }
}

impl<'de> Visitor<'de> for Level<'de> {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some((key, value)) = map.next_entry::<Cow<'de, str>, &'de RawValue>()? {
            members.push((key.into_owned(), self.place(value)));
        }
        Ok(Members::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(value) = list.next_element::<&'de RawValue>()? {
            members.push(self.place(value));
        }
        Ok(Members::List(members))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_value_is_found_where_it_stands_and_read_when_it_is_wanted() {
        let sections =
            json!({"role": "standby", "core": {"peerVip": "192.0.2.10", "é\"": [1, {"x": null}, "a\\b"]}});
        let lua = Lua::new();
        lua.globals().set("c", Node::root(sections.to_string())).unwrap();
        let ask = |code: &str| lua.load(code).eval::<mlua::Value>().unwrap().to_string().unwrap();
        assert_eq!(ask("return c.role .. c.core.peerVip .. #c"), "standby192.0.2.102");
        assert_eq!(ask("local n = 0 for _ in pairs(c.core) do n = n + 1 end return n"), "2");
        assert_eq!(ask("return c.core['é\"'][3]"), "a\\b");
        assert_eq!(
            ask("return tostring(c.core['é\"'][2]) .. tostring(c.core['é\"'][2].x)"),
            "{\"x\":null}nil"
        );
        let wrong = lua.load("return c.core['é\"'].x").eval::<mlua::Value>().unwrap_err().to_string();
        assert!(wrong.contains("dr.config.core.é\" is a list"), "{wrong}");
    }
}
