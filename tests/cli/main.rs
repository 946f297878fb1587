//! What a person types, what the program says.

#![allow(clippy::unwrap_used, reason = "a case that cannot go on has failed")]

mod agreement;
mod arbiters_import;
mod arbiters_trust;
mod bad_config;
mod bad_policy;
mod bad_script;
mod config_sections;
mod control;
mod eval_input;
mod eval_shapes;
mod generated;
mod help;
mod hostile_scripts;
mod journal;
mod json_always;
mod lua_types;
mod mail;
mod old_scripts;
mod parsers;
mod policy_cases;
mod policy_reload;
mod readme;
mod replay;
mod screens;
mod state_file;
mod stories;
