//! What a person types, what the program says.

#![allow(clippy::unwrap_used, reason = "a case that cannot go on has failed")]

mod arbiters_import;
mod arbiters_trust;
mod bad_config;
mod bad_policy;
mod bad_script;
mod config_sections;
mod control;
mod eval_shapes;
mod help;
mod journal;
mod lua_types;
mod policy_cases;
mod readme;
mod replay;
mod state_file;
