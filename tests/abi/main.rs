//! One contract, every engine: the decision table, plugins in C, plugins that are broken.

#![allow(clippy::unwrap_used, reason = "a case that cannot go on has failed")]

mod broken;
mod conformance;
mod endurance;
mod live;
mod table;
mod templates;
mod vendor;
mod witness;
mod written_in_c;
