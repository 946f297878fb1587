//! Compiled policies inside the worker: libraries that speak the C ABI of the SDK.
//!
//! Architecture invariant: with `sdk/src/abi` the only place with unsafe code. A library is never unloaded: threads
//! and thread-locals that it left behind keep pointing into it; a new version is loaded by a new worker.
#![allow(unsafe_code)]

mod call;
mod elf;
mod evaluations;
mod loader;
mod sinks;
#[cfg(test)]
mod tests;

use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dr_watchdog_sdk::{Context, Host};
use serde_json::Value;

use crate::policy::protocol::Trial;
use crate::policy::{Failure, FailureKind, pin, schema};
use crate::worker::{Canceller, Guest};
use call::Instance;

/// The file of a compiled policy.
#[derive(Debug, Clone, Copy)]
pub struct PluginFile<'a> {
    /// Where it lies, for people.
    pub path: &'a Path,
    /// Where it is open already; its folders may be closed to this process.
    pub descriptor: Option<RawFd>,
}

impl PluginFile<'_> {
    /// The path under which this process reaches it.
    fn reached(&self) -> PathBuf {
        match self.descriptor {
            Some(descriptor) => PathBuf::from(format!("/proc/self/fd/{descriptor}")),
            None => self.path.to_owned(),
        }
    }
}

/// Loads a compiled policy and makes its instance. Its configuration is checked by its own schema before that.
///
/// # Errors
/// A [`Failure`] of kind `load` that says what is wrong with the file, whose number does not fit, and what to do.
pub fn load(
    file: PluginFile<'_>,
    sha256: Option<&str>,
    config: &Value,
    trial: Option<&Trial>,
) -> Result<Box<dyn Guest>, Failure> {
    if let Some(expected) = sha256 {
        let reached = file.reached();
        pin::check_file(file.path, &reached, expected)?;
    }
    let library = loader::open(file)?;
    let mut description = call::describe(&library)?;
    match trial {
        None => {}
        Some(Trial::Describe) => return Ok(Box::new(Described { description })),
        Some(Trial::Create { config, times }) => {
            description["trial"] = call::attempt(&library, config, *times);
        }
    }
    if let Some(schema) = description.get("configSchema") {
        schema::check(schema, config).map_err(|wrong| call::misconfigured(&library, &wrong))?;
    }
    let instance = call::create(&library, config)?;
    Ok(Box::new(Native { description, instance: Arc::new(instance) }))
}

/// A policy that only says what it is.
#[derive(Debug)]
struct Described {
    description: Value,
}

impl Guest for Described {
    fn describe(&self) -> Value {
        self.description.clone()
    }

    fn evaluate(&mut self, _: &Context, _: &dyn Host) -> Result<Value, Failure> {
        Err(Failure::new(FailureKind::Load, "this plugin was loaded to be described, not to be asked"))
    }
}

/// A loaded policy with its instance.
#[derive(Debug)]
struct Native {
    description: Value,
    instance: Arc<Instance>,
}

impl Guest for Native {
    fn describe(&self) -> Value {
        self.description.clone()
    }

    fn evaluate(&mut self, context: &Context, host: &dyn Host) -> Result<Value, Failure> {
        self.instance.evaluate(context, host)
    }

    fn canceller(&self) -> Option<Canceller> {
        let instance = Arc::clone(&self.instance);
        Some(Arc::new(move || instance.cancel()))
    }
}
