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

use std::path::Path;
use std::sync::Arc;

use dr_watchdog_sdk::{Context, Host};
use serde_json::Value;

use crate::policy::Failure;
use crate::worker::{Canceller, Guest};
use call::Instance;

/// Loads a compiled policy and makes its instance.
///
/// # Errors
/// A [`Failure`] of kind `load` that says what is wrong with the file, whose number does not fit, and what to do.
pub fn load(path: &Path, config: &Value) -> Result<Box<dyn Guest>, Failure> {
    let library = loader::open(path)?;
    let description = call::describe(&library)?;
    let instance = call::create(&library, config)?;
    Ok(Box::new(Native { description, instance: Arc::new(instance) }))
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
