//! The table `dr`: the host as a Lua policy sees it.

use dr_watchdog_sdk::host::method;
use dr_watchdog_sdk::hours::Hours;
use dr_watchdog_sdk::nearest::nearest;
use dr_watchdog_sdk::{Context, Host, Level, Utc};
use mlua::{Function, Lua, Scope, Table, Variadic};
use serde_json::{Map, Value, json};

use super::config::Node;
use super::{convert, failure, text, verdict};
use crate::policy::Failure;

/// Everything in `dr`.
const NAMES: [&str; 13] = [
    "config",
    "policy",
    "arbiters",
    "ping",
    "ssh",
    "tcp",
    "state",
    "log",
    "now",
    "remaining_ms",
    "after",
    "duration",
    "verdict",
];
/// Characters that are told of what is wrong with an argument.
const WHY_CHARS_MAX: usize = 120;
/// Everything in `dr.arbiters`.
const ARBITERS: [&str; 2] = ["ping", "sessions"];
/// Everything in `dr.state`.
const STATE: [&str; 2] = ["get", "put"];
/// Everything in `ctx`.
const CONTEXT: [&str; 6] = ["role", "situation", "waitTime", "previous", "deadlineMs", "now"];

/// Puts `dr` and `print` into the globals. What is in `dr` is made when it is asked for: no policy uses all of it.
pub(super) fn install<'scope, 'env: 'scope>(
    lua: &Lua,
    scope: &'scope Scope<'scope, 'env>,
    host: &'env dyn Host,
    context: &Context,
    policy_config: &'env Value,
) -> mlua::Result<()> {
    let dr = lua.create_table_with_capacity(0, NAMES.len())?;
    let (role, now) = (context.role, context.now);
    let lazily = scope.create_function(move |lua, (dr, key): (Table, mlua::Value)| {
        let key = key.to_string()?;
        let made = match key.as_str() {
            "config" => {
                let sections = host.call_text(method::CONFIG, &json!({})).map_err(failure::host)?;
                mlua::Value::UserData(lua.create_userdata(Node::root(sections))?)
            }
            "policy" => convert::to_lua(lua, &json!({ "config": policy_config }))?,
            "verdict" => mlua::Value::Table(verdict::table(lua, role)?),
            "arbiters" => mlua::Value::Table(arbiters(lua, scope, host)?),
            "state" => mlua::Value::Table(state(lua, scope, host)?),
            name => mlua::Value::Function(match network(scope, host, name)? {
                Some(function) => function,
                None => time(lua, scope, host, now, name)?.ok_or_else(|| wrong_key("dr", name, &NAMES))?,
            }),
        };
        dr.raw_set(key, &made)?;
        Ok(made)
    })?;
    let rules = lua.create_table_with_capacity(0, 2)?;
    rules.raw_set("__index", lazily)?;
    rules.raw_set("__pairs", lua.create_function(|lua, dr| all(lua, &dr))?)?;
    dr.set_metatable(Some(rules))?;
    let globals = lua.globals();
    globals.raw_set("dr", dr)?;
    let print = scope.create_function(move |_, values: Variadic<mlua::Value>| {
        let words: Vec<String> = values.iter().map(mlua::Value::to_string).collect::<mlua::Result<_>>()?;
        host.log(Level::Info, &words.join("\t"));
        Ok(())
    })?;
    globals.raw_set("print", print)
}

/// Everything in `dr`, for who lists it.
fn all(lua: &Lua, dr: &Table) -> mlua::Result<(Function, Table)> {
    let all = lua.create_table_with_capacity(0, NAMES.len())?;
    for name in NAMES {
        all.raw_set(name, dr.get::<mlua::Value>(name)?)?;
    }
    Ok((lua.globals().raw_get("next")?, all))
}

fn ask(lua: &Lua, host: &dyn Host, name: &str, request: &Value) -> mlua::Result<mlua::Value> {
    text::read(lua, &host.call_text(name, request).map_err(failure::host)?)
}

fn arbiters<'scope, 'env: 'scope>(
    lua: &Lua,
    scope: &'scope Scope<'scope, 'env>,
    host: &'env dyn Host,
) -> mlua::Result<Table> {
    let arbiters = lua.create_table_with_capacity(0, ARBITERS.len())?;
    for (name, call) in ARBITERS.into_iter().zip([method::ARBITERS_PING, method::ARBITERS_SESSIONS]) {
        arbiters.raw_set(name, scope.create_function(move |lua, ()| ask(lua, host, call, &json!({})))?)?;
    }
    strict(lua, &arbiters, "dr.arbiters", &ARBITERS)?;
    Ok(arbiters)
}

/// The functions of `dr` that the host answers; none if there is none of this name.
fn network<'scope, 'env: 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    host: &'env dyn Host,
    name: &str,
) -> mlua::Result<Option<Function>> {
    let made = match name {
        "ping" => scope.create_function(move |lua, (hosts, options): (mlua::Value, mlua::Value)| {
            let hosts = match given("dr.ping", &hosts)? {
                // An empty table is both; here it can only be a list.
                Value::Object(empty) if empty.is_empty() => json!([]),
                hosts => hosts,
            };
            ask(lua, host, method::PING, &request("dr.ping", json!({ "hosts": hosts }), &options)?)
        }),
        "ssh" => scope.create_function(
            move |lua, (arbiter, command, options): (mlua::Value, mlua::Value, mlua::Value)| {
                let arbiter = text_argument("dr.ssh", 1, "the arbiter", &arbiter)?;
                let command = text_argument("dr.ssh", 2, "the command", &command)?;
                let asked = json!({ "arbiter": arbiter, "command": command });
                ask(lua, host, method::SSH, &request("dr.ssh", asked, &options)?)
            },
        ),
        "tcp" => scope.create_function(move |lua, (address, options): (mlua::Value, mlua::Value)| {
            let address = text_argument("dr.tcp", 1, "the address", &address)?;
            ask(lua, host, method::TCP, &request("dr.tcp", json!({ "address": address }), &options)?)
        }),
        "log" => {
            scope.create_function(move |_, (level, text, fields): (mlua::Value, mlua::Value, mlua::Value)| {
                let level = text_argument("dr.log", 1, "the level", &level)?;
                let text = text_argument("dr.log", 2, "the text", &text)?;
                let fields = given("dr.log", &fields)?;
                host.call(method::LOG, &json!({ "level": level, "text": text, "fields": fields }))
                    .map_err(failure::host)?;
                Ok(())
            })
        }
        _ => return Ok(None),
    };
    made.map(Some)
}

fn state<'scope, 'env: 'scope>(
    lua: &Lua,
    scope: &'scope Scope<'scope, 'env>,
    host: &'env dyn Host,
) -> mlua::Result<Table> {
    let state = lua.create_table_with_capacity(0, STATE.len())?;
    let get = scope.create_function(move |lua, ()| {
        text::read(lua, &host.call_text(method::STATE_GET, &json!({})).map_err(failure::host)?)
    })?;
    state.raw_set("get", get)?;
    let put = scope.create_function(move |_, value: mlua::Value| {
        let request = json!({ "value": given("dr.state.put", &value)? });
        host.call(method::STATE_PUT, &request).map_err(failure::host)?;
        Ok(())
    })?;
    state.raw_set("put", put)?;
    strict(lua, &state, "dr.state", &STATE)?;
    Ok(state)
}

/// The functions of `dr` about time; none if there is none of this name.
fn time<'scope, 'env: 'scope>(
    lua: &Lua,
    scope: &'scope Scope<'scope, 'env>,
    host: &'env dyn Host,
    now: Utc,
    name: &str,
) -> mlua::Result<Option<Function>> {
    let made = match name {
        "now" => lua.create_function(move |_, ()| Ok(now.to_string())),
        "remaining_ms" => scope.create_function(move |_, ()| Ok(host.remaining_ms())),
        "after" => lua.create_function(|_, (instant, seconds): (mlua::Value, mlua::Value)| {
            let instant = text_argument("dr.after", 1, "the instant", &instant)?;
            let instant =
                Utc::parse(&instant).map_err(|error| mlua::Error::runtime(format!("dr.after: {error}")))?;
            let whole = match given("dr.after", &seconds)? {
                Value::Number(number) => number.as_u64(),
                _ => None,
            };
            match whole {
                Some(seconds) => Ok(instant.plus_s(seconds).to_string()),
                None => {
                    let found = seconds.to_string()?;
                    Err(mlua::Error::runtime(format!(
                        "dr.after: the seconds: found {found}, expected a whole number from 0"
                    )))
                }
            }
        }),
        "duration" => lua.create_function(|_, text: mlua::Value| {
            let text = text_argument("dr.duration", 1, "the duration", &text)?;
            let span =
                Hours::parse(&text).map_err(|error| mlua::Error::runtime(format!("dr.duration: {error}")))?;
            Ok(span.seconds())
        }),
        _ => return Ok(None),
    };
    made.map(Some)
}

/// The context as the argument of `evaluate`.
pub(super) fn context_table(lua: &Lua, context: &Context) -> mlua::Result<Table> {
    let table = lua.create_table_with_capacity(0, CONTEXT.len())?;
    table.raw_set("role", context.role.word())?;
    table.raw_set("situation", context.situation.word())?;
    table.raw_set("waitTime", context.wait_time.map(|end| end.to_string()))?;
    if let Some(previous) = &context.previous {
        table.raw_set("previous", convert::to_lua(lua, &json!(previous))?)?;
    }
    table.raw_set("deadlineMs", context.deadline_ms)?;
    table.raw_set("now", context.now.to_string())?;
    strict(lua, &table, "ctx", &CONTEXT)?;
    Ok(table)
}

/// Makes a key that the table cannot have an error; one that is known and absent is nil.
pub(super) fn strict(
    lua: &Lua,
    table: &Table,
    name: &'static str,
    known: &'static [&'static str],
) -> mlua::Result<()> {
    let check = lua.create_function(move |_, (_, key): (mlua::Value, mlua::Value)| {
        let key = key.to_string()?;
        if known.contains(&key.as_str()) { Ok(mlua::Nil) } else { Err(wrong_key(name, &key, known)) }
    })?;
    let rules = lua.create_table_with_capacity(0, 1)?;
    rules.raw_set("__index", check)?;
    table.set_metatable(Some(rules))
}

fn wrong_key(name: &str, key: &str, known: &[&str]) -> mlua::Error {
    let hint = match nearest(key, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("it has {}", known.join(", ")),
    };
    mlua::Error::runtime(format!("{name} has no key \"{key}\"; {hint}"))
}

/// An argument of a call, as JSON. What has no form in JSON is the call's mistake, not the verdict's.
fn given(call: &str, value: &mlua::Value) -> mlua::Result<Value> {
    convert::from_lua(value).map_err(|error| match error.downcast_ref::<Failure>() {
        Some(failure) => {
            // Of a value that is nested in itself the place is endless: what stands behind it is what helps.
            let letters = failure.message.chars().count();
            let why: String = failure.message.chars().skip(letters.saturating_sub(WHY_CHARS_MAX)).collect();
            mlua::Error::runtime(format!("{call}: {why}"))
        }
        None => error,
    })
}

/// An argument that must be a text.
pub(super) fn text_argument(
    call: &str,
    number: u32,
    what: &str,
    value: &mlua::Value,
) -> mlua::Result<String> {
    match value {
        mlua::Value::String(text) => text.to_str().map(|text| text.to_owned()).map_err(|_| {
            mlua::Error::runtime(format!("{call}: argument {number}, {what}: found a text that is no UTF-8"))
        }),
        other => {
            let found = other.type_name();
            Err(mlua::Error::runtime(format!(
                "{call}: argument {number}, {what}: found {found}, expected a text"
            )))
        }
    }
}

fn request(call: &str, base: Value, options: &mlua::Value) -> mlua::Result<Value> {
    let (Value::Object(mut request), options) = (base, given(call, options)?) else {
        return Ok(Value::Object(Map::new()));
    };
    match options {
        Value::Null => {}
        Value::Object(options) => request.extend(options),
        _ => return Err(mlua::Error::runtime(format!("{call}: the options must be a table with names"))),
    }
    Ok(Value::Object(request))
}
