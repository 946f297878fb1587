//! Evidence per arbiter: ping, sessions, held sessions.

pub mod parse;
