//! Lua policies: loaded once, run in a fresh state for each question.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dr_watchdog_sdk::nearest::nearest;
use dr_watchdog_sdk::{Context, Host, HostError, Level, Role, Situation, Utc};
use mlua::chunk::ChunkMode;
use mlua::{Function, Lua, Table};
use serde_json::{Value, json};

use super::{Canceller, Guest};
use crate::policy::Failure;

mod budget;
mod config;
mod convert;
mod failure;
mod host;
mod sandbox;
mod shape;
mod text;
mod verdict;

use budget::Budget;
use failure::Explain;

/// Keys of a policy's table that are looked at for the one that was meant.
const POLICY_KEYS_MAX: usize = 100;

/// What a policy may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most memory of its state.
    pub memory_bytes: usize,
    /// Longest time to load.
    pub load_time: Duration,
}

/// A loaded Lua policy.
pub struct LuaGuest {
    name: String,
    /// Compiled by this process from text; a policy itself can load no compiled code.
    compiled: Vec<u8>,
    config: Value,
    limits: Limits,
    version: Option<String>,
    cancelled: Arc<AtomicBool>,
    /// A fresh state for the next question, made while nobody waited.
    ready: Option<Ready>,
    /// The state of the last question, to be taken down while nobody waits.
    used: Option<Lua>,
}

/// A fresh state with the chunk in it, which has not run.
struct Ready {
    lua: Lua,
    chunk: Function,
}

impl fmt::Debug for LuaGuest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LuaGuest").field("name", &self.name).finish_non_exhaustive()
    }
}

impl LuaGuest {
    /// Compiles the source and runs it once, so that every mistake outside of `evaluate` is found now.
    ///
    /// # Errors
    /// When it is no Lua, fails while it loads, or returns no table with a function `evaluate`.
    pub fn load(name: &str, source: &str, config: &Value, limits: Limits) -> Result<Self, Failure> {
        let mut guest = Self {
            name: name.to_owned(),
            compiled: Vec::new(),
            config: config.clone(),
            limits,
            version: None,
            cancelled: Arc::new(AtomicBool::new(false)),
            ready: None,
            used: None,
        };
        guest.compiled = guest.compile(source)?;
        let context = Context {
            role: Role::Standby,
            situation: Situation::PeerLost,
            wait_time: None,
            previous: None,
            deadline_ms: u64::try_from(limits.load_time.as_millis()).unwrap_or(u64::MAX),
            now: Utc::default(),
        };
        let loading = Loading { deadline: Instant::now() + limits.load_time };
        guest.version = guest.run(&context, &loading, |_, policy| {
            entry(&policy)?;
            policy.get::<Option<String>>("version")
        })?;
        Ok(guest)
    }

    fn compile(&self, source: &str) -> Result<Vec<u8>, Failure> {
        let explain = Explain::new(&self.name);
        let lua = sandbox::open().map_err(|error| explain.failure(&error))?;
        lua.set_memory_limit(self.limits.memory_bytes).map_err(|error| explain.failure(&error))?;
        // The first line may name an interpreter, as in any script; the line numbers stay.
        // So may the mark that some editors put before UTF-8.
        let source = source.strip_prefix('\u{feff}').unwrap_or(source);
        let source = if source.starts_with('#') { format!("--{source}") } else { source.to_owned() };
        let chunk = lua.load(source).set_name(format!("@{}", self.name)).set_mode(ChunkMode::Text);
        let function = chunk.into_function().map_err(|error| explain.failure(&error))?;
        Ok(function.dump(false))
    }

    /// A fresh state, in which nothing of the policy has run. Its memory limit is set when the policy runs.
    fn open(&self) -> mlua::Result<Ready> {
        let lua = sandbox::open()?;
        let chunk = lua.load(self.compiled.as_slice()).set_mode(ChunkMode::Binary).into_function()?;
        Ok(Ready { lua, chunk })
    }

    /// Runs the chunk in a fresh state, and hands over what it returned.
    fn run<R>(
        &mut self,
        context: &Context,
        host: &dyn Host,
        with: impl FnOnce(&Lua, Table) -> mlua::Result<R>,
    ) -> Result<R, Failure> {
        let budget = Budget::new(Duration::from_millis(host.remaining_ms()), &self.cancelled);
        let explain = Explain::new(&self.name);
        let ready = self.ready.take().map_or_else(|| self.open(), Ok);
        let ran = ready.and_then(|Ready { lua, chunk }| {
            self.used = Some(lua.clone());
            budget.install(&lua)?;
            sandbox::seed(&lua, context.now.unix_ms())?;
            lua.scope(|scope| {
                host::install(&lua, scope, host, context, &self.config)?;
                lua.set_memory_limit(self.limits.memory_bytes)?;
                let policy: mlua::Value = chunk.call(())?;
                let mlua::Value::Table(policy) = policy else {
                    let found = policy.type_name();
                    return Err(failure::load(format!(
                        "the policy must return a table with a function evaluate; it returned {found}"
                    )));
                };
                with(&lua, policy)
            })
        });
        match ran {
            Ok(result) if !budget.is_spent() => Ok(result),
            // What was stopped at the deadline may have caught that; what it says then comes too late all the same.
            Ok(_) => Err(explain.timeout(&mlua::Error::runtime(budget::STOPPED))),
            Err(error) if budget.is_spent() => Err(explain.timeout(&error)),
            Err(error) => Err(explain.failure(&error)),
        }
    }
}

impl Guest for LuaGuest {
    fn describe(&self) -> Value {
        json!({ "name": self.name, "version": self.version })
    }

    fn evaluate(&mut self, context: &Context, host: &dyn Host) -> Result<Value, Failure> {
        self.cancelled.store(false, Ordering::SeqCst);
        self.run(context, host, |lua, policy| {
            let verdict: mlua::Value = entry(&policy)?.call(host::context_table(lua, context)?)?;
            convert::from_lua(&verdict)
        })
    }

    fn rest(&mut self) {
        self.used = None;
        // What fails here fails again at the next question, which then says why.
        self.ready = self.open().ok();
    }

    fn canceller(&self) -> Option<Canceller> {
        let cancelled = Arc::clone(&self.cancelled);
        Some(Arc::new(move || cancelled.store(true, Ordering::SeqCst)))
    }
}

fn entry(policy: &Table) -> mlua::Result<Function> {
    match policy.get("evaluate")? {
        mlua::Value::Function(evaluate) => Ok(evaluate),
        mlua::Value::Nil => Err(failure::load(match nearest_key(policy) {
            Some(near) => format!(
                "the table that the policy returns must have a function evaluate; it has \"{near}\"; did you mean \"evaluate\"?"
            ),
            None => "the table that the policy returns must have a function evaluate; it has no such key"
                .to_owned(),
        })),
        other => {
            let found = other.type_name();
            Err(failure::load(format!(
                "the table that the policy returns must have a function evaluate; its evaluate is of type {found}"
            )))
        }
    }
}

/// The key of the policy's table that was meant as `evaluate`.
fn nearest_key(policy: &Table) -> Option<String> {
    let keys = policy.pairs::<mlua::Value, mlua::Value>().take(POLICY_KEYS_MAX).flatten();
    let texts = keys.filter_map(|(key, _)| match key {
        mlua::Value::String(text) => text.to_str().ok().map(|text| text.to_owned()),
        _ => None,
    });
    let texts: Vec<String> = texts.collect();
    nearest("evaluate", texts.iter().map(String::as_str)).map(str::to_owned)
}

/// The host while a policy loads: nobody asks anything yet.
struct Loading {
    deadline: Instant,
}

impl Host for Loading {
    fn call(&self, method: &str, _: &Value) -> Result<Value, HostError> {
        if method == dr_watchdog_sdk::host::method::LOG {
            return Ok(Value::Null);
        }
        Err(HostError::BadRequest(format!(
            "{method} is answered only while the policy is asked: use it inside evaluate, not while the file loads"
        )))
    }
    fn log(&self, _: Level, _: &str) {}
    fn remaining_ms(&self) -> u64 {
        u64::try_from(self.deadline.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(u64::MAX)
    }
    fn is_cancelled(&self) -> bool {
        self.deadline <= Instant::now()
    }
}

#[cfg(test)]
mod tests;
