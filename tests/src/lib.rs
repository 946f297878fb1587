//! The harness of the test rings: programs, waiting, and a laboratory of network namespaces.
//!
//! Architecture invariant: nothing here decides anything about the product; it arranges, breaks and looks.

#![allow(clippy::unwrap_used, reason = "a harness that cannot go on fails its test")]

pub mod bench;
pub mod eval;
pub mod fuzz;
pub mod lab;
pub mod lua_check;
pub mod needs;
pub mod plugins;
pub mod program;
pub mod scratch;
pub mod table;
pub mod terminal;
pub mod vendor;
pub mod wait;
