//! The sandbox: exactly what of Lua a policy gets.

use mlua::{Lua, LuaOptions, StdLib, Table};

/// Functions of the base library that a policy does not get: they run other code, or meddle with memory.
const WITHOUT: [&str; 6] = ["load", "loadfile", "dofile", "require", "collectgarbage", "warn"];

/// Refuses a finalizer: it would run when the state is taken down, after the verdict, when nobody watches it.
const SETMETATABLE: &str = "
local set, get, kind, raise = setmetatable, rawget, type, error
return function(table, rules)
  if kind(rules) == 'table' and get(rules, '__gc') ~= nil then
    raise('__gc is not part of a policy\\'s sandbox: an evaluation ends with its state', 2)
  end
  return set(table, rules)
end";

/// A fresh state, without a memory limit: what the host itself puts into it is small.
pub(super) fn open() -> mlua::Result<Lua> {
    let libraries = StdLib::STRING | StdLib::TABLE | StdLib::MATH | StdLib::UTF8 | StdLib::COROUTINE;
    let lua = Lua::new_with(libraries, LuaOptions::default())?;
    let globals = lua.globals();
    for name in WITHOUT {
        globals.raw_set(name, mlua::Nil)?;
    }
    globals.raw_get::<Table>("string")?.raw_set("dump", mlua::Nil)?;
    let refusing: mlua::Function = lua.load(SETMETATABLE).set_name("=setmetatable").call(())?;
    globals.raw_set("setmetatable", refusing)?;
    // A state lives for one evaluation: most end before there is anything worth collecting.
    lua.gc_stop();
    Ok(lua)
}

/// Seeds `math.random` from the instant of the question, so that a replay draws the same numbers.
pub(super) fn seed(lua: &Lua, seed: i64) -> mlua::Result<()> {
    let math: Table = lua.globals().raw_get("math")?;
    math.raw_get::<mlua::Function>("randomseed")?.call::<()>(seed)?;
    math.raw_set("randomseed", mlua::Nil)
}
