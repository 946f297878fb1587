//! Evidence per arbiter: ping, sessions, held sessions.
