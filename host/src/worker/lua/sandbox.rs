//! The sandbox: exactly what of Lua a policy gets.

use mlua::{Lua, LuaOptions, StdLib, Table};

/// Functions of the base library that a policy does not get: they run other code, or meddle with memory.
const WITHOUT: [&str; 6] = ["load", "loadfile", "dofile", "require", "collectgarbage", "warn"];

/// A fresh state, without a memory limit: what the host itself puts into it is small.
pub(super) fn open() -> mlua::Result<Lua> {
    let libraries = StdLib::STRING | StdLib::TABLE | StdLib::MATH | StdLib::UTF8 | StdLib::COROUTINE;
    let lua = Lua::new_with(libraries, LuaOptions::default())?;
    let globals = lua.globals();
    for name in WITHOUT {
        globals.raw_set(name, mlua::Nil)?;
    }
    globals.raw_get::<Table>("string")?.raw_set("dump", mlua::Nil)?;
    Ok(lua)
}

/// Seeds `math.random` from the instant of the question, so that a replay draws the same numbers.
pub(super) fn seed(lua: &Lua, seed: i64) -> mlua::Result<()> {
    let math: Table = lua.globals().raw_get("math")?;
    math.raw_get::<mlua::Function>("randomseed")?.call::<()>(seed)?;
    math.raw_set("randomseed", mlua::Nil)
}
