//! The policy contract of dr-watchdog: what a policy sees and what it answers.
//!
#![doc = include_str!("../README.md")]
#![allow(clippy::test_attr_in_doctest, reason = "the guide shows a vendor's whole file, which has a test")]

pub mod abi;
pub mod context;
pub mod evidence;
pub mod export;
pub mod host;
pub mod hours;
pub mod lua_types;
pub mod nearest;
pub mod policy;
pub mod sections;
pub mod strict;
pub mod testing;
pub mod threshold;
pub mod utc;
pub mod verdict;
pub mod wording;

pub use context::Context;
pub use host::{Host, HostError, Level};
pub use policy::{Policy, PolicyError};
pub use sections::{Role, Sections, Situation};
pub use utc::Utc;
pub use verdict::{Action, Verdict, VerdictState};
