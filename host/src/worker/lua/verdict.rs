//! `dr.verdict`: builds verdicts that are right by construction.

use dr_watchdog_sdk::verdict::{Action, VerdictState};
use dr_watchdog_sdk::{Role, Utc};
use mlua::{Function, Lua, Table};

use super::host::{strict, text_argument};

/// The functions of `dr.verdict`.
const NAMES: [&str; 4] = ["beActive", "beStandby", "nothing", "wait"];

/// Builds the table.
pub(super) fn table(lua: &Lua, role: Role) -> mlua::Result<Table> {
    let table = lua.create_table_with_capacity(0, NAMES.len())?;
    for action in [Action::BeActive, Action::BeStandby, Action::Nothing] {
        table.raw_set(action.word(), without_wait(lua, role, action)?)?;
    }
    let wait =
        lua.create_function(move |lua, (until, text, details): (mlua::Value, mlua::Value, mlua::Value)| {
            let until = text_argument("dr.verdict.wait", 1, "the end of the wait", &until)?;
            if let Err(error) = Utc::parse(&until) {
                return Err(mlua::Error::runtime(format!("dr.verdict.wait: the end of the wait: {error}")));
            }
            build(
                lua,
                role,
                Action::Wait,
                &until,
                &text_argument("dr.verdict.wait", 2, "the description", &text)?,
                details,
            )
        })?;
    table.raw_set(Action::Wait.word(), wait)?;
    strict(lua, &table, "dr.verdict", &NAMES)?;
    Ok(table)
}

fn without_wait(lua: &Lua, role: Role, action: Action) -> mlua::Result<Function> {
    lua.create_function(move |lua, (text, details): (mlua::Value, mlua::Value)| {
        let what = || format!("dr.verdict.{}", action.word());
        let text = match &text {
            // Without the name of the call, which is written only where it is needed.
            mlua::Value::String(found) if found.to_str().is_ok() => text_argument("", 1, "", &text)?,
            other => text_argument(&what(), 1, "the description", other)?,
        };
        build(lua, role, action, "", &text, details)
    })
}

fn build(
    lua: &Lua,
    role: Role,
    action: Action,
    wait_time: &str,
    description: &str,
    details: mlua::Value,
) -> mlua::Result<Table> {
    if !matches!(details, mlua::Value::Nil | mlua::Value::Table(_)) {
        let found = details.type_name();
        let what = action.word();
        return Err(mlua::Error::runtime(format!(
            "dr.verdict.{what}: the details must be a table, not {found}"
        )));
    }
    let payload = lua.create_table_with_capacity(0, 2)?;
    payload.raw_set("waitTime", wait_time)?;
    payload.raw_set("details", details)?;
    let verdict = lua.create_table_with_capacity(0, 4)?;
    verdict.raw_set("state", VerdictState::from(role).word())?;
    verdict.raw_set("action", action.word())?;
    verdict.raw_set("description", description)?;
    verdict.raw_set("payload", payload)?;
    Ok(verdict)
}
