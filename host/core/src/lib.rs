//! The decision of dr-watchdog as a pure state machine: facts and time in, effects out.
//!
//! Architecture invariant: nothing here reads a clock, a file or a socket, spawns, logs, or iterates a hash map.

pub mod evidence;
